-- Begins every command: the app's prefix, the server's time, and a reader of ARGV.
-- KEYS[1] is the prefix with the hash tag; all other keys are built from it, so they are in its slot.
local P, call = KEYS[1], redis.call
local clock = call('TIME')
local US = clock[1] .. string.format('%06d', clock[2]) -- microseconds since 1970
local NOW = US / 1e6
local position = 0
local function arg()
  position = position + 1
  return ARGV[position]
end
local function args(count)
  position = position + count
  return unpack(ARGV, position - count + 1, position)
end
local function number() return tonumber(arg()) end
local function list(count)
  local found = {}
  for n = 1, count or number() do found[n] = arg() end
  return found
end
local function has(text) return text and text ~= '' end
