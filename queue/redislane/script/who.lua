-- -> the run id of the server that has the partition; empty if it does not tell
local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then return '' end
return string.match(info, 'run_id:(%w+)') or ''
