//! The calendar of seasons: what a year of mail shows of it, worked out from the events and dates alone.

use super::laws::{all, calibrated, sum};
use super::samples::{Message, Samples};
use super::{email, model};
use crate::mutation::{Law, broken};
use crate::support::{Verdict, collect, record_mutants, with};
use populace_core::email::{EmailModel, Event, EventType, MessageTruth, Truth};
use populace_core::time::{DAY, Date};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Whom a rule is held against: twelve rounds of the table of personas.
const USERS: u64 = 4_200;

/// The seasons of the profile `calendar`, and clicks of its Fridays.
pub(super) fn calendar() -> Value {
    let yaml = populace_core::email::DOCUMENTS[0].1;
    let document: Value = serde_saphyr::from_str(yaml).expect("a built-in document is valid YAML");
    let mut calendar = document["profiles"]["calendar"]["calendar"].clone();
    calendar[1]["click"] = json!(1.2);
    calendar
}

/// The document with seasons, from August to the second week of January.
fn document() -> Value {
    document_of("2025-07-28", 168)
}

fn document_of(start: &str, days: u32) -> Value {
    let mut document = with(&email(), "/window/start", start);
    document["window"]["days"] = json!(days);
    document["calendar"] = calendar();
    document
}

/// A season's number, its factors of volume, opens (before they are divided by their mean over the year) and clicks.
fn season(date: Date) -> (usize, f64, f64, f64) {
    // Thanksgiving, the fourth Thursday of November.
    let thanksgiving = |year| if year == 2025 { 27 } else { 26 };
    let (year, month, day) = date.ymd();
    let after = date.0 - Date::from_ymd(year, 11, thanksgiving(year)).unwrap().0;
    match (after, month, day) {
        (-2..=0, ..) => (1, 1.15, 0.951, 1.0),
        (1, ..) => (2, 1.33, 0.951, 1.2),
        (2..=3, ..) => (3, 1.15, 0.951, 1.0),
        (4, ..) => (4, 1.33, 0.951, 1.0),
        (_, 12, 24..=26) => (5, 0.6, 0.85, 1.0),
        (_, 1, 1) => (6, 0.6, 0.85, 1.0),
        (_, 8, _) => (7, 1.0, 0.95, 1.0),
        _ => (0, 1.0, 1.0, 1.0),
    }
}

/// The factor of opens.
fn open_factor(date: Date) -> f64 {
    let year = date.ymd().0;
    let days = (0..365).map(|day| season(Date::from_ymd(year, 1, 1).unwrap().plus(day)));
    let (sent, opened) = days.fold((0.0, 0.0), |(sent, opened), (_, volume, open, _)| (sent + volume, opened + volume * open));
    season(date).2 * sent / opened
}

/// When a message's open is decided; the recipients' clock is UTC.
fn date(message: &Message) -> Date {
    message.decided_at(false).date()
}

fn sends(samples: &Samples) -> Verdict {
    let window = samples.model.config().window;
    let mut counts: BTreeMap<i32, f64> = (0..window.days as i32).map(|day| (window.start.0 + day, 0.0)).collect();
    for message in samples.scheduled() {
        *counts.get_mut(&message.sent.time.date().0).ok_or("a send outside of the window")? += 1.0;
    }
    // The days of each season, and each day by itself.
    let mut seasons: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    let mut verdicts = Vec::new();
    for (day, count) in counts {
        let (of, volume, ..) = season(Date(day));
        let expected = 0.8 * volume * samples.users.len() as f64;
        let (observed, sum_of) = seasons.entry(of).or_default();
        *observed += count;
        *sum_of += expected;
        verdicts.push(sum(&format!("sends on {}", Date(day)), count, expected, expected));
    }
    let of_seasons =
        seasons.into_iter().map(|(of, (observed, expected))| sum(&format!("sends, season {of}"), observed, expected, expected));
    all(verdicts.into_iter().chain(of_seasons))
}

fn opens(samples: &Samples) -> Verdict {
    let factors: BTreeMap<i32, f64> = samples.free().map(|message| date(message).0).map(|day| (day, open_factor(Date(day)))).collect();
    let opened = |message: &Message| {
        let day = date(message);
        // The days of each season, week by week.
        let week = (day.0 - Date::from_ymd(2025, 7, 28).unwrap().0) / 7;
        (8 * week as usize + season(day).0, message.opened.is_some(), (message.p_open * factors[&day.0]).min(0.98))
    };
    // What was capped without its season may have room with it.
    calibrated("opens by season", samples.free().filter(|message| message.p_open < 0.97).map(opened))
}

