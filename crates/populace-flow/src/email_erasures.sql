-- Of whom no event that happened until then may come again: the consumer leaves out what the log still holds of people who were erased. It
-- names nobody: `person` is the SHA-256 of a `universal_id`, in lower-case hexadecimal digits.
CREATE TABLE IF NOT EXISTS email_erasures
(
    person String,
    until SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY person
SETTINGS non_replicated_deduplication_window = 10000
