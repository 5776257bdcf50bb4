-- ARGV group consumer (priority id)...  -> indexes (from 1) of those that are not ours any more
local lost = {}
for i = 3, #ARGV, 2 do
  local s, id = pre .. 'r' .. ARGV[i], ARGV[i + 1]
  local p = redis.pcall('XPENDING', s, ARGV[1], id, id, 1)
  if #p == 1 and p[1][2] == ARGV[2] then
    redis.call('XCLAIM', s, ARGV[1], ARGV[2], 0, id, 'JUSTID')
  else
    table.insert(lost, (i - 1) / 2)
  end
end
return lost
