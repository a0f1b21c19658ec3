-- Who is found from the id of a person: base ids by the universal_id that they have or have had. The rows of `identity_merges` the other way
-- round, so that a person is read whole in a few questions, however long the chain of links is.
CREATE TABLE IF NOT EXISTS identity_members
(
    universal_id String CODEC(ZSTD),
    absorbed String CODEC(ZSTD),
    at SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (universal_id, absorbed)
SETTINGS non_replicated_deduplication_window = 10000
