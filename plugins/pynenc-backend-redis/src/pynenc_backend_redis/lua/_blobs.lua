-- Blobs. Follows _common.lua; reads key, seconds to live, and pieces from ARGV.
local function put_blobs()
  for _ = 1, number() do
    local key, expires = arg(), string.format('%.6f', NOW + number())
    local chunks = list()
    if call('ZSCORE', P .. BLOB_EXPIRY, key) then
      call('ZADD', P .. BLOB_EXPIRY, 'GT', expires, key)
    else
      for _, chunk in ipairs(chunks) do call('RPUSH', P .. BLOB .. key, chunk) end
      call('ZADD', P .. BLOB_EXPIRY, expires, key) -- last: it says that the pieces are there
    end
  end
end
local function skip_blobs()
  for _ = 1, number() do
    position = position + 2
    position = position + number()
  end
end
