-- Enter is about to be pressed for a command; the time and the mark of the first Enter count.
-- KEYS: Keys.command_keys
-- ARGV: live, event, id, entry id, at, enters so far, size of the transcript before it
-- Returns: 1, or 0 when that must not be: it was cancelled, or is not under way
local k = named(KEYS)
local live, event, id, entry, at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state, place, cancel = unpack(redis.call('HMGET', k.command, 'state', 'entry', 'cancel'))
if not state or FINAL[state] or place ~= entry then return 0 end
if cancel and state ~= 'entered' then return 0 end
if state ~= 'entered' then
  redis.call('HSET', k.command, 'state', 'entered', 'entered_at', at, 'transcript_mark', ARGV[7])
  redis.call('SADD', k.processing, id)
end
redis.call('HSET', k.command, 'enters', ARGV[6])
emit(k.state, k.events, live, event)
return 1
