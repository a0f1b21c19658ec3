//! Opens by machines: what they add, what they leave alone, and that no constant of theirs moves unnoticed.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Collected, all, chi_square, collect, config, mean, record_mutants, scaled, share, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{Agent, EmailConfig, EmailModel, Event, EventType, MessageTruth, Truth, Uuid};
use populace_core::math;
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, HOUR, Instant, MINUTE};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const USERS: u64 = 2_100;
/// The constants, as the specification has them.
const SHARE: f64 = 0.3;
const PROBABILITY: f64 = 0.95;
const SOON: f64 = 0.05;
const MEDIAN: f64 = 3.0;
const SIGMA: f64 = 1.5;
const NIGHT: [u8; 8] = [22, 23, 0, 1, 2, 3, 4, 5];

fn section() -> Value {
    json!({
        "user_share": SHARE, "probability": PROBABILITY, "soon_share": SOON, "soon_median_minutes": MEDIAN, "soon_sigma": SIGMA,
        "night_begins": 22, "night_ends": 6, "user_agent": "Mozilla/5.0", "flagged_by": ["sendgrid"],
    })
}

fn with_machines(document: &Value, section: Value) -> Value {
    let mut document = document.clone();
    document["machine_opens"] = section;
    document
}

/// A message whose recipient has a client that opens ahead.
struct Ahead {
    delivered: Instant,
    row: Option<Instant>,
    human: Option<Instant>,
}

struct Samples {
    model: EmailModel,
    collected: Collected<Event, Truth>,
    /// Recipients with five delivered messages or more, and those of them with a row of a machine's client.
    recipients: [usize; 2],
    ahead: Vec<Ahead>,
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let collected = collect(&model, 7, 0..USERS);
        let agent = model.user_agents().len() as u8 - 1;
        let mut by_recipient: BTreeMap<u64, BTreeMap<Uuid, Ahead>> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (actor, event) in &collected.rows {
            let Some(id) = event.message_id else { continue };
            let messages = by_recipient.entry(actor.0).or_default();
            match event.event_type {
                EventType::Delivered => {
                    messages.insert(id, Ahead { delivered: event.time, row: None, human: None });
                }
                EventType::Opened if event.client.is_some_and(|client| client.user_agent == agent) => {
                    known.insert(actor.0);
                    messages.get_mut(&id).expect("opens follow deliveries").row = Some(event.time);
                }
                _ => {}
            }
        }
        for (actor, truth) in &collected.truths {
            if let Truth::Message(MessageTruth { message_id, human_opened_at, p_open: Some(_), .. }) = truth {
                let message = by_recipient.get_mut(&actor.0).and_then(|of| of.get_mut(message_id));
                message.expect("what was delivered has its row").human = *human_opened_at;
            }
        }
        let many = by_recipient.iter().filter(|(_, messages)| messages.len() >= 5);
        let recipients = [many.clone().count(), many.filter(|(actor, _)| known.contains(actor)).count()];
        by_recipient.retain(|actor, _| known.contains(actor));
        let ahead = by_recipient.into_values().flat_map(BTreeMap::into_values).collect();
        Self { model, collected, recipients, ahead }
    }

    /// Messages that machines alone opened, with the hour of the delivery.
    fn fetched(&self) -> impl Iterator<Item = (&Ahead, Instant)> {
        self.ahead.iter().filter(|message| message.human.is_none()).filter_map(|message| Some((message, message.row?)))
    }

    /// As [`fetched`](Self::fetched), of messages delivered between 6:00 and 20:00: the minutes until then of those fetched before night.
    fn soon(&self) -> (Vec<f64>, usize) {
        let by_day: Vec<_> = self.fetched().filter(|(message, _)| (6..20).contains(&message.delivered.hour())).collect();
        let night = |message: &Ahead| message.delivered.date().midnight().plus(22 * HOUR);
        let soon = by_day.iter().filter(|(message, row)| *row < night(message));
        (soon.map(|(message, row)| row.since(message.delivered) as f64 / MINUTE as f64).collect(), by_day.len())
    }
}

