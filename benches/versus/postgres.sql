-- What a team would write that has PostgreSQL and wants the same: one function for each check, in one transaction.
-- Rows that are updated for each check get pages with room for their next versions, so that no index is touched.

CREATE TABLE workspaces (
    workspace_id integer PRIMARY KEY,
    chain_length bigint NOT NULL DEFAULT 0,
    chain_head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 10);

CREATE TABLE api_keys (
    secret_hash bytea PRIMARY KEY,
    workspace_id integer NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE authorizations (
    authorization_id text PRIMARY KEY,
    workspace_id integer NOT NULL,
    user_id text NOT NULL,
    agent_id text NOT NULL,
    scopes text[] NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    max_per_day bigint NOT NULL,
    day date NOT NULL DEFAULT '1970-01-01',
    allowed_on_day bigint NOT NULL DEFAULT 0,
    budget_limit_micros bigint NOT NULL,
    budget_spent_micros bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE events (
    workspace_id integer NOT NULL,
    index bigint NOT NULL,
    at timestamptz NOT NULL,
    body text NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (workspace_id, index)
);

-- What somebody would still have to sign.
CREATE TABLE pending_receipts (
    receipt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id integer NOT NULL,
    index bigint NOT NULL
);

CREATE FUNCTION decide(
    asked_key bytea, asked_id text, asked_scope text, asked_resource text, asked_session text, asked_cost bigint, asked_context text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now_at timestamptz := clock_timestamp();
    today date := (now_at AT TIME ZONE 'UTC')::date;
    caller integer;
    held authorizations;
    used bigint;
    why text;
    verdict text;
    event text;
    new_index bigint;
    new_head bytea;
    receipt bigint;
BEGIN
    SELECT workspace_id INTO caller FROM api_keys
        WHERE secret_hash = asked_key AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now_at);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The lock of the row is what makes counter and budget exact.
    SELECT * INTO held FROM authorizations WHERE authorization_id = asked_id AND workspace_id = caller FOR UPDATE;
    used := CASE WHEN held.day = today THEN held.allowed_on_day ELSE 0 END;
    why := CASE
        WHEN held.authorization_id IS NULL THEN 'authorization_not_found'
        WHEN held.revoked_at IS NOT NULL THEN 'authorization_revoked'
        WHEN held.expires_at <= now_at THEN 'authorization_expired'
        WHEN NOT asked_scope = ANY (held.scopes) THEN 'scope_not_authorized'
        WHEN used >= held.max_per_day THEN 'rate_limit_exceeded'
        WHEN held.budget_spent_micros + asked_cost > held.budget_limit_micros THEN 'budget_exceeded'
        ELSE 'authorization_granted_scope_active'
    END;
    verdict := CASE WHEN why = 'authorization_granted_scope_active' THEN 'allow' ELSE 'deny' END;
    IF verdict = 'allow' THEN
        UPDATE authorizations
            SET day = today, allowed_on_day = used + 1, budget_spent_micros = budget_spent_micros + asked_cost
            WHERE authorization_id = asked_id;
    END IF;
    event := json_build_object('authorization_id', asked_id, 'user_id', held.user_id, 'agent_id', held.agent_id, 'scope', asked_scope,
        'resource', asked_resource, 'session_id', asked_session, 'decision', verdict, 'reason', why, 'cost_micros', asked_cost,
        'spent_micros', held.budget_spent_micros, 'context', asked_context)::text;
    UPDATE workspaces
        SET chain_length = chain_length + 1, chain_head = sha256(chain_head || convert_to(event, 'UTF8'))
        WHERE workspace_id = caller
        RETURNING chain_length, chain_head INTO new_index, new_head;
    INSERT INTO pending_receipts (workspace_id, index) VALUES (caller, new_index) RETURNING receipt_id INTO receipt;
    INSERT INTO events VALUES (caller, new_index, now_at, event, new_head);
    RETURN json_build_object('authorization_id', asked_id, 'user_id', held.user_id, 'authorization_expires_at', held.expires_at,
        'results', json_build_object(asked_scope, json_build_object('decision', verdict, 'reason', why,
            'receipt', json_build_object('status', 'pending', 'receipt_id', receipt),
            'budget', json_build_object('estimated_cost_micros', asked_cost, 'limit_micros', held.budget_limit_micros,
                'spent_micros', held.budget_spent_micros))))::text;
END $$;
