-- What a team would write that has Redis and wants the same: one script for each check.
-- ARGV: hash of the API key, authorization, scope, resource, session, cost, context.
local workspace = redis.call('HGET', 'api-keys', ARGV[1])
if not workspace then return false end
local now = tonumber(redis.call('TIME')[1])
local day = math.floor(now / 86400)
local place = 'authorization:' .. ARGV[2]
local held = redis.call('HMGET', place, 'workspace', 'revoked_at', 'expires_at', 'max_per_day', 'day', 'allowed_on_day',
  'budget_limit_micros', 'budget_spent_micros', 'user_id', 'agent_id')
local cost, spent = tonumber(ARGV[6]), tonumber(held[8] or 0)
local used = 0
if tonumber(held[5] or 0) == day then used = tonumber(held[6]) end
local why = 'authorization_granted_scope_active'
if held[1] ~= workspace then why = 'authorization_not_found'
elseif held[2] then why = 'authorization_revoked'
elseif tonumber(held[3]) <= now then why = 'authorization_expired'
elseif redis.call('SISMEMBER', 'scopes:' .. ARGV[2], ARGV[3]) == 0 then why = 'scope_not_authorized'
elseif used >= tonumber(held[4]) then why = 'rate_limit_exceeded'
elseif spent + cost > tonumber(held[7]) then why = 'budget_exceeded' end
local decision = 'deny'
if why == 'authorization_granted_scope_active' then
  decision = 'allow'
  redis.call('HSET', place, 'day', day, 'allowed_on_day', used + 1, 'budget_spent_micros', spent + cost)
end
local event = cjson.encode({ authorization_id = ARGV[2], user_id = held[9], agent_id = held[10], scope = ARGV[3], resource = ARGV[4],
  session_id = ARGV[5], decision = decision, reason = why, cost_micros = cost, spent_micros = spent, context = ARGV[7] })
local chain = 'chain:' .. workspace
local head = redis.sha1hex((redis.call('GET', chain) or '') .. event)
redis.call('SET', chain, head)
local receipt = redis.call('XADD', 'events:' .. workspace, '*', 'event', event, 'hash', head)
return cjson.encode({ authorization_id = ARGV[2], user_id = held[9], authorization_expires_at = held[3], results = { [ARGV[3]] = {
  decision = decision, reason = why, receipt = { status = 'pending', receipt_id = receipt },
  budget = { estimated_cost_micros = cost, limit_micros = held[7], spent_micros = spent } } } })
