-- Webhooks, and the events that are delivered to them.

CREATE TABLE webhooks (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  seq             bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  -- Whose events are delivered; empty = those of every owner.
  user_id         text NOT NULL CHECK (length(user_id) <= 128),
  url             text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
  types           text[] NOT NULL DEFAULT '{}',
  is_disabled     boolean NOT NULL DEFAULT false,
  disabled_reason text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  -- How the receiver answers: failures in a row, and the end of the pause after them.
  failures        integer NOT NULL DEFAULT 0,
  paused_until    timestamptz
);
CREATE INDEX webhooks_of_owner ON webhooks (user_id, seq);

-- In a table of their own, so that no SELECT * of the webhooks shows them.
CREATE TABLE webhook_secrets (
  webhook_id uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  secret     text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz
);
CREATE INDEX webhook_secrets_of_webhook ON webhook_secrets (webhook_id);

-- Events that a webhook wants and that are not delivered yet. A worker replaces a row by a delivery for each webhook.
CREATE TABLE event_outbox (
  xid xid8 NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (xid, seq)
);

-- One event for one webhook. The body is made once, so that every try sends the same bytes.
CREATE TABLE deliveries (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  webhook_id   uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  event_id     uuid NOT NULL,
  type         text NOT NULL,
  video_id     uuid,
  body         bytea NOT NULL,
  status       text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'DELIVERED', 'DEAD')),
  attempt      integer NOT NULL DEFAULT 0,
  -- The next try. While one is running, the end of its lease.
  next_at      timestamptz NOT NULL DEFAULT now(),
  leased_until timestamptz,
  http_status  integer NOT NULL DEFAULT 0,
  error        text NOT NULL DEFAULT '',
  took_ms      integer NOT NULL DEFAULT 0,
  created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, next_at) WHERE status = 'PENDING';
CREATE INDEX deliveries_of_webhook ON deliveries (webhook_id, seq);
CREATE INDEX deliveries_created_at ON deliveries (created_at);

-- What a receiver gets.
CREATE FUNCTION webhook_body(event events) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT convert_to(jsonb_build_object(
    'type', event.type,
    'timestamp', to_char(event.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'data', jsonb_build_object('video_id', event.video_id, 'version', event.version, 'user_id', event.user_id)
      || event.data
  )::text, 'UTF8')
$$;

CREATE FUNCTION events_note_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO event_outbox (xid, seq) SELECT NEW.xid, NEW.seq WHERE EXISTS (
    SELECT FROM webhooks WHERE user_id IN ('', NEW.user_id) AND NOT is_disabled AND (types = '{}' OR NEW.type = ANY(types)));
  RETURN NULL;
END $$;
CREATE TRIGGER events_delivery AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION events_note_delivery();

-- Entries about webhooks have no video. The previous release always writes one.
ALTER TABLE trail ALTER COLUMN video_id DROP NOT NULL, ADD COLUMN webhook_id uuid;
CREATE INDEX trail_webhook_id ON trail (webhook_id) WHERE webhook_id IS NOT NULL;
