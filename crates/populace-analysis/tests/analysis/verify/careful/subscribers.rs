//! Careful faults of subscribers.

use super::{Choice, Data, Edit, Row, edit, has, hour, mix, sort, weekday};
use crate::verify::edits::{Text, micros, written};
use populace_core::time::{DAY, Date, Instant, MINUTE, SECOND};
use std::collections::{BTreeMap, BTreeSet};

const CHOICES: [Choice; 9] = [
    ("events from 9 to 12", |row| (9..12).contains(&hour(row))),
    ("events of Sundays", |row| weekday(row) == 6),
    ("events of one day", |row| Instant(row.at).date().to_string() == "2025-01-20"),
    ("events of the last ten days", |row| Instant(row.at).date().to_string().as_str() >= "2025-04-21"),
    ("events after the first month", |row| Instant(row.at).date().to_string().as_str() >= "2025-02-01"),
    ("events of one user", |row| row.who == "24"),
    ("events of paying users", |row| has(row, "paid")),
    ("events of the more engaged", |row| has(row, "engaged")),
    ("events of users of one country", |row| has(row, "US")),
];

fn events(data: &Data) -> Vec<Row> {
    let [id, plan, country, engagement] = ["user_id", "plan", "country", "engagement_score"].map(|name| data.others.place(name));
    let tags = |row: &Vec<String>| {
        let engaged = row[engagement].parse::<f64>().unwrap() > 0.5;
        vec![row[plan].clone(), row[country].clone(), if engaged { "engaged" } else { "other" }.to_owned()]
    };
    let users: BTreeMap<&str, Vec<String>> = data.others.rows.iter().map(|row| (row[id].as_str(), tags(row))).collect();
    let [who, time, kind] = ["user_id", "event_time", "event_type"].map(|name| data.rows.place(name));
    let row = |row: &Vec<String>| Row {
        who: row[who].clone(),
        at: micros(&row[time]),
        kind: row[kind].clone(),
        tags: users[row[who].as_str()].clone(),
    };
    data.rows.rows.iter().map(row).collect()
}

/// The numbers of the chosen rows of a type; every type where it is empty.
fn chosen(data: &Data, kind: &str, choice: fn(&Row) -> bool) -> Vec<usize> {
    events(data).iter().enumerate().filter(|(_, row)| (kind.is_empty() || row.kind == kind) && choice(row)).map(|(n, _)| n).collect()
}

fn lose(text: &mut Text, lost: impl IntoIterator<Item = usize>) {
    let lost: BTreeSet<usize> = lost.into_iter().collect();
    let mut number = 0;
    text.rows.retain(|_| {
        number += 1;
        !lost.contains(&(number - 1))
    });
}

fn half(rows: Vec<usize>) -> impl Iterator<Item = usize> {
    rows.into_iter().filter(|row| mix(*row as u64).is_multiple_of(2))
}

/// The rows of the sessions of the chosen days: logins and what follows them.
fn of_days(data: &Data, days: impl Fn(&str, i64) -> bool) -> Vec<usize> {
    const SESSION: [&str; 4] = ["login", "course_enroll", "video_watch", "quiz_attempt"];
    let is_in = |row: &Row| SESSION.contains(&row.kind.as_str()) && days(&row.who, row.at.div_euclid(DAY));
    events(data).iter().enumerate().filter(|(_, row)| is_in(row)).map(|(n, _)| n).collect()
}

/// A column of users to its first value, where it is another, in half of the chosen users.
fn users(data: &mut Data, column: &str, choice: impl Fn(&[String], &Text) -> bool) {
    let place = data.others.place(column);
    let first = data.others.rows.iter().map(|row| row[place].clone()).min().unwrap();
    let text = data.others.clone();
    for (n, row) in data.others.rows.iter_mut().enumerate() {
        if choice(row, &text) && mix(n as u64).is_multiple_of(2) {
            row[place].clone_from(&first);
        }
    }
}

/// Ids by a user's own order.
pub(super) fn repair(data: &mut Data) {
    let [id, who, time] = ["event_id", "user_id", "event_time"].map(|name| data.rows.place(name));
    data.rows.rows.sort_by(|a, b| (a[who].parse::<u64>().unwrap(), &a[time]).cmp(&(b[who].parse::<u64>().unwrap(), &b[time])));
    let (mut before, mut own) = (String::new(), 0);
    for row in &mut data.rows.rows {
        own = if row[who] == before { own + 1 } else { 1 };
        before.clone_from(&row[who]);
        row[id] = ((row[who].parse::<u64>().unwrap() - 1) * 1_000_000 + own).to_string();
    }
}

/// What there is of each user's `column`, by how many logins there are.
fn logins(data: &Data) -> BTreeMap<String, usize> {
    let mut logins = BTreeMap::new();
    for row in events(data).into_iter().filter(|row| row.kind == "login") {
        *logins.entry(row.who).or_default() += 1;
    }
    logins
}

