//! `features`: what is computed of recipients and of callers.

use crate::support::Run;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use populace_analysis::families::compute_features;
use populace_analysis::features::{self, Curve, Options, Progress, Report, Watch};
use populace_analysis::source::{As, Columns, Want};
use populace_core::email::{EmailModel, PersonaConfig};
use populace_core::scenario::Scenario as _;
use populace_io::files::Format;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::AtomicBool;

struct Silent;

impl Progress for Silent {
    fn begins(&self, _: &str, _: Option<u64>) {}

    fn advanced(&self, _: u64) {}
}

fn compute(options: &Options) -> Result<Report, populace_analysis::AnalysisError> {
    compute_features(options, &Watch { progress: &Silent, stop: &AtomicBool::new(false), threads: 2 })
}

fn features_of(directory: &Path) -> Vec<RecordBatch> {
    let file = File::open(directory.join("features.parquet")).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

/// Whether a minute of the week lies in a persona's documented hours of the day.
fn documented(persona: &PersonaConfig, minute: usize) -> bool {
    persona.peak_hours.iter().any(|peak| usize::from(*peak) == minute / 60 % 24)
}

/// The starts of the three best windows of 120 minutes that do not overlap.
fn best_windows(curve: &[f64]) -> Vec<usize> {
    let mass = |start: usize| -> f64 { (start..start + 120).map(|minute| curve[minute % 10_080]).sum() };
    let masses: Vec<f64> = (0..10_080).map(mass).collect();
    let mut found: Vec<usize> = Vec::new();
    while found.len() < 3 {
        let apart = |start: &usize| found.iter().all(|other| (120..=9_960).contains(&start.abs_diff(*other)));
        found.push((0..10_080).filter(apart).max_by(|a, b| masses[*a].total_cmp(&masses[*b])).unwrap());
    }
    found
}

#[test]
fn curves_by_the_hour_are_sums_of_minutes_and_may_be_left_out() {
    let run = Run::new("email", 3, &[("population.users", "40")]);
    let with = |curve: Curve| {
        let output = tempfile::tempdir().unwrap();
        compute(&Options { curve, ..Options::new(run.path(), output.path()) }).unwrap();
        (features_of(output.path()), fs::metadata(output.path().join("features.parquet")).unwrap().len())
    };
    let [(minutes, all), (hours, fewer), (none, least)] = [Curve::Minute, Curve::Hour, Curve::None].map(with);
    assert!(all > 20 * fewer && fewer > 2 * least, "{all}, {fewer} and {least} bytes");
    let values = |batches: &[RecordBatch]| -> Vec<Vec<f64>> {
        let lists = batches.iter().map(|batch| batch.column_by_name("curve").unwrap().as_fixed_size_list());
        let rows = lists.flat_map(|list| (0..list.len()).map(move |row| list.value(row)));
        rows.map(|row| row.as_primitive::<Float64Type>().values().to_vec()).collect()
    };
    let (minutes_of, hours_of) = (values(&minutes), values(&hours));
    assert_eq!((minutes_of.len(), hours_of.len()), (40, 40));
    for (minutes, hours) in minutes_of.iter().zip(&hours_of) {
        let sums: Vec<f64> = minutes.chunks(60).map(|minutes| minutes.iter().sum()).collect();
        assert_eq!((*hours).len(), 168);
        assert_eq!(&sums, hours);
    }
    let columns = minutes[0].num_columns() - 1;
    let others: Vec<usize> = (0..columns).collect();
    assert_eq!(none[0], minutes[0].project(&others).unwrap(), "all other columns are the same");
}

#[test]
fn peak_windows_of_a_persona_fall_in_its_documented_hours() {
    let run = Run::new("email", 11, &[("population.users", "1050"), ("sends.per_day", "6.1456")]);
    let output = tempfile::tempdir().unwrap();
    let Report::Email(report) = compute(&Options::new(run.path(), output.path())).unwrap() else { panic!("a run of email") };
    assert_eq!((report.recipients, report.unknown_types), (1_050, 0));
    assert_eq!((report.computed_at.as_str(), report.computed_at_is.as_str()), ("2026-01-10T00:00:00Z", "the end of the run's window"));
    assert!(report.later > 0);
    let model: EmailModel = run.source().model().unwrap();
    let mut personas = BTreeMap::new();
    let wants = [Want::new("recipient_id", As::Text), Want::new("persona", As::Text)];
    for batch in run.source().table("truth/users").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            personas.insert(batch.text("recipient_id").value(row).to_owned(), batch.text("persona").value(row).to_owned());
        }
    }
    let mut curves: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut best: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for batch in features_of(output.path()) {
        let ids = batch.column_by_name("recipient_id").unwrap().as_string::<i32>().clone();
        let starts = batch.column_by_name("window_1_start_minute").unwrap().as_primitive::<Int16Type>().clone();
        let lists = batch.column_by_name("curve").unwrap().as_fixed_size_list().clone();
        for row in 0..batch.num_rows() {
            let name = personas[ids.value(row)].as_str();
            let values = lists.value(row);
            let values = values.as_primitive::<Float64Type>().values();
            assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let sum = curves.entry(name).or_insert_with(|| vec![0.0; 10_080]);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            if starts.is_valid(row) {
                let centre = (starts.value(row) as usize + 60) % 10_080;
                let (inside, all) = best.entry(name).or_default();
                *inside += u32::from(documented(&model.config().personas[name], centre));
                *all += 1;
            }
        }
    }
    let (mut inside, mut expected, mut variance) = (0.0, 0.0, 0.0);
    for (name, persona) in model.config().personas.iter().filter(|(_, persona)| !persona.peak_hours.is_empty()) {
        for start in best_windows(&curves[name.as_str()]) {
            assert!(documented(persona, start + 60), "{name}: a best window begins at minute {start} of the week");
        }
        let (own, all) = best[name.as_str()];
        let chance = persona.peak_hours.len() as f64 / 24.0;
        inside += f64::from(own);
        expected += chance * f64::from(all);
        variance += chance * (1.0 - chance) * f64::from(all);
    }
    // Of single recipients the last few clicks weigh most; their best windows still fall there far more often than by chance.
    assert!(inside > expected + 5.0 * variance.sqrt(), "{inside} of single recipients, {expected} by chance");
}

