-- lease: takes or renews a role, or gives it back. KEYS: prefix. ARGV: name, holder, seconds ("" gives it back).
-- Reply: {fence, until}, or {} while somebody else holds it. Its fence stays when it is given back.
local name, holder, seconds = arg(), arg(), number()
local fence, ends, held_by = string.match(call('HGET', P .. LEASES, name) or '0 0 ', '^(%S+) (%S+) (.*)$')
if not seconds then
  if held_by == holder then call('HSET', P .. LEASES, name, fence .. ' 0 ') end
  return {}
end
if held_by ~= '' and held_by ~= holder and tonumber(ends) > NOW then return {} end
if held_by ~= holder then fence = fence + 1 end
ends = string.format('%.6f', NOW + seconds)
call('HSET', P .. LEASES, name, string.format('%d %s %s', fence, ends, holder))
return {fence, ends}