fn clicks(samples: &Samples) -> Verdict {
    let clicked = |message: &Message| {
        let (of, _, _, factor) = season(date(message));
        let persona = samples.persona(message);
        (of, message.clicked.is_some(), persona.click / persona.open * factor)
    };
    calibrated("clicks by season", samples.free().filter(|message| message.opened.is_some()).map(clicked))
}

/// The factors of the truth are those of the dates, and multiply to the probabilities.
fn truth(samples: &Samples) -> Verdict {
    let seasons = samples.model.effects().season().ok_or("there are no seasons")?;
    let mut factors: BTreeMap<i32, f64> = BTreeMap::new();
    for truth in &samples.truths {
        let day = truth.at.clock.date();
        let expected = *factors.entry(day.0).or_insert_with(|| open_factor(day));
        let product = truth.open_rate * truth.factors.iter().product::<f64>() * truth.cap;
        let p_click = truth.click_rate / truth.open_rate * season(day).3;
        let sound = (truth.factor("season") - expected).abs() < 1e-12
            && (seasons.day(day).click - season(day).3).abs() < 1e-12
            && truth.p_open.is_none_or(|p| truth.at.suppressed || (p - product).abs() < 1e-12)
            && truth.p_click.is_none_or(|p| (p - p_click.min(1.0)).abs() < 1e-12);
        if !sound {
            return Err(format!("{truth:?} on {day}, expected {expected}"));
        }
    }
    Ok(())
}

const RULES: &[Law<Samples>] = &[("sends by season", sends), ("opens by season", opens), ("clicks by season", clicks)];

