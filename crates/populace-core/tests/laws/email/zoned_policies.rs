//! Policies where recipients have time zones: windows are days of the recipient, slots and quiet hours are on its clock, and a policy that
//! changes nothing changes no row.

use super::{email, model};
use crate::support::{Collected, chi_square, collect};
use populace_core::email::{Decision, Event, EventType, Truth, Uuid};
use populace_core::time::{DAY, Date, HOUR, Instant, MINUTE};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const USERS: u64 = 120;
/// Zones in the order of their names, with their hours from UTC before the 26th of October of 2025, between then and the 2nd of November,
/// and from then on.
const ZONES: [(&str, [f64; 3]); 4] =
    [("America/New_York", [-4.0, -4.0, -5.0]), ("Asia/Kolkata", [5.5; 3]), ("Asia/Tokyo", [9.0; 3]), ("Europe/Berlin", [2.0, 1.0, 1.0])];

fn with_zones(policy: Option<Value>, sends: &str, start: &str) -> Value {
    let mut document = email();
    let zones: serde_json::Map<String, Value> = ZONES.iter().map(|(name, _)| ((*name).to_owned(), json!(1))).collect();
    document["timezones"] = json!({ "zones": zones });
    document["sends"]["clock"] = json!(sends);
    document["window"] = json!({ "start": start, "days": 40 });
    if let Some(policy) = policy {
        document["policy"] = policy;
    }
    document
}

/// What a recipient's clock shows in the autumn of 2025.
fn shown(zone: u8, at: Instant) -> Instant {
    let changes = [(2025, 10, 26, 1), (2025, 11, 2, 6)];
    let moment = |(year, month, day, hour): (i32, u32, u32, i64)| Date::from_ymd(year, month, day).unwrap().midnight().plus(hour * HOUR);
    let period = changes.iter().filter(|change| at >= moment(**change)).count();
    at.plus((ZONES[usize::from(zone)].1[period] * 60.0) as i64 * MINUTE)
}

fn zones(of: &Collected<Event, Truth>) -> BTreeMap<u64, u8> {
    let zone = |(actor, truth): &(populace_core::stream::ActorId, Truth)| match truth {
        Truth::User(user) => Some((actor.0, user.person.zone.zone)),
        _ => None,
    };
    of.truths.iter().filter_map(zone).collect()
}

fn decisions(of: &Collected<Event, Truth>) -> Vec<(u8, Decision)> {
    let zones = zones(of);
    let decision = |(actor, truth): &(populace_core::stream::ActorId, Truth)| match truth {
        Truth::Decision(decision) => Some((zones[&actor.0], *decision)),
        _ => None,
    };
    of.truths.iter().filter_map(decision).collect()
}

fn sent(of: &Collected<Event, Truth>) -> BTreeMap<Uuid, Instant> {
    let sent = of.rows.iter().filter(|(_, event)| event.event_type == EventType::Sent);
    sent.map(|(_, event)| (event.message_id.unwrap(), event.time)).collect()
}

/// On every pair of clocks, and over both changes of clocks of a year.
#[test]
fn a_policy_that_changes_nothing_changes_no_row() {
    for start in ["2025-10-10", "2026-03-01"] {
        for (sends, clock, minutes) in
            [("recipient", "recipient", 60), ("utc", "utc", 60), ("recipient", "utc", 15), ("utc", "recipient", 30)]
        {
            let off = collect(&model(&with_zones(None, sends, start)), 7, 0..USERS);
            let policy = json!({ "clock": clock, "slot_minutes": minutes });
            let on = collect(&model(&with_zones(Some(policy), sends, start)), 7, 0..USERS);
            assert!(off.rows == on.rows, "{start} {sends} {clock}");
            let truths: Vec<_> = on.truths.iter().filter(|(_, truth)| !matches!(truth, Truth::Decision(_))).copied().collect();
            assert!(off.truths == truths);
            let sent = sent(&on);
            for (zone, decision) in decisions(&on) {
                let time = sent[&decision.message_id.unwrap()];
                assert!(decision.window[0] <= time && time < decision.window[1], "{start} {sends} {clock}: {decision:?} {time}");
                assert!(decision.allowed.has(usize::from(decision.action.unwrap())), "{start} {sends} {clock} {zone}: {decision:?} {time}");
                assert!(decision.propensity > 0.0 && decision.propensity < 1.0, "{decision:?}");
            }
        }
    }
}

#[test]
fn windows_are_days_of_the_recipient_and_slots_are_on_its_clock() {
    let policy = json!({ "base": { "type": "uniform" }, "caps": { "quiet_hours": { "from": 21, "until": 8 } } });
    let of = collect(&model(&with_zones(Some(policy), "recipient", "2025-10-10")), 7, 0..USERS);
    let sent = sent(&of);
    let mut by_zone = [[0_usize; 24]; 4];
    let all = decisions(&of);
    for (zone, decision) in &all {
        let time = sent[&decision.message_id.unwrap()];
        let local = shown(*zone, time);
        assert_eq!(local.date(), decision.due, "{zone}");
        assert_eq!(u16::from(local.hour()), decision.action.unwrap());
        assert_eq!(shown(*zone, decision.window[0]), decision.due.midnight());
        assert_eq!(shown(*zone, decision.window[1]), decision.due.plus(1).midnight());
        assert_eq!(decision.allowed.len(), 13);
        by_zone[usize::from(*zone)][usize::from(local.hour())] += 1;
    }
    for (zone, counts) in by_zone.iter().enumerate() {
        assert_eq!(counts[..8].iter().chain(&counts[21..]).sum::<usize>(), 0, "quiet hours in {}", ZONES[zone].0);
        chi_square(ZONES[zone].0, &counts[8..21], &[1.0 / 13.0; 13]).unwrap();
    }
    assert!(all.len() > 3_000);
}

