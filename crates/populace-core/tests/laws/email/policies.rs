//! Policies: propensities are those of what happened, what is limited stays within its limits, and nothing moves but times.

use super::{email, model};
use crate::support::{Collected, chi_square, collect, config, follows, share};
use populace_core::email::{Arm, Decision, EmailConfig, EmailModel, Event, EventType, NotSent, Planned, Schedule, Slots, Truth, Uuid};
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, HOUR, Instant, MINUTE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const USERS: u64 = 150;

fn with_policy(policy: Value) -> Value {
    let mut document = email();
    document["policy"] = policy;
    document
}

fn decisions(of: &Collected<Event, Truth>) -> Vec<(u64, Decision)> {
    let decision = |(actor, truth): &(populace_core::stream::ActorId, Truth)| match truth {
        Truth::Decision(decision) => Some((actor.0, *decision)),
        _ => None,
    };
    of.truths.iter().filter_map(decision).collect()
}

fn sent(of: &Collected<Event, Truth>) -> BTreeMap<Uuid, (u64, Event)> {
    let sent = of.rows.iter().filter(|(_, event)| event.event_type == EventType::Sent);
    sent.map(|(actor, event)| (event.message_id.unwrap(), (actor.0, *event))).collect()
}

fn each(set: &Slots) -> Vec<usize> {
    (0..168).filter(|slot| set.has(*slot)).collect()
}

#[test]
fn to_schedule_as_ever_changes_no_row() {
    let off = collect(&model(&email()), 7, 0..USERS);
    let on = collect(&model(&with_policy(json!({}))), 7, 0..USERS);
    assert!(off.rows == on.rows);
    let truths: Vec<_> = on.truths.iter().filter(|(_, truth)| !matches!(truth, Truth::Decision(_))).copied().collect();
    assert!(off.truths == truths);
    let decisions = decisions(&on);
    let sent = sent(&on);
    for (_, decision) in &decisions {
        let (_, event) = sent[&decision.message_id.unwrap()];
        assert_eq!(decision.action, Some(u16::from(event.time.hour())));
        assert!(decision.window[0] <= event.time && event.time < decision.window[1]);
    }
    assert!(decisions.len() > 10_000 && decisions.len() <= sent.len());
}

/// Slots fall as often as their propensities say, in each arm; and 1/propensity makes any slot count once a decision.
#[test]
fn slots_are_as_likely_as_their_propensities() {
    for base in [json!({ "type": "scheduled" }), json!({ "type": "softmax", "temperature": 0.2 }), json!({ "type": "uniform" })] {
        let policy = json!({ "base": base, "explore": { "share": 0.3 }, "skip": 0.1, "holdout": { "share": 0.2 } });
        let of = collect(&model(&with_policy(policy)), 7, 0..USERS);
        let decisions = decisions(&of);
        let n = decisions.len();
        let held: std::collections::BTreeSet<u64> =
            decisions.iter().filter(|(_, decision)| decision.arm == Arm::Holdout).map(|(actor, _)| *actor).collect();
        share("held out", held.len(), USERS as usize, 0.2).unwrap();
        let active: Vec<&Decision> = decisions.iter().filter(|(actor, _)| !held.contains(actor)).map(|(_, decision)| decision).collect();
        assert!(decisions.iter().all(|(actor, decision)| !held.contains(actor) || decision.reason == Some(NotSent::Holdout)));
        share("skipped", active.iter().filter(|decision| decision.arm == Arm::Skip).count(), active.len(), 0.1).unwrap();
        let went: Vec<&&Decision> = active.iter().filter(|decision| decision.action.is_some()).collect();
        share("explored", went.iter().filter(|decision| decision.arm == Arm::Explore).count(), went.len(), 0.3).unwrap();
        let random: Vec<usize> = (0..24)
            .map(|slot| went.iter().filter(|decision| decision.arm == Arm::Explore && decision.action == Some(slot)).count())
            .collect();
        chi_square("explored slots", &random, &[1.0 / 24.0; 24]).unwrap();
        for slot in 0..24 {
            let weights: Vec<f64> =
                active.iter().map(|decision| if decision.action == Some(slot) { 1.0 / decision.propensity } else { 0.0 }).collect();
            let mean = weights.iter().sum::<f64>() / weights.len() as f64;
            let variance = weights.iter().map(|weight| (weight - mean).powi(2)).sum::<f64>() / weights.len() as f64;
            assert!((mean - 1.0).abs() < 4.0 * (variance / weights.len() as f64).sqrt(), "{base} slot {slot}: {mean}");
        }
        assert!(n > 10_000);
        assert!(decisions.iter().all(|(_, decision)| (decision.message_id.is_some()) == (decision.reason.is_none())));
    }
}

