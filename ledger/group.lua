-- Shares the symbols of a group among its consumers: leases, checkpoints, parked events.
--
-- KEYS  1 the group's settings  2 checkpoints  3 leases  4 tries  5 parked  6 waiting  7 retries
--       8 consumers  9 revisions of the portfolio  10 groups
-- ARGV  1 what to do  2 the consumer, or the parked event (a sequence number, or * for all)
--
--   join   3 symbols ('' as recorded, '*' all, else lines)  4 after  5 attempts  6 '1': skip
--          7 lease in ms  8 delay in ms  9 the group's name
--   renew  3 incarnation, then the symbols that may be given up
--   ack    3 symbol  4 token  5 seq  6 revision  7 '1' for a retried event
--   begin  3 symbol  4 token  5 the number of this attempt
--   fail   as ack, then  8 the number of this attempt  9 the event's type  10 the error
--   leave  3 incarnation, then pairs: symbol, number of the attempt that was under way
--   retry, drop
--
-- A lease is "<token> <consumer>". It holds for as long as its consumer is heard of; every grant
-- has a token of its own, so what comes late from a consumer that was relieved is refused.
-- Counts are set, never raised, so that a call which is sent twice does what it does once.

local op, who = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local text = function(number) return string.format('%.0f', number) end

local function setting(name) return tonumber(redis.call('HGET', KEYS[1], name) or '0') end

local function next_token() return text(redis.call('HINCRBY', KEYS[1], 'token', 1)) end

