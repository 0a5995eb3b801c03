-- Writes the record of one service and tells what changed; that of another owner's stays as it is.
-- KEYS: services:<name>, services, session:state, events
-- ARGV: live, event for a new url, port or owner, event for a new health,
--   name, url, port, health, owner, check, reason, claimed
-- Returns: 1 when something changed, 0 when nothing did, else whose it is
local url, port, health, owner, check, reason, claimed = unpack(redis.call('HMGET', KEYS[1],
  'url', 'port', 'health', 'owner', 'check', 'reason', 'claimed'))
if owner and owner ~= '' and owner ~= ARGV[8] then return owner end
local event
if url ~= ARGV[5] or port ~= ARGV[6] or owner ~= ARGV[8] then
  event = ARGV[2]
elseif health ~= ARGV[7] then
  event = ARGV[3]
elseif (check or '') == ARGV[9] and (reason or '') == ARGV[10] and (claimed or '0') == ARGV[11] then
  return 0
end
redis.call('HSET', KEYS[1], 'name', ARGV[4], 'url', ARGV[5], 'port', ARGV[6], 'health', ARGV[7],
  'owner', ARGV[8], 'check', ARGV[9], 'reason', ARGV[10], 'claimed', ARGV[11])
redis.call('SADD', KEYS[2], ARGV[4])
if event then emit(KEYS[3], KEYS[4], ARGV[1], event) end
return 1
