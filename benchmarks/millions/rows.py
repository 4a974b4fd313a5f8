"""The rows: statements for `fill.filled`, each with the count as $1."""

_INBOX = """
INSERT INTO inbox (source, dedupe_key, bucket, key, size, etag, sequencer, raw, received_at,
                   attempts, due_at, done_at, failed)
SELECT 'sns', {kind} || '-' || n, 'uploads', 'us-east-1:0/upl_' || n || '/a.txt', 5, 'etag', '0',
       repeat('x', 500), timestamptz '2020-01-01Z', 1, timestamptz '2020-01-01Z', {done}, false
FROM generate_series(1, $1::bigint) AS numbers(n)
"""
INBOX_DONE = _INBOX.format(kind="'done'", done="timestamptz '2020-01-01Z'")
INBOX_WAITING = _INBOX.format(kind="'waits'", done="NULL")

# One endpoint for each of four types of events, so that each event goes to one of them.
ENDPOINTS = """
INSERT INTO webhook_endpoints (id, url, description, event_types, secret, enabled, created_at,
                               updated_at)
SELECT 'whe_' || type, 'https://192.0.2.1/' || type, '', json_build_array('upload.' || type),
       'whsec_' || repeat('A', 32), true, timestamptz '2019-01-01Z', timestamptz '2019-01-01Z'
FROM unnest(ARRAY['completed', 'rejected', 'aborted', 'expired']) AS types(type)
WHERE $1::bigint > 0
"""
_EVENTS = """
INSERT INTO events (id, type, user_id, sequence, upload_id, before, after, at, payload, spread_at)
SELECT 'evt_' || lpad(to_hex({first} + n), 14, '0') || left(md5(n::text), 16),
       'upload.' || (ARRAY['completed', 'rejected', 'aborted', 'expired'])[1 + n % 4],
       'usr_' || n % 1000, ({first} + n) / 1000, 'upl_' || md5(n::text), 'pending', 'completed',
       {since} + n * interval '1 ms', '{{"data":"' || repeat('x', 700) || '"}}', {spread}
FROM generate_series(1, $1::bigint) AS numbers(n)
"""
EVENTS_OLD = _EVENTS.format(first="0", since="timestamptz '2020-01-01Z'", spread="now()")
EVENTS_NEW = _EVENTS.format(first="$1::bigint", since="now() - interval '1 day'", spread="NULL")
_DELIVERIES = """
INSERT INTO deliveries (event_id, endpoint_id, created_at, attempts, due_at, done_at, delivered)
SELECT id, replace(type, 'upload.', 'whe_'), at, 0, at, {done}, {done} IS NOT NULL
FROM events WHERE {which} AND $1::bigint > 0
"""
_OLD = "at < timestamptz '2021-01-01Z'"
DELIVERIES_WAITING = _DELIVERIES.format(done="NULL::timestamptz", which=_OLD)
# The old ones' are done; what was spread since then waits.
DELIVERIES_DONE = _DELIVERIES.format(
    done=f"CASE WHEN {_OLD} THEN at END", which="spread_at IS NOT NULL"
)

# The first thousands are due, half of them past their time; a tenth of the others is on its way.
DUE = 5000
UPLOADS = """
INSERT INTO uploads (id, user_id, status, origin, transport, transport_reason, profile, filename,
                     content_type, declared_size, size, etag, bucket, key, metadata, created_at,
                     updated_at, expires_at, completed_at, next_look_at, looks, generation, charged)
SELECT 'upl_' || md5(n::text), 'member_' || n % 1000,
       CASE WHEN pending THEN 'pending' ELSE 'completed' END,
       'api', 'presigned', 'auto', 'default', 'a.txt', 'text/plain', 5,
       CASE WHEN NOT pending THEN 5 END, CASE WHEN NOT pending THEN 'etag' END, 'uploads',
       'us-east-1:' || n % 1000 || '/upl_' || md5(n::text) || '/a.txt', '{"album":"holiday"}',
       now() - interval '6 days', now() - interval '6 days',
       now() + CASE WHEN due AND n % 2 = 0 THEN interval '-1 hour' ELSE interval '1 day' END,
       CASE WHEN NOT pending THEN now() - interval '6 days' END,
       CASE WHEN due THEN now() - n * interval '1 ms'
            WHEN pending THEN now() + interval '1 day' END,
       0, 0, 5
FROM generate_series(1, $1::bigint) AS numbers(n)
CROSS JOIN LATERAL (SELECT n <= {due} AS due, n <= {due} OR n % 10 = 0 AS pending) AS state
""".replace("{due}", str(DUE))
USAGE = """
INSERT INTO usage (user_id, profile, bytes, in_flight)
SELECT user_id, profile, sum(charged), count(*) FILTER (WHERE status = 'pending')
FROM uploads WHERE $1::bigint > 0 GROUP BY user_id, profile
"""
