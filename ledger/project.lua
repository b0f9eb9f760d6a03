-- Saves a live projection, and switches readers to it once it has caught up.
--
-- KEYS  1 the projections: 'current', and per version 'seq:<version>', 'state:<version>'
-- ARGV  1 version  2 seq  3 the state's bytes
--       4 what for: 'build' beside the current one, 'switch' to this one, 'keep' it current

local version, seq = ARGV[1], ARGV[2]
local current = redis.call('HGET', KEYS[1], 'current')
if ARGV[4] == 'keep' and current ~= version then return {'replaced', current or ''} end

-- Two projectors of one version may run; readers never go back to what the slower one has.
local known = redis.call('HGET', KEYS[1], 'seq:' .. version)
if not known or tonumber(known) <= tonumber(seq) then
  redis.call('HSET', KEYS[1], 'seq:' .. version, seq, 'state:' .. version, ARGV[3])
end
if ARGV[4] == 'switch' then
  redis.call('HSET', KEYS[1], 'current', version)
  if current and current ~= version then
    redis.call('HDEL', KEYS[1], 'seq:' .. current, 'state:' .. current)
  end
end
return {'ok'}
