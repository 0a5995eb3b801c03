-- Gives one holder the first of some ports that it can have, in place of the one it has; or changes nothing.
-- KEYS: ports
-- ARGV: holder, since, '1' to keep the port that it has, a port that it gives back ('' for none),
--   then pairs: a port, and the claim on it that may be replaced ('' for none)
-- Returns: {port, 1 when it was not the holder's before}, or {'', 0}
local mine = ARGV[1] .. ' '
local function is_mine(claim) return claim and string.sub(claim, 1, #mine) == mine end

local held = {}
local claims = redis.call('HGETALL', KEYS[1])
for i = 1, #claims, 2 do
  if is_mine(claims[i + 1]) then held[#held + 1] = claims[i] end
end

local function take(port, fresh)
  for _, each in ipairs(held) do
    if each ~= port then redis.call('HDEL', KEYS[1], each) end
  end
  redis.call('HSET', KEYS[1], port, mine .. ARGV[2])
  return {port, fresh}
end

if ARGV[3] == '1' then
  for _, each in ipairs(held) do
    if each ~= ARGV[4] then return take(each, 0) end
  end
end
for i = 5, #ARGV, 2 do
  local claim = redis.call('HGET', KEYS[1], ARGV[i])
  if is_mine(claim) then return take(ARGV[i], 0) end
  if (claim or '') == ARGV[i + 1] then return take(ARGV[i], 1) end
end
return {'', 0}
