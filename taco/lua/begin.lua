-- Records the intent to type a command, if it still waits, nobody cancelled it and no other is under way.
-- KEYS: Keys.command_keys
-- ARGV: id, entry id, priority, intent
-- Returns: 1, or 0 when it must not be typed
local k = named(KEYS)
local id, entry, priority, intent = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local state, at, cancel = unpack(redis.call('HMGET', k.command, 'state', 'entry', 'cancel'))
if state ~= 'queued' or at ~= entry or cancel then return 0 end
if redis.call('EXISTS', k.current) == 1 and not is_current(k, id) then return 0 end
redis.call('SET', k.current, id .. ' ' .. priority .. ' ' .. entry)
redis.call('HSET', k.command, 'intent', intent)
redis.call('HINCRBY', k.command, 'attempts', 1)
return 1
