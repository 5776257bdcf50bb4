-- ARGV group me idle_ms  removes consumers that hold nothing and have been silent for long
local n = 0
for p = 0, 2 do
  local s = pre .. 'r' .. p
  for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', s, ARGV[1])) do
    local f = {}
    for i = 1, #c, 2 do f[c[i]] = c[i + 1] end
    if f['pending'] == 0 and f['idle'] > tonumber(ARGV[3]) and f['name'] ~= ARGV[2] then
      redis.call('XGROUP', 'DELCONSUMER', s, ARGV[1], f['name'])
      n = n + 1
    end
  end
end
return n
