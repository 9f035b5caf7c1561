-- acquire: claims what is claimable of some ids.
-- KEYS: prefix. ARGV: an Ask (see _claims.lua), ids. Reply: a claim reply: {claimed as {id, body, status, claim,
--   seq, since, other fields}, signals as {signal, status, claim}, next due, claimable as {id, queue, rank, due}, 1 if less was
--   claimed than asked for}.
-- Errors: OOM; nothing was written then. WRONGTYPE, for a key of another type among the indexes: what was written before it was met stays.
read_ask()
local due = next_due()
for _, id in ipairs(list()) do
  local h = go_on() and load(id)
  if h and CLAIMABLE[h.status] and (not has(h.due) or tonumber(h.due) <= NOW) and (has(h.boost) or not ask.awaited) then take(id, h) end
end
local reply = {got, signals_for({[ask.runner] = true}), due, claimable(), go_on() and 1 or 0}
finish()
return reply
