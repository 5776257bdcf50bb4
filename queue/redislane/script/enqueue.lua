-- ARGV from through (lane entry id)...  -> {1, hwm} or {0, hwm}: the cursor moves with the work or not at all
local text = redis.call('HGET', KEYS[1], 'hwm')
if not text then return {0, '0'} end
local hwm = tonumber(text)
if hwm < tonumber(ARGV[1]) then return {0, text} end
local n = 0
for i = 3, #ARGV, 3 do
  if tonumber(ARGV[i + 2]) > hwm then
    n = n + 1
    if redis.call('RPUSH', pre .. 'l:' .. ARGV[i], ARGV[i + 1]) == 1 then ready(ARGV[i], ARGV[i + 1]) end
  end
end
if n > 0 then redis.call('HINCRBY', KEYS[1], 'n', n) end
if tonumber(ARGV[2]) <= hwm then return {1, text} end
redis.call('HSET', KEYS[1], 'hwm', ARGV[2])
return {1, ARGV[2]}
