//! Careful faults of mail.

use super::{Choice, Data, Edit, Row, edit, has, hour, mix, weekday};
use crate::verify::edits::{Text, micros, written};
use populace_core::time::{DAY, Instant, MINUTE, SECOND};
use std::collections::{BTreeMap, BTreeSet};

const CHOICES: [Choice; 10] = [
    ("opened mail", |row| has(row, "opened")),
    ("mail of 9 to 10", |row| hour(row) == 9),
    ("mail of Saturdays", |row| weekday(row) == 5),
    ("mail of one day", |row| Instant(row.at).date().to_string() == "2025-11-20"),
    ("mail of the last ten days", |row| Instant(row.at).date().to_string().as_str() >= "2025-12-31"),
    ("mail of one recipient", |row| row.who == "synth_user_01107"),
    ("mail of newsletters", |row| has(row, "newsletter")),
    ("mail of sendgrid", |row| has(row, "sendgrid")),
    ("mail of a tenth of the recipients", |row| row.who.ends_with('7')),
    ("the second half of mail", |row| Instant(row.at).date().to_string().as_str() >= "2025-11-20"),
];

/// The rows of each message: as chosen by, and their numbers from `sent` to `clicked`.
fn messages(text: &Text) -> Vec<(Row, Vec<usize>)> {
    let [id, kind, time, who, esp, campaign] =
        ["message_id", "event_type", "timestamp", "recipient_id", "esp", "campaign_id"].map(|name| text.place(name));
    let mut all: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, row) in text.rows.iter().enumerate().filter(|(_, row)| !row[id].is_empty()) {
        all.entry(row[id].clone()).or_default().push(number);
    }
    let order = ["sent", "delivered", "opened", "clicked"];
    let row = |mut rows: Vec<usize>| {
        rows.sort_by_key(|&row| order.iter().position(|kind_of| *kind_of == text.rows[row][kind]));
        let first = &text.rows[rows[0]];
        let mut tags: Vec<String> = rows.iter().map(|&row| text.rows[row][kind].clone()).collect();
        tags.extend([first[esp].clone(), first[campaign].clone()]);
        (Row { who: first[who].clone(), at: micros(&first[time]), kind: String::new(), tags }, rows)
    };
    let mut messages: Vec<_> = all.into_values().map(row).collect();
    messages.sort_by(|(a, _), (b, _)| (&a.who, a.at).cmp(&(&b.who, b.at)));
    messages
}

fn chosen(data: &Data, choice: fn(&Row) -> bool) -> Vec<Vec<usize>> {
    messages(&data.rows).into_iter().filter(|(row, _)| choice(row)).map(|(_, rows)| rows).collect()
}

/// Removes rows of messages from a step on.
fn lose(data: &mut Data, step: usize, which: impl Iterator<Item = Vec<usize>>) {
    let lost: BTreeSet<usize> = which.flat_map(|rows| rows.into_iter().skip(step)).collect();
    let mut number = 0;
    data.rows.rows.retain(|_| {
        number += 1;
        !lost.contains(&(number - 1))
    });
}

/// Moves rows of a message from a step on.
fn shift(data: &mut Data, rows: &[usize], step: usize, by: impl Fn(i64) -> i64) {
    let time = data.rows.place("timestamp");
    let Some(&first) = rows.get(step) else { return };
    let before = micros(&data.rows.rows[rows[step - 1]][time]);
    let delay = micros(&data.rows.rows[first][time]) - before;
    let moved = by(delay) / 1_000 * 1_000 - delay;
    for &row in &rows[step..] {
        let at = micros(&data.rows.rows[row][time]) + moved;
        data.rows.rows[row][time] = written(at, 'T');
    }
}

/// Ids and derived columns as the times say.
pub(super) fn repair(data: &mut Data) {
    let text = &mut data.rows;
    let [event, message, kind, time, latency, sent_at, h, m, d] =
        ["event_id", "message_id", "event_type", "timestamp", "latency_seconds", "send_time", "hour_of_day", "minute", "day_of_week"]
            .map(|name| text.place(name));
    let id_at = |id: &str, at: i64| {
        let hex = format!("{:012x}", at / 1_000);
        format!("{}-{}{}", &hex[..8], &hex[8..], &id[13..])
    };
    let mut sent: BTreeMap<String, i64> = BTreeMap::new();
    for row in text.rows.iter().filter(|row| row[kind] == "sent") {
        sent.insert(row[message].clone(), micros(&row[time]));
    }
    for row in &mut text.rows {
        let at = micros(&row[time]);
        row[event] = id_at(&row[event], at);
        let Some(&begun) = sent.get(&row[message]) else { continue };
        row[message] = id_at(&row[message], begun);
        if row[kind] == "delivered" {
            let moment = Instant(begun);
            row[latency] = format!("{}", (at - begun) as f64 / SECOND as f64);
            row[sent_at] = written(begun, 'T');
            [row[h], row[m], row[d]] = [moment.hour(), moment.minute(), moment.weekday()].map(|value| value.to_string());
        }
    }
}

