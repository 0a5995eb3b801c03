-- Removes an agent; what still waits for it ends as dead, or as unconfirmed when Enter was pressed.
-- KEYS: Keys.command_keys of the command '' for this agent, agents:<window>, then its three queues
-- ARGV: live, session, window, name, at, reason
-- Returns: the number of commands that were ended, or -1 when there is no such agent
local k = named(KEYS)
local agent, prefix = KEYS[15], KEYS[1]
local live, session, window, name, at, reason =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local found, status = unpack(redis.call('HMGET', agent, 'name', 'status'))
if found ~= name then return -1 end
if redis.call('HGET', k.index, name) == window then redis.call('HDEL', k.index, name) end
count_active(k.counters, window, status, '')
redis.call('DEL', agent)
local ended = 0

local function give_up(id)
  k.command = prefix .. id
  local l = map(redis.call('HGETALL', k.command))
  local state = l.state == 'entered' and 'unconfirmed' or 'dead'
  finish(k, l, {state = state, evidence = '', reason = reason, at = at})
  emit(k.state, k.events, live, '{"id":"",' .. string.sub(cjson.encode({ts = at, session = session,
    category = 'command', type = 'command.' .. state, agent = name, command = id,
    level = state == 'dead' and 'error' or 'warning', content = reason,
    data = {sender = l.sender, evidence = cjson.null, reason = reason}}), 2))
  ended = ended + 1
end

for i = 16, 18 do
  k.queue = KEYS[i]
  local some = redis.call('XRANGE', k.queue, '-', '+', 'COUNT', 100)
  while #some > 0 do
    for _, entry in ipairs(some) do give_up(map(entry[2]).id) end
    some = redis.call('XRANGE', k.queue, '-', '+', 'COUNT', 100)
  end
  redis.call('DEL', k.queue)
end
redis.call('DEL', k.now, k.current, k.senders)
return ended