/// What a run's recipients did, by recipient: the moments of each type.
fn by_type(run: &Run) -> BTreeMap<String, BTreeMap<String, Vec<i64>>> {
    let wants = [Want::new("recipient_id", As::Text), Want::new("timestamp", As::Instant), Want::new("event_type", As::Text)];
    let mut recipients: BTreeMap<String, BTreeMap<String, Vec<i64>>> = BTreeMap::new();
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let types = recipients.entry(batch.text("recipient_id").value(row).to_owned()).or_default();
            types.entry(batch.text("event_type").value(row).to_owned()).or_default().push(batch.instant("timestamp").value(row));
        }
    }
    recipients
}

#[test]
fn counts_recencies_and_states_are_what_counting_by_hand_gives() {
    let run = Run::new("email", 2, &[("population.users", "60"), ("window.days", "45")]);
    let output = tempfile::tempdir().unwrap();
    compute(&Options::new(run.path(), output.path())).unwrap();
    let mut recipients = by_type(&run);
    let now = run.source().model::<EmailModel>().unwrap().window().end().0;
    // What comes after the window counts for nothing.
    recipients.values_mut().flat_map(BTreeMap::values_mut).for_each(|times| times.retain(|time| *time <= now));
    let day = 86_400_000_000_i64;
    let mut rows = 0;
    for batch in features_of(output.path()) {
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{name}")).clone();
        let moment = |name: &str, row: usize| {
            let column = column(name);
            let column = column.as_primitive::<TimestampMicrosecondType>();
            column.is_valid(row).then(|| column.value(row))
        };
        for row in 0..batch.num_rows() {
            rows += 1;
            let own = &recipients[column("recipient_id").as_string::<i32>().value(row)];
            let times = |kind: &str| own.get(kind).cloned().unwrap_or_default();
            for (name, last, kind) in [
                ("clicks", "last_click_at", "clicked"),
                ("opens", "last_open_at", "opened"),
                ("delivered", "last_delivered_at", "delivered"),
            ] {
                for days in [1, 7, 30] {
                    let expected = times(kind).iter().filter(|time| now - **time < days * day).count();
                    let found = column(&format!("{name}_{days}d"));
                    assert_eq!(found.as_primitive::<Int32Type>().value(row) as usize, expected, "{name} {days}");
                }
                assert_eq!(moment(last, row), times(kind).iter().max().copied());
            }
            let hours = [("support_ticket", 48), ("complaint", 48), ("unsubscribe_request", 168)];
            let ends = hours.iter().flat_map(|(kind, hours)| times(kind).into_iter().map(move |time| time + hours * day / 24));
            let until = ends.max().filter(|end| *end > now);
            assert_eq!(moment("suppressed_until", row), until);
            assert_eq!(column("suppressed").as_boolean().value(row), until.is_some());
            let hot = ["site_visit", "sms_click", "product_view"].iter().flat_map(|kind| times(kind)).max();
            assert_eq!(moment("last_hot_path_at", row), hot);
            assert_eq!(column("hot_path_active").as_boolean().value(row), hot.is_some_and(|time| now - time < day / 48));
            assert_eq!(moment("computed_at", row), Some(now));
        }
    }
    assert_eq!(rows, recipients.len());
}

