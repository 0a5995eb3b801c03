-- Queues a dead or unconfirmed command again, as the last of its priority.
-- KEYS: Keys.command_keys
-- ARGV: live, wake channel, event, id, 'dead' or 'unconfirmed', entry id in that stream, timestamp,
--       preview
-- Returns: 'queued' | 'gone' (no such agent) | 'missing' (its text is not kept any more)
--       | the state it is in, when that is another
local k = named(KEYS)
local kind, entry = ARGV[5], ARGV[6]
local state = redis.call('HGET', k.command, 'state')
if state and state ~= kind then return state end
local found = redis.call('XRANGE', k[kind], entry, entry)[1]
if not found then return 'missing' end
local c = map(found[2])
if redis.call('HEXISTS', k.index, c.target) == 0 then return 'gone' end
c.timestamp, c.preview, c.retry_count, c.digest = ARGV[7], ARGV[8], 0, digest(c)
redis.call('XDEL', k[kind], entry)
add(k, c)
redis.call('HINCRBY', k.counters, 'commands:' .. kind .. ':total', -1)
emit(k.state, k.events, ARGV[1], ARGV[3])
redis.call('PUBLISH', ARGV[2], c.target)
return 'queued'
