//! Careful faults of API calls.

use super::{Choice, Data, Edit, Row, edit, has, hour, mix, sort, weekday};
use crate::verify::edits::{Text, micros, written};
use populace_core::time::{DAY, Instant, SECOND};
use std::collections::{BTreeMap, BTreeSet};

const CHOICES: [Choice; 10] = [
    ("calls from 9 to 12", |row| (9..12).contains(&hour(row))),
    ("calls of Sundays", |row| weekday(row) == 6),
    ("calls of one day", |row| Instant(row.at).date().to_string() == "2026-01-20"),
    ("calls of the last three days", |row| Instant(row.at).date().to_string().as_str() >= "2026-01-28"),
    ("calls of one user", |row| row.who == "user_2"),
    ("calls of premium users", |row| has(row, "premium")),
    ("calls that browse", |row| has(row, "/api/products/browse")),
    ("calls that log in", |row| has(row, "/api/login")),
    ("calls of a tenth of the users", |row| row.who.ends_with('7')),
    ("calls of the second half of the month", |row| Instant(row.at).date().to_string().as_str() >= "2026-01-16"),
];

fn calls(data: &Data) -> Vec<Row> {
    let [who, time, kind, endpoint, attempt] =
        ["user_id", "timestamp", "user_type", "endpoint", "attempt"].map(|name| data.rows.place(name));
    let row = |row: &Vec<String>| Row {
        who: row[who].clone(),
        at: micros(&row[time]),
        kind: row[attempt].clone(),
        tags: vec![row[kind].clone(), row[endpoint].clone()],
    };
    data.rows.rows.iter().map(row).collect()
}

/// The numbers of the chosen calls: no retries.
fn chosen(data: &Data, choice: fn(&Row) -> bool) -> Vec<usize> {
    calls(data).iter().enumerate().filter(|(_, row)| row.kind == "1" && choice(row)).map(|(n, _)| n).collect()
}

