-- An attempt ended in an error and will be repeated.
-- KEYS: Keys.command_keys
-- ARGV: live, event, entry id
-- Returns: 1, or 0 when the command is finished
local k = named(KEYS)
local state, place = unpack(redis.call('HMGET', k.command, 'state', 'entry'))
if not state or FINAL[state] or place ~= ARGV[3] then return 0 end
redis.call('HINCRBY', k.command, 'retry_count', 1)
redis.call('HINCRBY', k.counters, 'commands:failed:total', 1)
emit(k.state, k.events, ARGV[1], ARGV[2])
return 1
