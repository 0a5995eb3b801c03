-- What an agent's courier looks at: the command under way, else the first by priority and age, and
-- the first that may go in while the agent works.
-- KEYS: current, queue high, queue normal, queue low, now
-- ARGV: prefix of the ledgers' keys
-- Returns: {head, now}; each {entry id, fields of the entry, fields of the ledger} or nil as false;
--       now is 1 when it is the head
local function waiting(stream, from, to)
  local found = redis.call('XRANGE', stream, from, to, 'COUNT', 1)[1]
  if not found then return false end
  return {found[1], found[2], redis.call('HGETALL', ARGV[1] .. found[2][2])}
end

local function at(place)
  local priority, entry = string.match(place, ' (%a+) (%d+%-%d+)')
  return waiting(KEYS[2 + RANK[priority]], entry, entry)
end

local head = false
local current = redis.call('GET', KEYS[1])
if current then
  head = at(current)
  if not head then redis.call('DEL', KEYS[1]) end
end
local rank = 2
while not head and rank <= 4 do
  head = waiting(KEYS[rank], '-', '+')
  rank = rank + 1
end
local first = redis.call('ZRANGE', KEYS[5], 0, 0)[1]
local now = first and at(first) or false
if head and now and head[1] == now[1] and head[2][2] == now[2][2] then now = 1 end
return {head, now}
