-- Sets fields of the spec, if the fields that were looked at are still the same.
-- KEYS: spec
-- ARGV: how many fields were looked at, field, value, ..., then field, value, ... to set
-- Returns: 1, or 0 when something has changed
local looked = tonumber(ARGV[1])
for i = 2, 2 * looked, 2 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2 + 2 * looked))
return 1