/// The messages of a policy are those of the document without it: nothing but their times, and what depends on these, moves.
#[test]
fn a_policy_moves_times_and_not_people() {
    let off = collect(&model(&email()), 7, 0..USERS);
    let on = collect(&model(&with_policy(json!({ "base": { "type": "oracle" } }))), 7, 0..USERS);
    let users = |of: &Collected<Event, Truth>| -> Vec<Truth> {
        of.truths.iter().map(|(_, truth)| *truth).filter(|truth| matches!(truth, Truth::User(_) | Truth::UserRate(_))).collect()
    };
    assert_eq!(users(&off), users(&on));
    let others = |of: &Collected<Event, Truth>| -> Vec<Event> {
        of.rows.iter().map(|(_, event)| *event).filter(|event| event.message_id.is_none()).collect()
    };
    assert_eq!(others(&off), others(&on));
    // The random bits of a message's id are its own, whenever it goes out.
    let names = |of: &Collected<Event, Truth>| -> BTreeMap<u128, (u8, u8, Option<u16>)> {
        let random = |id: Uuid| id.to_u128() & ((1 << 80) - 1);
        sent(of).into_values().map(|(_, event)| (random(event.message_id.unwrap()), (event.esp, event.campaign, event.subject))).collect()
    };
    assert_eq!(names(&off), names(&on));
}

#[test]
fn caps_hold() {
    let caps = json!({ "per_day": 1, "per_week": 3, "quiet_hours": { "from": 21, "until": 8 }, "min_gap_hours": 20 });
    let model = model(&with_policy(json!({ "base": { "type": "uniform" }, "caps": caps })));
    let of = collect(&model, 7, 0..USERS);
    let triggered: std::collections::BTreeSet<Uuid> = {
        let decided: std::collections::BTreeSet<Uuid> = decisions(&of).iter().filter_map(|(_, decision)| decision.message_id).collect();
        sent(&of).into_keys().filter(|id| !decided.contains(id)).collect()
    };
    let mut by_user: BTreeMap<u64, Vec<(Instant, bool)>> = BTreeMap::new();
    for (id, (actor, event)) in sent(&of) {
        by_user.entry(actor).or_default().push((event.time, triggered.contains(&id)));
    }
    for times in by_user.values_mut() {
        times.sort_unstable();
        for (place, (time, is_triggered)) in times.iter().enumerate().filter(|(_, (_, is_triggered))| !is_triggered) {
            assert!((8..21).contains(&time.hour()), "{time}");
            assert!(!is_triggered);
            let others = || times.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, (other, _))| *other);
            assert!(others().all(|other| time.since(other).abs() >= 20 * HOUR), "{time}: {times:?}");
            assert!(others().filter(|other| *other < *time && other.plus(7 * DAY) > *time).count() < 3, "{time}");
        }
    }
    let decisions = decisions(&of);
    let reasons = |reason: NotSent| decisions.iter().filter(|(_, decision)| decision.reason == Some(reason)).count();
    assert!(reasons(NotSent::Cap) > 1_000 && reasons(NotSent::NoSlot) > 1_000, "{} {}", reasons(NotSent::Cap), reasons(NotSent::NoSlot));
    assert!(decisions.iter().all(|(_, decision)| decision.action.is_none_or(|action| decision.allowed.has(usize::from(action)))));
}

#[test]
fn windows_of_a_week_and_of_the_next_day_are_kept() {
    for (window, slots, length) in [("week", 168, 7 * DAY), ("next_24h", 24, DAY)] {
        let model = model(&with_policy(json!({ "window": window, "base": { "type": "uniform" } })));
        let of = collect(&model, 7, 0..USERS);
        let (decisions, sent) = (decisions(&of), sent(&of));
        let mut counts = vec![0; slots];
        for (_, decision) in &decisions {
            let Some((_, event)) = decision.message_id.map(|id| sent[&id]) else { continue };
            assert!(decision.window[0] <= event.time && event.time < decision.window[1], "{window} {decision:?} {}", event.time);
            let hour = event.time.minute_of_week() / 60 % slots;
            assert_eq!(decision.action, Some(hour as u16));
            assert!((decision.propensity * each(&decision.allowed).len() as f64 - 1.0).abs() < 1e-12);
            if each(&decision.allowed).len() == slots {
                assert_eq!(decision.window[1].since(decision.window[0]), length);
                counts[hour] += 1;
            }
        }
        chi_square(window, &counts, &vec![1.0 / slots as f64; slots]).unwrap();
    }
}

