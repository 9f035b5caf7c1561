-- pass_on: lets another ear hear of work that nobody waits for here. KEYS: prefix. ARGV: queue.
if call('ZCARD', P .. QUEUE .. ARGV[1]) > 0 then news[ARGV[1]] = 1 end
finish()
return 1
