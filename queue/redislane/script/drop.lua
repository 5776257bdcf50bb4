-- ARGV tag key...  removes those of the keys that are of another era than this run of the server: only it can tell for sure
local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then return 0 end
local run = string.match(info, 'run_id:(%w+)')
if not run then return 0 end
local now, n = ARGV[1] .. string.sub(run, 1, 10) .. ':', 0
for i = 2, #ARGV do
  if string.sub(ARGV[i], 1, #now) ~= now then n = n + redis.call('UNLINK', ARGV[i]) end
end
return n
