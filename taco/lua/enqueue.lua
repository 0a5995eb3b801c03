-- Stores a command once.
-- KEYS: Keys.command_keys
-- ARGV: live, wake channel, event, id, type, sender, target, message, priority, when, timestamp,
--       retry_count, preview
-- Returns: 'queued' | 'known' (same id, same body) | 'conflict' (same id, other body)
--       | 'gone' (no such agent) | 'queue_full <limit>' | 'sender_full <limit>'
local k = named(KEYS)
local live, wake, event = ARGV[1], ARGV[2], ARGV[3]
local c = {id = ARGV[4], type = ARGV[5], sender = ARGV[6], target = ARGV[7], message = ARGV[8],
  priority = ARGV[9], when = ARGV[10], timestamp = ARGV[11], retry_count = ARGV[12],
  preview = ARGV[13]}
c.digest = digest(c)
local known = redis.call('HGET', k.command, 'digest')
if known then return known == c.digest and 'known' or 'conflict' end
if redis.call('HEXISTS', k.index, c.target) == 0 then return 'gone' end
local set = redis.call('HMGET', k.state, 'queue_limit', 'sender_limit', 'retention_count')
if c.priority ~= 'high' then
  local limit = tonumber(set[1] or 10000) or 10000
  local depth = tonumber(redis.call('HGET', k.waiting, c.target) or 0)
  if depth >= limit then return 'queue_full ' .. limit end
  limit = tonumber(set[2] or 5000) or 5000
  depth = tonumber(redis.call('HGET', k.senders, c.sender) or 0)
  if depth >= limit then return 'sender_full ' .. limit end
end
add(k, c)
redis.call('HINCRBY', k.counters, 'commands:enqueued:total', 1)
emit(k.state, k.events, live, event, tonumber(set[3] or RETENTION_COUNT))
redis.call('PUBLISH', wake, c.target)
return 'queued'
