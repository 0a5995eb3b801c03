-- Changes fields of an agent that is there; a removed one stays removed.
-- KEYS: agents:<window>, counters
-- ARGV: window, new status ('' for the same), field, value, ...
-- Returns: 1, or 0 when there is no such agent
local old = redis.call('HGET', KEYS[1], 'status')
if not old then return 0 end
if ARGV[2] ~= '' then count_active(KEYS[2], ARGV[1], old, ARGV[2]) end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1
