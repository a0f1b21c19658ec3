//! Blasts and the minute of sends: what they bring forth, what they leave alone, and that no constant of theirs moves unnoticed.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Collected, all, chi_square, collect, config, fills, record_mutants, share, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{EmailConfig, EmailModel, Event, EventType, MessageTruth, Truth, Uuid};
use populace_core::scenario::Scenario;
use populace_core::stream::ActorId;
use populace_core::time::{DAY, HOUR, Instant, MINUTE, SECOND};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const USERS: u64 = 2_100;
/// The constants.
const SHARE: f64 = 0.8;
const QUEUE: f64 = 100_000.0;
const RATE: f64 = 100.0;
const DATE: &str = "2025-11-28";

fn section() -> Value {
    json!([{
        "name": "black_friday", "campaign": "promotion", "share": SHARE, "date": DATE, "hour": 9, "minute": 30, "clock": "recipients",
        "queue_length": QUEUE as u64, "rate_per_second": RATE,
    }])
}

fn with_blasts(section: Value) -> Value {
    let mut document = email();
    document["blasts"] = section;
    document
}

/// The name of a campaign of the document.
fn promotion() -> String {
    let campaigns = email()["campaigns"].as_object().unwrap().clone();
    campaigns.keys().find(|id| id.contains("promo")).or_else(|| campaigns.keys().next()).unwrap().clone()
}

/// The section of one blast, with its campaign.
fn own() -> Value {
    let mut section = section();
    section[0]["campaign"] = json!(promotion());
    section
}

struct Samples {
    model: EmailModel,
    /// Messages of the blast: the sent row, seconds in the queue, the latency's parts multiplied, and seconds to the delivery.
    blasted: Vec<(Event, f64, f64, Option<f64>)>,
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let collected = collect(&model, 7, 0..USERS);
        let mut truths: BTreeMap<Uuid, MessageTruth> = BTreeMap::new();
        for (_, truth) in &collected.truths {
            if let Truth::Message(message) = truth {
                truths.insert(message.message_id, *message);
            }
        }
        let mut blasted: BTreeMap<Uuid, (Event, f64, f64, Option<f64>)> = BTreeMap::new();
        for (_, event) in &collected.rows {
            let Some(id) = event.message_id.filter(|_| model.metadata()[usize::from(event.metadata)].contains("blast")) else { continue };
            match event.event_type {
                EventType::Sent => {
                    let truth = truths[&id];
                    blasted.insert(id, (*event, truth.latency_queue, truth.latency.iter().product(), None));
                }
                EventType::Delivered => {
                    let message = blasted.get_mut(&id).expect("a delivered follows its sent");
                    message.3 = Some(event.time.since(message.0.time) as f64 / SECOND as f64);
                }
                _ => {}
            }
        }
        Self { model, blasted: blasted.into_values().collect() }
    }
}

