//! Time zones: the table against a time-zone crate, what zones change and what they leave alone.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Collected, Verdict, all, chi_square, collect, config, mean, record_mutants, share, sum, with};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use populace_core::email::laws::Expectation;
use populace_core::email::{Clock, EmailConfig, EmailModel, Event, EventType, MessageTruth, OwnZone, Truth, UserTruth, Zone, zone_names};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Date, HOUR, Instant};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The hours of 2015 to 2037: 1970-01-01 is hour 0.
const HOURS: std::ops::Range<i64> = 394_464..596_088;

#[test]
fn every_zone_agrees_with_the_time_zone_database_at_every_hour_from_2015_to_2037() {
    for name in zone_names() {
        let ours = Zone::named(name, 2015..=2037).unwrap();
        let theirs = TimeZone::get(name).unwrap();
        for hour in HOURS {
            let at = Instant(hour * HOUR);
            let expected = theirs.to_offset(Timestamp::from_second(hour * 3_600).unwrap()).seconds() / 60;
            assert_eq!(i32::from(Clock::Zone(&ours).ahead(at)), expected, "{name} {at}");
        }
    }
}

#[test]
fn a_zone_does_not_depend_on_the_years_that_it_is_asked_for() {
    for name in zone_names() {
        let (all, some) = (Zone::named(name, 2015..=2037).unwrap(), Zone::named(name, 2021..=2023).unwrap());
        let days = Date::from_ymd(2021, 1, 1).unwrap().0..Date::from_ymd(2024, 1, 1).unwrap().0;
        for at in days.map(|day| Date(day).midnight()) {
            assert_eq!(Clock::Zone(&all).ahead(at), Clock::Zone(&some).ahead(at), "{name} {at}");
        }
    }
}

/// A day at which Europe's and one at which America's clocks were turned lie within the window, and one of Sydney's.
const START: &str = "2025-09-21";
const DAYS: u32 = 63;
const USERS: u64 = 1_400;
/// Whose zones are counted.
const MANY: u64 = 40_000;
const BERLIN: (&str, f64) = ("Europe/Berlin", 0.4);
const NEW_YORK: (&str, f64) = ("America/New_York", 0.3);
const KOLKATA: (&str, f64) = ("Asia/Kolkata", 0.2);
const SYDNEY: (&str, f64) = ("Australia/Sydney", 0.1);
const KNOWN: f64 = 0.8;
/// A zone, its share, and the hours by which its clocks are ahead of UTC, each up to a date.
type Place = (&'static str, f64, [(&'static str, i64); 2]);
/// In the order of the names.
const ZONES: [Place; 4] = [
    (NEW_YORK.0, NEW_YORK.1, [("2025-11-02", -4), ("9999-01-01", -5)]),
    (KOLKATA.0, KOLKATA.1, [("9999-01-01", 5), ("9999-01-01", 5)]),
    (SYDNEY.0, SYDNEY.1, [("2025-10-05", 10), ("9999-01-01", 11)]),
    (BERLIN.0, BERLIN.1, [("2025-10-26", 2), ("9999-01-01", 1)]),
];

fn section() -> Value {
    let zones = [BERLIN, NEW_YORK, KOLKATA, SYDNEY].map(|(name, weight)| (name.to_owned(), json!(weight)));
    json!({ "zones": Value::Object(zones.into_iter().collect()), "known_share": KNOWN })
}

fn with_zones(section: Value) -> Value {
    let mut document = with(&email(), "/window/start", START);
    document["window"]["days"] = json!(DAYS);
    document["timezones"] = section;
    document
}

fn document(clock: &str) -> Value {
    let mut document = with_zones(section());
    document["sends"]["clock"] = json!(clock);
    document
}

/// What a clock in a zone shows, worked out from the dates of the changes. Nothing is sent within half a day of one in the tests that
/// use it.
fn shown(zone: usize, at: Instant) -> Instant {
    let (name, _, [(turned, before), (_, after)]) = ZONES[zone];
    let offset = if at < turned.parse::<Date>().unwrap().midnight() { before } else { after };
    at.plus(offset * HOUR + if name == KOLKATA.0 { HOUR / 2 } else { 0 })
}

