-- Events of `email`, each once. One insert is one part, stored whole or not at all: there is no PARTITION BY, which would cut it into several.
-- An insert under a token that one of the latest 10,000 inserts had changes nothing.
-- One `event_id` is one row, whatever else differs: the consumer asks the projection `event_ids` which ids are there, before and after an
-- insert. It is in the order of time, as ids of version 7 are, so that new ids are looked for where the latest are. `_block_number`, which
-- grows with every insert, says which of two rows that came at once was first.
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
    machine_open Nullable(Bool),
    attempt Nullable(Int16),
    smtp_code Nullable(Int16),
    enhanced_code Nullable(String),
    response Nullable(String),
    bounce_class Nullable(String),
    link_index Nullable(Int16),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    PROJECTION event_ids (SELECT event_id ORDER BY toUInt128(event_id))
)
ENGINE = ReplacingMergeTree
ORDER BY (universal_id, timestamp, event_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild', enable_block_number_column = 1
