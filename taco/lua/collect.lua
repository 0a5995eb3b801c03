-- The hashes that the members of a set name.
-- KEYS: set of names
-- ARGV: prefix of the hashes' keys
-- Returns: {{field, value, ...}, ...}
local result = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  result[#result + 1] = redis.call('HGETALL', ARGV[1] .. name)
end
return result
