//! Data with one fault: a file is edited after it was written.

use super::mutants::names;
use super::{answer, document, record};
use crate::support::Run;
use arrow_array::Array;
use populace_analysis::email::Law;
use populace_analysis::source::{As, Columns, Source, Want};
use populace_core::email::EmailModel;
use populace_core::time::{DAY, Date, HOUR, Instant, SECOND};
use populace_io::catalogue;
use std::fmt::Write;
use tempfile::TempDir;

/// A table as text.
#[derive(Clone)]
pub(super) struct Text {
    header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Text {
    pub(super) fn read(source: &Source, table: &str) -> Self {
        let table = source.table(table).unwrap();
        let is_text = table.files()[0].extension().is_some_and(|ending| ending == "csv");
        let header = table.column_names().unwrap();
        // A moment in UTC is text in a CSV file already.
        let kind = |name: &str| if MOMENTS.contains(&name) && !is_text { As::Instant } else { As::Text };
        let wants: Vec<Want> = header.iter().map(|name| Want::nullable(String::leak(name.clone()), kind(name))).collect();
        let mut rows = Vec::new();
        for batch in table.read(&wants).unwrap() {
            let batch = batch.unwrap();
            let cell = |want: &Want, row: usize| match want.kind {
                As::Instant if batch.instant(want.name).is_valid(row) => written(batch.instant(want.name).value(row), 'T'),
                As::Text if batch.text(want.name).is_valid(row) => batch.text(want.name).value(row).to_owned(),
                _ => String::new(),
            };
            rows.extend((0..batch.num_rows()).map(|row| wants.iter().map(|want| cell(want, row)).collect::<Vec<_>>()));
        }
        Self { header, rows }
    }

    pub(super) fn write(&self, path: &std::path::Path) {
        let mut writer = csv::Writer::from_path(path).unwrap();
        writer.write_record(&self.header).unwrap();
        self.rows.iter().for_each(|row| writer.write_record(row).unwrap());
        writer.flush().unwrap();
    }

    pub(super) fn place(&self, column: &str) -> usize {
        self.header.iter().position(|name| name == column).unwrap_or_else(|| panic!("there is a column {column}"))
    }

    /// The first row from the middle on in which a column has a value.
    fn find(&self, column: &str, value: &str) -> usize {
        let (place, half) = (self.place(column), self.rows.len() / 2);
        half + self.rows[half..].iter().position(|row| row[place] == value).unwrap()
    }

    /// Changes a column in the rows whose `by` is `value`; every row where `by` is empty.
    fn change(&mut self, [by, value]: [&str; 2], column: &str, with: impl Fn(&str) -> String) {
        let (column, by) = (self.place(column), (!by.is_empty()).then(|| self.place(by)));
        for row in self.rows.iter_mut().filter(|row| by.is_none_or(|by| row[by] == value)) {
            row[column] = with(&row[column]);
        }
    }
}

/// The columns that are moments.
const MOMENTS: [&str; 4] = ["timestamp", "send_time", "start", "end"];

/// A moment: with its date and its time apart by a `T` and a `Z` at the end, or by a blank and without fractions of seconds.
pub(super) fn written(microseconds: i64, apart: char) -> String {
    let moment = Instant(microseconds);
    let (clock, fraction) = (&moment.to_string()[11..19], microseconds.rem_euclid(SECOND));
    if apart == 'T' { format!("{}T{clock}.{fraction:06}Z", moment.date()) } else { format!("{} {clock}", moment.date()) }
}

/// The microseconds of a moment since 1970.
pub(super) fn micros(text: &str) -> i64 {
    let (date, clock) = text.split_at(10);
    let date: Date = date.parse().unwrap();
    let parts: Vec<f64> = clock[1..].trim_end_matches('Z').split(':').map(|part| part.parse().unwrap()).collect();
    date.midnight().0 + (((parts[0] * 60.0 + parts[1]) * 60.0 + parts[2]) * SECOND as f64).round() as i64
}

/// A moment moved by so many microseconds, in the form it has; nothing stays nothing.
fn moved(text: &str, microseconds: i64) -> String {
    if text.is_empty() {
        return String::new();
    }
    written(micros(text) + microseconds, text.as_bytes()[10].into())
}

/// A fault of the data: what it is, of which scenario, in which table, and what does it.
struct Edit {
    what: &'static str,
    scenario: &'static str,
    table: &'static str,
    apply: fn(&mut Text),
}

const EVERY: [&str; 2] = ["", ""];

const EDITS: &[Edit] = &[
    Edit { what: "an event is there twice", scenario: "email", table: "events", apply: |text| text.rows.push(text.rows[400].clone()) },
    Edit {
        what: "the delivered of an opened message is lost",
        scenario: "email",
        table: "events",
        apply: |text| {
            let (message, kind) = (text.place("message_id"), text.place("event_type"));
            let id = text.rows[text.find("event_type", "opened")][message].clone();
            text.rows.retain(|row| row[message] != id || row[kind] != "delivered");
        },
    },
    Edit {
        what: "opens and clicks come an hour later",
        scenario: "email",
        table: "events",
        apply: |text| {
            for kind in ["opened", "clicked"] {
                text.change(["event_type", kind], "timestamp", |time| moved(time, HOUR));
            }
        },
    },
    Edit {
        what: "a click comes before its open",
        scenario: "email",
        table: "events",
        apply: |text| {
            let (row, time) = (text.find("event_type", "clicked"), text.place("timestamp"));
            text.rows[row][time] = moved(&text.rows[row][time], -2 * HOUR);
        },
    },
    Edit {
        what: "latencies are whole seconds",
        scenario: "email",
        table: "events",
        apply: |text| {
            let (time, latency, sent) = (text.place("timestamp"), text.place("latency_seconds"), text.place("send_time"));
            for row in text.rows.iter_mut().filter(|row| !row[latency].is_empty()) {
                let seconds = row[latency].parse::<f64>().unwrap().round();
                row[latency] = seconds.to_string();
                row[time] = moved(&row[sent], (seconds * SECOND as f64) as i64);
            }
        },
    },
    Edit {
        what: "day_of_week begins at 1",
        scenario: "email",
        table: "events",
        apply: |text| text.change(["event_type", "delivered"], "day_of_week", |day| (day.parse::<u8>().unwrap() + 1).to_string()),
    },
    Edit {
        what: "one open inside a circuit breaker's window",
        scenario: "email",
        table: "events",
        apply: |text| {
            let (who, kind, time) = (text.place("recipient_id"), text.place("event_type"), text.place("timestamp"));
            let breaker = text.rows[text.find("event_type", "complaint")].clone();
            let open = text.rows.iter_mut().find(|row| row[who] == breaker[who] && row[kind] == "opened").unwrap();
            open[time] = moved(&breaker[time], HOUR);
        },
    },
    Edit {
        what: "all clocks are an hour ahead",
        scenario: "email",
        table: "events",
        apply: |text| {
            text.change(EVERY, "timestamp", |time| moved(time, HOUR));
            text.change(EVERY, "send_time", |time| moved(time, HOUR));
        },
    },
    Edit {
        what: "one row carries another's hash",
        scenario: "email",
        table: "events",
        apply: |text| {
            let hash = text.place("recipient_email_hash");
            text.rows[500][hash] = text.rows.last().unwrap()[hash].clone();
        },
    },
    Edit {
        what: "two recipients of unlike personas are exchanged",
        scenario: "email",
        table: "events",
        apply: |text| {
            let columns = ["recipient_id", "universal_id", "recipient_email_hash"].map(|name| text.place(name));
            let [one, other] = [unlike(0.65), unlike(0.10)].map(|id| {
                let row = text.rows.iter().find(|row| row[columns[0]] == id).unwrap();
                columns.map(|column| row[column].clone())
            });
            for row in &mut text.rows {
                let own = if row[columns[0]] == one[0] {
                    &other
                } else if row[columns[0]] == other[0] {
                    &one
                } else {
                    continue;
                };
                columns.into_iter().zip(own).for_each(|(column, value)| row[column].clone_from(value));
            }
        },
    },
    Edit {
        what: "a call goes where no transition leads",
        scenario: "traces",
        table: "calls",
        apply: |text| {
            let (row, endpoint) = (text.find("endpoint", "/api/cart/add"), text.place("endpoint"));
            text.rows[row][endpoint] = "/api/payment".into();
        },
    },
    Edit {
        what: "a retry counts as a call",
        scenario: "traces",
        table: "calls",
        apply: |text| {
            let (row, attempt, of) = (text.find("attempt", "2"), text.place("attempt"), text.place("retry_of"));
            text.rows[row][attempt] = "1".into();
            text.rows[row][of].clear();
        },
    },
    Edit {
        what: "a response is still out when the next call starts",
        scenario: "traces",
        table: "calls",
        apply: |text| {
            let (row, response) = (text.find("endpoint", "/api/cart/add"), text.place("response_time_ms"));
            text.rows[row][response] = "40000.000".into();
        },
    },
    Edit {
        what: "a user has another type in one row",
        scenario: "traces",
        table: "calls",
        apply: |text| {
            let (row, kind) = (text.find("user_type", "guest"), text.place("user_type"));
            text.rows[row + 1][kind] = "premium".into();
            text.rows[row][kind] = "free".into();
        },
    },
    Edit {
        what: "the first call of a session is refused",
        scenario: "traces",
        table: "calls",
        apply: |text| {
            let (row, status) = (text.find("endpoint", "/api/login"), text.place("status_code"));
            text.rows[row][status] = "503".into();
        },
    },
    Edit {
        what: "sessions end when their last call starts",
        scenario: "traces",
        table: "sessions",
        apply: |text| text.change(EVERY, "end", |end| moved(end, -SECOND / 10)),
    },
    Edit {
        what: "an event is lost, and its event_id is a gap",
        scenario: "churn",
        table: "events",
        apply: |text| drop(text.rows.remove(text.find("event_type", "video_watch"))),
    },
    Edit {
        what: "a charge on the eleventh day of its month",
        scenario: "churn",
        table: "events",
        apply: |text| {
            let (row, time) = (text.find("event_type", "payment_success"), text.place("event_time"));
            text.rows[row][time] = moved(&text.rows[row][time], 10 * DAY);
        },
    },
    Edit {
        what: "all clocks are three hours behind",
        scenario: "churn",
        table: "events",
        apply: |text| text.change(EVERY, "event_time", |time| moved(time, -3 * HOUR)),
    },
    Edit {
        what: "a login has a score",
        scenario: "churn",
        table: "events",
        apply: |text| {
            let (row, score) = (text.find("event_type", "login"), text.place("quiz_score"));
            text.rows[row][score] = "71.50".into();
        },
    },
    Edit {
        what: "failed charges are of nothing",
        scenario: "churn",
        table: "events",
        apply: |text| text.change(["event_type", "payment_failed"], "amount", |_| "0.00".into()),
    },
    Edit {
        what: "a free user says paid",
        scenario: "churn",
        table: "users",
        apply: |text| {
            let (row, paid) = (text.find("plan", "free"), text.place("is_paid"));
            text.rows[row][paid] = "1".into();
        },
    },
];

/// The first recipient of `email` whose persona has an open rate.
fn unlike(open_rate: f64) -> String {
    let model: EmailModel = catalogue::model(&document("email", &[])).unwrap();
    let law = Law::new(&model, Some(SEED));
    let ids = (1_000..).map(|number| format!("synth_user_{number:05}"));
    ids.into_iter().find(|id| law.persona_of(id).is_some_and(|persona| law.personas()[persona].open_rate == open_rate)).unwrap()
}

/// The seed of the data.
const SEED: u64 = 11;

/// A scenario, the tables of its data, and what is set.
type Edited = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);
const TABLES: [Edited; 3] = [
    ("email", &["events", "users"], &[("window.days", "30")]),
    ("traces", &["calls", "sessions"], &[("population.users", "300"), ("cascade_failure_rate", "0.1")]),
    ("churn", &["events", "users"], &[("population.users", "60")]),
];

