-- sweep: removes final invocations that ended before an instant, with their history and labels.
-- KEYS: prefix. ARGV: instant in microseconds, most. Reply: how many.
local ids = call('ZRANGEBYSCORE', P .. ENDED, '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local h = load(id) or {}
  local body = call('GET', P .. BODY .. id) or ''
  for from = 1, #(h.history or ''), 12 do
    local us, sub = struct.unpack('>I7I2I3', h.history, from)
    call('XDEL', P .. HISTORY, string.format('%.0f-%d', us, sub))
  end
  for n = 0, (string.byte(body) or 0) - 1 do call('ZREM', P .. LABELS, string.sub(body, 2 + 8 * n, 9 + 8 * n) .. id) end
  if h.status then call('ZREM', P .. STATUS .. h.status, id) end
  if h.unique and call('HGET', P .. UNIQUE, h.unique) == id then call('HDEL', P .. UNIQUE, h.unique) end
  call('ZREM', P .. OUTBOX, id)
  call('ZREM', P .. ENDED, id)
  call('UNLINK', P .. INVOCATION .. id, P .. BODY .. id)
end
if call('XLEN', P .. HISTORY) == 0 then call('DEL', P .. HISTORY) end
return #ids
