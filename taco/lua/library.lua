-- Put in front of every script. Names used below:
--   k       the keys of one command, from Keys.command_keys (keys.py), by name
--   live    the channel of live events
--   event   an event as JSON that begins with {"id":"" (the id is filled in when it is published)

local RETENTION_COUNT, RETENTION_S = 10000, 86400
local RANK = {high = 0, normal = 1, low = 2}
local ACTIVE = {starting = true, running = true, paused = true}
local FINAL = {delivered = true, unconfirmed = true, dead = true, cancelled = true, rejected = true}

local function map(flat)
  local result = {}
  for i = 1, #flat, 2 do result[flat[i]] = flat[i + 1] end
  return result
end

local function named(keys)
  return {
    command = keys[1], queue = keys[2], now = keys[3], current = keys[4], senders = keys[5],
    waiting = keys[6], processing = keys[7], counters = keys[8], state = keys[9], events = keys[10],
    index = keys[11], completed = keys[12], dead = keys[13], unconfirmed = keys[14],
  }
end

local function setting(state, field, default)
  return tonumber(redis.call('HGET', state, field) or default) or default
end

-- `bound`: how many events are kept, where that is known already.
local function emit(state, events, live, event, bound)
  bound = bound or setting(state, 'retention_count', RETENTION_COUNT)
  local id = redis.call('XADD', events, 'MAXLEN', '~', bound, '*', 'event', event)
  redis.call('PUBLISH', live, '{"id":"' .. id .. string.sub(event, 8))
end

-- Score and member of a command in the sorted set `now`: priority first, then age.
local function now_entry(id, priority, entry)
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  local member = string.format('%012d %s %s %s', tonumber(seq), priority, entry, id)
  return RANK[priority] * 1e15 + tonumber(ms), member
end

local function is_current(k, id)
  local current = redis.call('GET', k.current)
  return current and string.sub(current, 1, #id + 1) == id .. ' '
end

local function clear_current(k, id)
  if is_current(k, id) then redis.call('DEL', k.current) end
end

local function clear_hold(k, target, hold)
  if hold and hold ~= '' then redis.call('HSET', k.command, 'hold', '') end
  local window = redis.call('HGET', k.index, target)
  if not window then return end
  local agent = k.index .. ':' .. window
  local held = redis.call('HGET', agent, 'hold')
  if held and held ~= '' then redis.call('HSET', agent, 'hold', '') end
end

local function decrement(hash, field)
  if redis.call('HINCRBY', hash, field, -1) <= 0 then redis.call('HDEL', hash, field) end
end

-- A new waiting command: entry and ledger. `c` has the fields of a command, and `preview`.
local function add(k, c)
  local entry = redis.call('XADD', k.queue, '*', 'id', c.id, 'type', c.type, 'sender', c.sender,
    'target', c.target, 'message', c.message, 'priority', c.priority, 'when', c.when,
    'timestamp', c.timestamp, 'retry_count', c.retry_count)
  redis.call('DEL', k.command)
  redis.call('HSET', k.command, 'id', c.id, 'sender', c.sender, 'target', c.target,
    'priority', c.priority, 'when', c.when, 'state', 'queued', 'queued_at', c.timestamp,
    'retry_count', c.retry_count, 'preview', c.preview, 'digest', c.digest, 'entry', entry)
  if c.when == 'now' then redis.call('ZADD', k.now, now_entry(c.id, c.priority, entry)) end
  redis.call('HINCRBY', k.waiting, c.target, 1)
  redis.call('HINCRBY', k.senders, c.sender, 1)
end

local function digest(c)
  return redis.sha1hex(c.target .. '\0' .. c.sender .. '\0' .. c.message)
end

-- The end of a waiting command. `l` is its ledger, `o` has state, evidence, reason and at.
local function finish(k, l, o)
  local bound = setting(k.state, 'retention_count', RETENTION_COUNT)
  local message, kind = '', 'tmux_message'
  local found = redis.call('XRANGE', k.queue, l.entry, l.entry)[1]
  if found then
    local fields = map(found[2])
    message, kind = fields.message, fields.type
  end
  local record = {'id', l.id, 'type', kind, 'sender', l.sender, 'target', l.target,
    'priority', l.priority, 'when', l.when, 'state', o.state, 'evidence', o.evidence,
    'attempts', l.attempts or 0, 'enters', l.enters or 0, 'retry_count', l.retry_count or 0,
    'reason', o.reason, 'queued_at', l.queued_at, 'typed_at', l.typed_at or '',
    'entered_at', l.entered_at or '', 'at', o.at}
  local stream = k.completed
  if o.state == 'dead' or o.state == 'unconfirmed' then
    stream = k[o.state]
    record[#record + 1] = 'message'
    record[#record + 1] = message
  end
  local final = redis.call('XADD', stream, 'MAXLEN', '~', bound, '*', unpack(record))
  redis.call('XDEL', k.queue, l.entry)
  if l.when == 'now' then
    local _, member = now_entry(l.id, l.priority, l.entry)
    redis.call('ZREM', k.now, member)
  end
  redis.call('SREM', k.processing, l.id)
  clear_current(k, l.id)
  decrement(k.waiting, l.target)
  decrement(k.senders, l.sender)
  redis.call('HSET', k.command, 'state', o.state, 'evidence', o.evidence, 'reason', o.reason,
    'finished_at', o.at, 'final', final)
  if l.hold and l.hold ~= '' then clear_hold(k, l.target, l.hold) end
  if o.state == 'delivered' then
    redis.call('HSET', k.command, 'delivered_at', o.at)
    redis.call('HINCRBY', k.counters, 'commands:executed:total', 1)
    redis.call('HINCRBY', k.counters, 'commands:delivered:' .. o.evidence, 1)
  else
    redis.call('HINCRBY', k.counters, 'commands:' .. o.state .. ':total', 1)
  end
  redis.call('EXPIRE', k.command, math.ceil(setting(k.state, 'retention_s', RETENTION_S)))
  redis.call('PUBLISH', k.completed, l.id)
end

-- Keeps agents:active:count exact when the status of an agent changes; Mother (0) is not counted.
local function count_active(counters, window, before, after)
  if tonumber(window) < 3 then return end
  local change = (ACTIVE[after] and 1 or 0) - (ACTIVE[before] and 1 or 0)
  if change ~= 0 then redis.call('HINCRBY', counters, 'agents:active:count', change) end
end

