-- await: asks to be told of work, unless there is some. KEYS: prefix. ARGV: ear, "1" for awaited work only, queues.
-- Reply: 1 if there is work now.
local ear, awaited = arg(), arg() == '1'
for n = 3, #ARGV do
  promote(ARGV[n])
  if call('ZCARD', P .. (awaited and AWAITED or QUEUE) .. ARGV[n]) > 0 then return 1 end
end
for n = 3, #ARGV do
  local idle = P .. (awaited and IDLE_AWAITED or IDLE) .. ARGV[n]
  call('ZADD', idle, US, ear)
  call('PEXPIRE', idle, IDLE_KEPT)
end
return 0