/// The features by recipient, as text.
fn shown(directory: &Path) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for batch in features_of(directory) {
        for row in 0..batch.num_rows() {
            let id = batch.column(0).as_string::<i32>().value(row).to_owned();
            rows.insert(id, format!("{:?}", batch.slice(row, 1)));
        }
    }
    rows
}

#[test]
fn rows_in_any_order_and_format_give_the_same_features() {
    let run = Run::new("email-v1", 2, &[("population.users", "40"), ("window.days", "30")]);
    let (output, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    compute(&Options::new(run.path(), output.path())).unwrap();
    // The same events backwards, as CSV, in columns of a user's own.
    let mut lines = Vec::new();
    let wants = [
        Want::new("recipient_id", As::Text),
        Want::new("timestamp", As::Instant),
        Want::new("event_type", As::Text),
        Want::new("universal_id", As::Text),
    ];
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let [id, kind, universal] = ["recipient_id", "event_type", "universal_id"].map(|name| batch.text(name).value(row).to_owned());
            let time = populace_core::time::Instant(batch.instant("timestamp").value(row));
            let micros = time.0.rem_euclid(1_000_000);
            lines.push(format!("{universal},{kind},{}.{micros:06}Z,{id}", time.to_string().trim_end_matches('Z')));
        }
    }
    lines.push(",mystery,2025-10-02T00:00:00Z,synth_user_01000".into());
    lines.push("universal_id,event_type,timestamp,recipient_id".into());
    lines.reverse();
    fs::write(own.path().join("events.csv"), lines.join("\n")).unwrap();
    let at_end = Options { now: features::moment("2025-10-31 00:00"), ..Options::new(own.path(), own.path()) };
    let Report::Email(report) = compute(&at_end).unwrap() else { panic!("events of email") };
    assert_eq!((report.recipients, report.unknown_types), (40, 1));
    let (expected, found) = (shown(output.path()), shown(own.path()));
    assert_eq!(expected.len(), found.len());
    for (id, row) in &expected {
        assert!(*row == found[id], "{id}");
    }

    // An earlier moment knows less, and says what it left out.
    let mut earlier = Options::new(own.path(), own.path());
    earlier.now = features::moment("2025-10-10 00:00");
    assert!(compute(&earlier).unwrap_err().to_string().contains("is there already; replace it with --overwrite"));
    earlier.overwrite = true;
    let Report::Email(report) = compute(&earlier).unwrap() else { panic!("events of email") };
    assert_eq!(report.computed_at, "2025-10-10T00:00:00Z");
    assert!(report.later > 0 && report.later < report.events);
}

