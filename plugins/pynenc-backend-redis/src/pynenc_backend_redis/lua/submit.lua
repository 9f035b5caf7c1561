-- submit: stores a batch, all of it or nothing; repeating it changes nothing.
-- Records come last, when nothing is left that could be refused: a key of another type among the indexes ends the script before, and
-- what was written until then is found by nobody, goes from its queue with the next claim, and is made whole by repeating the batch.
-- KEYS: prefix. ARGV: batch id, "1" if any has a unique key, blobs (as in settle), how many; of each: id, body (how many labels,
--   labels, what never changes), status, queue, rank, due, task, by, parent, number of other fields, their names and values.
-- Reply: {position, from 1, and id that stands for it} of each that was not stored. Errors: WRONGTYPE, OOM; no invocation is stored then.
local batch, unique = P .. BATCH .. arg(), arg() == '1'
if unique then
  local answer = call('GET', batch)
  if answer then return cmsgpack.unpack(answer) end
end
put_blobs()
local reused, made, records = {}, {}, {} -- made: by id; records: what HSET is given
for n = 1, number() do
  local id, body, status, queue, rank, due, task, by, parent, more = args(10)
  local key, others = P .. INVOCATION .. id, list(tonumber(more))
  if not made[id] and call('EXISTS', key) == 0 then
    local h = {status = status, queue = queue, rank = rank, due = due}
    for m = 1, #others, 2 do h[others[m]] = others[m + 1] end
    local holder = h.unique and call('HGET', P .. UNIQUE, h.unique)
    if holder then
      local earlier = made[holder]
      local counts = earlier and {earlier.status, earlier.counts} or call('HMGET', P .. INVOCATION .. holder, 'status', 'counts')
      if not counts[1] or (has(counts[2]) and tonumber(counts[2]) <= NOW) then holder = nil end
    end
    if holder then
      table.insert(reused, {n, holder})
    else
      enqueue(id, h)
      local members = {}
      for m = 1, 2 * string.byte(body), 2 do members[m], members[m + 1] = '0', string.sub(body, 4 * m - 2, 4 * m + 5) .. id end
      call('ZADD', P .. LABELS, unpack(members))
      note(id, h, status, 1, '', by, '', parent)
      if h.unique then call('HSET', P .. UNIQUE, h.unique, id) end
      call('SET', P .. BODY .. id, body)
      if due ~= '' then others[#others + 1], others[#others + 2] = 'due', due end
      made[id] = h
      records[#records + 1] = {key, 'status', status, 'seq', '1', 'since', US, 'history', h.history, 'queue', queue, 'rank', rank, 'task', task, unpack(others)}
      call('ZADD', P .. STATUS .. status, '0', id)
    end
  end
end
for _, record in ipairs(records) do call('HSET', unpack(record)) end
if #reused > 0 then call('SET', batch, cmsgpack.pack(reused), 'PX', 3600000) end
finish()
return reused
