//! The validation queries of the documents that the scenario was made from, word for word.

use crate::support::{Server, succeed};

const TOTAL: &str = "SELECT count() FROM sendflowr.email_events";
const BY_TYPE: &str = "SELECT event_type, count() FROM sendflowr.email_events GROUP BY event_type";
const MOST_CLICKS: &str = "SELECT recipient_id, countIf(event_type = 'clicked') as clicks 
      FROM sendflowr.email_events 
      GROUP BY recipient_id 
      ORDER BY clicks DESC 
      LIMIT 10";
const BY_HOUR: &str = "SELECT toHour(timestamp) as hour, count() as events
      FROM sendflowr.email_events
      WHERE event_type = 'clicked'
      GROUP BY hour
      ORDER BY hour";
const LATENCY: &str = "SELECT avg(latency_seconds), quantile(0.5)(latency_seconds), quantile(0.95)(latency_seconds)
      FROM sendflowr.email_events 
      WHERE event_type = 'delivered' AND latency_seconds > 0";
const BREAKERS: &str = "SELECT event_type, count() FROM sendflowr.email_events 
      WHERE event_type IN ('support_ticket', 'complaint', 'unsubscribe_request')
      GROUP BY event_type";
const HOT_PATHS: &str = "SELECT event_type, count() FROM sendflowr.email_events 
      WHERE event_type IN ('site_visit', 'sms_click', 'product_view')
      GROUP BY event_type";
const LATENCY_BY_MINUTE: &str = "SELECT 
    toHour(timestamp) as hour,
    toStartOfMinute(timestamp) as minute,
    avg(latency_seconds) as avg_latency,
    quantile(0.95)(latency_seconds) as p95_latency
FROM sendflowr.email_events
WHERE event_type = 'delivered' AND latency_seconds > 0
GROUP BY hour, minute
ORDER BY hour, minute";
const HOT_PATH_IMPACT: &str = "-- Users who had hot path events
WITH hot_path_users AS (
    SELECT DISTINCT recipient_id
    FROM sendflowr.email_events
    WHERE event_type IN ('site_visit', 'sms_click', 'product_view')
)
SELECT 
    h.recipient_id,
    countIf(e.event_type = 'clicked') as clicks,
    countIf(e.event_type = 'opened') as opens
FROM hot_path_users h
JOIN sendflowr.email_events e ON h.recipient_id = e.recipient_id
GROUP BY h.recipient_id
ORDER BY clicks DESC
LIMIT 10";
const AFTER_BREAKERS: &str = "-- Events after circuit breaker
SELECT 
    recipient_id,
    event_type,
    timestamp
FROM sendflowr.email_events
WHERE recipient_id IN (
    SELECT DISTINCT recipient_id 
    FROM sendflowr.email_events 
    WHERE event_type = 'support_ticket'
)
ORDER BY recipient_id, timestamp";
const RESOLVED: &str = "SELECT count() FROM sendflowr.email_events WHERE universal_id LIKE 'sf_%'";
const RECENT: &str = "SELECT universal_id, substring(recipient_email_hash, 1, 16), event_type 
   FROM sendflowr.email_events 
   WHERE universal_id LIKE 'sf_%' 
   ORDER BY timestamp DESC LIMIT 10";

#[test]
fn every_query_meets_what_its_document_expects() {
    let clickhouse = Server::clickhouse();
    // The URL names no database: it is the documents'.
    succeed(&["generate", "email", "--seed", "42", "-q", "--to", &clickhouse.url]);
    let number = |cell: &str| cell.parse::<f64>().unwrap();
    let total = clickhouse.number(TOTAL);
    assert!((75_000..95_000).contains(&total), "{total}");
    assert_eq!(clickhouse.number(RESOLVED), total);

    let by_type = clickhouse.rows(BY_TYPE);
    assert_eq!(by_type.len(), 10, "{by_type:?}");
    let count = |name: &str| number(&by_type.iter().find(|row| row[0] == name).unwrap()[1]);
    assert!(count("sent") >= count("delivered") && count("delivered") > count("opened") && count("opened") > count("clicked"));
    assert_eq!(by_type.iter().map(|row| number(&row[1])).sum::<f64>(), total as f64);

    let most = clickhouse.rows(MOST_CLICKS);
    assert_eq!(most.len(), 10);
    assert!(most.windows(2).all(|pair| number(&pair[0][1]) >= number(&pair[1][1])) && number(&most[9][1]) > 0.0, "{most:?}");
    let by_hour = clickhouse.rows(BY_HOUR);
    assert_eq!(by_hour.iter().map(|row| number(&row[1])).sum::<f64>(), count("clicked"));

    // A log-normal latency with a median of 12 s, made longer at times.
    let latency = &clickhouse.rows(LATENCY)[0];
    let [mean, median, p95] = [0, 1, 2].map(|cell| number(&latency[cell]));
    assert!(median > 8.0 && median < mean && mean < p95, "{latency:?}");
    for (query, kinds) in [(BREAKERS, 3), (HOT_PATHS, 3)] {
        let rows = clickhouse.rows(query);
        assert!(rows.len() == kinds && rows.iter().all(|row| number(&row[1]) == count(&row[0])), "{rows:?}");
    }

    // Spikes at the top of the hour. Minutes hold few deliveries, so they are put together by minute of the hour.
    let by_minute = clickhouse.rows(LATENCY_BY_MINUTE);
    let mean_of = |top: bool| {
        let of = by_minute.iter().filter(|row| (number(&row[1][14..16]) <= 2.0) == top).map(|row| number(&row[2])).collect::<Vec<_>>();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean_of(true) > 1.5 * mean_of(false), "{} and {}", mean_of(true), mean_of(false));

    let impact = clickhouse.rows(HOT_PATH_IMPACT);
    assert!(impact.len() == 10 && impact.iter().all(|row| number(&row[2]) >= number(&row[1])), "{impact:?}");

    let after = clickhouse.rows(AFTER_BREAKERS);
    let tickets = after.iter().filter(|row| row[1] == "support_ticket").count();
    assert_eq!(tickets as f64, count("support_ticket"));
    // Whether mail is opened is decided at its delivery: what is delivered within 48 hours after a ticket is not.
    let opened = |within: &str| {
        clickhouse.number(&format!(
            "SELECT count() FROM sendflowr.email_events AS o
            JOIN sendflowr.email_events AS d ON d.message_id = o.message_id AND d.event_type = 'delivered'
            JOIN sendflowr.email_events AS t ON t.recipient_id = o.recipient_id AND t.event_type = 'support_ticket'
            WHERE o.event_type = 'opened' AND {within}"
        ))
    };
    assert_eq!(opened("d.timestamp >= t.timestamp AND d.timestamp < t.timestamp + INTERVAL 48 HOUR"), 0);
    assert!(opened("d.timestamp < t.timestamp AND d.timestamp >= t.timestamp - INTERVAL 48 HOUR") > 50);

    let recent = clickhouse.rows(RECENT);
    assert!(recent.len() == 10 && recent.iter().all(|row| row[0].starts_with("sf_") && row[1].len() == 16), "{recent:?}");
}