#[test]
fn transitions_are_learned_to_within_their_standard_errors_and_retries_are_none() {
    let run = Run::new("traces", 6, &[("population.users", "600"), ("cascade_failure_rate", "0.3")]);
    let output = tempfile::tempdir().unwrap();
    let mut options = Options::new(run.path(), output.path());
    options.format = Format::Csv;
    options.min_length = 1;
    let Report::Traces(report) = compute(&options).unwrap() else { panic!("a run of traces") };
    let read = |name: &str| fs::read_to_string(output.path().join(name)).unwrap();
    let mut learned = BTreeMap::new();
    let mut totals: BTreeMap<String, f64> = BTreeMap::new();
    for line in read("transitions.csv").lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        *totals.entry(cells[0].to_owned()).or_default() += cells[2].parse::<f64>().unwrap();
        learned.insert((cells[0].to_owned(), cells[1].to_owned()), cells[3].parse::<f64>().unwrap());
    }
    let wants =
        [Want::new("from", As::Text), Want::new("to", As::Text), Want::new("probability", As::Float), Want::new("reachable", As::Bool)];
    let mut compared = 0;
    for batch in run.source().table("truth/transitions").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in (0..batch.num_rows()).filter(|row| batch.bool("reachable").value(*row)) {
            let (from, to) = (batch.text("from").value(row).to_owned(), batch.text("to").value(row).to_owned());
            let truth = batch.float("probability").value(row);
            let n = totals[&from];
            let found = learned.remove(&(from.clone(), to.clone())).unwrap_or_default();
            let bound = 5.0 * (truth * (1.0 - truth) / n).sqrt();
            assert!((found - truth).abs() <= bound, "{from} to {to}: {found} against {truth}, bound {bound}");
            compared += 1;
        }
    }
    assert!(compared > 30 && learned.is_empty(), "nothing is learned that is not there: {learned:?}");

    // Retries are as many as the calls that are one, and the rest is what the sessions say.
    let (mut calls, mut retries, mut walked) = (0_u64, 0_u64, 0_i64);
    for batch in run.source().table("calls").unwrap().read(&[Want::nullable("retry_of", As::Text)]).unwrap() {
        let batch = batch.unwrap();
        calls += batch.num_rows() as u64;
        retries += batch.text("retry_of").iter().flatten().count() as u64;
    }
    for batch in run.source().table("sessions").unwrap().read(&[Want::new("n_calls", As::Int)]).unwrap() {
        walked += batch.unwrap().int("n_calls").values().iter().sum::<i64>();
    }
    let statistics = &report.statistics;
    assert!(retries > 0);
    assert_eq!((report.calls, report.retries, statistics.total_calls), (calls, retries, walked as u64));
    assert_eq!(statistics.total_transitions, statistics.total_calls - statistics.total_sequences);
    assert_eq!((report.pairs, read("pairs.csv").lines().count() as u64 - 1), (statistics.total_transitions, statistics.total_transitions));
    let counted = |n: &str| -> u64 {
        let lines = read("ngrams.csv");
        let own = lines.lines().filter(|line| line.starts_with(n)).map(|line| line.rsplit(',').nth(1).unwrap().parse::<u64>().unwrap());
        own.sum()
    };
    assert_eq!(counted("2,"), statistics.total_transitions);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("statistics.json")).unwrap(), serde_json::to_value(statistics).unwrap());
}

#[test]
fn calls_of_ones_own_give_exactly_this() {
    let own = tempfile::tempdir().unwrap();
    let calls = "\
timestamp,endpoint,session_id,attempt
2026-01-01 10:00:05,/API/Users/7/?x=1,a,1
2026-01-01 10:00:00,/login,a,1
2026-01-01 10:00:06,/api/users/7,a,2
2026-01-01 10:00:09,/Logout/,a,1
2026-01-01 10:00:01,/login,b,1
2026-01-01 10:00:02,/api/users/550e8400-e29b-41d4-a716-446655440000,b,1
2026-01-01 10:00:03,/login,c,1
";
    fs::write(own.path().join("calls.csv"), calls).unwrap();
    let output = own.path().join("features");
    let mut options = Options::new(own.path(), &output);
    options.format = Format::Csv;
    options.history = 1;
    let Report::Traces(report) = compute(&options).unwrap() else { panic!("calls") };
    assert_eq!((report.calls, report.retries, report.short_sessions), (7, 1, 1));
    let read = |name: &str| fs::read_to_string(output.join(name)).unwrap();
    assert_eq!(
        read("transitions.csv"),
        "from,to,count,probability,standard_error\n/api/users/{id},/logout,1,1.0,0.0\n/login,/api/users/{id},2,1.0,0.0\n"
    );
    assert_eq!(
        read("ngrams.csv"),
        "n,ngram,count,share\n\
         2,\"[\"\"/login\"\",\"\"/api/users/{id}\"\"]\",2,0.6666666666666666\n\
         2,\"[\"\"/api/users/{id}\"\",\"\"/logout\"\"]\",1,0.3333333333333333\n\
         3,\"[\"\"/login\"\",\"\"/api/users/{id}\"\",\"\"/logout\"\"]\",1,1.0\n"
    );
    assert_eq!(
        read("pairs.csv"),
        "session_id,position,history,next\n\
         a,1,\"[\"\"/login\"\"]\",/api/users/{id}\n\
         a,2,\"[\"\"/api/users/{id}\"\"]\",/logout\n\
         b,1,\"[\"\"/login\"\"]\",/api/users/{id}\n"
    );
    let statistics = &report.statistics;
    assert_eq!((statistics.total_sequences, statistics.total_calls, statistics.total_transitions), (2, 5, 3));
    assert_eq!((statistics.min_sequence_length, statistics.max_sequence_length, statistics.avg_sequence_length), (2, 3, 2.5));
    assert_eq!(statistics.unique_endpoints, 3);

    options.overwrite = true;
    options.format = Format::Parquet;
    compute(&options).unwrap();
    let mut names: Vec<_> = fs::read_dir(&output).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ngrams.parquet", "pairs.parquet", "statistics.json", "transitions.parquet"]);
}

