-- An agent says that it is done, or that it failed.
-- KEYS: agents, counters, session:state, events
-- ARGV: live, event, name, status, done, failed, at
-- Returns: 1, or 0 when there is no such agent
local window = redis.call('HGET', KEYS[1], ARGV[3])
if not window then return 0 end
local agent = KEYS[1] .. ':' .. window
count_active(KEYS[2], window, redis.call('HGET', agent, 'status'), ARGV[4])
redis.call('HSET', agent, 'status', ARGV[4], 'done', ARGV[5], 'failed', ARGV[6], 'reported_at', ARGV[7])
emit(KEYS[3], KEYS[4], ARGV[1], ARGV[2])
return 1
