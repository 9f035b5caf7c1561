-- submit: stores a batch, all of it or nothing; repeating it changes nothing.
-- KEYS: prefix. ARGV: batch id, "1" if any has a unique key, blobs (as in settle), how many; of each: id, body (how many labels,
--   labels, what never changes), status, queue, rank, due, task, by, parent, number of other fields, their names and values.
-- Reply: {position, from 1, and id that stands for it} of each that was not stored. Errors: WRONGTYPE, OOM; nothing was written then.
local batch, unique = P .. BATCH .. arg(), arg() == '1'
if unique then
  local answer = call('GET', batch)
  if answer then return cmsgpack.unpack(answer) end
end
put_blobs()
local reused = {}
for n = 1, number() do
  local id, body, status, queue, rank, due, task, by, parent, more = args(10)
  local key, others = P .. INVOCATION .. id, list(tonumber(more))
  if call('EXISTS', key) == 0 then
    local h = {status = status, queue = queue, rank = rank, due = due}
    for m = 1, #others, 2 do h[others[m]] = others[m + 1] end
    local holder = h.unique and call('HGET', P .. UNIQUE, h.unique)
    if holder then
      local counts = call('HMGET', P .. INVOCATION .. holder, 'status', 'counts')
      if not counts[1] or (has(counts[2]) and tonumber(counts[2]) <= NOW) then holder = nil end
    end
    if holder then
      table.insert(reused, {n, holder})
    else
      if h.unique then call('HSET', P .. UNIQUE, h.unique, id) end
      call('SET', P .. BODY .. id, body)
      note(id, h, status, 1, '', by, '', parent)
      if due ~= '' then others[#others + 1], others[#others + 2] = 'due', due end
      call('HSET', key, 'status', status, 'seq', '1', 'since', US, 'history', h.history, 'queue', queue, 'rank', rank, 'task', task, unpack(others))
      call('ZADD', P .. STATUS .. status, '0', id)
      local members = {}
      for m = 1, 2 * string.byte(body), 2 do members[m], members[m + 1] = '0', string.sub(body, 4 * m - 2, 4 * m + 5) .. id end
      call('ZADD', P .. LABELS, unpack(members))
      enqueue(id, h)
    end
  end
end
if #reused > 0 then call('SET', batch, cmsgpack.pack(reused), 'PX', 3600000) end
finish()
return reused
