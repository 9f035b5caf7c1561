-- put_blobs: KEYS: prefix. ARGV: blobs (as in settle). Reply: 1. Errors: WRONGTYPE, OOM.
put_blobs()
return 1
