-- Notes how a service is, unless it is another one by now than the one that was looked at.
-- KEYS: services:<name>, session:state, events
-- ARGV: live, event, url, port, owner and check as they were seen, health, reason, '1' when its place is lost
-- Returns: 1, or 0 when it has changed or is gone
local url, port, owner, check, health, reason = unpack(redis.call('HMGET', KEYS[1],
  'url', 'port', 'owner', 'check', 'health', 'reason'))
if url ~= ARGV[3] or port ~= ARGV[4] or (owner or '') ~= ARGV[5] or (check or '') ~= ARGV[6] then
  return 0
end
if ARGV[9] == '1' then redis.call('HSET', KEYS[1], 'url', '', 'port', '0', 'claimed', '0') end
if health ~= ARGV[7] or (reason or '') ~= ARGV[8] then
  redis.call('HSET', KEYS[1], 'health', ARGV[7], 'reason', ARGV[8])
end
if health ~= ARGV[7] or ARGV[9] == '1' then emit(KEYS[2], KEYS[3], ARGV[1], ARGV[2]) end
return 1