/// The rows of each session, in the order of time.
fn sessions(text: &Text) -> Vec<Vec<usize>> {
    let [id, time] = ["session_id", "timestamp"].map(|name| text.place(name));
    let mut all: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (n, row) in text.rows.iter().enumerate() {
        all.entry(&row[id]).or_default().push(n);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.iter_mut().for_each(|rows| rows.sort_by_key(|&row| micros(&text.rows[row][time])));
    all.sort();
    all
}

/// The calls that no cascade can have struck.
fn early(text: &Text) -> BTreeSet<usize> {
    let attempt = text.place("attempt");
    let first = |rows: Vec<usize>| {
        let walk: Vec<usize> = rows.into_iter().filter(|&row| text.rows[row][attempt] == "1").collect();
        walk[..walk.len() / 2].to_vec()
    };
    sessions(text).into_iter().flat_map(first).collect()
}

fn lose(data: &mut Data, which: impl Fn(&Row) -> bool) {
    let all = calls(data);
    let lost: BTreeSet<String> = sessions(&data.rows)
        .into_iter()
        .filter(|rows| which(&all[rows[0]]))
        .map(|rows| data.rows.rows[rows[0]][data.rows.place("session_id")].clone())
        .collect();
    let id = data.rows.place("session_id");
    data.rows.rows.retain(|row| !lost.contains(&row[id]));
}

/// The table of sessions as the calls say.
pub(super) fn repair(data: &mut Data) {
    let [id, time, response, attempt] = ["session_id", "timestamp", "response_time_ms", "attempt"].map(|name| data.rows.place(name));
    let mut all: BTreeMap<&str, (i64, i64, usize)> = BTreeMap::new();
    for row in &data.rows.rows {
        let at = micros(&row[time]);
        let end = at + (row[response].parse::<f64>().unwrap() * 1_000.0).round() as i64;
        let session = all.entry(&row[id]).or_insert((at, end, 0));
        *session = (session.0.min(at), session.1.max(end), session.2 + usize::from(row[attempt] == "1"));
    }
    let [own, start, end, n] = ["session_id", "start", "end", "n_calls"].map(|name| data.others.place(name));
    data.others.rows.retain(|row| all.contains_key(row[own].as_str()));
    for row in &mut data.others.rows {
        let (from, to, calls) = all[row[own].as_str()];
        [row[start], row[end], row[n]] = [written(from, 'T'), written(to, 'T'), calls.to_string()];
    }
}

/// Moves the calls of sessions: `by` is the delay of a call from the one before, with what it becomes.
fn retime(text: &mut Text, which: impl Fn(usize) -> bool, by: impl Fn(i64) -> i64) {
    let time = text.place("timestamp");
    for rows in sessions(text) {
        let times: Vec<i64> = rows.iter().map(|&row| micros(&text.rows[row][time])).collect();
        let mut added = 0;
        for pair in 1..rows.len() {
            let delay = times[pair] - times[pair - 1];
            if which(rows[pair - 1]) {
                added += by(delay) - delay;
            }
            text.rows[rows[pair]][time] = written(times[pair] + added, 'T');
        }
    }
}

pub(super) fn edits() -> Vec<Edit> {
    let mut edits = Vec::new();
    for (of, choice) in CHOICES {
        edits.push(edit(format!("{of}: 400 is 200"), move |data| {
            let status = data.rows.place("status_code");
            for row in chosen(data, choice) {
                if data.rows.rows[row][status] == "400" {
                    data.rows.rows[row][status] = "200".into();
                }
            }
        }));
        edits.push(edit(format!("{of}: one in eight fails"), move |data| {
            let status = data.rows.place("status_code");
            for row in chosen(data, choice).into_iter().filter(|row| mix(*row as u64).is_multiple_of(8)) {
                if data.rows.rows[row][status] == "200" {
                    data.rows.rows[row][status] = "500".into();
                }
            }
        }));
        edits.push(edit(format!("{of}: response times × 1.2"), move |data| {
            let (response, early) = (data.rows.place("response_time_ms"), early(&data.rows));
            for row in chosen(data, choice).into_iter().filter(|row| early.contains(row)) {
                let value = &mut data.rows.rows[row][response];
                *value = format!("{:.3}", value.parse::<f64>().unwrap() * 1.2);
            }
        }));
        edits.push(edit(format!("{of}: response times of each endpoint in order"), move |data| {
            let (endpoint, early) = (data.rows.place("endpoint"), early(&data.rows));
            let mut by: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for row in chosen(data, choice).into_iter().filter(|row| early.contains(row)) {
                by.entry(data.rows.rows[row][endpoint].clone()).or_default().push(row);
            }
            by.values().for_each(|rows| sort(&mut data.rows, "response_time_ms", rows));
        }));
        edits.push(edit(format!("{of}: sizes × 1.3"), move |data| {
            let size = data.rows.place("response_size_bytes");
            for row in chosen(data, choice) {
                let value = &mut data.rows.rows[row][size];
                *value = format!("{:.0}", value.parse::<f64>().unwrap() * 1.3);
            }
        }));
        edits.push(edit(format!("{of}: always the first parameters"), move |data| {
            let (params, endpoint) = (data.rows.place("params"), data.rows.place("endpoint"));
            let mut first: BTreeMap<String, String> = BTreeMap::new();
            for row in &data.rows.rows {
                let least = first.entry(row[endpoint].clone()).or_insert_with(|| row[params].clone());
                *least = least.clone().min(row[params].clone());
            }
            let attempt = data.rows.place("attempt");
            let rows: BTreeSet<usize> = chosen(data, choice).into_iter().collect();
            let ids: BTreeSet<String> = rows.iter().map(|&row| data.rows.rows[row][data.rows.place("call_id")].clone()).collect();
            let retry_of = data.rows.place("retry_of");
            for (n, row) in data.rows.rows.iter_mut().enumerate() {
                if rows.contains(&n) || row[attempt] == "2" && ids.contains(&row[retry_of]) {
                    row[params] = first[&row[endpoint]].clone();
                }
            }
            // Where nothing is asked for, statuses change instead, so that there is something to find.
            let status = data.rows.place("status_code");
            for &row in rows.iter().take(if choice_is_of_login(choice) { usize::MAX } else { 0 }) {
                data.rows.rows[row][status] = "200".into();
            }
        }));
        edits.push(edit(format!("{of}: usual delays in the upper half"), move |data| {
            let (rows, early): (BTreeSet<usize>, _) = (chosen(data, choice).into_iter().collect(), early(&data.rows));
            retime(
                &mut data.rows,
                |row| rows.contains(&row) && early.contains(&row),
                |delay| {
                    if delay < 5 * SECOND && delay > SECOND { i64::midpoint(delay, 5 * SECOND) } else { delay }
                },
            );
        }));
        edits.push(edit(format!("{of}: half of the sessions lost"), move |data| {
            lose(data, |row| choice(row) && mix(row.at as u64).is_multiple_of(2));
        }));
    }
    edits.push(edit("errors packed into few sessions", |data| {
        let (status, early) = (data.rows.place("status_code"), early(&data.rows));
        let rows: Vec<Vec<usize>> =
            sessions(&data.rows).into_iter().map(|rows| rows.into_iter().filter(|row| early.contains(row)).collect()).collect();
        let mut errors: Vec<String> = early.iter().map(|&row| data.rows.rows[row][status].clone()).filter(|code| code != "200").collect();
        for row in rows.into_iter().filter(|rows| rows.len() > 3).chain([early.iter().copied().collect()]).flatten() {
            data.rows.rows[row][status] = errors.pop().unwrap_or_else(|| "200".into());
        }
    }));
    edits.push(edit("delays that the document has not", |data| {
        let early = early(&data.rows);
        retime(
            &mut data.rows,
            |row| early.contains(&row) && mix(row as u64).is_multiple_of(50),
            |delay| {
                if delay < 5 * SECOND && delay > SECOND { delay + 5 * SECOND } else { delay }
            },
        );
    }));
    for (what, unit) in [("seconds", SECOND), ("milliseconds", SECOND / 1_000)] {
        edits.push(edit(format!("sessions start at whole {what}"), move |data| {
            let time = data.rows.place("timestamp");
            for rows in sessions(&data.rows) {
                let begun = micros(&data.rows.rows[rows[0]][time]);
                for row in rows {
                    let at = micros(&data.rows.rows[row][time]) - begun.rem_euclid(unit);
                    data.rows.rows[row][time] = written(at, 'T');
                }
            }
        }));
    }
    edits.push(edit("response times of whole milliseconds", |data| {
        let (response, early) = (data.rows.place("response_time_ms"), early(&data.rows));
        for row in early {
            let value = &mut data.rows.rows[row][response];
            *value = format!("{:.3}", value.parse::<f64>().unwrap().ceil());
        }
    }));
    for (what, later) in [("row for row", 0), ("a day later", DAY)] {
        edits.push(edit(format!("one user is another, {what}"), move |data| {
            let [who, session, call, retry, time, kind] =
                ["user_id", "session_id", "call_id", "retry_of", "timestamp", "user_type"].map(|name| data.rows.place(name));
            let of = |id: &str| data.rows.rows.iter().filter(|row| row[who] == id).cloned().collect::<Vec<_>>();
            let (from, lost) = (of("user_2"), of("user_3"));
            let ids: BTreeSet<String> = lost.iter().map(|row| row[session].clone()).collect();
            let own = data.others.place("session_id");
            data.rows.rows.retain(|row| row[who] != "user_3");
            data.others.rows.retain(|row| !ids.contains(&row[own]));
            // Another first digit makes other ids of the same form.
            let other = |id: &str| {
                if id.is_empty() { String::new() } else { format!("{}{}", if id.starts_with('0') { '1' } else { '0' }, &id[1..]) }
            };
            for mut row in from {
                row[who] = "user_3".into();
                [session, call, retry].into_iter().for_each(|column| row[column] = other(&row[column]));
                row[time] = written(micros(&row[time]) + later, 'T');
                row[kind] = data.rows.rows.iter().find(|known| known[who] == "user_2").unwrap()[kind].clone();
                data.rows.rows.push(row);
            }
            let columns = data.others.place("user_id");
            let copies: Vec<Vec<String>> = data.others.rows.iter().filter(|row| row[columns] == "user_2").cloned().collect();
            for mut row in copies {
                row[own] = other(&row[own]);
                row[columns] = "user_3".into();
                data.others.rows.push(row);
            }
        }));
    }
    edits.push(edit("one user has no more sessions", |data| lose(data, |row| row.who == "user_2")));
    edits.push(edit("premium users never begin by browsing", |data| {
        lose(data, |row| has(row, "premium") && has(row, "/api/products/browse"));
    }));
    edits.push(edit("sessions of the night that search lost", |data| {
        lose(data, |row| hour(row) < 8 && has(row, "/api/products/search"));
    }));
    edits.push(edit("user types by how many sessions there are", |data| {
        let [who, kind] = ["user_id", "user_type"].map(|name| data.rows.place(name));
        let [of, own] = ["user_id", "user_type"].map(|name| data.others.place(name));
        let mut many: BTreeMap<String, usize> = BTreeMap::new();
        data.others.rows.iter().for_each(|row| *many.entry(row[of].clone()).or_default() += 1);
        let moved = |id: &str, kind: &str| if kind == "guest" && many[id] > 3 { "free".to_owned() } else { kind.to_owned() };
        data.rows.rows.iter_mut().for_each(|row| row[kind] = moved(&row[who], &row[kind]));
        data.others.rows.iter_mut().for_each(|row| row[own] = moved(&row[of], &row[own]));
    }));
    edits
}

fn choice_is_of_login(choice: fn(&Row) -> bool) -> bool {
    let row = |tag: &str| Row { who: String::new(), at: 0, kind: String::new(), tags: vec![tag.into()] };
    choice(&row("/api/login")) && !choice(&row("/api/products/browse"))
}
