-- Answer a video's entry, or let exactly one caller load it.
--
-- KEYS[1]  video:{id}
-- ARGV     token, lease ms, min version, namespace epoch, schema, grace ms, refresh (1 = reload although fresh)
-- Answers  {HIT, version, data, fresh ms, cost ms} | {WAIT} | {LEASE [, version, data]} | {BEHIND}
--
-- LEASE carries the entry when it has outlived its time but was not invalidated: what to answer if the
-- database is down. BEHIND: the caller has not heard yet of a failover that the writer of this key knew of.
local key, token, lease_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])
local min_version, epoch, schema = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local grace_ms, refresh = tonumber(ARGV[6]), ARGV[7] == '1'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', key, 'epoch', 'version', 'data', 'schema', 'floor', 'fresh_until', 'cost',
  'lease', 'lease_until')

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

-- Age alone makes nothing wrong: while one caller reloads an old entry the others go on reading it.
if usable and (leased or (fresh > 0 and not refresh)) then
  return {'HIT', found[2], found[3], fresh, tonumber(found[7])}
end
if leased then return {'WAIT'} end

redis.call('HSET', key, 'epoch', ARGV[4], 'lease', token, 'lease_until', string.format('%.0f', now + lease_ms))
if redis.call('PTTL', key) < lease_ms then redis.call('PEXPIRE', key, lease_ms) end
if usable then return {'LEASE', found[2], found[3]} end
return {'LEASE'}
