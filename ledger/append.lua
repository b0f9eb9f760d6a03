-- One commit: all of it or nothing.
--
-- KEYS  1 meta  2 revisions  3 writers  4 feed  5 bucket of the commit id
--       then one stream per symbol, then one bucket per claimed id
-- ARGV  1 commit id as the feed shows it   2 its field in the bucket   3 fingerprint
--       4 writer  5 epoch ('' for none)  6 expected seq ('' for any)
--       7 expected control seq ('' for any)  8 offset of the last control event (0 for none)
--       9 latest occurred_at in ms  10 '1' where a session starts  11 checksum of the feed entry
--       12 number of streams  13 number of claims
--       then per stream: symbol, expected revision, event count, offset of its last event,
--                        distances, checksum, payload,
--                        the commit that must be the stream's last ('' for any)
--       then per claim: its field
--
-- A script does not roll back, so everything that can refuse comes before the first write.

local P = 4294967291 -- the largest prime below 2^32; see ledger/entry.py

-- Every key is read before the first write, so a key of another type shows here.
local problem
local function read(key, wanted, ...)
  local found = redis.pcall(...)
  if type(found) == 'table' and found['err'] then
    problem = found
    if string.find(found['err'], 'WRONGTYPE', 1, true) then
      problem = {'wrongtype', key, redis.call('TYPE', key)['ok'], wanted}
    end
  end
  return found
end

local streams, claims = tonumber(ARGV[12]), tonumber(ARGV[13])

-- Exactly once: a commit that is there is answered with its first outcome, whoever asks.
local done = read(KEYS[5], 'hash', 'HGET', KEYS[5], ARGV[2])
read(KEYS[4], 'stream', 'XLEN', KEYS[4])
if problem then return problem end
if done then
  local found = redis.call('XRANGE', KEYS[4], done, done)
  if not found[1] then return {'recorded', done} end
  return {'again', found[1]}
end

if ARGV[5] ~= '' then
  local epoch = read(KEYS[3], 'hash', 'HGET', KEYS[3], ARGV[4]) or '0'
  if problem then return problem end
  if epoch ~= ARGV[5] then return {'fenced', epoch} end
end

local meta = read(KEYS[1], 'hash', 'HMGET', KEYS[1], 'seq', 'recorded_at', 'control', 'occurred')
if problem then return problem end
local seq = tonumber(meta[1] or '0')
local control = meta[3] or '0'
if ARGV[6] ~= '' and tonumber(ARGV[6]) ~= seq then return {'conflict', seq} end
if ARGV[7] ~= '' and ARGV[7] ~= control then return {'stale', ''} end

local revisions = {}
for i = 1, streams do
  local at = 13 + (i - 1) * 8
  local symbol, expected = ARGV[at + 1], ARGV[at + 2]
  local revision = read(KEYS[2], 'hash', 'HGET', KEYS[2], symbol) or '0'
  if problem then return problem end
  if expected ~= '' and expected ~= revision then return {'stale', symbol} end
  -- What was tried on a commit sent just before is taken only on that very commit: another one of
  -- as many events in its place would have the same revision.
  if ARGV[at + 8] ~= '' then
    local tail = read(KEYS[5 + i], 'stream', 'XREVRANGE', KEYS[5 + i], '+', '-', 'COUNT', 1)[1]
    if problem then return problem end
    if not tail or tail[2][2] ~= ARGV[at + 8] then return {'stale', symbol} end
  end
  revisions[i] = tonumber(revision)
  local last = string.format('%.0f', seq + tonumber(ARGV[at + 4]))
  local ahead = read(KEYS[5 + i], 'stream', 'XRANGE', KEYS[5 + i], last, '+', 'COUNT', 1)
  if problem then return problem end
  if ahead[1] then
    return {'ahead', symbol, string.format('%.0f', seq)}
  end
end

for i = 1, claims do
  local field = ARGV[13 + streams * 8 + i]
  local taken = read(KEYS[5 + streams + i], 'hash', 'HGET', KEYS[5 + streams + i], field)
  if problem then return problem end
  if taken then return {'claimed', field, taken} end
end

-- The store's clock never runs backwards within a portfolio.
local now = redis.call('TIME')
local time = tonumber(now[1]) * 1000000 + tonumber(now[2])
time = math.max(time, tonumber(meta[2] or '0'))
local occurred = tonumber(ARGV[9])
if ARGV[10] ~= '1' and meta[4] then occurred = math.max(occurred, tonumber(meta[4])) end

local text = function(number) return string.format('%.0f', number) end
local time_text, occurred_text = text(time), text(occurred)
local feed_seal = tonumber(ARGV[11]) + occurred % P
local events, summary, written = 0, {}, {}

-- The first write goes where it changes nothing: a server that is full or read-only, or a user who
-- may not write, refuses here.
redis.call('HSET', KEYS[1], 'layout', '1')

for i = 1, streams do
  local at = 13 + (i - 1) * 8
  local count = tonumber(ARGV[at + 3])
  local last, revision = seq + tonumber(ARGV[at + 4]), revisions[i] + count
  local seal = (tonumber(ARGV[at + 6]) + last % P * 3 + revision % P * 5 + time % P * 7) % P
  local id = text(last) .. '-' .. text(revision)
  local fields = {'c', ARGV[1], 'w', ARGV[4], 't', time_text, 'n', ARGV[at + 3], 'h', text(seal)}
  if ARGV[at + 5] ~= '' then
    fields[11], fields[12] = 'd', ARGV[at + 5]
  end
  fields[#fields + 1] = 'e'
  fields[#fields + 1] = ARGV[at + 7]
  local added = redis.pcall('XADD', KEYS[5 + i], id, unpack(fields))
  if type(added) == 'table' and added['err'] then
    -- A stream whose last id was moved by hand refuses, or a user who may not add. Take back what
    -- stands.
    for _, entry in ipairs(written) do redis.call('XDEL', entry[1], entry[2]) end
    if not string.find(added['err'], 'smaller', 1, true) then return added end
    return {'ahead', ARGV[at + 1], text(seq)}
  end
  written[i] = {KEYS[5 + i], id}
  events = events + count
  summary[i] = ARGV[at + 1] .. ' ' .. ARGV[at + 3] .. ' ' .. text(revision)
  feed_seal = (feed_seal + revision % P * i) % P
  revisions[i] = text(revision)
end

local last = seq + events
feed_seal = (feed_seal + last % P * 3 + events * 5 + time % P * 7) % P
local lines = table.concat(summary, '\n')
local feed_id = text(last) .. '-' .. text(events)
redis.call('XADD', KEYS[4], feed_id, 'c', ARGV[1], 'w', ARGV[4], 't', time_text,
  'o', occurred_text, 'f', ARGV[3], 'h', text(feed_seal), 's', lines)
for i = 1, streams do
  redis.call('HSET', KEYS[2], ARGV[13 + (i - 1) * 8 + 1], revisions[i])
end
redis.call('HSET', KEYS[1], 'seq', text(last), 'recorded_at', time_text, 'occurred', occurred_text)
if ARGV[8] ~= '0' then redis.call('HSET', KEYS[1], 'control', text(seq + tonumber(ARGV[8]))) end
redis.call('HSET', KEYS[5], ARGV[2], text(last))
for i = 1, claims do
  redis.call('HSET', KEYS[5 + streams + i], ARGV[13 + streams * 8 + i], text(last))
end
return {'ok', feed_id, time_text, lines}
