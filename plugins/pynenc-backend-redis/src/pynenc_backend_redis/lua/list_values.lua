-- list_values: KEYS: prefix. ARGV: kind, lowest, highest, most. Reply: {key, value} of each, by key.
local found, lowest, most = {}, ARGV[2], tonumber(ARGV[4])
while #found < most do
  local keys = call('ZRANGEBYLEX', P .. VALUE_KEYS .. ARGV[1], lowest, ARGV[3], 'LIMIT', 0, most - #found)
  if #keys == 0 then break end
  for _, key in ipairs(keys) do
    local value = alive(call('HGET', P .. VALUE .. ARGV[1], key))
    if value then table.insert(found, {key, value}) end
  end
  lowest = '(' .. keys[#keys]
end
return found
