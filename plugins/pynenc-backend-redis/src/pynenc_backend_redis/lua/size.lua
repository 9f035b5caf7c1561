-- size: KEYS: prefix. ARGV: queue. Reply: how many entries it holds, due or not.
return call('ZCARD', P .. ENTRIES .. ARGV[1]) + call('ZCARD', P .. ENTRIES_DUE .. ARGV[1])
