-- mark: writes side values. KEYS: prefix. ARGV: how many; of each: id, "1" if it names an owner, runner, claim, boost,
--   published at, signal, claim of the signal, progress ("-" none, else "+" and the value), outbox entries to drop (count, entries).
-- Reply: ids of the refused. Errors: WRONGTYPE, OOM.
local refused = {}
for _ = 1, number() do
  local id, owned, runner, claim, boost, published, signal, meant, progress = arg(), arg(), arg(), arg(), arg(), arg(), arg(), arg(), arg()
  local drop = list()
  local h = load(id)
  if owned == '1' and not (h and OWNED[h.status] and h.runner == runner and h.claim == claim) then
    table.insert(refused, id)
  elseif h then
    local key = P .. INVOCATION .. id
    if #drop > 0 and has(h.outbox) then
      local gone, left = {}, {}
      for _, cause in ipairs(drop) do gone[cause] = true end
      for _, cause in ipairs(cjson.decode(h.outbox)) do
        if not gone[cause] then table.insert(left, cause) end
      end
      call('HSET', key, 'outbox', #left > 0 and cjson.encode(left) or '')
      if #left == 0 then call('ZREM', P .. OUTBOX, id) end
    end
    if published ~= '' then call('HSET', key, 'published', published) end
    if progress ~= '-' then call('HSET', key, 'progress', string.sub(progress, 2)) end
    if signal ~= '' and (meant == '0' or meant == (h.claim or '0')) then
      call('HSET', key, 'signal', signal)
      if not FINAL[h.status] then call('SADD', P .. ASKED, id) end
    end
    if boost ~= '' then lower(id, h, boost) end
  end
end
finish()
return refused
