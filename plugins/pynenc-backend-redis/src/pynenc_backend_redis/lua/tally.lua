-- tally: how many with a label are in each status, some thousands at a time.
-- KEYS: prefix. ARGV: lowest, highest, most. Reply: {last member looked at or "", status, how many, status, ...}.
local members = call('ZRANGEBYLEX', P .. LABELS, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local counts, reply = {}, {#members == tonumber(ARGV[3]) and members[#members] or ''}
for _, member in ipairs(members) do
  local status = call('HGET', P .. INVOCATION .. string.sub(member, 9), 'status')
  if status then counts[status] = (counts[status] or 0) + 1 end
end
for status, count in pairs(counts) do
  reply[#reply + 1], reply[#reply + 2] = status, count
end
return reply
