import { script } from './control-plane.ts'

/**
 * One replica says what it has and needs of the associations to an archive, and is told what it may have, and should.
 *
 * What all replicas have, or may have, is never more than the limit: a share grows here, by what is free, before its
 * replica knows, and shrinks there, before it is said here. What each should have is divided evenly, among those who have
 * an interactive need first, then for transfers, then for what is in the background; transfers together leave one to the
 * others; what nobody needs is divided too, so that it is there at once.
 *
 * KEYS: needs, leases. ARGV: replica, limit, lease in ms, channel, held, transfers, interactive, bulk, background, share,
 * of it for transfers; a held of -1 takes leave. Returns: share, of it for transfers, what both should be, number of
 * replicas, whether another has less than it needs.
 */
export const SHARE = script(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local me, limit, lease, channel = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
local function parsed(text)
  local n = {}
  for part in string.gmatch(text, '%-?%d+') do n[#n + 1] = tonumber(part) end
  return { held = n[1], transfers = n[2], interactive = n[3], bulk = n[4], background = n[5], share = n[6], forTransfers = n[7] }
end
local before = redis.call('HGET', KEYS[1], me)
before = before and parsed(before)
if tonumber(ARGV[5]) < 0 then
  redis.call('HDEL', KEYS[1], me)
  redis.call('ZREM', KEYS[2], me)
  redis.call('PUBLISH', channel, me)
  return { 0, 0, 0, 0, 0, 0 }
end
local mine = parsed(table.concat(ARGV, ' ', 5, 11))
local needs, ids = { [me] = mine }, { me }
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= me then
    needs[all[i]] = parsed(all[i + 1])
    ids[#ids + 1] = all[i]
  end
end
table.sort(ids)

local maxTransfers = math.max(1, limit - 1)
local should, shouldTransfer, left, leftForTransfers = {}, {}, limit, maxTransfers
for _, id in ipairs(ids) do should[id], shouldTransfer[id] = 0, 0 end
-- One to each who needs one, until nobody does or nothing is left.
local function divide(need, isTransfer)
  local isNeeded = true
  while isNeeded and left > 0 do
    isNeeded = false
    for _, id in ipairs(ids) do
      if left > 0 and (need[id] or 0) > 0 and (not isTransfer or leftForTransfers > 0) then
        need[id] = need[id] - 1
        should[id] = should[id] + 1
        left = left - 1
        if isTransfer then
          shouldTransfer[id] = shouldTransfer[id] + 1
          leftForTransfers = leftForTransfers - 1
        end
        isNeeded = true
      end
    end
  end
end
for _, kind in ipairs({ 'interactive', 'bulk', 'background' }) do
  local need = {}
  for _, id in ipairs(ids) do need[id] = needs[id][kind] end
  divide(need, kind ~= 'interactive')
end
-- What is to spare: to who has it already, then to each.
local spare, each = {}, {}
for _, id in ipairs(ids) do
  spare[id] = math.max(0, needs[id].held - should[id])
  each[id] = limit
end
divide(spare, false)
divide(each, false)
for _, id in ipairs(ids) do
  while leftForTransfers > 0 and shouldTransfer[id] < should[id] do
    shouldTransfer[id] = shouldTransfer[id] + 1
    leftForTransfers = leftForTransfers - 1
  end
end

local taken, takenForTransfers = 0, 0
for _, id in ipairs(ids) do
  if id ~= me then
    taken = taken + math.max(needs[id].held, needs[id].share)
    takenForTransfers = takenForTransfers + math.max(needs[id].transfers, needs[id].forTransfers)
  end
end
mine.share = math.max(mine.share, math.min(should[me], limit - taken))
mine.forTransfers = math.max(mine.forTransfers, math.min(shouldTransfer[me], maxTransfers - takenForTransfers))

-- What it lacks of what it should have; it may not need that.
local function lacks(need)
  local transfers = need.bulk + need.background
  return math.max(0, need.interactive + transfers - need.share, math.min(transfers, maxTransfers) - need.forTransfers)
end
local function takes(need) return math.max(need.held, need.share) + math.max(need.transfers, need.forTransfers) end
local isAnotherShort = 0
for _, id in ipairs(ids) do
  if id ~= me and lacks(needs[id]) > 0 then isAnotherShort = 1 end
end
redis.call('HSET', KEYS[1], me, string.format('%d %d %d %d %d %d %d', mine.held, mine.transfers, mine.interactive,
  mine.bulk, mine.background, mine.share, mine.forTransfers))
redis.call('ZADD', KEYS[2], now + lease, me)
redis.call('PEXPIRE', KEYS[1], 2 * lease)
redis.call('PEXPIRE', KEYS[2], 2 * lease)
-- Others are to give what they can spare, or may take what was given.
local isShorter = lacks(mine) > (before and lacks(before) or 0)
local isFreed = before and takes(mine) < takes(before) and isAnotherShort == 1
if isShorter or isFreed or not before then redis.call('PUBLISH', channel, me) end
return { mine.share, mine.forTransfers, should[me], shouldTransfer[me], #ids, isAnotherShort }`)
