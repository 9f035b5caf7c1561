-- discard: removes entries. KEYS: prefix. ARGV: ids. Reply: 1.
for _, id in ipairs(ARGV) do discard(id) end
return 1
