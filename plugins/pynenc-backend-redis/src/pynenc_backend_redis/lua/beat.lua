-- beat: notes that runners live. KEYS: prefix. ARGV: seconds, "1" if they may serve, runners.
-- Reply: signals as {signal, status, claim}.
local lease, serve, runners = number(), arg(), {}
for n = 3, #ARGV do
  local known = call('HGET', P .. BEATS, ARGV[n])
  local first = known and string.match(known, '^%S+') or US
  call('HSET', P .. BEATS, ARGV[n], first .. ' ' .. US .. ' ' .. string.format('%.6f', NOW + lease) .. ' ' .. serve)
  runners[ARGV[n]] = true
end
return signals_for(runners)
