#!lua flags=allow-oom
-- Publishes the heartbeat of the bus: about one per second, for any number of processes.
--
-- KEYS[1]  sequence of the bus     KEYS[2]  time of the latest beat
-- ARGV     channel, nonce, server, minimum ms between beats (0 = publish now)
-- Returns  the server's time in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = now - tonumber(redis.call('GET', KEYS[2]) or 0)
if since >= tonumber(ARGV[4]) or since < 0 then
  redis.call('SET', KEYS[2], string.format('%.0f', now))
  local sequence = redis.call('INCR', KEYS[1])
  if sequence == 1 then  -- see announce.lua
    sequence = time[1] * 1000000 + time[2]
    redis.call('SET', KEYS[1], string.format('%.0f', sequence))
  end
  redis.call('PUBLISH', ARGV[1], string.format('beat|%.0f|%.0f|%s|%s', sequence, now, ARGV[2], ARGV[3]))
end
return string.format('%.0f', now)
