-- watch: asks to be told when invocations are final. KEYS: prefix. ARGV: ear, ids.
-- Reply: ids that are final, or not there, already.
local ear, over = arg(), {}
for _ = 2, #ARGV do
  local id = arg()
  local key = P .. INVOCATION .. id
  local seen = call('HMGET', key, 'status', 'watchers')
  if not seen[1] or FINAL[seen[1]] then
    table.insert(over, id)
  elseif not string.find(' ' .. (seen[2] or '') .. ' ', ' ' .. ear .. ' ', 1, true) then
    call('HSET', key, 'watchers', has(seen[2]) and seen[2] .. ' ' .. ear or ear)
  end
end
return over