#[test]
fn what_has_no_features_is_refused_and_leaves_nothing() {
    let own = tempfile::tempdir().unwrap();
    let refused = |options: &Options| {
        let message = compute(options).unwrap_err().to_string();
        assert!(!own.path().join("out").exists(), "{message}: something was left");
        message
    };
    let options = Options::new(own.path(), own.path().join("out"));
    assert!(refused(&options).contains("has neither a table events nor a table calls"));
    fs::write(own.path().join("events.csv"), "event_id,user_id,event_time,event_type\n").unwrap();
    assert!(refused(&options).contains("see populace prepare churn"));
    fs::write(own.path().join("events.csv"), "recipient_id,timestamp,event_type\n").unwrap();
    assert!(refused(&options).contains("there are no events"));
    fs::write(own.path().join("events.csv"), "recipient_id,timestamp,event_type\nr,soon,sent\n").unwrap();
    assert!(refused(&options).contains("`soon` is not a timestamp"));
    assert!(refused(&Options { format: Format::Csv, ..options.clone() }).contains("fits no row of CSV"));
    fs::write(own.path().join("calls.csv"), "session_id,endpoint,timestamp\na,/x,2026-01-01 00:00:00\n").unwrap();
    assert!(refused(&options).contains("has both events and calls"));
    fs::remove_file(own.path().join("events.csv")).unwrap();
    assert!(refused(&options).contains("there is no sequence: 1 sessions have fewer than 2 calls"));
    assert!(refused(&Options { ngrams: vec![1], ..options.clone() }).contains("n must be at least 2, got 1"));
}

/// A scanner follows every link at once, and nobody who was marked for it makes a click window.
#[test]
fn opens_and_clicks_that_are_no_persons_count_for_nothing_unless_they_are_asked_for() {
    let marks = ["{\"suspected_bot\":[\"scanner_agent\"]}", "{\"suspected_bot\":true}", "{\"x\":1,\"suspected_bot\":\"machine_open\"}"];
    let people = ["{}", "{\"suspected_bot\":[]}", "{\"suspected_bot\":false}", "{\"note\":\"suspected_bot\"}"];
    for format in ["jsonl", "csv"] {
        let own = tempfile::tempdir().unwrap();
        let mut lines = Vec::new();
        for (number, metadata) in marks.iter().chain(&people).enumerate() {
            for kind in ["delivered", "opened", "clicked"] {
                lines.push(if format == "csv" {
                    format!("r,2025-10-02T10:{number:02}:00Z,{kind},\"{}\"", metadata.replace('"', "\"\""))
                } else {
                    format!("{{\"recipient_id\":\"r\",\"timestamp\":\"2025-10-02T10:{number:02}:00Z\",\"event_type\":\"{kind}\",\"metadata\":{metadata}}}")
                });
            }
        }
        if format == "csv" {
            lines.insert(0, "recipient_id,timestamp,event_type,metadata".into());
        }
        fs::write(own.path().join(format!("events.{format}")), lines.join("\n") + "\n").unwrap();
        for (include_suspected, suspected, clicks) in [(false, 6, 4), (true, 0, 7)] {
            let options = Options { include_suspected, overwrite: true, ..Options::new(own.path(), own.path().join("features")) };
            let Report::Email(report) = compute(&options).unwrap() else { panic!("events of email") };
            assert_eq!((report.events, report.suspected, report.unknown_types), (21, suspected, 0), "{format}");
            let row = &features_of(&options.output)[0];
            let count = |name: &str| row.column_by_name(name).unwrap().as_primitive::<Int32Type>().value(0);
            assert_eq!((count("clicks_30d"), count("opens_30d"), count("delivered_30d")), (clicks, clicks, 7), "{format}");
        }
    }
}
