-- One invocation at a time: write what it has become, keep every index. Follows _queues.lua.
-- Nothing here says which status may follow which: statuses, reasons and counters come as arguments, or as the tables
-- CLAIMABLE, OWNED and FINAL, which the package renders from the core's. Reads come first, so that a refused step writes nothing.
local function dequeue(id, h)
  call('ZREM', P .. QUEUE .. h.queue, id)
  if has(h.due) then call('ZREM', P .. DUE .. h.queue, id) end
  if has(h.boost) then call('ZREM', P .. AWAITED .. h.queue, id) end
  if fresh[id] then
    local counted = has(h.boost) and awaited_news or news
    counted[h.queue] = (counted[h.queue] or 1) - 1
    fresh[id] = nil
  end
end

local call_next

-- Puts an invocation into the status `to`. `set` holds the other fields that change; what follows is for history (see `note`).
local function write(id, h, to, set, statuses, count, owner, by, reason)
  local was, limits = h.status, limits_of(h)
  if OWNED[was] then
    call('ZREM', P .. OWNERS, h.runner .. '\0' .. id)
  elseif was ~= to then
    call('ZREM', P .. STATUS .. was, id)
  end
  if CLAIMABLE[was] then dequeue(id, h) end
  if has(h.beside) then
    call('ZREM', P .. BESIDE .. h.beside, id)
    set.beside = ''
  end
  if to == WAITS_BESIDE and limits then
    set.beside = (full_limit(limits) or limits[1])[1]
    call('ZADD', P .. BESIDE .. set.beside, place(h), id)
  end
  if set.claim then h.claim = set.claim end
  note(id, h, statuses, count, owner, by, reason, '')
  h.status, h.since = to, US
  local flat = {'status', to, 'seq', h.seq, 'since', US, 'history', h.history}
  for name, value in pairs(set) do
    if value ~= '' or h[name] then
      flat[#flat + 1], flat[#flat + 2] = name, value
      h[name] = value
    end
  end
  call('HSET', P .. INVOCATION .. id, unpack(flat))
  if OWNED[to] then
    call('ZADD', P .. OWNERS, '0', h.runner .. '\0' .. id)
  elseif was ~= to then
    call('ZADD', P .. STATUS .. to, '0', id)
  end
  if CLAIMABLE[to] then enqueue(id, h) end
  if has(set.outbox) then call('ZADD', P .. OUTBOX, '0', id) end
  if FINAL[to] and not FINAL[was] then
    if has(h.unique) and not has(h.counts) and call('HGET', P .. UNIQUE, h.unique) == id then call('HDEL', P .. UNIQUE, h.unique) end
    call('ZADD', P .. ENDED, has(h.counts) and tonumber(h.counts) > NOW and string.format('%.0f', h.counts * 1e6) or US, id)
    if has(h.signal) then call('SREM', P .. ASKED, id) end
    for ear in string.gmatch(h.watchers or '', '%S+') do
      ended[ear] = ended[ear] or {}
      table.insert(ended[ear], id)
    end
  end
  if limits then
    if OWNED[was] and not OWNED[to] then
      for _, limit in ipairs(limits) do call('SREM', P .. SLOTS .. limit[1], id) end
    elseif OWNED[to] and not OWNED[was] then
      for _, limit in ipairs(limits) do call('SADD', P .. SLOTS .. limit[1], id) end
    end
    if (OWNED[was] or was == WOKEN) and not OWNED[to] and was ~= to then
      for _, limit in ipairs(limits) do call_next(limit[1], by) end
    end
  end
end

-- Moves an invocation on as the store itself does it: nobody owns it then.
local function enter(id, h, to, by, reason)
  write(id, h, to, {runner = '', due = '', awaits = '', reason = reason}, to, 1, '', by, reason)
end

-- Wakes the first beside a key all of whose limits have room; the others wait beside the key that holds them up.
call_next = function(key, by)
  while true do
    local id = call('ZRANGE', P .. BESIDE .. key, 0, 0)[1]
    if not id then return end
    local h = load(id)
    local full = h and full_limit(limits_of(h))
    if not h then
      call('ZREM', P .. BESIDE .. key, id)
    elseif not full then
      local reason = ''
      for _, limit in ipairs(limits_of(h)) do
        if limit[1] == key then reason = limit[5] end
      end
      return enter(id, h, WOKEN, by, reason)
    elseif full[1] == key then
      return
    else
      call('ZREM', P .. BESIDE .. key, id)
      call('ZADD', P .. BESIDE .. full[1], place(h), id)
      call('HSET', P .. INVOCATION .. id, 'beside', full[1])
    end
  end
end

-- Lowers a boost; one that waits moves to its new place.
local function lower(id, h, boost)
  if has(h.boost) and tonumber(h.boost) <= tonumber(boost) then return end
  if CLAIMABLE[h.status] and fresh[id] then dequeue(id, h) end
  h.boost = boost
  call('HSET', P .. INVOCATION .. id, 'boost', boost)
  if CLAIMABLE[h.status] then
    enqueue(id, h)
  elseif has(h.beside) then
    call('ZADD', P .. BESIDE .. h.beside, place(h), id)
  end
end

-- The requests to what some runners own, as {signal, status, claim}; who it concerns is judged by the caller.
local function signals_for(runners)
  local found = {}
  for _, id in ipairs(call('SMEMBERS', P .. ASKED)) do
    local asked = call('HMGET', P .. INVOCATION .. id, 'signal', 'status', 'claim', 'runner')
    if has(asked[4]) and runners[asked[4]] then table.insert(found, {asked[1], asked[2], asked[3] or '0'}) end
  end
  return found
end

local function claimable()
  local found = {}
  for id, h in pairs(fresh) do table.insert(found, {id, h.queue, place(h), h.due or ''}) end
  return found
end
