-- drop_values: KEYS: prefix. ARGV: kind, keys. Reply: how many existed.
local count = 0
for n = 2, #ARGV do
  if alive(call('HGET', P .. VALUE .. ARGV[1], ARGV[n])) then
    count = count + 1
    call('HDEL', P .. VALUE .. ARGV[1], ARGV[n])
    call('ZREM', P .. VALUE_KEYS .. ARGV[1], ARGV[n])
    call('ZREM', P .. VALUE_EXPIRY, ARGV[1] .. '\n' .. ARGV[n])
  end
end
return count
