-- The queue of a session in numbers.
-- KEYS: counters, commands:waiting, commands:processing, commands:dead, commands:unconfirmed
-- Returns: {waiting, processing, executed, failed, dead, unconfirmed}; the last two are what is kept
local waiting = 0
for _, depth in ipairs(redis.call('HVALS', KEYS[2])) do waiting = waiting + depth end
local function counter(name) return tonumber(redis.call('HGET', KEYS[1], name) or 0) end
return {waiting, redis.call('SCARD', KEYS[3]), counter('commands:executed:total'),
  counter('commands:failed:total'), redis.call('XLEN', KEYS[4]), redis.call('XLEN', KEYS[5])}
