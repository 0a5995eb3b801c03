-- Opens a question once.
-- KEYS: asks:<id>, asks, asks:open, session:state, events
-- ARGV: live, event, id, agent, field, value, ...
-- Returns: 1, or 0 when it is known
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local bound = setting(KEYS[4], 'retention_count', RETENTION_COUNT)
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', bound, '*', 'id', ARGV[3], 'agent', ARGV[4])
redis.call('SADD', KEYS[3], ARGV[3])
emit(KEYS[4], KEYS[5], ARGV[1], ARGV[2])
return 1
