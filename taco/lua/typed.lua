-- The text of a command stands in the composer.
-- KEYS: Keys.command_keys
-- ARGV: live, event, id, entry id, at
-- Returns: 1, or 0 when it was not waiting to be typed
local k = named(KEYS)
local live, event, id, entry, at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state, place, target, hold =
  unpack(redis.call('HMGET', k.command, 'state', 'entry', 'target', 'hold'))
if state ~= 'queued' or place ~= entry then return 0 end
redis.call('HSET', k.command, 'state', 'typed', 'typed_at', at)
redis.call('SADD', k.processing, id)
clear_hold(k, target, hold)
emit(k.state, k.events, live, event)
return 1
