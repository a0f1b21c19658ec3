-- The audit: a row for each resolution, link and erasure. The row of an erasure names nobody.
CREATE TABLE IF NOT EXISTS identity_resolutions
(
    at DateTime64(3, 'UTC'),
    purpose LowCardinality(String),
    outcome LowCardinality(String),
    base_id String CODEC(ZSTD),
    universal_id String CODEC(ZSTD)
)
ENGINE = MergeTree
ORDER BY (base_id, at)
SETTINGS non_replicated_deduplication_window = 10000
