-- Ends a waiting command: entry, ledger, stream of results, counters, event, id on commands:completed.
-- KEYS: Keys.command_keys
-- ARGV: live, wake channel, event, id, entry id ('' for whatever it is now),
--       'runner' (ends it in any case) or 'person' (only while nothing was typed), state, evidence,
--       reason, at
-- Returns: 'done' | 'missing' | 'marked' (a person's wish to cancel, noted for the runner)
--       | the state it is in, when it is too late
local k = named(KEYS)
local id, entry, who = ARGV[4], ARGV[5], ARGV[6]
local l = map(redis.call('HGETALL', k.command))
if not l.state then return 'missing' end
if FINAL[l.state] or (entry ~= '' and l.entry ~= entry) then return l.state end
if who == 'person' then
  if l.state == 'entered' then return l.state end
  if l.state == 'typed' or is_current(k, id) then
    redis.call('HSET', k.command, 'cancel', '1')
    redis.call('PUBLISH', ARGV[2], l.target)
    return 'marked'
  end
end
finish(k, l, {state = ARGV[7], evidence = ARGV[8], reason = ARGV[9], at = ARGV[10]})
emit(k.state, k.events, ARGV[1], ARGV[3])
return 'done'
