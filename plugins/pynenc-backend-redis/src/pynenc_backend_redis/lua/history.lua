-- history: KEYS: prefix. ARGV: ids. Reply: of each that exists {id, entries so far, messages}.
local found = {}
for _, id in ipairs(ARGV) do
  local steps = call('HMGET', P .. INVOCATION .. id, 'seq', 'history')
  if steps[1] then
    local messages = {}
    for from = 1, #(steps[2] or ''), 12 do
      local us, sub = struct.unpack('>I7I2I3', steps[2], from)
      local key = string.format('%.0f-%d', us, sub)
      table.insert(messages, call('XRANGE', P .. HISTORY, key, key)[1])
    end
    table.insert(found, {id, steps[1], messages})
  end
end
return found
