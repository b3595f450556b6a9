#!lua flags=allow-oom
-- Make everything below a version unreadable and tell every process. Idempotent, in any order.
--
-- KEYS[1]  video:{id}     KEYS[2]  sequence of the bus
-- ARGV     version, tombstone ms, channel, video id
-- Answers  1 when something was out of date, 0 when this was known already
--
-- INCR and PUBLISH stand in one script, or sequence numbers would arrive out of order.
local key, version = KEYS[1], ARGV[1]
local news = tonumber(version) > tonumber(redis.call('HGET', key, 'floor') or 0)
if news then
  redis.call('HSET', key, 'floor', version)
  redis.call('HDEL', key, 'version', 'data', 'schema', 'fresh_until', 'cost', 'lease', 'lease_until')
  redis.call('PEXPIRE', key, ARGV[2])
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local sequence = redis.call('INCR', KEYS[2])
if sequence == 1 then  -- flushed or evicted: from 1 it could come to the number that a listener expects next
  sequence = time[1] * 1000000 + time[2]
  redis.call('SET', KEYS[2], string.format('%.0f', sequence))
end
redis.call('PUBLISH', ARGV[3], string.format('change|%.0f|%.0f|%s|%s', sequence, now, ARGV[4], version))
return news and 1 or 0
