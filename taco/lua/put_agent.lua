-- Writes the whole record of one agent and its place in the index.
-- KEYS: agents, agents:<window>, counters
-- ARGV: window, name, status, field, value, ...
-- Returns: 1
local window, name, status = ARGV[1], ARGV[2], ARGV[3]
local old_name, old_status = unpack(redis.call('HMGET', KEYS[2], 'name', 'status'))
if old_name and old_name ~= name and redis.call('HGET', KEYS[1], old_name) == window then
  redis.call('HDEL', KEYS[1], old_name)
end
count_active(KEYS[3], window, old_status, status)
local elsewhere = redis.call('HGET', KEYS[1], name)
if elsewhere and elsewhere ~= window then
  local other = KEYS[1] .. ':' .. elsewhere
  count_active(KEYS[3], elsewhere, redis.call('HGET', other, 'status'), '')
  redis.call('DEL', other)
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('HSET', KEYS[1], name, window)
return 1
