//! All mechanisms at once, blasts among them: what is drawn against is how often it happens, whatever messages are picked out; and days and
//! users that follow change nothing.

use super::{email, model};
use crate::support::{collect, sum, with};
use populace_core::email::{Agent, DroppedReason, EmailModel, Event, EventType, MessageTruth, Truth, Uuid};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::DAY;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SEED: u64 = 7;

/// Every mechanism, some of them with more of it than by default, so that it shows among few recipients.
fn together() -> Value {
    let mut document = with(&email(), "/window/days", 50);
    for (key, value) in [
        ("leaving", json!({ "unsubscribe": 0.004, "complaint": 0.002 })),
        ("delivery", json!({ "attempts": {} })),
        ("machine_opens", json!({})),
        ("scanners", json!({ "user_share": 0.3, "unsubscribe_on_get": 0.3 })),
        ("open_delay", json!("mixture")),
        ("people", json!({})),
        ("calendar", json!([{ "name": "sale", "when": { "date": "11-05" }, "days": 9, "volume": 1.4, "open": 0.8, "click": 1.1 }])),
        ("timezones", json!({ "known_share": 0.8, "zones": { "Europe/Berlin": 0.4, "America/New_York": 0.4, "Asia/Kolkata": 0.2 } })),
        ("send_minute", json!("clustered")),
        (
            "blasts",
            json!([
                { "name": "one", "campaign": "promotion", "share": 0.8, "date": "2025-10-17", "hour": 9 },
                { "name": "two", "campaign": "newsletter", "date": "2025-11-10", "hour": 18, "clock": "utc" },
            ]),
        ),
    ] {
        document[key] = value;
    }
    document
}

/// A delivered message, and who its recipient is.
struct Message {
    truth: MessageTruth,
    /// 1 of one behind a scanner.
    scanned: i64,
    /// 1 of one whose client opens ahead.
    ahead: i64,
    campaign: u8,
    clicked: bool,
    unsubscribed: bool,
}

fn messages(model: &EmailModel, users: u64) -> Vec<Message> {
    let collected = collect(model, SEED, 0..users);
    let key = StreamKey::root(SEED, EmailModel::NAME);
    let mut rows: BTreeMap<Uuid, Vec<Event>> = BTreeMap::new();
    for (_, event) in &collected.rows {
        if let Some(id) = event.message_id {
            rows.entry(id).or_default().push(*event);
        }
    }
    let of = |(actor, truth): &(ActorId, Truth)| {
        let Truth::Message(truth) = truth else { return None };
        truth.p_open?;
        let rows = &rows[&truth.message_id];
        let has = |kind: EventType| rows.iter().any(|row| row.event_type == kind && row.agent == Agent::Human);
        Some(Message {
            truth: *truth,
            scanned: i64::from(model.is_scanned(key, *actor)),
            ahead: i64::from(model.is_opened_ahead(key, *actor)),
            campaign: rows[0].campaign,
            clicked: has(EventType::Clicked) || truth.dropped_reason == Some(DroppedReason::ClickSuppressed),
            unsubscribed: has(EventType::Unsubscribed),
        })
    };
    collected.truths.iter().filter_map(of).collect()
}

#[test]
fn what_is_drawn_against_is_how_often_it_happens_in_every_part() {
    type Part = fn(&Message) -> i64;
    let messages = messages(&model(&together()), 1_400);
    let parts: [(&str, Part); 9] = [
        ("all", |_| 0),
        ("behind a scanner", |message| message.scanned),
        ("opened ahead", |message| message.ahead),
        ("of a blast", |message| i64::from(message.truth.latency_queue > 0.0)),
        ("deferred", |message| i64::from(message.truth.latency_deferral > 0.0)),
        ("by zone", |message| i64::from(message.truth.at.person.zone.zone)),
        ("by persona", |message| i64::from(message.truth.at.person.persona)),
        ("by campaign", |message| i64::from(message.campaign)),
        ("by recent sends", |message| i64::from(message.truth.at.recent_sends.min(4))),
    ];
    for (name, part) in parts {
        let mut sums: BTreeMap<(i64, &str), [f64; 3]> = BTreeMap::new();
        let mut add = |part: i64, step: &'static str, p: f64, hit: bool| {
            let of = sums.entry((part, step)).or_default();
            of.iter_mut().zip([f64::from(u8::from(hit)), p, p * (1.0 - p)]).for_each(|(sum, value)| *sum += value);
        };
        for message in &messages {
            let (truth, part) = (&message.truth, part(message));
            let opened = truth.human_opened_at.is_some();
            let is_drawn = opened || truth.dropped_reason == Some(DroppedReason::OpenSuppressed);
            add(part, "open", truth.p_open.unwrap_or_default(), is_drawn);
            if opened {
                add(part, "click", truth.p_click.unwrap_or_default(), message.clicked);
            }
            add(part, "unsubscribe", truth.leaving.map_or(0.0, |leaving| leaving.p_unsubscribe), message.unsubscribed);
        }
        for ((part, step), [observed, expected, variance]) in sums {
            // Where few are expected the normal bound says nothing.
            if variance > 20.0 {
                sum(&format!("{step}, {name}: {part}"), observed, expected, variance).unwrap();
            }
        }
    }
}

#[test]
fn all_of_them_happen() {
    let collected = collect(&model(&together()), SEED, 0..700);
    let kinds: BTreeSet<&str> = collected.rows.iter().map(|(_, event)| event.event_type.name()).collect();
    for kind in ["deferred", "bounced", "dropped", "unsubscribed", "spam_reported", "opened", "clicked"] {
        assert!(kinds.contains(kind), "there is no {kind} in {kinds:?}");
    }
    let agents: BTreeSet<&str> = collected.rows.iter().map(|(_, event)| event.agent.name()).collect();
    assert_eq!(agents.len(), Agent::NAMES.len());
}

#[test]
fn days_and_users_that_follow_change_nothing() {
    let document = together();
    let (long, short) = (model(&document), model(&with(&document, "/window/days", 45)));
    // On any recipient's days.
    let until = long.window().begin().plus(44 * DAY);
    let before = |model: &EmailModel| -> Vec<Event> {
        collect(model, SEED, 0..140).rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    let [of_long, of_short] = [before(&long), before(&short)];
    assert!(of_long.len() > 5_000);
    assert_eq!(of_long, of_short);
    let more = model(&with(&document, "/population/users", 1_000_000));
    assert_eq!(collect(&long, SEED, 0..70).rows, collect(&more, SEED, 0..70).rows);
}
