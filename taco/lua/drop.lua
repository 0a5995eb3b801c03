-- Forgets the text of a dead or unconfirmed command.
-- KEYS: stream, session:state, events
-- ARGV: live, event, entry id
-- Returns: 1, or 0 when it was not there any more
if redis.call('XDEL', KEYS[1], ARGV[3]) == 0 then return 0 end
emit(KEYS[2], KEYS[3], ARGV[1], ARGV[2])
return 1
