-- Shared by all scripts; KEYS[1] is the partition's meta hash, and all keys hang on its prefix, in one cluster slot:
--   m               hash: hwm = last id enqueued, n = references held
--   l:<lane>        list: "<priority>:<id>:<subject>" in order; the head stays until settled
--   r0 r1 r2        streams of ready tokens (fields l = lane, e = its head), consumer group w
--   a0 a1 a2        sets of subjects that have a ready token which nobody claimed yet
--   w<p>:<subject>  list: lanes that wait for their subject's turn
--   z               sorted set: lanes that wait for a time (ms)
-- Always: a lane's list is non-empty <=> the lane is once in r0..r2 (ready or pending), in w or in z.
local pre = string.sub(KEYS[1], 1, -2)
local function prio(e) return string.sub(e, 1, 1) end
local function subject(e) return string.match(e, '^%d:%d+:(.*)$') end
-- ready gives a lane its token, or lets it wait while another lane of its subject has one
local function ready(lane, e)
  local p, s = prio(e), subject(e)
  if s ~= '' and redis.call('SADD', pre .. 'a' .. p, s) == 0 then
    redis.call('RPUSH', pre .. 'w' .. p .. ':' .. s, lane)
  else
    redis.call('XADD', pre .. 'r' .. p, '*', 'l', lane, 'e', e)
  end
end
-- pass_on gives the turn of a claimed token's subject to the next lane; once too often does no harm
local function pass_on(e)
  local p, s = prio(e), subject(e)
  if s == '' then return end
  local lane = redis.call('LPOP', pre .. 'w' .. p .. ':' .. s)
  while lane do
    local head = redis.call('LINDEX', pre .. 'l:' .. lane, 0)
    if head then redis.call('XADD', pre .. 'r' .. p, '*', 'l', lane, 'e', head) return end
    lane = redis.call('LPOP', pre .. 'w' .. p .. ':' .. s)
  end
  redis.call('SREM', pre .. 'a' .. p, s)
end
