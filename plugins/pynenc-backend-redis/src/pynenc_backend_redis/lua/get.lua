-- get: KEYS: prefix. ARGV: ids. Reply: of each that exists {id, body, fields}.
local found = {}
for _, id in ipairs(ARGV) do
  local flat = call('HGETALL', P .. INVOCATION .. id)
  if #flat > 0 then table.insert(found, {id, call('GET', P .. BODY .. id), flat}) end
end
return found
