-- expire: removes blobs and values whose time is over. KEYS: prefix. ARGV: most of each. Reply: {blobs, values}.
local blobs = call('ZRANGEBYSCORE', P .. BLOB_EXPIRY, '-inf', NOW, 'LIMIT', 0, ARGV[1])
for _, key in ipairs(blobs) do
  call('UNLINK', P .. BLOB .. key)
  call('ZREM', P .. BLOB_EXPIRY, key)
end
local values = call('ZRANGEBYSCORE', P .. VALUE_EXPIRY, '-inf', NOW, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(values) do
  local kind, key = string.match(member, '^([^\n]*)\n(.*)$')
  call('HDEL', P .. VALUE .. kind, key)
  call('ZREM', P .. VALUE_KEYS .. kind, key)
  call('ZREM', P .. VALUE_EXPIRY, member)
end
return {#blobs, #values}
