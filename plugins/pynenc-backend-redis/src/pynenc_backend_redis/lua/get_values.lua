-- get_values: KEYS: prefix. ARGV: kind, keys. Reply: {key, value} of each that exists.
local found = {}
for n = 2, #ARGV do
  local value = alive(call('HGET', P .. VALUE .. ARGV[1], ARGV[n]))
  if value then table.insert(found, {ARGV[n], value}) end
end
return found
