-- get_blobs: KEYS: prefix. ARGV: keys. Reply: the pieces of each, none where there is no such blob.
local found = {}
for n, key in ipairs(ARGV) do found[n] = call('ZSCORE', P .. BLOB_EXPIRY, key) and {call('LRANGE', P .. BLOB .. key, 0, -1)} or {} end
return found
