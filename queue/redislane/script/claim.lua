-- ARGV group consumer n (priority max)...  -> flat list: priority, id, lane, entry, ...
-- or, if there is nothing, the last id of each stream: what a blocking read waits to see exceeded
local out, left = {}, tonumber(ARGV[3])
if redis.call('EXISTS', pre .. 'quiet') == 1 then left = 0 end
for i = 4, #ARGV, 2 do
  local p, most = ARGV[i], tonumber(ARGV[i + 1])
  while most > 0 and left > 0 do
    local r = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', math.min(most, left), 'STREAMS', pre .. 'r' .. p, '>')
    if not r or not r[1] then break end
    local got = r[1][2]
    for _, m in ipairs(got) do
      local f = m[2]
      table.insert(out, p) table.insert(out, m[1]) table.insert(out, f[2]) table.insert(out, f[4])
      pass_on(f[4])
    end
    most = most - #got
    left = left - #got
  end
end
if #out == 0 then
  for p = 0, 2 do
    local last = redis.call('XREVRANGE', pre .. 'r' .. p, '+', '-', 'COUNT', 1)
    table.insert(out, last[1] and last[1][1] or '0-0')
  end
end
return out
