#!lua flags=allow-oom
-- Invalidates entries below a version and notifies every process. Idempotent and safe in any order.
--
-- KEYS[1]  video:{id}     KEYS[2]  sequence of the bus
-- ARGV     version, tombstone ms, channel, video id
-- Returns  1 if the version floor rose, 0 otherwise
--
-- INCR and PUBLISH run in one script, so that sequence numbers arrive in order.
local key, version = KEYS[1], ARGV[1]
local news = tonumber(version) > tonumber(redis.call('HGET', key, 'floor') or 0)
if news then
  redis.call('HSET', key, 'floor', version)
  redis.call('HDEL', key, 'version', 'data', 'schema', 'fresh_until', 'cost', 'lease', 'lease_until', 'reply',
    'reply_of')
  redis.call('PEXPIRE', key, ARGV[2])
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local sequence = redis.call('INCR', KEYS[2])
if sequence == 1 then  -- flushed or evicted: a count from 1 could match the number that a listener expects next
  sequence = time[1] * 1000000 + time[2]
  redis.call('SET', KEYS[2], string.format('%.0f', sequence))
end
redis.call('PUBLISH', ARGV[3], string.format('change|%.0f|%.0f|%s|%s', sequence, now, ARGV[4], version))
return news and 1 or 0
