-- purge: removes keys, tells those who watch an invocation among them, and wakes those who wait for work: they are known no more, and
-- ask again. KEYS: prefix. ARGV: keys of this app. Keys may be of another type than they ought to be.
local function after(key, start) return string.sub(key, #P + 1, #P + #start) == start and string.sub(key, #P + #start + 1) end
for _, key in ipairs(ARGV) do
  local id = after(key, INVOCATION)
  local queue = after(key, IDLE) or after(key, IDLE_AWAITED)
  local watchers = id and redis.pcall('HGET', key, 'watchers')
  for ear in string.gmatch(type(watchers) == 'string' and watchers or '', '%S+') do
    ended[ear] = ended[ear] or {}
    table.insert(ended[ear], id)
  end
  for _, ear in ipairs(queue and redis.pcall('ZRANGE', key, 0, -1) or {}) do call('PUBLISH', P .. EAR .. ear, 'w\0' .. queue) end
  call('UNLINK', key)
end
finish()
return #ARGV
