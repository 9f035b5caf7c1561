-- page: ids in order, from several indexes at once.
-- KEYS: prefix. ARGV: "1" for the last first, most; of each index: name, lowest, highest. Reply: members of each.
local command, most, found = 'ZRANGEBYLEX', ARGV[2], {}
for n = 3, #ARGV, 3 do
  if ARGV[1] == '1' then
    table.insert(found, call('ZREVRANGEBYLEX', P .. ARGV[n], ARGV[n + 2], ARGV[n + 1], 'LIMIT', 0, most))
  else
    table.insert(found, call('ZRANGEBYLEX', P .. ARGV[n], ARGV[n + 1], ARGV[n + 2], 'LIMIT', 0, most))
  end
end
return found
