-- ARGV now_ms n  -> how many
local due = redis.call('ZRANGEBYSCORE', pre .. 'z', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, lane in ipairs(due) do
  redis.call('ZREM', pre .. 'z', lane)
  local e = redis.call('LINDEX', pre .. 'l:' .. lane, 0)
  if e then ready(lane, e) end
end
return #due
