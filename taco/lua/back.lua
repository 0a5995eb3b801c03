-- A command whose typing has begun waits again and keeps its place.
-- KEYS: Keys.command_keys
-- ARGV: live, event ('' for none), id, entry id, 'failed' (counts as a failed attempt) or 'undone'
--       (nothing was typed: the attempt does not count)
-- Returns: 'queued' | 'cancel' (unchanged: it is to be cancelled) | 'no' (it was not under way)
local k = named(KEYS)
local live, event, id, entry, how = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state, place, cancel, intent =
  unpack(redis.call('HMGET', k.command, 'state', 'entry', 'cancel', 'intent'))
if place ~= entry or (state ~= 'typed' and state ~= 'queued') then return 'no' end
if state == 'queued' and not intent then return 'no' end
if cancel then return 'cancel' end
if how == 'failed' then
  redis.call('HINCRBY', k.command, 'retry_count', 1)
  redis.call('HINCRBY', k.counters, 'commands:failed:total', 1)
elseif intent then
  redis.call('HINCRBY', k.command, 'attempts', -1)
end
redis.call('HDEL', k.command, 'intent', 'typed_at', 'entered_at', 'enters', 'transcript_mark')
redis.call('HSET', k.command, 'state', 'queued')
redis.call('SREM', k.processing, id)
clear_current(k, id)
if event ~= '' then emit(k.state, k.events, live, event) end
return 'queued'
