-- On top of `postgres.sql`, what a team would add that wants its receipts signed, and lists of them within a workspace.

-- What a list can ask for. `index` grows with time: it is the order of every list, a page goes on from the last one of the
-- page before, and where a time lies is a binary search in the primary key.
ALTER TABLE events
    ADD COLUMN receipt_id bigint NOT NULL,
    ADD COLUMN authorization_id text,
    ADD COLUMN user_id text,
    ADD COLUMN resource text NOT NULL,
    ADD COLUMN session_id text NOT NULL,
    ADD COLUMN scope text NOT NULL,
    ADD COLUMN event text,
    ADD COLUMN decision text NOT NULL;

-- Scope, event and decision have few values: reading along the primary key fills a page of one of them soon, so that three
-- more indexes, which every check would pay for, are saved.
CREATE INDEX events_of_authorization ON events (workspace_id, authorization_id, index);
CREATE INDEX events_of_user ON events (workspace_id, user_id, index);
CREATE INDEX events_of_resource ON events (workspace_id, resource, index);
CREATE INDEX events_of_session ON events (workspace_id, session_id, index);

-- What was signed: the event with the members that the worker adds. It is made again from the event when it is asked for.
CREATE TABLE receipts (
    receipt_id bigint PRIMARY KEY,
    workspace_id integer NOT NULL,
    index bigint NOT NULL,
    signature bytea NOT NULL
);

-- The same function, whose event says more.
DO $$
DECLARE
    plain text := pg_get_functiondef('decide'::regproc);
    says_more text := replace(plain, 'event, new_head)',
        'event, new_head, receipt, held.authorization_id, held.user_id, asked_resource, asked_session, asked_scope, NULL, verdict)');
BEGIN
    ASSERT says_more <> plain;
    EXECUTE says_more;
END $$;
