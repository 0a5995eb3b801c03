-- Answers a question once.
-- KEYS: asks:<id>, asks:open, session:state, events
-- ARGV: live, event, id, answer, at
-- Returns: 'answered' | 'missing' | 'late' (it has an answer)
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
if redis.call('SREM', KEYS[2], ARGV[3]) == 0 then return 'late' end
redis.call('HSET', KEYS[1], 'answer', ARGV[4], 'answered_at', ARGV[5])
redis.call('EXPIRE', KEYS[1], math.ceil(setting(KEYS[3], 'retention_s', RETENTION_S)))
emit(KEYS[3], KEYS[4], ARGV[1], ARGV[2])
return 'answered'
