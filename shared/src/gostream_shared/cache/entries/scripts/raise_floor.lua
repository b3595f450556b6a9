#!lua flags=allow-oom
-- The first step of INVALIDATE: no entry of the video below a version is readable any more. Idempotent and safe in
-- any order.
--
-- KEYS[1]  video:{id}
-- ARGV     version, tombstone ms
-- Returns  1 if the version floor rose, 0 otherwise
local key, version = KEYS[1], ARGV[1]
if tonumber(version) <= tonumber(redis.call('HGET', key, 'floor') or 0) then return 0 end
redis.call('HSET', key, 'floor', version)
redis.call('HDEL', key, 'version', 'data', 'schema', 'fresh_until', 'cost', 'lease', 'lease_until', 'reply', 'reply_of')
redis.call('PEXPIRE', key, ARGV[2])
return 1
