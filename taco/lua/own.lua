-- Who delivers: one holder with a time to live.
-- KEYS: executor:owner, executor:heartbeat
-- ARGV: 'claim' | 'renew' | 'release', token, time to live in ms, epoch ms of this sign of life ('' for none)
-- Returns: 1, or 0 when somebody else holds it (renew: or nobody)
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then return 0 end
if ARGV[1] == 'release' then
  redis.call('DEL', KEYS[1], KEYS[2]) -- who says goodbye shows no sign of life: callers look after it at once
  return 1
end
if ARGV[1] == 'renew' and not holder then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4]) end
return 1
