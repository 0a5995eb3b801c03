-- Forgets a service.
-- KEYS: services:<name>, services, session:state, events
-- ARGV: live, event, name
-- Returns: 1, or 0 when there is none
redis.call('SREM', KEYS[2], ARGV[3])
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
emit(KEYS[3], KEYS[4], ARGV[1], ARGV[2])
return 1
