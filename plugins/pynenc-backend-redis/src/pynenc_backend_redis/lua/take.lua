-- take: removes the first entries that are due. KEYS: prefix. ARGV: most, ear ("" none), queues.
-- Reply: {ids, microseconds until the next is due, -1 for none}; the ear hears of more where there were too few.
local most, ear, taken, next_one = number(), arg(), {}, nil
for n = 3, #ARGV do
  local queue = ARGV[n]
  local due_key, later_key = P .. ENTRIES_DUE .. queue, P .. ENTRIES_LATER .. queue
  for _, id in ipairs(call('ZRANGEBYSCORE', due_key, '-inf', NOW, 'LIMIT', 0, 1000)) do
    call('ZADD', P .. ENTRIES .. queue, call('ZSCORE', later_key, id), id)
    call('ZREM', due_key, id)
    call('ZREM', later_key, id)
  end
  if most > #taken then
    for _, id in ipairs(call('ZRANGE', P .. ENTRIES .. queue, 0, most - #taken - 1)) do
      call('ZREM', P .. ENTRIES .. queue, id)
      call('HDEL', P .. ENTRY, id)
      table.insert(taken, id)
    end
  end
  local due = tonumber(call('ZRANGE', due_key, 0, 0, 'WITHSCORES')[2])
  if due and (not next_one or due < next_one) then next_one = due end
  if #taken >= most and call('ZCARD', P .. ENTRIES .. queue) > 0 then news[queue] = 1 end
end
if #taken == 0 and ear ~= '' then
  for n = 3, #ARGV do
    call('ZADD', P .. IDLE .. ARGV[n], US, ear)
    call('PEXPIRE', P .. IDLE .. ARGV[n], IDLE_KEPT)
  end
end
finish()
return {taken, next_one and math.max(0, math.floor((next_one - NOW) * 1e6)) or -1}
