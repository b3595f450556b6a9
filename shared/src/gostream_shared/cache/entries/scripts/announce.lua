#!lua flags=allow-oom
-- The second step of INVALIDATE, after the version floor is up: notifies every process.
--
-- KEYS[1]  sequence of the bus
-- ARGV     channel, video id, version
-- Returns  the sequence number of the message
--
-- INCR and PUBLISH run in one script, so that sequence numbers arrive in order. The key of the video may be on another
-- node of a Redis Cluster, so no script uses both keys.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local sequence = redis.call('INCR', KEYS[1])
if sequence == 1 then  -- flushed or evicted: a count from 1 could match the number that a listener expects next
  sequence = time[1] * 1000000 + time[2]
  redis.call('SET', KEYS[1], string.format('%.0f', sequence))
end
redis.call('PUBLISH', ARGV[1], string.format('change|%.0f|%.0f|%s|%s', sequence, now, ARGV[2], ARGV[3]))
return string.format('%.0f', sequence)
