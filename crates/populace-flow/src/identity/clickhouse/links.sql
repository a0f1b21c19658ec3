-- Base ids that belong together, each link in both directions, so that a look-up is one range of the key. A person is what hangs together by
-- links that are deterministic: it is computed, never stored. Of a link that came again the greatest weight and the first time remain.
CREATE TABLE IF NOT EXISTS identity_links
(
    base_id String CODEC(ZSTD),
    other String CODEC(ZSTD),
    kind LowCardinality(String),
    source LowCardinality(String),
    weight SimpleAggregateFunction(max, Float64),
    at SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (base_id, other, kind, source)
SETTINGS non_replicated_deduplication_window = 10000