/// Whether clocks of the zone are turned within two days.
fn is_near_a_change(zone: usize, at: Instant) -> bool {
    let turned = ZONES[zone].2[0].0.parse::<Date>().unwrap().midnight();
    at.since(turned).abs() < 2 * DAY
}

struct Samples {
    model: EmailModel,
    collected: Collected<Event, Truth>,
    users: BTreeMap<u64, UserTruth>,
    /// Of many more recipients.
    zones: Vec<OwnZone>,
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let collected = collect(&model, 5, 0..USERS);
        let users = collected.truths.iter().filter_map(|(actor, truth)| match truth {
            Truth::User(user) => Some((actor.0, *user)),
            _ => None,
        });
        let key = StreamKey::root(5, EmailModel::NAME);
        let zones = (0..MANY).map(|actor| model.zone_of(key, ActorId(actor))).collect();
        Self { users: users.collect(), zones, model, collected }
    }

    /// The zone of a recipient.
    fn zone(&self, actor: ActorId) -> usize {
        usize::from(self.users[&actor.0].person.zone.zone)
    }

    /// The rows of a type, with the zones of their recipients.
    fn rows(&self, kinds: &[EventType]) -> impl Iterator<Item = (usize, Instant)> {
        let of = self.collected.rows.iter().filter(move |(_, event)| kinds.contains(&event.event_type));
        of.map(|(actor, event)| (self.zone(*actor), event.time))
    }

    fn messages(&self) -> impl Iterator<Item = (usize, &MessageTruth)> {
        self.collected.truths.iter().filter_map(|(actor, truth)| match truth {
            Truth::Message(message) => Some((self.zone(*actor), message)),
            _ => None,
        })
    }

    /// Rows by zone and, not within two days of a change of clocks, by whether before it and by an hour of the day.
    fn hours(&self, kinds: &[EventType], hour: impl Fn(usize, Instant) -> Instant) -> [[[usize; 24]; 2]; 4] {
        let mut counts = [[[0; 24]; 2]; 4];
        for (zone, at) in self.rows(kinds).filter(|(zone, at)| !is_near_a_change(*zone, *at)) {
            let turned = ZONES[zone].2[0].0.parse::<Date>().unwrap().midnight();
            counts[zone][usize::from(at > turned)][usize::from(hour(zone, at).hour())] += 1;
        }
        counts
    }
}

/// Weights of the hours of the default document.
fn weights() -> [f64; 24] {
    let weight = |hour: usize| if (6..=22).contains(&hour) { 1.0 } else { 0.15 };
    let total: f64 = (0..24).map(weight).sum();
    core::array::from_fn(|hour| weight(hour) / total)
}

/// The hours of a day are those of the document.
fn by_hours(what: &str, counts: &[[[usize; 24]; 2]; 4]) -> Verdict {
    for (zone, counts) in counts.iter().enumerate() {
        for (side, counts) in ["before", "after"].iter().zip(counts).filter(|(_, counts)| counts.iter().sum::<usize>() > 0) {
            chi_square(&format!("{what} in {} {side} the change", ZONES[zone].0), counts, &weights())?;
        }
    }
    Ok(())
}

const SENT: &[EventType] = &[EventType::Sent];
const BREAKERS: &[EventType] = &[EventType::SupportTicket, EventType::Complaint, EventType::UnsubscribeRequest];
const HOT_PATHS: &[EventType] = &[EventType::SiteVisit, EventType::ProductView, EventType::SmsClick];

