//! Straight into ClickHouse.

use crate::support::{assert_holds, clickhouse, reference, succeed};

#[test]
fn events_are_in_the_table_as_they_are_in_files_and_once_however_often_they_are_sent() {
    let clickhouse = clickhouse();
    let scenario = ["email", "--seed", "7", "-n", "40", "-d", "30"];
    let file = reference("straight", &scenario);
    let url = format!("{}/straight", clickhouse.url);
    let told = succeed(&[&["generate"], &scenario[..], &["--to", &url]].concat());
    assert!(told.contains(" rows acknowledged by clickhouse://sendflowr@") && !told.contains("sendflowr_dev"), "{told}");
    assert_holds(clickhouse, "straight", &file);
    succeed(&[&["generate"], &scenario[..], &["-q", "--to", &url]].concat());
    assert_holds(clickhouse, "straight", &file);
}

#[test]
fn a_stream_keeps_its_pace_and_ends() {
    let clickhouse = clickhouse();
    let url = format!("{}/paced", clickhouse.url);
    let start = std::time::Instant::now();
    let told = succeed(&["stream", "email", "--seed", "7", "-n", "40", "--to", &url, "--speed", "200000", "--events", "900"]);
    let wall = start.elapsed().as_secs_f64();
    assert!(told.contains("900 events in "), "{told}");
    assert_eq!(clickhouse.number("SELECT count() FROM paced.email_events"), 900);
    // The first 900 in the order of time, no others, over as long as they take at this speed.
    let file = reference("paced", &["email", "--seed", "7", "-n", "40"]);
    let last = clickhouse.ask(&format!(
        "SELECT max(timestamp) FROM (SELECT timestamp FROM file('{}', 'Parquet') ORDER BY timestamp LIMIT 900)",
        file.display()
    ));
    let latest = clickhouse.ask("SELECT max(timestamp) FROM paced.email_events");
    assert!(last.starts_with(&latest), "{last} {latest}");
    let span = clickhouse.number("SELECT toUInt64(max(timestamp) - min(timestamp)) FROM paced.email_events") as f64 / 200_000.0;
    assert!(wall >= span, "{span} s of events in {wall} s");
}

/// Rows in the order of time have dictionaries that were put together of several.
#[test]
fn a_stream_of_each_scenario_as_it_is_by_default_is_stored_whole() {
    let clickhouse = clickhouse();
    for (scenario, table) in [("email", "email_events"), ("traces", "calls"), ("churn", "events")] {
        let url = format!("{}/stream_{scenario}", clickhouse.url);
        succeed(&["stream", scenario, "--seed", "7", "-q", "--to", &url, "--speed", "100000000", "--events", "20000"]);
        assert_eq!(clickhouse.number(&format!("SELECT count() FROM stream_{scenario}.{table}")), 20_000, "{scenario}");
    }
}

#[test]
fn truth_and_the_other_scenarios_go_to_clickhouse() {
    let clickhouse = clickhouse();
    for (scenario, main) in [("email", "email_events"), ("traces", "calls"), ("churn", "events")] {
        let url = format!("{}/all_{scenario}", clickhouse.url);
        let told = succeed(&["generate", scenario, "--seed", "3", "-n", "30", "--to", &url]);
        let tables =
            clickhouse.rows(&format!("SELECT name, total_rows FROM system.tables WHERE database = 'all_{scenario}' ORDER BY name"));
        let main = tables.iter().find(|row| row[0] == main).unwrap();
        assert!(told.replace(',', "").contains(&format!("{} rows acknowledged", main[1])), "{told} {tables:?}");
        assert!(tables.iter().filter(|row| row[0].starts_with("truth_")).count() >= 1, "{tables:?}");
        assert!(tables.iter().all(|row| row[1] != "0"), "{tables:?}");
        succeed(&["generate", scenario, "--seed", "3", "-n", "30", "--to", &url]);
        assert_eq!(
            clickhouse.rows(&format!("SELECT name, total_rows FROM system.tables WHERE database = 'all_{scenario}' ORDER BY name")),
            tables
        );
    }
}
