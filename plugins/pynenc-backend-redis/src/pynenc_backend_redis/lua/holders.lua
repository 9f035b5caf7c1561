-- holders: KEYS: prefix. ARGV: limit keys. Reply: how many hold each.
local found = {}
for n, key in ipairs(ARGV) do found[n] = call('SCARD', P .. SLOTS .. key) end
return found