const LAWS: &[Law<Samples>] = &[
    ("share of recipients that a blast goes to", |samples| share("blasted", samples.blasted.len(), USERS as usize, SHARE)),
    ("a blast is sent at its moment, of its campaign, by one provider, under one subject", |samples| {
        let at: Instant = DATE.parse::<populace_core::time::Date>().unwrap().midnight().plus(9 * HOUR + 30 * MINUTE);
        let alike: BTreeSet<_> = samples.blasted.iter().map(|(sent, ..)| (sent.time.0, sent.campaign, sent.esp, sent.subject)).collect();
        let name = samples.blasted.first().map(|(sent, ..)| samples.model.campaigns()[usize::from(sent.campaign)].id.clone());
        let metadata = samples.blasted.first().map(|(sent, ..)| samples.model.metadata()[usize::from(sent.metadata)].clone());
        let is_own = name == Some(promotion()) && metadata.as_deref() == Some(r#"{"blast":"black_friday"}"#);
        all(alike.len() == 1 && alike.iter().all(|(time, ..)| *time == at.0) && is_own, || format!("{alike:?} {name:?} {metadata:?}"))
    }),
    ("places in the queue are uniform", |samples| {
        fills("seconds", samples.blasted.iter().map(|(_, queue, ..)| *queue).collect(), 0.0, QUEUE / RATE)
    }),
    ("the queue is added to the latency", |samples| {
        let far = samples.blasted.iter().find(|(_, queue, parts, latency)| latency.is_some_and(|all| (all - queue - parts).abs() > 0.002));
        all(far.is_none(), || format!("{far:?}"))
    }),
];

#[test]
fn every_law_of_blasts_holds() {
    let found = broken(&Samples::new(&with_blasts(own())), LAWS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mutants_of_blasts_are_caught() {
    let document = json!({ "blasts": own()[0] });
    let mutation = Mutation {
        document: &document,
        exceptions: &[
            ("/blasts/name", &["\"white_friday\""]),
            ("/blasts/campaign", &["\"newsletter\""]),
            ("/blasts/date", &["\"2025-11-29\""]),
            ("/blasts/clock", &[]),
        ],
        moves: |pointer, value| fifths(value, ["hour", "minute", "queue_length"].iter().any(|whole| pointer.ends_with(whole))),
        mutate: |document, pointer, moved| with(document, pointer, moved.clone()),
        sample: |document| Samples::new(&with_blasts(json!([document["blasts"]]))),
        laws: LAWS,
    };
    record_mutants("email, blasts", &mutation.table());
}

#[test]
fn the_defaults_are_those_of_the_section() {
    let own = own();
    let mut least = own[0].as_object().unwrap().clone();
    for key in ["share", "clock", "queue_length", "rate_per_second"] {
        least.remove(key);
    }
    let rows = |section: Value| collect(&model(&with_blasts(section)), 7, 0..50).rows;
    assert_eq!(rows(json!([least])), rows(own));
}

#[test]
fn without_an_audience_nothing_changes_and_a_blast_adds_its_mail() {
    let mut none = own();
    none[0]["share"] = json!(0.0);
    let (off, neutral) = (collect(&model(&email()), 7, 0..300), collect(&model(&with_blasts(none.clone())), 7, 0..300));
    // Numbers of metadata are of the document; what they stand for is not.
    let said = |of: Collected<Event, Truth>, document: &Value| -> Vec<(ActorId, Event, String)> {
        let model = model(document);
        let text = |event: &Event| model.metadata()[usize::from(event.metadata)].clone();
        of.rows.iter().map(|(actor, event)| (*actor, Event { metadata: 0, ..*event }, text(event))).collect()
    };
    assert!(said(off, &email()) == said(neutral, &with_blasts(none)));
    let off = collect(&model(&email()), 7, 0..300);
    let on = collect(&model(&with_blasts(own())), 7, 0..300);
    // What others are sent and when it arrives does not depend on it; what they make of it does, by their fatigue.
    let mail = |of: &Collected<Event, Truth>| -> Vec<Event> {
        let rows = of.rows.iter().map(|(_, event)| Event { metadata: 0, ..*event });
        rows.filter(|event| matches!(event.event_type, EventType::Sent | EventType::Delivered)).collect()
    };
    let of_others: BTreeSet<Uuid> = mail(&off).iter().map(|event| event.event_id).collect();
    let kept: Vec<Event> = mail(&on).into_iter().filter(|event| of_others.contains(&event.event_id)).collect();
    assert_eq!(kept, mail(&off));
    assert!(mail(&on).len() > kept.len() + 400);
}

#[test]
fn days_users_and_blasts_that_follow_change_nothing() {
    let document = with_blasts(own());
    let (long, short) = (model(&document), model(&with(&document, "/window/days", 60)));
    let until = long.window().begin().plus(60 * DAY);
    let before = |rows: Vec<(ActorId, Event)>| -> Vec<Event> {
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    assert_eq!(before(collect(&long, 7, 0..100).rows), before(collect(&short, 7, 0..100).rows));
    let more = model(&with(&document, "/population/users", 1_000_000));
    assert_eq!(collect(&long, 7, 0..50).rows, collect(&more, 7, 0..50).rows);
    let mut two = own();
    let mut later = two[0].clone();
    (later["name"], later["date"]) = (json!("later"), json!("2025-12-20"));
    two.as_array_mut().unwrap().insert(0, later);
    let two = model(&with_blasts(two));
    let until = "2025-12-20".parse::<populace_core::time::Date>().unwrap().midnight();
    let before = |of: &EmailModel| -> Vec<Uuid> {
        let rows = collect(of, 7, 0..50).rows;
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).map(|event| event.event_id).collect()
    };
    assert_eq!(before(&long), before(&two));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut bad = own();
    bad[0]["campaign"] = json!("none");
    bad[0]["name"] = json!("Black Friday");
    bad[0]["rate_per_second"] = json!(0.5);
    let mut twin = own()[0].clone();
    twin["date"] = json!("2031-01-01");
    bad.as_array_mut().unwrap().push(twin);
    let error = EmailModel::from_config(&config::<EmailConfig>(&with_blasts(bad))).unwrap_err().to_string();
    for problem in ["blasts.0.campaign", "blasts.0.name", "blasts.0.rate_per_second", "blasts.1.date"] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
    let twice = json!([own()[0], own()[0]]);
    let error = EmailModel::from_config(&config::<EmailConfig>(&with_blasts(twice))).unwrap_err().to_string();
    assert!(error.contains("blasts.1.name"), "{error}");
}

#[test]
fn rows_of_blasts_are_expected() {
    let mut many: Vec<Value> = Vec::new();
    for day in 1..=20 {
        let mut one = own()[0].clone();
        (one["name"], one["date"]) = (json!(format!("day_{day}")), json!(format!("2025-11-{day:02}")));
        many.push(one);
    }
    let model = model(&with_blasts(json!(many)));
    let (expected, before) = (Expectation::new(&model).total(), Expectation::new(&super::model(&email())).total());
    let users = model.config().population.users;
    assert!((expected.blasted - 20.0 * SHARE * users as f64).abs() < 1e-6 && (expected.scheduled - before.scheduled).abs() < 1e-3);
    let rows = collect(&model, 11, 0..7 * users).rows;
    for kind in [EventType::Sent, EventType::Opened, EventType::Clicked] {
        let observed = rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64 / 7.0;
        let expected = expected.of(kind);
        sum(kind.name(), observed, expected, expected / 3.0 + (0.003 * expected).powi(2)).unwrap();
    }
}

/// Scheduled sends by the minute of the hour.
fn minutes(document: &Value) -> [usize; 60] {
    let mut counts = [0; 60];
    let model = model(document);
    for (_, event) in collect(&model, 7, 0..350).rows {
        if event.event_type == EventType::Sent && event.metadata == 0 {
            counts[usize::from(event.time.minute())] += 1;
        }
    }
    counts
}

#[test]
fn sends_gather_at_quarters_where_they_are_clustered_and_stay_in_their_hours() {
    let mut document = email();
    document["send_minute"] = json!("clustered");
    let share = |minute: usize| 0.5 / 60.0 + if minute.is_multiple_of(15) { 0.125 } else { 0.0 };
    chi_square("minutes", &minutes(&document), &std::array::from_fn::<f64, 60, _>(share)).unwrap();
    assert!(chi_square("minutes", &minutes(&email()), &std::array::from_fn::<f64, 60, _>(share)).is_err());
    let hours = |document: &Value| -> Vec<(u64, i64)> {
        let rows = collect(&model(document), 7, 0..100).rows;
        let mut hours: Vec<(u64, i64)> = rows
            .iter()
            .filter(|(_, event)| event.event_type == EventType::Sent && event.metadata == 0)
            .map(|(actor, event)| (actor.0, event.time.0 / HOUR))
            .collect();
        hours.sort_unstable();
        hours
    };
    assert_eq!(hours(&document), hours(&email()));
    document["send_minute"] = json!("uniform");
    assert_eq!(collect(&model(&document), 7, 0..50).rows, collect(&model(&email()), 7, 0..50).rows);
}

#[test]
fn volumes_of_clustered_sends_are_expected() {
    let mut document = email();
    document["send_minute"] = json!("clustered");
    let model = model(&document);
    let expected = Expectation::new(&model).total();
    let rows = collect(&model, 11, 0..7 * model.config().population.users).rows;
    for kind in [EventType::Sent, EventType::Opened, EventType::Clicked] {
        let observed = rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64 / 7.0;
        sum(kind.name(), observed, expected.of(kind), expected.of(kind) / 3.0 + (0.002 * expected.of(kind)).powi(2)).unwrap();
    }
}
