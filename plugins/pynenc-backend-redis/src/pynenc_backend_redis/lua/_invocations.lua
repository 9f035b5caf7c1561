-- One invocation at a time: read it, write what it has become, keep every index. Follows _common.lua.
-- Nothing here says which status may follow which: statuses, reasons and counters come as arguments, or as the tables
-- CLAIMABLE, OWNED and FINAL, which the package renders from the core's. Reads come first, so that a refused step writes nothing.
local fresh = {} -- what this step made claimable and left so, by id
local news, awaited_news = {}, {} -- how many became claimable, by queue
local ended = {} -- ids that became final, by the ear to tell
local within = 0 -- entries of history at this microsecond

local function load(id)
  local flat = call('HGETALL', P .. INVOCATION .. id)
  if #flat == 0 then return nil end
  local h = {}
  for n = 1, #flat, 2 do h[flat[n]] = flat[n + 1] end
  return h
end

local function limits_of(h) return has(h.limits) and cjson.decode(h.limits) or nil end

local function full_limit(limits)
  for _, limit in ipairs(limits) do
    if call('SCARD', P .. SLOTS .. limit[1]) >= limit[2] then return limit end
  end
end

local function place(h)
  if has(h.boost) and tonumber(h.boost) < tonumber(h.rank) then return h.boost end
  return h.rank
end

local function stand(id, h)
  local rank = place(h)
  call('ZADD', P .. QUEUE .. h.queue, rank, id)
  if has(h.boost) then call('ZADD', P .. AWAITED .. h.queue, rank, id) end
end

local function enqueue(id, h)
  if has(h.due) and tonumber(h.due) > NOW then
    call('ZADD', P .. DUE .. h.queue, h.due, id)
  else
    stand(id, h)
  end
  local counted = has(h.boost) and awaited_news or news
  if not fresh[id] then counted[h.queue] = (counted[h.queue] or 0) + 1 end
  fresh[id] = h
end

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

-- Lets what is due stand in its queue; returns when the next one will be, or nil.
local function promote(queue)
  local key = P .. DUE .. queue
  local first = call('ZRANGE', key, '0', '0', 'WITHSCORES')
  for _ = 1, 1000 do
    if not first[1] or tonumber(first[2]) > NOW then break end
    call('ZREM', key, first[1])
    local h = load(first[1])
    if h and CLAIMABLE[h.status] then stand(first[1], h) end
    first = call('ZRANGE', key, '0', '0', 'WITHSCORES')
  end
  return first[2]
end

-- Appends to history: one message for the statuses that were entered together. Trims what is neither first nor last.
local function note(id, h, statuses, count, owner, by, reason, parent)
  local first = (h.seq or 0) + 1
  local facts = table.concat({first, h.claim or 0, statuses, owner, by == owner and '=' or by, parent, reason}, '\0')
  local function add(how) return how('XADD', P .. HISTORY, US .. '-' .. within, 'i', id, 'e', facts) end
  local reply = add(redis.pcall)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'equal or smaller', 1, true) then -- the clock went back, or two steps in one microsecond
      local info = call('XINFO', 'STREAM', P .. HISTORY)
      for n = 1, #info, 2 do
        if info[n] == 'last-generated-id' then US, within = string.match(info[n + 1], '(%d+)-(%d+)') end
      end
      within = within + 1
    end
    add(call)
  end
  h.seq = first + count - 1
  local kept = (h.history or '') .. struct.pack('>I7I2I3', US, within, first)
  within = within + 1
  if #kept > 12 * KEPT_LAST then
    local from, last = 1, h.seq - KEPT_LAST
    while from <= #kept and select(3, struct.unpack('>I7I2I3', kept, from)) <= KEPT_FIRST do from = from + 12 end
    local to = from
    while to + 12 <= #kept and select(3, struct.unpack('>I7I2I3', kept, to + 12)) - 1 <= last do
      local us, sub = struct.unpack('>I7I2I3', kept, to)
      call('XDEL', P .. HISTORY, string.format('%.0f-%d', us, sub))
      to = to + 12
    end
    kept = string.sub(kept, 1, from - 1) .. string.sub(kept, to)
  end
  h.history = kept
end

local call_next

-- Puts an invocation into the status `to`. `set` holds the other fields that change; `entry` what history says of it.
local function write(id, h, to, set, entry)
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
  note(id, h, entry[1], entry[2], entry[3], entry[4], entry[5], '')
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
      for _, limit in ipairs(limits) do call_next(limit[1], entry[4]) end
    end
  end
end

-- Moves an invocation on as the store itself does it: nobody owns it then.
local function enter(id, h, to, by, reason)
  write(id, h, to, {runner = '', due = '', awaits = '', reason = reason}, {to, 1, '', by, reason})
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

local function wake_from(key, queue, count)
  while count > 0 do
    local ear = call('ZPOPMIN', key)[1]
    if not ear then return count end
    if call('PUBLISH', P .. EAR .. ear, 'w\0' .. queue) > 0 then count = count - 1 end -- nobody hears with a dead one's
  end
  return 0
end

-- Ends a step: as many ears as there is new work hear of it, and everybody who watches what ended.
local function finish()
  for queue, count in pairs(awaited_news) do
    news[queue] = (news[queue] or 0) + wake_from(P .. IDLE_AWAITED .. queue, queue, count)
  end
  for queue, count in pairs(news) do wake_from(P .. IDLE .. queue, queue, count) end
  for ear, ids in pairs(ended) do call('PUBLISH', P .. EAR .. ear, 'f\0' .. table.concat(ids, '\0')) end
end

local function claimable()
  local found = {}
  for id, h in pairs(fresh) do table.insert(found, {id, h.queue, place(h), h.due or ''}) end
  return found
end