local function pairs_of(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function heard_of(incarnation)
  redis.call('HSET', KEYS[8], who, incarnation .. ' ' .. text(now + setting('lease')))
end

local function owner(lease) return string.match(lease, '^%d+ (.*)$') end

-- An event was perhaps in hand when its consumer ended: its next delivery counts as an attempt.
local function suspect(symbol) redis.call('HSETNX', KEYS[4], symbol, '0 0') end

local function is_owned(symbol, token)
  return redis.call('HGET', KEYS[3], symbol) == token .. ' ' .. who
end

local function lines(joined)
  local found = {}
  for line in string.gmatch(joined .. '\n', '([^\n]*)\n') do found[#found + 1] = line end
  return found
end

local function symbols()
  local known = redis.call('HGET', KEYS[1], 'symbols')
  if known ~= '*' then return lines(known) end
  local found = redis.call('HKEYS', KEYS[9])
  table.sort(found)
  return found
end

local function join()
  local known = redis.call('HGET', KEYS[1], 'symbols')
  if known and ARGV[3] ~= '' and ARGV[3] ~= known then return {'other', known} end
  if not known then
    redis.call('HSET', KEYS[1], 'symbols', ARGV[3] == '' and '*' or ARGV[3], 'after', ARGV[4])
    redis.call('HSET', KEYS[10], ARGV[9], text(now))
  end
  redis.call('HSET', KEYS[1], 'attempts', ARGV[5], 'skip', ARGV[6], 'lease', ARGV[7],
    'delay', ARGV[8])
  for symbol, lease in pairs(pairs_of(KEYS[3])) do
    if owner(lease) == who then
      redis.call('HDEL', KEYS[3], symbol)
      suspect(symbol)
    end
  end
  local incarnation = next_token()
  heard_of(incarnation)
  return {'ok', incarnation, redis.call('HGET', KEYS[1], 'after')}
end

local function live_consumers()
  local live, count = {}, 0
  for name, record in pairs(pairs_of(KEYS[8])) do
    if tonumber(string.match(record, ' (%d+)$')) < now then
      redis.call('HDEL', KEYS[8], name)
    else
      live[name] = true
      count = count + 1
    end
  end
  return live, count
end

local function held_symbols(all)
  local live, count = live_consumers()
  local leases, mine, held, free = pairs_of(KEYS[3]), {}, 0, {}
  for _, symbol in ipairs(all) do
    local lease = leases[symbol]
    local by = lease and owner(lease)
    if by == who then
      mine[symbol] = string.match(lease, '^%d+')
      held = held + 1
    elseif not lease or not live[by] then
      free[#free + 1] = symbol
    end
  end
  local share = math.ceil(#all / count)
  for i = 4, #ARGV do
    if held > share and mine[ARGV[i]] then
      redis.call('HDEL', KEYS[3], ARGV[i])
      mine[ARGV[i]] = nil
      held = held - 1
    end
  end
  for _, symbol in ipairs(free) do
    if held >= share then break end
    if leases[symbol] then suspect(symbol) end
    mine[symbol] = next_token()
    redis.call('HSET', KEYS[3], symbol, mine[symbol] .. ' ' .. who)
    held = held + 1
  end
  return mine
end

local function renew()
  local record = redis.call('HGET', KEYS[8], who)
  if record and string.match(record, '^%d+') ~= ARGV[3] then return {'relieved'} end
  heard_of(ARGV[3])
  local all = symbols()
  local mine, reply = held_symbols(all), {'ok'}
  local retries = {}
  for seq, symbol in pairs(pairs_of(KEYS[7])) do
    retries[symbol] = (retries[symbol] and retries[symbol] .. ' ' or '') .. seq
  end
  for _, symbol in ipairs(all) do
    if mine[symbol] then
      local tries = redis.call('HGET', KEYS[4], symbol) or ''
      local count, due = string.match(tries, '^(%d+) (%d+)$')
      reply[#reply + 1] = {
        symbol, mine[symbol], redis.call('HGET', KEYS[2], symbol) or '', count or '',
        text(math.max(tonumber(due or '0') - now, 0)),
        redis.call('HGET', KEYS[6], symbol) or '', retries[symbol] or '',
      }
    end
  end
  return reply
end

local function touch()
  local record = redis.call('HGET', KEYS[8], who)
  if record then heard_of(string.match(record, '^%d+')) end
end

local function ack(symbol, token, seq, revision, retried)
  if not is_owned(symbol, token) then return {'relieved'} end
  if retried == '1' then
    redis.call('HDEL', KEYS[5], seq)
    redis.call('HDEL', KEYS[7], seq)
  else
    redis.call('HSET', KEYS[2], symbol, seq .. '-' .. revision)
    redis.call('HDEL', KEYS[4], symbol)
  end
  touch()
  return {'ok'}
end

local function begin(symbol, token, count)
  if not is_owned(symbol, token) then return {'relieved'} end
  if tonumber(count) > setting('attempts') then return {'spent'} end
  redis.call('HSET', KEYS[4], symbol, count .. ' 0')
  touch()
  return {'ok'}
end

local function fail(symbol, token, seq, revision, retried, count)
  if not is_owned(symbol, token) then return {'relieved'} end
  touch()
  if retried ~= '1' and tonumber(count) < setting('attempts') then
    local delay = math.min(setting('delay') * 2 ^ (tonumber(count) - 1), 60000)
    redis.call('HSET', KEYS[4], symbol, count .. ' ' .. text(now + delay))
    return {'again', text(delay)}
  end
  local before = retried == '1' and redis.call('HGET', KEYS[5], seq)
  if before then count = text(tonumber(string.match(before, '^[^\n]*\n[^\n]*\n(%d+)')) + 1) end
  redis.call('HSET', KEYS[5], seq,
    table.concat({symbol, revision, count, text(now), ARGV[9], ARGV[10]}, '\n'))
  redis.call('HDEL', KEYS[7], seq)
  if retried == '1' then return {'parked'} end
  redis.call('HDEL', KEYS[4], symbol)
  if redis.call('HGET', KEYS[1], 'skip') == '1' then
    redis.call('HSET', KEYS[2], symbol, seq .. '-' .. revision)
  else
    redis.call('HSET', KEYS[6], symbol, seq)
  end
  return {'parked'}
end

local function leave()
  local record = redis.call('HGET', KEYS[8], who)
  if not record or string.match(record, '^%d+') ~= ARGV[3] then return {'relieved'} end
  for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1] .. ' 0') end
  for symbol, lease in pairs(pairs_of(KEYS[3])) do
    if owner(lease) == who then redis.call('HDEL', KEYS[3], symbol) end
  end
  redis.call('HDEL', KEYS[8], who)
  return {'ok'}
end

local function decide(seq)
  local record = redis.call('HGET', KEYS[5], seq)
  if not record then return 0 end
  local symbol, revision = string.match(record, '^([^\n]*)\n([^\n]*)\n')
  if redis.call('HGET', KEYS[6], symbol) == seq then
    redis.call('HDEL', KEYS[6], symbol)
    redis.call('HDEL', KEYS[5], seq)
    if op == 'drop' then redis.call('HSET', KEYS[2], symbol, seq .. '-' .. revision) end
  elseif op == 'retry' then
    redis.call('HSET', KEYS[7], seq, symbol)
  else
    redis.call('HDEL', KEYS[5], seq)
    redis.call('HDEL', KEYS[7], seq)
  end
  return 1
end

if op == 'join' then return join() end
if op == 'renew' then return renew() end
if op == 'ack' then return ack(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]) end
if op == 'begin' then return begin(ARGV[3], ARGV[4], ARGV[5]) end
if op == 'fail' then return fail(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]) end
if op == 'leave' then return leave() end
local decided = 0
for _, seq in ipairs(who == '*' and redis.call('HKEYS', KEYS[5]) or {who}) do
  decided = decided + decide(seq)
end
return {'ok', decided}
