-- Whose an identifier is: one row for its hash under each key, and one for the base id itself, which is an identifier too. No identifier is
-- here, only keyed hashes. The same row again changes nothing, in whatever order rows come and whoever inserts them.
CREATE TABLE IF NOT EXISTS identity_identifiers
(
    identifier String CODEC(ZSTD),
    base_id String CODEC(ZSTD),
    kind LowCardinality(String),
    key_id LowCardinality(String),
    at SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (identifier, base_id, kind, key_id)
SETTINGS non_replicated_deduplication_window = 10000
