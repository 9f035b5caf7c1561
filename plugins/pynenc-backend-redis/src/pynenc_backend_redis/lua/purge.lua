-- purge: removes keys, and tells those who watch an invocation among them. KEYS: prefix. ARGV: keys of this app.
for _, key in ipairs(ARGV) do
  local id = string.sub(key, #P + 1, #P + #INVOCATION) == INVOCATION and string.sub(key, #P + #INVOCATION + 1)
  for ear in string.gmatch(id and call('HGET', key, 'watchers') or '', '%S+') do
    ended[ear] = ended[ear] or {}
    table.insert(ended[ear], id)
  end
  call('UNLINK', key)
end
finish()
return #ARGV