pub(super) fn edits() -> Vec<Edit> {
    let mut edits = Vec::new();
    for (of, choice) in CHOICES {
        edits.push(edit(format!("{of}: courses of k8s-mastery, if of argo-cd"), move |data| {
            let course = data.rows.place("course_id");
            for row in chosen(data, "", choice) {
                if data.rows.rows[row][course] == "argo-cd" {
                    data.rows.rows[row][course] = "k8s-mastery".into();
                }
            }
        }));
        for kind in ["video_watch", "quiz_attempt", "course_enroll", "support_ticket"] {
            edits.push(edit(format!("{of}: half of {kind} lost"), move |data| {
                let rows = chosen(data, kind, choice);
                lose(&mut data.rows, half(rows));
            }));
        }
        for (kind, column) in [("video_watch", "watch_minutes"), ("quiz_attempt", "quiz_score")] {
            edits.push(edit(format!("{of}: {column} × 1.1"), move |data| {
                let place = data.rows.place(column);
                for row in chosen(data, kind, choice) {
                    let value = &mut data.rows.rows[row][place];
                    *value = format!("{:.2}", (value.parse::<f64>().unwrap() * 1.1).min(100.0));
                }
            }));
            edits.push(edit(format!("{of}: {column} in order"), move |data| {
                let rows = chosen(data, kind, choice);
                sort(&mut data.rows, column, &rows);
            }));
        }
        edits.push(edit(format!("{of}: half of the active days lost"), move |data| {
            let rows = chosen(data, "login", choice);
            let all = events(data);
            let days: BTreeSet<(String, i64)> = rows.iter().map(|&row| (all[row].who.clone(), all[row].at.div_euclid(DAY))).collect();
            let is_lost = |who: &str, day: i64| {
                mix(day as u64 ^ mix(who.parse().unwrap())).is_multiple_of(2) && days.contains(&(who.to_owned(), day))
            };
            let rows = of_days(data, is_lost);
            lose(&mut data.rows, rows);
        }));
    }
    for column in ["country", "marketing_source", "signup_date"] {
        edits.push(edit(format!("{column} by engagement"), move |data| {
            users(data, column, |row, text| row[text.place("engagement_score")].parse::<f64>().unwrap() > 0.5);
        }));
        edits.push(edit(format!("{column} by plan"), move |data| users(data, column, |row, text| row[text.place("plan")] == "paid")));
    }
    edits.push(edit("countries by how many logins there are", |data| {
        let logins = logins(data);
        users(data, "country", |row, text| logins.get(&row[text.place("user_id")]).is_some_and(|many| *many > 120));
    }));
    edits.push(edit("tickets on active days only", |data| {
        let all = events(data);
        let active: BTreeSet<(&str, i64)> =
            all.iter().filter(|row| row.kind == "login").map(|row| (row.who.as_str(), row.at.div_euclid(DAY))).collect();
        let quiet = |row: &Row| row.kind == "support_ticket" && !active.contains(&(row.who.as_str(), row.at.div_euclid(DAY)));
        let moved: Vec<usize> = all.iter().enumerate().filter(|(_, row)| quiet(row)).map(|(n, _)| n).collect();
        let time = data.rows.place("event_time");
        let mut taken = BTreeSet::new();
        for row in moved {
            let day = all[row].at.div_euclid(DAY);
            let near = (1..9)
                .flat_map(|off| [day - off, day + off])
                .find(|day| active.contains(&(all[row].who.as_str(), *day)) && taken.insert((all[row].who.clone(), *day)));
            if let Some(near) = near {
                let mark = if data.rows.rows[row][time].contains('T') { 'T' } else { ' ' };
                data.rows.rows[row][time] = written(near * DAY + all[row].at.rem_euclid(DAY), mark);
            }
        }
    }));
    for (what, kind, unit) in [("logins", "login", MINUTE), ("tickets", "support_ticket", MINUTE)] {
        edits.push(edit(format!("{what} at whole minutes"), move |data| {
            let time = data.rows.place("event_time");
            let whole: BTreeSet<usize> = chosen(data, kind, |_| true).into_iter().collect();
            for (n, row) in data.rows.rows.iter_mut().enumerate().filter(|(n, _)| whole.contains(n)) {
                let _ = n;
                let mark = row[time].as_bytes()[10].into();
                row[time] = written(micros(&row[time]).div_euclid(unit) * unit, mark);
            }
        }));
    }
    for (kind, column) in [("video_watch", "watch_minutes"), ("quiz_attempt", "quiz_score")] {
        edits.push(edit(format!("{column} whole"), move |data| {
            let place = data.rows.place(column);
            for row in chosen(data, kind, |_| true) {
                let value = &mut data.rows.rows[row][place];
                *value = format!("{:.2}", value.parse::<f64>().unwrap().round());
            }
        }));
    }
    for (what, later) in [("row for row", 0), ("a day later", 1)] {
        edits.push(edit(format!("one user is another, {what}"), move |data| {
            let [who, time] = ["user_id", "event_time"].map(|name| data.rows.place(name));
            let row_of = |data: &Data, id: &str| data.others.rows.iter().position(|row| row[data.others.place("user_id")] == id).unwrap();
            let (from, to) = (row_of(data, "24"), row_of(data, "25"));
            let id = data.others.place("user_id");
            let mut like = data.others.rows[from].clone();
            like[id] = "25".into();
            data.others.rows[to] = like;
            data.rows.rows.retain(|row| row[who] != "25");
            let mut copies: Vec<Vec<String>> =
                data.rows.rows.iter().filter(|row| row[who] == "24" && row[data.rows.place("amount")].is_empty()).cloned().collect();
            let last = "2025-04-30".parse::<Date>().unwrap().midnight().0;
            for row in &mut copies {
                row[who] = "25".into();
                let mark = row[time].as_bytes()[10].into();
                row[time] = written(micros(&row[time]) + later * DAY, mark);
            }
            copies.retain(|row| micros(&row[time]) < last + SECOND * 86_400);
            data.rows.rows.extend(copies);
        }));
    }
    edits.push(edit("one user loses all events", |data| {
        let rows = chosen(data, "", |row| row.who == "24");
        lose(&mut data.rows, rows);
    }));
    edits.push(edit("the last day lost", |data| {
        let rows = chosen(data, "", |row| Instant(row.at).date().to_string() == "2025-04-30");
        lose(&mut data.rows, rows);
    }));
    edits
}
