-- depth: KEYS: prefix. ARGV: queue. Reply: how many are claimable, due or not.
return call('ZCARD', P .. QUEUE .. ARGV[1]) + call('ZCARD', P .. DUE .. ARGV[1])
