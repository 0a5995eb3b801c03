-- Writes the record of one service and tells what changed.
-- KEYS: services:<name>, services, session:state, events
-- ARGV: live, event for a new url or port, event for a new health, name, url, port, health, owner
-- Returns: 1 when something changed, else 0
local url, port, health, owner =
  unpack(redis.call('HMGET', KEYS[1], 'url', 'port', 'health', 'owner'))
local event
if url ~= ARGV[5] or port ~= ARGV[6] or owner ~= ARGV[8] then
  event = ARGV[2]
elseif health ~= ARGV[7] then
  event = ARGV[3]
else
  return 0
end
redis.call('HSET', KEYS[1], 'name', ARGV[4], 'url', ARGV[5], 'port', ARGV[6], 'health', ARGV[7],
  'owner', ARGV[8])
redis.call('SADD', KEYS[2], ARGV[4])
emit(KEYS[3], KEYS[4], ARGV[1], event)
return 1
