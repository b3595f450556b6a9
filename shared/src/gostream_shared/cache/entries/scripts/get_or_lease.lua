-- Returns the entries of videos. For each video without one, gives exactly one caller a lease to load it.
--
-- KEYS     video:{id} …
-- ARGV     token, lease ms, cache epoch, schema, grace ms, refresh (1 = reload a fresh entry), form of replies,
--          min version per key …
-- Returns  per key: {HIT, version, data, is reply, fresh ms, cost ms} | {WAIT} | {LEASE [, version, data, is reply]}
--          | {BEHIND}; at the end the server's time in ms
--
-- The data is the encoded reply if the key has one of this version and form. An earlier release stores an entry
-- without it, beside the reply of an older version.
-- LEASE includes an expired entry that was not invalidated: the caller serves it if the database is down.
-- BEHIND: the epoch of the caller is older than the epoch of this key.
local token, lease_ms, epoch, schema = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local grace_ms, refresh = tonumber(ARGV[5]), ARGV[6] == '1'
local form = ':' .. ARGV[7]
local OPTIONS = 7

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function get_or_lease(key, min_version)
  local found = redis.call('HMGET', key, 'epoch', 'version', 'data', 'schema', 'floor', 'fresh_until', 'cost',
    'lease', 'lease_until', 'reply_of', 'reply')

  local key_epoch = tonumber(found[1] or epoch)
  if key_epoch > epoch then return {'BEHIND'} end
  if key_epoch < epoch then
    redis.call('DEL', key)
    found = {}
  end

  local version, floor = tonumber(found[2] or -1), tonumber(found[5] or 0)
  local fresh = tonumber(found[6] or 0) - now
  local usable = version >= math.max(floor, min_version) and found[4] == schema and fresh > -grace_ms
  local leased = found[8] and tonumber(found[9]) > now

  local data, is_reply = found[3], 0
  if usable and found[10] == found[2] .. form then data, is_reply = found[11], 1 end

  -- An expired entry is not out of date: while one caller reloads it, the others continue to read it.
  if usable and (leased or (fresh > 0 and not refresh)) then
    return {'HIT', found[2], data, is_reply, fresh, tonumber(found[7])}
  end
  if leased then return {'WAIT'} end

  redis.call('HSET', key, 'epoch', ARGV[3], 'lease', token, 'lease_until', string.format('%.0f', now + lease_ms))
  if redis.call('PTTL', key) < lease_ms then redis.call('PEXPIRE', key, lease_ms) end
  if usable then return {'LEASE', found[2], data, is_reply} end
  return {'LEASE'}
end

local replies = {}
for i, key in ipairs(KEYS) do
  replies[i] = get_or_lease(key, tonumber(ARGV[OPTIONS + i]))
end
replies[#KEYS + 1] = now
return replies