#[test]
fn data_with_one_fault_fails() {
    let mut table = String::from("| scenario | fault | caught by |\n|---|---|---|\n");
    let mut survivors = Vec::new();
    for (scenario, tables, set) in TABLES {
        let run = Run::new(scenario, SEED, set);
        let source = run.source();
        // Data without a manifest is that of the document's seed.
        let mut document = document(scenario, set);
        document.seed = Some(SEED);
        let directory = TempDir::new().unwrap();
        let original: Vec<(&str, Text)> = tables.iter().map(|table| (*table, Text::read(&source, table))).collect();
        let path = |table: &str| directory.path().join(format!("{table}.csv"));
        for (table, text) in &original {
            text.write(&path(table));
        }
        // The tables as text, without an edit and without a manifest, are sound.
        let report = answer(directory.path(), &document);
        assert!(report.failed == 0, "{report}");
        for edit in EDITS.iter().filter(|edit| edit.scenario == scenario) {
            let (_, sound) = original.iter().find(|(table, _)| *table == edit.table).unwrap();
            let mut text = sound.clone();
            (edit.apply)(&mut text);
            text.write(&path(edit.table));
            let report = answer(directory.path(), &document);
            let by = names(report.failures());
            if report.failed == 0 {
                survivors.push(edit.what);
            }
            writeln!(table, "| `{scenario}` | {} | {} |", edit.what, if by.is_empty() { "**nothing**" } else { &by }).unwrap();
            sound.write(&path(edit.table));
        }
    }
    let (many, caught) = (EDITS.len(), EDITS.len() - survivors.len());
    println!("{table}{caught} of {many} caught");
    record("mutants of the data", &format!("{table}\n{caught} of {many} caught."));
    assert!(survivors.is_empty(), "not caught: {survivors:#?}");
}
