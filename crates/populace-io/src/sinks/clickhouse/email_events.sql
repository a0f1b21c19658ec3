-- Events of `email`, each once. One insert is one part, stored whole or not at all: there is no PARTITION BY, which would cut it into several.
-- An insert under a token that one of the latest 10,000 inserts had changes nothing; an event at another place of the log is replaced when
-- parts are merged, as all of its key is the same.
CREATE TABLE IF NOT EXISTS email_events
(
    event_id UUID,
    event_type LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    esp LowCardinality(String),
    recipient_id LowCardinality(String),
    universal_id LowCardinality(String),
    recipient_email_hash LowCardinality(String),
    campaign_id LowCardinality(String),
    campaign_name LowCardinality(String),
    message_id Nullable(UUID),
    subject LowCardinality(Nullable(String)),
    click_url LowCardinality(Nullable(String)),
    bounce_type LowCardinality(Nullable(String)),
    user_agent LowCardinality(Nullable(String)),
    ip_address LowCardinality(Nullable(String)),
    source LowCardinality(String),
    metadata String,
    latency_seconds Nullable(Float64),
    send_time Nullable(DateTime64(3, 'UTC')),
    hour_of_day Nullable(Int16),
    minute Nullable(Int16),
    day_of_week Nullable(Int16),
    campaign_type LowCardinality(Nullable(String)),
    payload_size_bytes Nullable(Int32),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (universal_id, timestamp, event_id)
SETTINGS non_replicated_deduplication_window = 10000
