-- settle: writes or refuses changes, then claims. Swap is the same without a claim.
-- KEYS: prefix. ARGV: number of changes; of each: id, expected status, runner, claim, seq ("" any), statuses entered ("" a note),
--   how many, status after it, owner after it, by, reason, due, awaits (JSON), outcome, rest ("" or JSON: counters, suspect,
--   outbox, boost, boosted), blobs (count; key, seconds, count, pieces); then "1" and an Ask (see _claims.lua), or "".
-- Reply: {refused as {number, status, runner, claim}, claimable as {id, queue, rank, due}, claim reply or ""}.
-- Errors: OOM; nothing was written then. WRONGTYPE, for a key of another type among the indexes: what was written before it was met stays.
local refused = {}
for number_of = 1, number() do
  local id, status, runner, claim_number, seq, statuses, count, to, owner, by, reason, due, awaits, outcome, rest = args(15)
  local h = load(id)
  local held_by, held_claim = h and h.runner or '', h and h.claim or '0'
  if not h or h.status ~= status or held_by ~= runner or held_claim ~= claim_number or (seq ~= '' and h.seq ~= seq) then
    skip_blobs()
    table.insert(refused, {number_of, h and h.status or '', held_by, held_claim})
  else
    put_blobs()
    local set = {runner = owner, due = due, awaits = awaits, outcome = outcome, reason = reason}
    if statuses == '' then
      note(id, h, status, 1, OWNED[status] and held_by or '', by, reason, '')
      call('HSET', P .. INVOCATION .. id, 'seq', h.seq, 'history', h.history)
    elseif rest == '' then
      write(id, h, to, set, statuses, count, held_by, by, reason)
    else
      rest = cjson.decode(rest)
      for name, more in pairs(rest.counters) do set[name] = (h[name] or 0) + more end
      if rest.suspect ~= nil then set.suspect = rest.suspect and '1' or '' end
      if rest.outbox then
        local joined, seen = has(h.outbox) and cjson.decode(h.outbox) or {}, {}
        for _, cause in ipairs(joined) do seen[cause] = true end
        for _, cause in ipairs(rest.outbox) do
          if not seen[cause] then table.insert(joined, cause) end
          seen[cause] = true
        end
        set.outbox = cjson.encode(joined)
      end
      write(id, h, to, set, statuses, count, held_by, by, reason)
      for _, awaited in ipairs(rest.boosted or {}) do
        local other = load(awaited)
        if other and not FINAL[other.status] then lower(awaited, other, rest.boost) end
      end
    end
  end
end
local reply = ''
if arg() == '1' then
  read_ask()
  reply = claim()
end
finish()
return {refused, claimable(), reply}
