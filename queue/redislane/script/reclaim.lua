-- ARGV group consumer idle_ms n  -> as claim, or nothing: tokens that their holders let lie
local out, left = {}, tonumber(ARGV[4])
for p = 0, 2 do
  if left <= 0 then break end
  local r = redis.call('XAUTOCLAIM', pre .. 'r' .. p, ARGV[1], ARGV[2], ARGV[3], '0-0', 'COUNT', left)
  for _, m in ipairs(r[2]) do
    if m and m[2] then
      local f = m[2]
      table.insert(out, tostring(p)) table.insert(out, m[1]) table.insert(out, f[2]) table.insert(out, f[4])
      pass_on(f[4])
      left = left - 1
    end
  end
end
return out