/// Neutral values of the specification: who opens without fatigue, breakers, hot paths, drift and latency.
#[test]
fn policies_are_worth_what_the_specification_says() {
    let value = |policy: Value| {
        let mut document = with_policy(policy);
        for key in ["circuit_breakers", "hot_paths", "fatigue", "drift"] {
            document[key] = Value::Null;
        }
        document["engagement"]["decided_at"] = json!("send");
        let of = collect(&model(&document), 7, 0..700);
        let p: Vec<f64> =
            of.truths.iter().filter_map(|(_, truth)| if let Truth::Message(row) = truth { row.p_open } else { None }).collect();
        let q: Vec<f64> = decisions(&of).iter().filter_map(|(_, decision)| decision.value).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean(&p) - mean(&q)).abs() < 0.003, "{} {}", mean(&p), mean(&q));
        mean(&p)
    };
    for (policy, expected) in [
        (json!({ "base": { "type": "scheduled" } }), 0.3575),
        (json!({ "base": { "type": "uniform" } }), 0.3487),
        (json!({ "base": { "type": "global_best" } }), 0.428),
        (json!({ "base": { "type": "oracle" } }), 0.5335),
        (json!({ "base": { "type": "oracle" }, "window": "week" }), 0.604),
    ] {
        let found = value(policy.clone());
        assert!((found - expected).abs() < 0.006, "{policy}: {found}, expected {expected}");
    }
}

#[test]
fn what_follows_changes_nothing_before() {
    let document = with_policy(json!({ "window": "week", "base": { "type": "uniform" }, "caps": { "min_gap_hours": 6 } }));
    let rows = |days: u32| {
        let mut document = document.clone();
        document["window"]["days"] = json!(days);
        let model = model(&document);
        let until = model.window().begin().plus(26 * DAY);
        let rows: Vec<Event> =
            collect(&model, 7, 0..50).rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect();
        rows
    };
    // The days begin on a Wednesday: the first five weeks end after 5, 12, 19, 26 and 33 of them.
    assert!(rows(30) == rows(51));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let policy = json!({
        "window": "week", "slot_minutes": 15, "skip": 2, "base": { "type": "fixed", "temperature": 1, "file": "a" },
        "caps": { "quiet_hours": { "from": 8, "until": 8 } },
    });
    let error = EmailModel::from_config(&config::<EmailConfig>(&with_policy(policy))).unwrap_err().to_string();
    for problem in [
        "policy.slot_minutes",
        "policy.skip",
        "policy.base.temperature",
        "policy.base.file",
        "policy.base:",
        "policy.caps.quiet_hours.until",
    ] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
}

#[test]
fn a_slot_is_a_stretch_of_the_recipients_clock() {
    let mut document = with_policy(json!({ "slot_minutes": 30, "base": { "type": "fixed", "slot": 17 } }));
    document["timezone"] = json!("UTC+05:30");
    let model = model(&document);
    let of = collect(&model, 7, 0..20);
    let sent = sent(&of);
    for (_, decision) in decisions(&of) {
        let Some(id) = decision.message_id else { continue };
        let local = sent[&id].1.time.plus(5 * HOUR + 30 * MINUTE);
        assert_eq!((local.hour(), local.minute() / 30), (8, 1));
    }
}

/// Within its slot a message goes out at any moment, whatever else is drawn for it.
#[test]
fn the_moment_within_a_slot_is_uniform_for_each_campaign() {
    let of = collect(&model(&with_policy(json!({ "base": { "type": "uniform" } }))), 7, 0..USERS);
    let decided: std::collections::BTreeSet<Uuid> = decisions(&of).iter().filter_map(|(_, decision)| decision.message_id).collect();
    let mut by_campaign: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for (_, (_, event)) in sent(&of).into_iter().filter(|(id, _)| decided.contains(id)) {
        by_campaign.entry(event.campaign).or_default().push(event.time.0.rem_euclid(HOUR) as f64 / HOUR as f64);
    }
    assert!(by_campaign.len() > 3);
    for (campaign, moments) in by_campaign {
        follows(&format!("campaign {campaign}"), moments, |moment| moment).unwrap();
    }
}

