-- One event, into the stream and to whoever listens.
-- KEYS: session:state, events
-- ARGV: live, event
-- Returns: 1
emit(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
return 1
