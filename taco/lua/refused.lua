-- The first Enter, announced by `entered`, was not pressed: the command is typed again.
-- KEYS: Keys.command_keys
-- ARGV: entry id
-- Returns: 1, or 0 when it was not announced
local k = named(KEYS)
local state, place = unpack(redis.call('HMGET', k.command, 'state', 'entry'))
if state ~= 'entered' or place ~= ARGV[1] then return 0 end
redis.call('HDEL', k.command, 'entered_at', 'enters', 'transcript_mark')
redis.call('HSET', k.command, 'state', 'typed')
return 1
