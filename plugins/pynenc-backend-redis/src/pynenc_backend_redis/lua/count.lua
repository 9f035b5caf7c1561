-- count: by status. KEYS: prefix. ARGV: statuses that are indexed each. Reply: {their sizes, status of each owned one}.
local sizes, owned = {}, {}
for n, status in ipairs(ARGV) do sizes[n] = call('ZCARD', P .. STATUS .. status) end
for n, member in ipairs(call('ZRANGE', P .. OWNERS, 0, -1)) do
  owned[n] = call('HGET', P .. INVOCATION .. string.match(member, '%z(.*)$'), 'status') or ''
end
return {sizes, owned}
