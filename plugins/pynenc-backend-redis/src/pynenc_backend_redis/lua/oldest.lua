-- oldest: KEYS: prefix. ARGV: queue. Reply: {id, rank, due or ""} of lowest rank, due or not; {} when the queue is empty.
local now = call('ZRANGE', P .. ENTRIES .. ARGV[1], 0, 0, 'WITHSCORES')
local later = call('ZRANGE', P .. ENTRIES_LATER .. ARGV[1], 0, 0, 'WITHSCORES')
if later[1] and not (now[1] and tonumber(now[2]) <= tonumber(later[2])) then
  return {later[1], later[2], call('ZSCORE', P .. ENTRIES_DUE .. ARGV[1], later[1])}
end
return now[1] and {now[1], now[2], ''} or {}
