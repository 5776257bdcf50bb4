-- ARGV group quiet_ms  -> hwm; makes what is missing. A Redis that forgot stays quiet for a while, so that workers which
-- still run jobs that it handed out notice first.
for p = 0, 2 do
  local s = pre .. 'r' .. p
  local made = redis.pcall('XGROUP', 'CREATE', s, ARGV[1], '0', 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
end
if redis.call('HSETNX', KEYS[1], 'hwm', '0') == 1 and ARGV[2] ~= '0' then
  redis.call('SET', pre .. 'quiet', '1', 'PX', ARGV[2])
end
return redis.call('HGET', KEYS[1], 'hwm')
