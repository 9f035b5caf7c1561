-- put_value: KEYS: prefix. ARGV: kind, key, value, "1" if absent, seconds to live or "". Reply: 1 if it was written. Errors: OOM.
local kind, key, value, if_absent, ttl = arg(), arg(), arg(), arg() == '1', number()
if if_absent and alive(call('HGET', P .. VALUE .. kind, key)) then return 0 end
call('HSET', P .. VALUE .. kind, key, struct.pack('>d', ttl and NOW + ttl or 0) .. value)
call('ZADD', P .. VALUE_KEYS .. kind, 0, key)
if ttl then
  call('ZADD', P .. VALUE_EXPIRY, NOW + ttl, kind .. '\n' .. key)
else
  call('ZREM', P .. VALUE_EXPIRY, kind .. '\n' .. key)
end
return 1
