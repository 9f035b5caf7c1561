-- Invocations and their queues: what was read, what is new, and who hears of it. Follows _common.lua.
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
  local facts = first .. '\0' .. (h.claim or '0') .. '\0' .. statuses .. '\0' .. owner .. '\0' .. (by == owner and '=' or by) .. '\0' .. parent .. '\0' .. reason
  local reply = redis.pcall('XADD', P .. HISTORY, US .. '-' .. within, 'i', id, 'e', facts)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'equal or smaller', 1, true) then -- the clock went back, or two steps in one microsecond
      local info = call('XINFO', 'STREAM', P .. HISTORY)
      for n = 1, #info, 2 do
        if info[n] == 'last-generated-id' then US, within = string.match(info[n + 1], '(%d+)-(%d+)') end
      end
      within = within + 1
    end
    call('XADD', P .. HISTORY, US .. '-' .. within, 'i', id, 'e', facts)
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
