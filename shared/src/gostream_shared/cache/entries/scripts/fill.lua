-- Stores the entry that the holder of a lease loaded, unless it may be out of date.
--
-- KEYS[1]  video:{id}
-- ARGV     token, version, data, schema, fresh ms, ttl ms, cost ms, reply, reply_of (version:form of the reply)
-- Returns  ok | lease (invalidated, evicted, expired or leased again) | floor (the version is below the floor)
local key, token, version = KEYS[1], ARGV[1], ARGV[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', key, 'lease', 'lease_until', 'floor')

if found[1] ~= token or tonumber(found[2]) <= now then return 'lease' end
redis.call('HDEL', key, 'lease', 'lease_until')
if tonumber(version) < tonumber(found[3] or 0) then return 'floor' end

redis.call('HSET', key, 'version', version, 'floor', version, 'data', ARGV[3], 'schema', ARGV[4],
  'fresh_until', string.format('%.0f', now + tonumber(ARGV[5])), 'cost', ARGV[7],
  'reply', ARGV[8], 'reply_of', ARGV[9])
redis.call('PEXPIRE', key, ARGV[6])
return 'ok'