#[test]
fn a_year_shows_its_seasons() {
    let samples = Samples::new(&document(), 0..USERS, None);
    let found = broken(&samples, RULES.iter().chain(&[("truth of seasons", truth as fn(&Samples) -> Verdict)]));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn seasons_that_are_moved_are_caught() {
    let moved = [
        ("", json!([])),
        ("/0/volume", json!(1.38)),
        ("/0/days", json!(2)),
        ("/0/when/nth/n", json!(3)),
        ("/0/when/nth/plus_days", json!(-1)),
        ("/1/volume", json!(1.064)),
        ("/1/click", json!(0.96)),
        ("/1/when/nth/weekday", json!("fri")),
        ("/2/open", json!(1.1412)),
        ("/3/volume", json!(1.596)),
        ("/4/volume", json!(0.72)),
        ("/4/open", json!(0.68)),
        ("/4/when/date", json!("12-25")),
        ("/5/open", json!(1.02)),
        ("/6/open", json!(0.76)),
        ("/6/days", json!(24)),
    ];
    let mut table = String::from("| constant | is | moved to | caught by |\n|---|---|---|---|\n");
    for (pointer, value) in moved {
        let pointer = format!("/calendar{pointer}");
        // As much of the year as has the season.
        let document = if pointer.starts_with("/calendar/6") { document_of("2025-07-28", 42) } else { document_of("2025-11-20", 45) };
        let is = document.pointer(&pointer).unwrap().clone();
        let is = if is.is_array() { "that of the profile".to_owned() } else { is.to_string() };
        let samples = Samples::new(&with(&document, &pointer, value.clone()), 0..USERS, None);
        let caught: Vec<&str> = broken(&samples, RULES).into_iter().map(|(rule, _)| rule).collect();
        assert!(!caught.is_empty(), "{pointer} = {value}");
        writeln!(table, "| `{}` | {is} | {value} | {} |", pointer[1..].replace('/', "."), caught.join("; ")).unwrap();
    }
    record_mutants("email, with seasons", &table);
}

fn simulated(model: &EmailModel, actors: u64) -> (Vec<Event>, Vec<MessageTruth>) {
    let collected = collect(model, 42, 0..actors);
    let message = |(_, truth): &(_, Truth)| if let Truth::Message(message) = truth { Some(*message) } else { None };
    (collected.rows.into_iter().map(|(_, event)| event).collect(), collected.truths.iter().filter_map(message).collect())
}

#[test]
fn seasons_without_effect_change_nothing() {
    let plain = simulated(&model(&email()), 60);
    for calendar in [json!([]), json!([{"name": "a", "when": {"date": "12-01"}, "days": 31}, {"name": "b", "when": {"easter": 0}}])] {
        let mut document = email();
        document["calendar"] = calendar;
        assert_eq!(simulated(&model(&document), 60), plain);
    }
}

#[test]
fn days_with_seasons_do_not_depend_on_how_many_follow() {
    let (_, long) = simulated(&model(&document()), 30);
    for days in [1, 40, 120, 150, 160] {
        let (events, short) = simulated(&model(&with(&document(), "/window/days", days)), 30);
        let end = Date::from_ymd(2025, 7, 28).unwrap().midnight().plus(days * DAY);
        let within: Vec<_> = long.iter().filter(|truth| (truth.message_id.to_u128() >> 80) as i64 * 1_000 < end.0).copied().collect();
        // Whether an open was dropped may rest on a circuit breaker of a later day.
        let told = |truths: &[MessageTruth]| {
            truths.iter().map(|truth| MessageTruth { dropped_reason: None, human_opened_at: None, ..*truth }).collect::<Vec<_>>()
        };
        assert_eq!(told(&short), told(&within), "{days} days");
        assert!(events.iter().filter(|event| event.event_type == EventType::Sent).count() == short.len());
    }
}

/// The volumes of a day are drawn by the words that the day has without them: more is more of the same.
#[test]
fn a_day_of_more_mail_keeps_the_mail_there_was() {
    let sent = |model: &EmailModel| -> std::collections::BTreeSet<u128> {
        simulated(model, 200).0.iter().filter(|event| event.event_type == EventType::Sent).map(|event| event.event_id.to_u128()).collect()
    };
    let mut more = email();
    more["calendar"] = json!([{"name": "cyber monday", "when": {"date": "12-01"}, "volume": 1.5}]);
    let (plain, more) = (sent(&model(&email())), sent(&model(&more)));
    assert!(plain.is_subset(&more) && more.len() > plain.len() + 40, "{} {}", plain.len(), more.len());
}

#[test]
fn the_days_of_seasons_are_those_of_the_almanac() {
    // Good Friday, Easter and Pentecost; the fifth Sunday of a month and leap days, which years may lack.
    let mut document = email();
    document["window"] = json!({"start": "2023-12-31", "days": 1_100});
    document["calendar"] = json!([
        {"name": "good friday", "when": {"easter": -2}},
        {"name": "easter", "when": {"easter": 0}, "days": 2},
        {"name": "pentecost", "when": {"easter": 49}},
        {"name": "fifth", "when": {"nth": {"month": 2, "weekday": "thu", "n": 5}}},
        {"name": "leap day", "when": {"date": "02-29"}},
        {"name": "memorial", "when": {"nth": {"month": 6, "weekday": "mon", "n": 1, "plus_days": -7}}},
        {"name": "turn", "when": {"date": "12-30"}, "days": 4},
    ]);
    let model = model(&document);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (date, day) in model.effects().season().unwrap().days() {
        for name in day.names.split(", ").filter(|name| !name.is_empty()) {
            found.entry(name.to_owned()).or_default().push(date.to_string());
        }
    }
    assert_eq!(found["good friday"], ["2024-03-29", "2025-04-18", "2026-04-03"]);
    assert_eq!(found["easter"], ["2024-03-31", "2024-04-01", "2025-04-20", "2025-04-21", "2026-04-05", "2026-04-06"]);
    assert_eq!(found["pentecost"], ["2024-05-19", "2025-06-08", "2026-05-24"]);
    assert_eq!(found["fifth"], ["2024-02-29"]);
    assert_eq!(found["leap day"], ["2024-02-29"]);
    assert_eq!(found["memorial"], ["2024-05-27", "2025-05-26", "2026-05-25"]);
    assert_eq!(found["turn"][..6], ["2023-12-31", "2024-01-01", "2024-01-02", "2024-12-30", "2024-12-31", "2025-01-01"]);
}

#[test]
fn factors_of_seasons_that_overlap_multiply_and_have_a_mean_of_1() {
    let mut document = email();
    document["window"] = json!({"start": "2024-01-01", "days": 366});
    document["calendar"] = json!([
        {"name": "spring", "when": {"date": "03-01"}, "days": 92, "volume": 1.5, "open": 0.8},
        {"name": "easter", "when": {"easter": -2}, "days": 4, "volume": 0.5, "open": 1.5, "click": 1.1},
    ]);
    let model = model(&document);
    let season = model.effects().season().unwrap();
    let day = |month, day| season.day(Date::from_ymd(2024, month, day).unwrap()).into_owned();
    assert_eq!(day(3, 30).names, "spring, easter");
    assert!((day(3, 30).volume - 0.75).abs() < 1e-12 && (day(3, 30).open / day(1, 9).open - 1.2).abs() < 1e-12);
    let of_year = season.days().filter(|(date, _)| date.ymd().0 == 2024);
    let (sent, opened) = of_year.fold((0.0, 0.0), |(sent, opened), (_, day)| (sent + day.volume, opened + day.volume * day.open));
    assert!((opened / sent - 1.0).abs() < 1e-12, "{}", opened / sent);
    // A date of another year has the factors that it would have in a run of its own.
    let other = season.day(Date::from_ymd(2031, 4, 13).unwrap());
    assert_eq!((other.names.as_str(), other.click), ("spring, easter", 1.1));
}
