-- Entries of a broker's queues. Follows _queues.lua, of which it uses the wake-up.
local function discard(id)
  local queue = call('HGET', P .. ENTRY, id)
  if not queue then return end
  for _, index in ipairs({ENTRIES, ENTRIES_DUE, ENTRIES_LATER}) do call('ZREM', P .. index .. queue, id) end
  call('HDEL', P .. ENTRY, id)
end