const LAWS: &[Law<Samples>] = &[
    ("zones have their shares", |samples| {
        for (place, (name, weight, _)) in ZONES.iter().enumerate() {
            let found = samples.model.zones().unwrap().list().iter().position(|zone| zone.name == *name);
            all(found == Some(place), || format!("{name} is at {found:?}"))?;
            share(name, samples.zones.iter().filter(|own| usize::from(own.zone) == place).count(), samples.zones.len(), *weight)?;
        }
        Ok(())
    }),
    ("the zone of a share of recipients is known", |samples| {
        for (place, (name, ..)) in ZONES.iter().enumerate() {
            let of = || samples.zones.iter().filter(|own| usize::from(own.zone) == place);
            share(name, of().filter(|own| own.is_known).count(), of().count(), KNOWN)?;
        }
        Ok(())
    }),
    ("sends have the same hours of the local day before and after clocks are turned", |samples| {
        by_hours("sends", &samples.hours(SENT, shown))
    }),
    ("circuit breakers and hot paths have the hours of the local day", |samples| {
        by_hours("hot paths", &samples.hours(HOT_PATHS, shown))?;
        by_hours("circuit breakers", &samples.hours(BREAKERS, shown))
    }),
    ("days of the window are those of the recipient", |samples| {
        let begin = START.parse::<Date>().unwrap().midnight();
        let kinds = [SENT, BREAKERS, HOT_PATHS].concat();
        let mut counts = vec![[0; 2]; 4];
        for (zone, at) in samples.rows(&kinds) {
            let day = shown(zone, at).since(begin).div_euclid(DAY);
            all((0..i64::from(DAYS)).contains(&day), || format!("{at} in {} is on day {day}", ZONES[zone].0))?;
            counts[zone][usize::from(day == 0 || day == i64::from(DAYS) - 1)] += 1;
        }
        // Both ends have as many as other days.
        for (zone, [inner, ends]) in counts.into_iter().enumerate() {
            let p = 2.0 / f64::from(DAYS);
            let (n, what) = (inner + ends, format!("first and last day in {}", ZONES[zone].0));
            // Triggered sends make clusters of two.
            sum(&what, f64::from(ends as u32), p * n as f64, 1.3 * p * n as f64)?;
        }
        Ok(())
    }),
    ("factors are those of the local clock", |samples| {
        let shape = |message: &MessageTruth| (message.at.clock.hour(), message.at.clock.weekday());
        for (_, message) in samples.messages() {
            let commuter = usize::from(message.at.person.persona) == 0;
            let (hour, weekday) = shape(message);
            let peak = [8, 9, 17, 18].contains(&hour) && weekday < 5;
            let factor = message.factor("timing");
            all(!commuter || (factor > 1.0) == peak, || format!("{factor} of a commuter at {}", message.at.clock))?;
        }
        Ok(())
    }),
    ("a mean of timing is 1 in every zone", |samples| {
        for (zone, (name, ..)) in ZONES.iter().enumerate() {
            let factors: Vec<f64> = samples.messages().filter(|(of, _)| *of == zone).map(|(_, message)| message.factor("timing")).collect();
            let n = factors.len();
            let average = factors.iter().sum::<f64>() / n as f64;
            let deviation = (factors.iter().map(|factor| (factor - average).powi(2)).sum::<f64>() / n as f64).sqrt();
            mean(name, average, n, 1.0, deviation)?;
        }
        Ok(())
    }),
];

