-- Gives back every port whose claim begins with some text: of one holder, or of a whole session.
-- KEYS: ports
-- ARGV: text
-- Returns: how many
local count = 0
local claims = redis.call('HGETALL', KEYS[1])
for i = 1, #claims, 2 do
  if string.sub(claims[i + 1], 1, #ARGV[1]) == ARGV[1] then
    count = count + redis.call('HDEL', KEYS[1], claims[i])
  end
end
return count