/// The days on which clocks are turned have the hours that they have.
#[test]
fn an_hour_that_is_passed_over_is_no_slot_and_one_shown_twice_is_twice_as_long() {
    let uniform = || Some(json!({ "base": { "type": "uniform" } }));
    let spring = collect(&model(&with_zones(uniform(), "recipient", "2026-03-01")), 7, 0..USERS);
    let (mut passed, mut twice) = (0, [0_usize; 2]);
    let turned = [(0, Date::from_ymd(2026, 3, 8).unwrap()), (3, Date::from_ymd(2026, 3, 29).unwrap())];
    for (zone, decision) in decisions(&spring) {
        let is_turned = turned.iter().any(|(of, date)| *of == zone && *date == decision.due);
        assert_eq!(decision.allowed.len(), if is_turned { 23 } else { 24 });
        assert_eq!(decision.allowed.has(2), !is_turned);
        assert_eq!(decision.window[1].since(decision.window[0]), if is_turned { 23 * HOUR } else { DAY });
        passed += usize::from(is_turned);
    }
    assert!(passed > 20, "{passed}");
    // 2 o'clock in Berlin, and 1 o'clock in New York.
    let fixed = |slot: u32| Some(json!({ "base": { "type": "fixed", "slot": slot } }));
    for (of, slot, due) in [(3, 2, Date::from_ymd(2025, 10, 26).unwrap()), (0, 1, Date::from_ymd(2025, 11, 2).unwrap())] {
        let autumn = collect(&model(&with_zones(fixed(slot), "recipient", "2025-10-10")), 7, 0..4 * USERS);
        let sent = sent(&autumn);
        for (zone, decision) in decisions(&autumn).into_iter().filter(|(zone, decision)| *zone == of && decision.due == due) {
            let time = sent[&decision.message_id.unwrap()];
            assert_eq!(decision.window[1].since(decision.window[0]), 25 * HOUR);
            assert_eq!(u32::from(shown(zone, time).hour()), slot);
            let since = time.since(decision.window[0]) - i64::from(slot) * HOUR;
            assert!((0..2 * HOUR).contains(&since));
            twice[usize::from(since >= HOUR)] += 1;
        }
    }
    chi_square("the first and the second hour", &twice, &[0.5, 0.5]).unwrap();
    assert!(twice.iter().sum::<usize>() > 100, "{twice:?}");
}

/// The windows of a week, and of the next day, and clocks that differ.
#[test]
fn other_windows_are_kept() {
    for (policy, sends) in [
        (json!({ "window": "week", "base": { "type": "uniform" } }), "recipient"),
        (json!({ "window": "next_24h", "base": { "type": "oracle" } }), "recipient"),
        (json!({ "clock": "utc", "slot_minutes": 15, "base": { "type": "uniform" } }), "recipient"),
        (json!({ "slot_minutes": 30, "base": { "type": "uniform" } }), "utc"),
        (json!({ "window": "week", "clock": "utc", "base": { "type": "uniform" } }), "utc"),
    ] {
        let of = collect(&model(&with_zones(Some(policy.clone()), sends, "2025-10-10")), 7, 0..USERS);
        let sent = sent(&of);
        let all = decisions(&of);
        for (zone, decision) in &all {
            let Some(id) = decision.message_id else { continue };
            let time = sent[&id];
            assert!(decision.window[0] <= time && time < decision.window[1], "{policy} {zone} {decision:?} {time}");
        }
        let went = all.iter().filter(|(_, decision)| decision.message_id.is_some()).count();
        assert!(went > 3_000 && went * 100 > all.len() * 97, "{policy}: {went} of {}", all.len());
    }
}

#[test]
fn what_cannot_be_is_said() {
    let refused = |policy: Value, sends: &str| {
        let document = with_zones(Some(policy), sends, "2025-10-10");
        let config = crate::support::config::<populace_core::email::EmailConfig>(&document);
        <populace_core::email::EmailModel as populace_core::scenario::Scenario>::from_config(&config).unwrap_err().to_string()
    };
    let clock = refused(json!({ "clock": "utc" }), "recipient");
    assert!(clock.contains("policy.clock") && clock.contains("Asia/Kolkata"), "{clock}");
    let sha256 = "0".repeat(64);
    let schedule = refused(json!({ "base": { "type": "schedule", "sha256": sha256 } }), "recipient");
    assert!(schedule.contains("policy.base.type"), "{schedule}");
}
