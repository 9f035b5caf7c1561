-- publish: adds entries. KEYS: prefix. ARGV: of each: id, queue, rank, due ("" none). Reply: 1. Errors: OOM.
for n = 1, #ARGV, 4 do
  local id, queue, rank, due = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
  discard(id)
  call('HSET', P .. ENTRY, id, queue)
  if due ~= '' and tonumber(due) > NOW then
    call('ZADD', P .. ENTRIES_DUE .. queue, due, id)
    call('ZADD', P .. ENTRIES_LATER .. queue, rank, id)
  else
    call('ZADD', P .. ENTRIES .. queue, rank, id)
  end
  news[queue] = (news[queue] or 0) + 1
end
finish()
return 1
