-- ARGV group consumer (priority id lane entry due_ms)...  -> how many were ours; due 0 ends the job
local ok, gone = 0, 0
for i = 3, #ARGV, 5 do
  local s, id, lane, e, due = pre .. 'r' .. ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local p = redis.pcall('XPENDING', s, ARGV[1], id, id, 1)
  if #p == 1 and p[1][2] == ARGV[2] then
    ok = ok + 1
    redis.call('XACK', s, ARGV[1], id)
    redis.call('XDEL', s, id)
    if due ~= '0' then
      redis.call('ZADD', pre .. 'z', due, lane)
    else
      local list = pre .. 'l:' .. lane
      if redis.call('LINDEX', list, 0) == e then redis.call('LPOP', list) gone = gone + 1 end
      local head = redis.call('LINDEX', list, 0)
      if head then ready(lane, head) end
    end
  end
end
if gone > 0 then redis.call('HINCRBY', KEYS[1], 'n', -gone) end
return ok
