-- Every question that is still remembered.
-- KEYS: asks
-- ARGV: prefix of the hashes' keys
-- Returns: {{field, value, ...}, ...}
local result = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  result[#result + 1] = redis.call('HGETALL', ARGV[1] .. entry[2][2])
end
return result
