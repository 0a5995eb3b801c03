-- The records of all agents.
-- KEYS: agents
-- Returns: {{field, value, ...}, ...}
local result = {}
for _, window in ipairs(redis.call('HVALS', KEYS[1])) do
  result[#result + 1] = redis.call('HGETALL', KEYS[1] .. ':' .. window)
end
return result