#[test]
fn every_law_of_zones_holds() {
    let samples = Samples::new(&document("recipient"));
    let found = broken(&samples, LAWS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mutants_of_zones_are_caught() {
    let moved = json!({ "timezones": section(), "sends": { "clock": "recipient" } });
    let mutation = Mutation {
        document: &moved,
        exceptions: &[("/timezones/known_share", &["0.64", "0.96"]), ("/sends/clock", &["\"utc\""])],
        moves: |_, value| fifths(value, false).into_iter().map(|value| json!(value.as_f64().unwrap())).collect(),
        mutate: |document, pointer, moved| with(document, pointer, moved.clone()),
        sample: |document| {
            let mut whole = with_zones(document["timezones"].clone());
            whole["sends"]["clock"] = document["sends"]["clock"].clone();
            Samples::new(&whole)
        },
        laws: LAWS,
    };
    record_mutants("email, time zones", &mutation.table());
}

/// Hours of UTC move against the local ones when clocks are turned: by one in Europe and America, by one the other way in Australia, and
/// not at all in India.
#[test]
fn hours_of_utc_shift_when_clocks_are_turned() {
    let samples = Samples::new(&document("recipient"));
    let utc = samples.hours(SENT, |_, at| at);
    for (zone, (name, _, [(_, before), (_, after)])) in ZONES.iter().enumerate().filter(|(_, (name, ..))| *name != KOLKATA.0) {
        let expected = |offset: i64| core::array::from_fn::<f64, 24, _>(|hour| weights()[(hour as i64 + offset).rem_euclid(24) as usize]);
        chi_square(name, &utc[zone][0], &expected(*before)).unwrap();
        chi_square(name, &utc[zone][1], &expected(*after)).unwrap();
        assert!(chi_square(name, &utc[zone][1], &expected(*before)).is_err(), "{name}: nothing shifts");
    }
    let kolkata: [f64; 24] = core::array::from_fn(|hour| 0.5 * (weights()[(hour + 5) % 24] + weights()[(hour + 6) % 24]));
    let both: Vec<usize> = (0..24).map(|hour| utc[1][0][hour] + utc[1][1][hour]).collect();
    chi_square(KOLKATA.0, &both, &kolkata).unwrap();
}

/// With the sender's clock sends have the hours of UTC everywhere, and what befalls a recipient those of its own day.
#[test]
fn sends_by_utc_have_its_hours_and_a_mean_of_timing_of_1_all_the_same() {
    let mut document = document("utc");
    document["minute"] = Value::Null;
    // Triggered sends are by the local day.
    document["hot_paths"]["trigger"] = Value::Null;
    let samples = Samples::new(&document);
    by_hours("sends", &samples.hours(SENT, |_, at| at)).unwrap();
    by_hours("hot paths", &samples.hours(HOT_PATHS, shown)).unwrap();
    let window = samples.model.window();
    assert!(samples.rows(&[SENT, HOT_PATHS, BREAKERS].concat()).all(|(_, at)| window.contains(at)));
    let of = |name: &str| LAWS.iter().find(|(law, _)| *law == name).unwrap().1;
    of("a mean of timing is 1 in every zone")(&samples).unwrap();
    // The truth of timing says so, too, of each offset: the mean over the hours of sends.
    let calendar = samples.model.calendar();
    let mut means: BTreeMap<(u8, i16), (f64, f64)> = BTreeMap::new();
    for row in samples.model.timing() {
        let ahead = row.ahead.expect("an offset");
        let utc = (i32::from(row.minute_of_week as i16) - i32::from(ahead)).rem_euclid(10_080);
        let weight = calendar.weight((utc / 60) as usize % 24);
        let (sum, of) = means.entry((row.persona, ahead)).or_default();
        *sum += weight * row.factor;
        *of += weight;
    }
    assert_eq!(means.values().len(), 9 * 7);
    for ((persona, ahead), (sum, of)) in means {
        assert!((sum / of - 1.0).abs() < 1e-9, "{persona} at {ahead}: {}", sum / of);
    }
}

#[test]
fn recipients_stay_and_days_stay_when_there_are_more_of_them() {
    let key = StreamKey::root(5, EmailModel::NAME);
    let begin = START.parse::<Date>().unwrap().midnight();
    for clock in ["recipient", "utc"] {
        let long = document(clock);
        let (long, short) = (model(&long), model(&with(&long, "/window/days", 30)));
        // Days end at other moments in other zones.
        let end = |actor: ActorId| {
            let zone = short.person_of(key, actor).zone.zone;
            (0..48).map(|half| begin.plus(29 * DAY + DAY / 2 + half * HOUR / 2)).find(|at| short.day_of(zone, *at).is_none()).unwrap()
        };
        let before = |model: &EmailModel| -> Vec<Event> {
            let rows = collect(model, 5, 0..100).rows.into_iter();
            rows.filter(|(actor, event)| event.time < end(*actor)).map(|(_, event)| event).collect()
        };
        let (long, short) = (before(&long), before(&short));
        assert!(long.len() > 3_000 && long == short, "{clock}: {} and {} rows", long.len(), short.len());
    }
}

/// Whoever is in UTC lives as without zones.
#[test]
fn with_utc_alone_nothing_changes() {
    let mut off = with(&email(), "/window/start", START);
    off["window"]["days"] = json!(DAYS);
    for clock in ["recipient", "utc"] {
        let mut neutral = document(clock);
        neutral["timezones"] = json!({ "zones": { "Etc/UTC": 3 } });
        let (off, neutral) = (collect(&model(&off), 7, 0..200), collect(&model(&neutral), 7, 0..200));
        assert_eq!(off.rows, neutral.rows);
        let plain = |truths: &[(ActorId, Truth)]| -> Vec<Truth> {
            let of_message = truths.iter().map(|(_, truth)| *truth).filter(|truth| matches!(truth, Truth::UserRate(_)));
            of_message.collect()
        };
        // A month more may have rates, as days of other zones end later.
        let (off, neutral) = (plain(&off.truths), plain(&neutral.truths));
        assert!(off.iter().all(|rate| neutral.contains(rate)));
    }
}

#[test]
fn rows_come_in_the_order_of_time_and_every_message_is_whole() {
    for clock in ["recipient", "utc"] {
        let collected = collect(&model(&document(clock)), 9, 0..300);
        let mut last = (ActorId(u64::MAX), Instant(0));
        for (actor, event) in &collected.rows {
            assert!(*actor != last.0 || last.1 <= event.time, "{actor:?} {}", event.time);
            last = (*actor, event.time);
        }
        let count = |kind: EventType| collected.rows.iter().filter(|(_, event)| event.event_type == kind).count();
        let messages = collected.truths.iter().filter(|(_, truth)| matches!(truth, Truth::Message(_))).count();
        assert_eq!(count(EventType::Sent), messages);
    }
}

#[test]
fn what_is_expected_with_zones_comes() {
    for clock in ["recipient", "utc"] {
        let mut document = document(clock);
        document["population"]["users"] = json!(1_400);
        let model = model(&document);
        let total = Expectation::new(&model).total();
        let collected = collect(&model, 13, 0..1_400);
        for kind in [EventType::Sent, EventType::Opened, EventType::Clicked, EventType::ProductView] {
            let observed = collected.rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64;
            // Rates differ between recipients and fatigue ties their messages: twice the variance of independent rows.
            sum(kind.name(), observed, total.of(kind), 2.0 * total.of(kind)).unwrap_or_else(|error| panic!("{clock}: {error}"));
        }
    }
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let errors = |section: Value, changes: &[(&str, Value)]| {
        let mut document = with_zones(section);
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        EmailModel::from_config(&config::<EmailConfig>(&document)).unwrap_err().to_string()
    };
    let found = errors(
        json!({ "zones": { "Europe/Belrin": 1, "Mars/Olympus": 1 }, "known_share": 1.5 }),
        &[("/timezone", json!("UTC+02:00")), ("/window/start", json!("2014-12-31"))],
    );
    for problem in ["timezones.zones.Europe/Belrin", "Europe/Berlin", "timezones.zones.Mars/Olympus", "timezones.known_share"] {
        assert!(found.contains(problem), "{problem} is not in {found}");
    }
    assert!(found.contains("timezone: is `UTC+02:00`") && found.contains("window.start: must be 2015-01-01 or later"), "{found}");
    for zones in [json!({}), json!({ "Etc/UTC": 0 }), json!({ "Etc/UTC": 1, "Asia/Tokyo": -0.5 })] {
        let found = errors(json!({ "zones": zones }), &[]);
        assert!(found.contains("timezones.zones"), "{found}");
    }
    let mut document = email();
    document["sends"]["clock"] = json!("utc");
    let found = EmailModel::from_config(&config::<EmailConfig>(&document)).unwrap_err().to_string();
    assert!(found.contains("sends.clock"), "{found}");
}