pub(super) fn edits() -> Vec<Edit> {
    let mut edits = Vec::new();
    for (of, choice) in CHOICES {
        edits.push(edit(format!("{of}: always of klaviyo"), move |data| {
            let esp = data.rows.place("esp");
            chosen(data, choice).concat().into_iter().for_each(|row| data.rows.rows[row][esp] = "klaviyo".into());
        }));
        edits.push(edit(format!("{of}: always its campaign's first subject"), move |data| {
            let [subject, campaign] = ["subject", "campaign_id"].map(|name| data.rows.place(name));
            let mut first: BTreeMap<String, String> = BTreeMap::new();
            for row in data.rows.rows.iter().filter(|row| !row[subject].is_empty()) {
                let least = first.entry(row[campaign].clone()).or_insert_with(|| row[subject].clone());
                *least = least.clone().min(row[subject].clone());
            }
            for row in chosen(data, choice).concat() {
                let row = &mut data.rows.rows[row];
                row[subject] = first[&row[campaign]].clone();
            }
        }));
        edits.push(edit(format!("{of}: a third of the clicks lost"), move |data| {
            let of = chosen(data, choice).into_iter().enumerate().filter(|(n, rows)| rows.len() == 4 && n % 3 == 0);
            lose(data, 3, of.map(|(_, rows)| rows));
        }));
        edits.push(edit(format!("{of}: half of the opens lost"), move |data| {
            let of = chosen(data, choice).into_iter().enumerate().filter(|(n, _)| mix(*n as u64).is_multiple_of(2));
            lose(data, 2, of.map(|(_, rows)| rows));
        }));
        edits.push(edit(format!("{of}: half of the mail lost"), move |data| {
            let of = chosen(data, choice).into_iter().enumerate().filter(|(n, _)| mix(*n as u64).is_multiple_of(2));
            lose(data, 0, of.map(|(_, rows)| rows));
        }));
        edits.push(edit(format!("{of}: latencies × 1.4"), move |data| {
            chosen(data, choice).iter().for_each(|rows| shift(data, rows, 1, |delay| delay * 7 / 5));
        }));
        edits.push(edit(format!("{of}: sizes in the upper half of their range"), move |data| {
            let [size, campaign] = ["payload_size_bytes", "campaign_id"].map(|name| data.rows.place(name));
            let mut most: BTreeMap<String, f64> = BTreeMap::new();
            for row in data.rows.rows.iter().filter(|row| !row[size].is_empty()) {
                let greatest = most.entry(row[campaign].clone()).or_default();
                *greatest = greatest.max(row[size].parse().unwrap());
            }
            for rows in chosen(data, choice).iter().filter(|rows| rows.len() > 1) {
                let row = &mut data.rows.rows[rows[1]];
                row[size] = format!("{:.0}", 0.5 * (most[&row[campaign]] + row[size].parse::<f64>().unwrap()));
            }
        }));
        edits.push(edit(format!("{of}: opens come in half the time"), move |data| {
            chosen(data, choice).iter().for_each(|rows| shift(data, rows, 2, |delay| MINUTE + (delay - MINUTE) / 2));
        }));
    }
    let agents_by = |data: &mut Data, of: fn(&[(Row, Vec<usize>)]) -> bool| {
        let [who, agent] = ["recipient_id", "user_agent"].map(|name| data.rows.place(name));
        let mut by: BTreeMap<String, Vec<(Row, Vec<usize>)>> = BTreeMap::new();
        messages(&data.rows).into_iter().for_each(|message| by.entry(message.0.who.clone()).or_default().push(message));
        let chosen: BTreeSet<String> = by.into_iter().filter(|(_, mail)| of(mail)).map(|(who, _)| who).collect();
        let known: BTreeSet<String> = data.rows.rows.iter().map(|row| row[agent].clone()).filter(|agent| !agent.is_empty()).collect();
        let known: Vec<String> = known.into_iter().collect();
        for row in data.rows.rows.iter_mut().filter(|row| !row[agent].is_empty() && chosen.contains(&row[who])) {
            let number = known.iter().position(|agent_of| *agent_of == row[agent]).unwrap();
            row[agent] = known[number / 2].clone();
        }
    };
    edits.push(edit("user agents by the share that is opened", move |data| {
        agents_by(data, |mail| mail.iter().filter(|(row, _)| has(row, "opened")).count() * 3 > mail.len());
    }));
    edits.push(edit("user agents by how much mail there is", move |data| agents_by(data, |mail| mail.len() > 85)));
    edits.push(edit("one recipient loses all mail", |data| {
        let of = chosen(data, |row| row.who == "synth_user_01107");
        lose(data, 0, of.into_iter());
    }));
    edits.push(edit("one recipient is gone", |data| {
        let who = data.rows.place("recipient_id");
        data.rows.rows.retain(|row| row[who] != "synth_user_01107");
    }));
    edits.push(edit("all mail of one recipient is of promotions", |data| {
        let [id, name, subject, kind, url] =
            ["campaign_id", "campaign_name", "subject", "campaign_type", "click_url"].map(|name| data.rows.place(name));
        let of_promotion = |text: &Text, kind_of: &str| {
            text.rows.iter().find(|row| row[id] == "promotion" && row[text.place("event_type")] == kind_of).unwrap().clone()
        };
        let event = data.rows.place("event_type");
        let mut model: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for kind_of in ["sent", "delivered", "opened", "clicked"] {
            model.insert(kind_of.into(), of_promotion(&data.rows, kind_of));
        }
        let metadata = data.rows.place("metadata");
        for rows in chosen(data, |row| row.who == "synth_user_01107") {
            if data.rows.rows[rows[0]][metadata] != "{}" {
                continue;
            }
            for row in rows {
                let like = model[&data.rows.rows[row][event]].clone();
                for column in [id, name, subject, kind, url] {
                    data.rows.rows[row][column].clone_from(&like[column]);
                }
                let size = data.rows.place("payload_size_bytes");
                data.rows.rows[row][size].clone_from(&like[size]);
            }
        }
    }));
    for (what, later) in [("row for row", 0), ("a week later", 7 * DAY)] {
        edits.push(edit(format!("one recipient is another, {what}"), move |data| copy(data, later)));
    }
    for (what, unit, step) in
        [("sends at whole seconds", SECOND, 0), ("opens at whole seconds", SECOND, 2), ("clicks at whole minutes", MINUTE, 3)]
    {
        edits.push(edit(what, move |data| {
            let time = data.rows.place("timestamp");
            for (_, rows) in messages(&data.rows) {
                let Some(&first) = rows.get(step) else { continue };
                let at = micros(&data.rows.rows[first][time]);
                let by = at.div_euclid(unit) * unit + if step > 0 { unit } else { 0 } - at;
                for &row in &rows[step..] {
                    let at = micros(&data.rows.rows[row][time]) + by;
                    data.rows.rows[row][time] = written(at, 'T');
                }
            }
        }));
    }
    for (what, kinds) in [
        ("hot paths", ["site_visit", "product_view", "sms_click"]),
        ("circuit breakers", ["support_ticket", "complaint", "unsubscribe_request"]),
    ] {
        edits.push(edit(format!("a quarter of the {what} lost"), move |data| {
            let [kind, metadata] = ["event_type", "metadata"].map(|name| data.rows.place(name));
            let _ = metadata;
            let mut n = 0;
            data.rows.rows.retain(|row| {
                n += u64::from(kinds.contains(&row[kind].as_str()));
                !kinds.contains(&row[kind].as_str()) || n % 4 > 0
            });
        }));
    }
    edits.push(edit("opens of one day of the calendar lost", |data| {
        let time = data.rows.place("timestamp");
        let lost: Vec<Vec<usize>> = messages(&data.rows)
            .into_iter()
            .map(|(_, rows)| rows)
            .filter(|rows| rows.get(2).is_some_and(|&row| data.rows.rows[row][time].starts_with("2025-11-20")))
            .collect();
        lose(data, 2, lost.into_iter());
    }));
    edits
}

/// Makes the mail of one recipient another's.
fn copy(data: &mut Data, later: i64) {
    let columns = ["recipient_id", "universal_id", "recipient_email_hash"].map(|name| data.rows.place(name));
    let [who, event, message, time] = ["recipient_id", "event_id", "message_id", "timestamp"].map(|name| data.rows.place(name));
    let like: Vec<String> = data.rows.rows.iter().find(|row| row[who] == "synth_user_01108").unwrap().clone();
    // Of the same persona, nearly: the next but some.
    let from: Vec<Vec<String>> = data.rows.rows.iter().filter(|row| row[who] == "synth_user_01107").cloned().collect();
    data.rows.rows.retain(|row| row[who] != "synth_user_01108");
    let end = "2026-01-10";
    for mut row in from {
        columns.iter().for_each(|&column| row[column].clone_from(&like[column]));
        let at = micros(&row[time]) + later;
        row[time] = written(at, 'T');
        if later > 0 && row[time].as_str() >= end {
            continue;
        }
        for id in [event, message] {
            if !row[id].is_empty() {
                let last = row[id].pop().unwrap();
                row[id].push(if last == '0' { '1' } else { '0' });
            }
        }
        data.rows.rows.push(row);
    }
}
