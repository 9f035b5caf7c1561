-- Small values. Follows _common.lua: each is stored behind the instant it expires at, 0 for never.
local function alive(stored)
  if not stored then return nil end
  local expires, from = struct.unpack('>d', stored)
  if expires == 0 or expires > NOW then return string.sub(stored, from) end
end