const LAWS: &[Law<Samples>] = &[
    ("share of recipients whose client opens ahead", |samples| {
        let [recipients, ahead] = samples.recipients;
        share("recipients", ahead, recipients, SHARE)
    }),
    ("share of messages opened by machines, of those nobody opened", |samples| {
        let unopened = || samples.ahead.iter().filter(|message| message.human.is_none());
        share("fetched", unopened().filter(|message| message.row.is_some()).count(), unopened().count(), PROBABILITY)
    }),
    ("share of fetches that come soon", |samples| {
        let (soon, n) = samples.soon();
        share("soon", soon.len(), n, SOON)
    }),
    ("median and spread of fetches that come soon", |samples| {
        let (soon, _) = samples.soon();
        let below = |minutes: f64| soon.iter().filter(|delay| **delay < minutes).count();
        let logarithms = soon.iter().map(|minutes| math::ln(*minutes)).sum::<f64>() / soon.len() as f64;
        mean("median", logarithms, soon.len(), math::ln(MEDIAN), SIGMA)?;
        // A standard normal is below −1 with this probability.
        share("spread", below(MEDIAN * math::exp(-SIGMA)), soon.len(), 0.158_655)?;
        share("spread", soon.len() - below(MEDIAN * math::exp(SIGMA)), soon.len(), 0.158_655)
    }),
    ("fetches of the night are uniform within it", |samples| {
        let by_day = samples.fetched().filter(|(message, row)| {
            (6..20).contains(&message.delivered.hour()) && *row >= message.delivered.date().midnight().plus(20 * HOUR)
        });
        let mut counts = [0; 24];
        by_day.for_each(|(_, row)| counts[usize::from(row.hour())] += 1);
        let night = NIGHT.map(|hour| counts[usize::from(hour)]);
        all(night.iter().sum::<usize>() + 20 > counts.iter().sum(), || format!("fetches by day: {counts:?}"))?;
        chi_square("hours of the night", &night, &[1.0 / 8.0; 8])
    }),
    ("machines say what they are", |samples| {
        let own = samples.model.user_agents().last().is_some_and(|agent| agent == "Mozilla/5.0");
        let flagged: Vec<bool> =
            (0..samples.model.esps().len()).map(|esp| samples.model.machine_opens().unwrap().is_flagged(esp as u8)).collect();
        let sendgrid: Vec<bool> = samples.model.esps().iter().map(|name| name == "sendgrid").collect();
        all(own && flagged == sendgrid, || format!("{:?}, flagged {flagged:?}", samples.model.user_agents()))
    }),
];

#[test]
fn every_law_of_machines_holds() {
    let samples = Samples::new(&with_machines(&email(), section()));
    let found = broken(&samples, LAWS);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(samples.collected.clipped, collect(&model(&email()), 7, 0..USERS).clipped, "a fetch after a day");
}

#[test]
fn mutants_of_machines_are_caught() {
    let document = json!({ "machine_opens": section() });
    let mutation = Mutation {
        document: &document,
        exceptions: &[
            ("/machine_opens/probability", &["0.76", "1"]),
            ("/machine_opens/night_begins", &["20", "23"]),
            ("/machine_opens/user_agent", &["\"Mozilla/5.1\""]),
            ("/machine_opens/flagged_by", &["[]"]),
        ],
        moves: |pointer, value| fifths(value, pointer.contains("night")),
        mutate: |document, pointer, moved| {
            let pointer = pointer.strip_suffix("/0").unwrap_or(pointer);
            with(document, pointer, moved.clone())
        },
        sample: |document| Samples::new(&with_machines(&email(), document["machine_opens"].clone())),
        laws: LAWS,
    };
    record_mutants("email, machine opens", &mutation.table());
}

/// Rows, but opens.
fn but_opens(rows: &[(populace_core::stream::ActorId, Event)]) -> Vec<Event> {
    rows.iter().map(|(_, event)| *event).filter(|event| event.event_type != EventType::Opened).collect()
}