/// A schedule in memory.
#[derive(Debug)]
struct Plan(BTreeMap<u64, Vec<Planned>>);

impl Schedule for Plan {
    fn rows(&self, actor: u64, into: &mut Vec<Planned>) {
        into.extend(self.0.get(&actor).into_iter().flatten());
    }
}

/// A document's model by a schedule.
fn by_schedule(mut document: Value, rows: impl Iterator<Item = (u64, Planned)>) -> EmailModel {
    let mut plan: BTreeMap<u64, Vec<Planned>> = BTreeMap::new();
    for (actor, row) in rows {
        plan.entry(actor).or_default().push(row);
    }
    for rows in plan.values_mut() {
        rows.sort_by_key(|row| row.time);
    }
    document["policy"] = json!({ "base": { "type": "schedule", "sha256": "0".repeat(64) } });
    model(&document).with_schedule(Arc::new(Plan(plan)))
}

fn row(time: Instant, decision: Option<Uuid>) -> Planned {
    Planned { time, decision, campaign: None, subject: None }
}

/// A row is the message that was due, and so has its provider, latency and opens, however the rows are ordered among those of its day.
#[test]
fn a_schedule_of_what_was_sent_sends_it_again() {
    let off = collect(&model(&email()), 7, 0..USERS);
    let plan: Vec<(u64, Planned)> = sent(&off).into_values().map(|(actor, event)| (actor, row(event.time, None))).collect();
    let on = collect(&by_schedule(email(), plan.into_iter()), 7, 0..USERS);
    assert!(off.rows == on.rows);
    let truths: Vec<_> = on.truths.iter().filter(|(_, truth)| !matches!(truth, Truth::Decision(_))).copied().collect();
    assert!(off.truths == truths);
}

/// By the ids of its decisions, any policy's log is repeated.
#[test]
fn decisions_that_are_named_are_made_again() {
    let log = collect(&model(&with_policy(json!({ "base": { "type": "uniform" }, "skip": 0.3 }))), 7, 0..USERS);
    let of_log = decisions(&log);
    let messages = sent(&log);
    let rows = of_log.iter().filter_map(|(actor, decision)| {
        let (_, event) = messages[&decision.message_id?];
        Some((*actor, row(event.time, Some(decision.id))))
    });
    let again = collect(&by_schedule(email(), rows), 7, 0..USERS);
    assert!(log.rows == again.rows);
    let ids = |of: &[(u64, Decision)]| -> Vec<(Uuid, Option<Uuid>)> { of.iter().map(|(_, own)| (own.id, own.message_id)).collect() };
    assert_eq!(ids(&of_log), ids(&decisions(&again)));
}

/// An hour later is the same message an hour later: as many rows as were due are what was due.
#[test]
fn a_schedule_moves_messages_and_not_people() {
    let mut document = email();
    document["hot_paths"] = Value::Null;
    document["circuit_breakers"] = Value::Null;
    let off = collect(&model(&document), 7, 0..USERS);
    let moved = |time: Instant| time.date().midnight().plus((time.since(time.date().midnight()) / 2) / 1_000 * 1_000);
    let plan: Vec<_> = sent(&off).into_values().map(|(actor, event)| (actor, row(moved(event.time), None))).collect();
    let on = collect(&by_schedule(document, plan.into_iter()), 7, 0..USERS);
    let random = |id: Uuid| id.to_u128() & ((1 << 80) - 1);
    let names = |of: &Collected<Event, Truth>| -> BTreeMap<u128, (Instant, u8, u8)> {
        sent(of).into_values().map(|(_, event)| (random(event.message_id.unwrap()), (event.time, event.esp, event.campaign))).collect()
    };
    let (before, after) = (names(&off), names(&on));
    assert_eq!(before.len(), after.len());
    for (id, (time, esp, campaign)) in before {
        assert_eq!(after[&id], (moved(time), esp, campaign));
    }
}

#[test]
fn a_schedule_stands_by_itself() {
    let policy = json!({ "base": { "type": "schedule", "sha256": "AB" }, "skip": 0.1 });
    let error = EmailModel::from_config(&config::<EmailConfig>(&with_policy(policy))).unwrap_err().to_string();
    assert!(error.contains("policy.base.sha256") && error.contains("leave `explore`, `skip`"), "{error}");
}
