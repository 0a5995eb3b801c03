-- Why an agent's queue stands still, in the ledger of its head and in the agent's record.
-- KEYS: command ('' for no command), agents, session:state, events
-- ARGV: live, event, agent, reason ('' clears)
-- Returns: 1 when that is news, else 0
local reason, news = ARGV[4], 0
if KEYS[1] ~= '' then
  local state, hold = unpack(redis.call('HMGET', KEYS[1], 'state', 'hold'))
  if state and not FINAL[state] and (hold or '') ~= reason then
    redis.call('HSET', KEYS[1], 'hold', reason)
    news = 1
  end
end
local window = redis.call('HGET', KEYS[2], ARGV[3])
if window then
  local agent = KEYS[2] .. ':' .. window
  if (redis.call('HGET', agent, 'hold') or '') ~= reason then
    redis.call('HSET', agent, 'hold', reason)
    news = 1
  end
end
if news == 1 and reason ~= '' then emit(KEYS[3], KEYS[4], ARGV[1], ARGV[2]) end
return news