#[test]
fn machines_add_rows_and_leave_people_alone() {
    let off = collect(&model(&email()), 7, 0..USERS);
    let on = Samples::new(&with_machines(&email(), section())).collected;
    assert_eq!(but_opens(&off.rows), but_opens(&on.rows));
    let opens = |of: &Collected<Event, Truth>| -> BTreeMap<Uuid, Event> {
        let opened = of.rows.iter().map(|(_, event)| *event).filter(|event| event.event_type == EventType::Opened);
        opened.map(|event| (event.message_id.unwrap(), event)).collect()
    };
    let (off_opens, on_opens) = (opens(&off), opens(&on));
    // Every open of a person is in the truth, at its moment, and its row is there at it or before.
    let truths = |of: &Collected<Event, Truth>| -> Vec<MessageTruth> {
        of.truths.iter().filter_map(|(_, truth)| if let Truth::Message(message) = truth { Some(*message) } else { None }).collect()
    };
    for (before, after) in truths(&off).iter().zip(truths(&on)) {
        assert_eq!((before.p_open, before.p_click, before.human_opened_at), (after.p_open, after.p_click, after.human_opened_at));
        assert_eq!(before.human_opened_at, off_opens.get(&before.message_id).map(|event| event.time));
        let row = on_opens.get(&after.message_id);
        match (after.human_opened_at, row) {
            (Some(human), Some(row)) => {
                assert!(row.time <= human);
                assert_eq!(row.agent == Agent::Human, row.time == human);
            }
            (Some(human), None) => panic!("the open at {human} has no row"),
            (None, row) => assert!(row.is_none_or(|row| row.agent == Agent::AppleMpp)),
        }
        if row.is_some_and(|row| row.agent == Agent::Human) {
            assert_eq!(row.map(|row| row.event_id), off_opens.get(&after.message_id).map(|event| event.event_id));
        }
    }
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let rows = |section: Value| collect(&model(&with_machines(&email(), section)), 7, 0..50).rows;
    assert_eq!(rows(json!({})), rows(section()));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut document = with_machines(&email(), json!({ "user_share": 2, "night_ends": 22, "flagged_by": ["sendgird"] }));
    document["machine_opens"]["user_agent"] = document["user_agents"][0].clone();
    let error = EmailModel::from_config(&config::<EmailConfig>(&document)).unwrap_err().to_string();
    for problem in ["machine_opens.user_share", "machine_opens.night_ends", "machine_opens.flagged_by.0", "machine_opens.user_agent"] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
}

#[test]
fn without_users_of_such_clients_nothing_changes() {
    let mut none = section();
    none["user_share"] = json!(0.0);
    let (off, neutral) = (collect(&model(&email()), 7, 0..300), collect(&model(&with_machines(&email(), none)), 7, 0..300));
    assert_eq!(off.rows, neutral.rows);
    assert_eq!(off.truths, neutral.truths);
}

#[test]
fn days_and_users_that_follow_change_nothing() {
    let document = with_machines(&email(), section());
    let (long, short) = (model(&document), model(&with(&document, "/window/days", 40)));
    let until = long.window().begin().plus(40 * DAY);
    let before = |rows: Vec<(populace_core::stream::ActorId, Event)>| -> Vec<Event> {
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    assert_eq!(before(collect(&long, 7, 0..100).rows), before(collect(&short, 7, 0..100).rows));
}

/// The figures of the specification, worked out for rates like those of the default document without latency, breakers and hot paths.
#[test]
fn machines_have_the_figures_of_the_specification() {
    let mut document = with_machines(&email(), section());
    for key in ["circuit_breakers", "hot_paths"] {
        document[key] = Value::Null;
    }
    let Samples { collected, ahead, .. } = Samples::new(&document);
    let count = |kind: EventType| collected.rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64;
    let rows = count(EventType::Opened) / count(EventType::Delivered);
    assert!((rows - 0.525).abs() < 0.02, "{rows}");
    let p_rows =
        || collected.truths.iter().filter_map(|(_, truth)| if let Truth::Message(message) = truth { message.p_open_row } else { None });
    sum("rows", count(EventType::Opened), p_rows().sum(), p_rows().map(|p| p * (1.0 - p)).sum()).unwrap();
    let opened = collected.rows.iter().filter(|(_, event)| event.event_type == EventType::Opened);
    let agent = model(&document).user_agents().len() as u8 - 1;
    let by_machines = opened.filter(|(_, event)| event.client.is_some_and(|client| client.user_agent == agent)).count() as f64;
    assert!((by_machines / count(EventType::Opened) - 0.54).abs() < 0.02, "{}", by_machines / count(EventType::Opened));
    let humans = || ahead.iter().filter(|message| message.human.is_some());
    let fetched_before = humans().filter(|message| message.row < message.human).count() as f64 / humans().count() as f64;
    assert!((fetched_before - 0.216).abs() < 0.025, "{fetched_before}");
}

#[test]
fn rows_of_machines_are_expected() {
    let document = scaled(&with_machines(&email(), section()), "/machine_opens/user_share", 2.0);
    let model = model(&document);
    let expected = Expectation::new(&model).total().of(EventType::Opened);
    let observed = collect(&model, 11, 0..350).rows.iter().filter(|(_, event)| event.event_type == EventType::Opened).count() as f64;
    // Whose client opens ahead is drawn for each of the 350, and moves the sum most.
    let of_one = expected / 350.0;
    sum("opened", observed, expected, 350.0 * of_one * of_one * 0.2).unwrap();
}
