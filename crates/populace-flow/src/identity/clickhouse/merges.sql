-- Ids that gave way to another: every universal_id under which events of a base id may have been published leads to the one that is used now.
CREATE TABLE IF NOT EXISTS identity_merges
(
    absorbed String CODEC(ZSTD),
    universal_id String CODEC(ZSTD),
    at SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (absorbed, universal_id)
SETTINGS non_replicated_deduplication_window = 10000
