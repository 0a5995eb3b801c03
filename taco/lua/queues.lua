-- Depth and age of all queues.
-- KEYS: agents
-- ARGV: prefix of the queues' keys
-- Returns: {server time in ms, {name, high, normal, low, ms of the oldest or 0, hold}, ...}
local now = redis.call('TIME')
local result = {now[1] * 1000 + math.floor(now[2] / 1000)}
local index = redis.call('HGETALL', KEYS[1])
for i = 1, #index, 2 do
  local row, oldest = {index[i]}, 0
  for _, priority in ipairs({'high', 'normal', 'low'}) do
    local queue = ARGV[1] .. index[i] .. ':' .. priority
    row[#row + 1] = redis.call('XLEN', queue)
    local first = redis.call('XRANGE', queue, '-', '+', 'COUNT', 1)[1]
    if first then
      local ms = tonumber(string.match(first[1], '^%d+'))
      if oldest == 0 or ms < oldest then oldest = ms end
    end
  end
  row[#row + 1] = oldest
  row[#row + 1] = redis.call('HGET', KEYS[1] .. ':' .. index[i + 1], 'hold') or ''
  result[#result + 1] = row
end
return result
