-- Claims. Follows _invocations.lua; reads an Ask from ARGV: runner, limit, start, awaited only, known tasks, ear, queues.
local ask = {}
local got, aside, started = {}, 0, 0

local function read_ask()
  local runner, limit, start, awaited, known, ear = args(6)
  ask = {runner = runner, limit = tonumber(limit), start = tonumber(start), awaited = awaited == '1', known = known, ear = ear, queues = list()}
end

local function go_on() return #got < ask.limit and aside < MOST_SET_ASIDE end

local told = { -- in other ways, or to nobody
  status = true, seq = true, claim = true, since = true, runner = true, history = true, watchers = true, limits = true, queue = true, rank = true, task = true
}

-- Claims an invocation, or puts it aside; returns whether it was claimed.
local function take(id, h)
  local limits = limits_of(h)
  local full = limits and full_limit(limits)
  local to, reason = nil, nil
  if has(h.expires) and tonumber(h.expires) < NOW then
    to, reason = EXPIRED, EXPIRED_REASON
  elseif full then
    to, reason = full[3], full[4]
  end
  if to then
    aside = aside + 1
    enter(id, h, to, ask.runner, reason)
    return false
  end
  local known = ask.known == '' or string.find(ask.known, '\n' .. h.task .. '\n', 1, true)
  local start = started < ask.start and known and not has(h.suspect)
  local set = {runner = ask.runner, claim = (h.claim or 0) + 1, due = '', awaits = '', reason = ''}
  if start then
    started = started + 1
    write(id, h, STARTED, set, CLAIMED .. ' ' .. STARTED, 2, ask.runner, ask.runner, '')
  else
    write(id, h, CLAIMED, set, CLAIMED, 1, ask.runner, ask.runner, '')
  end
  local others = {}
  for name, value in pairs(h) do
    if not told[name] then others[#others + 1], others[#others + 2] = name, value end
  end
  got[#got + 1] = {id, call('GET', P .. BODY .. id), h.status, h.claim, h.seq, h.since, others}
  return true
end

local function next_due()
  local first = nil
  for _, queue in ipairs(ask.queues) do
    local due = promote(queue)
    if due and (not first or tonumber(due) < tonumber(first)) then first = due end
  end
  return first or ''
end

-- Claims the first of the queues, and asks to be told of more where there were too few.
local function claim()
  local due = next_due()
  for _, queue in ipairs(ask.queues) do
    local key = P .. (ask.awaited and AWAITED or QUEUE) .. queue
    while go_on() do
      local ids = call('ZRANGE', key, 0, ask.limit - #got - 1)
      if #ids == 0 then break end
      for _, id in ipairs(ids) do
        local h = load(id)
        if not h then
          call('ZREM', key, id) -- an eviction took it
        elseif not take(id, h) then
          break -- which may have let another one in before the rest of these
        end
      end
    end
  end
  local hungry = go_on()
  for _, queue in ipairs(ask.queues) do
    if hungry and ask.ear ~= '' then
      local idle = P .. (ask.awaited and IDLE_AWAITED or IDLE) .. queue
      call('ZADD', idle, US, ask.ear)
      call('PEXPIRE', idle, IDLE_KEPT)
    elseif not hungry and call('ZCARD', P .. QUEUE .. queue) > 0 then
      news[queue] = math.max(news[queue] or 0, 1)
    end
  end
  return {got, signals_for({[ask.runner] = true}), due, claimable(), hungry and 1 or 0}
end
