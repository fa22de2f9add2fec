-- Places in traces of submissions whose hints no relay has taken yet. Written only for those that came with one.
CREATE TABLE trace (
    partition  smallint NOT NULL,
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),  -- that of the hint it belongs to
    period_id  bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    parent     text NOT NULL,                               -- a W3C traceparent
    queued_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX trace_work ON trace (partition, xid);
CREATE INDEX trace_age ON trace (queued_at);
