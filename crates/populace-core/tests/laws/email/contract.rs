//! What users of the scenario rely on: figures, prefixes, replay, pairing.

use super::oracle::with_new;
use super::samples::{DAYS, Samples, start};
use super::truths::{drift_of, timing_table};
use super::{email, email_v1, model};
use crate::support::{Collected, chi_square, collect, scaled, share, with};
use populace_core::email::laws::{Cell, Expectation, Volumes};
use populace_core::email::{DroppedReason, EmailModel, Event, EventType, Group, MessageTruth, Truth, Uuid};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Instant};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Range;

fn counts(collected: &Collected<Event, Truth>) -> [f64; 10] {
    let mut counts = [0.0; 10];
    collected.rows.iter().for_each(|(_, event)| counts[event.event_type as usize] += 1.0);
    counts
}

fn messages(collected: &Collected<Event, Truth>) -> Vec<MessageTruth> {
    collected.truths.iter().filter_map(|(_, truth)| if let Truth::Message(message) = truth { Some(*message) } else { None }).collect()
}

fn of_type(collected: &Collected<Event, Truth>, kinds: &[EventType]) -> Vec<Event> {
    collected.rows.iter().map(|(_, event)| *event).filter(|event| kinds.contains(&event.event_type)).collect()
}

#[test]
fn the_built_in_documents_have_the_figures_of_the_specification() {
    let total = |document: &Value| Expectation::new(&model(document)).total();
    let (v1, v2) = (total(&email_v1()), total(&email()));
    assert!((v1.total() - 70_712.0).abs() < 50.0, "{v1:?}");
    assert!((v2.total() - 81_500.0).abs() < 500.0, "{v2:?}");
    assert!((v2.of_group(Group::Breaker) - 848.4).abs() < 0.1 && (v2.of_group(Group::HotPath) - 4_242.0).abs() < 0.1);
    assert!((v2.triggered - 0.75 * 4_242.0).abs() < 1.0);

    let dense = with(&email_v1(), "/sends/per_day", 6.1456);
    assert!((total(&dense).total() - 543_210.0).abs() < 300.0, "{}", total(&dense).total());

    let simulated = collect(&model(&email_v1()), 42, 0..350).rows.len() as f64;
    assert!((simulated - 70_712.0).abs() < 2_100.0, "{simulated}");
}

#[test]
fn latencies_have_the_figures_of_the_specification() {
    let collected = collect(&model(&email()), 3, 0..3_500);
    let delivered = of_type(&collected, &[EventType::Delivered]);
    let mut latencies: Vec<f64> = delivered.iter().filter_map(|event| event.delivery).map(|of| f64::from(of.latency_ms) / 1e3).collect();
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (n, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
        sum / n
    };
    let of_minutes = |top: bool| {
        let of = delivered.iter().filter_map(|event| event.delivery).filter(|of| (of.send_time.minute() < 3) == top);
        mean(&mut of.map(|of| f64::from(of.latency_ms) / 1e3))
    };
    assert!(of_minutes(true) > 3.0 * of_minutes(false));
    assert!((mean(&mut latencies.iter().copied()) - 17.1).abs() < 0.2);
    latencies.sort_by(f64::total_cmp);
    let quantile = |share: f64| latencies[(share * latencies.len() as f64) as usize];
    assert!((quantile(0.5) - 12.7).abs() < 0.15 && (quantile(0.95) - 42.0).abs() < 1.0, "{} {}", quantile(0.5), quantile(0.95));
}

#[test]
fn opens_after_a_hot_path_are_nearly_half_as_many_again() {
    let samples = Samples::new(&email(), 0..7_000, None);
    let rate = |hot: bool| {
        let of: Vec<bool> =
            samples.free().filter(|message| (message.since_hot_path < 10.0) == hot).map(|message| message.opened.is_some()).collect();
        of.iter().filter(|open| **open).count() as f64 / of.len() as f64
    };
    assert!((rate(true) / rate(false) - 1.45).abs() < 0.06, "{}", rate(true) / rate(false));
}

#[test]
fn latency_laws_are_distribution_functions_whose_ranges_may_be_points() {
    let v2 = model(&email());
    let point = with(&email(), "/latency/lognormal/batch/factor", json!({"low": 2, "high": 2}));
    let nearly = with(&email(), "/latency/lognormal/batch/factor", json!({"low": 1.9999, "high": 2.0001}));
    let (point, nearly) = (model(&point), model(&nearly));
    for cell in 0..8 {
        let cell = Cell { top: cell & 1 > 0, batch: cell & 2 > 0, weekend: cell & 4 > 0 };
        let mut below = 0.0;
        for step in 0..2_000 {
            let seconds = f64::from(step) * 0.5;
            let up_to = v2.latency_cdf(cell, seconds);
            assert!((below - 1e-9..=1.0 + 1e-9).contains(&up_to), "{cell:?} {seconds}: {below} {up_to}");
            below = up_to;
            assert!((point.latency_cdf(cell, seconds) - nearly.latency_cdf(cell, seconds)).abs() < 1e-6, "{cell:?} {seconds}");
        }
        assert!(below > 1.0 - 1e-6);
    }
}

fn assert_volumes(what: &str, document: &Value, users: u64) {
    let model = model(document);
    let expected = Expectation::new(&model);
    let n = users as f64;
    let observed = counts(&collect(&model, 9, 0..users)).map(|count| count / n);
    let slots = model.slots();
    assert_eq!(users % slots, 0, "whole rounds of the table");
    let mut mean = Volumes::default();
    for (volumes, share) in expected.personas.iter().zip(&expected.users) {
        let share = share / expected.users.iter().sum::<f64>();
        mean.events.iter_mut().zip(volumes.events).for_each(|(mean, of)| *mean += share * of);
    }
    for (kind, (observed, expected)) in EventType::SIMULATED.iter().zip(observed.iter().zip(mean.events)) {
        // A hundredth, beside what so many independent events leave to chance; an open brings variance of its own from user to user.
        let bound = 0.01 * expected + 4.0 * (1.5 * expected / n).sqrt();
        assert!((observed - expected).abs() <= bound, "{what}, {kind}: {observed}, expected {expected} ± {bound}");
    }
}

#[test]
fn expected_volumes_are_those_of_a_large_simulation() {
    let users = 14_000;
    assert_volumes("email", &email(), users);
    assert_volumes("email-v1", &email_v1(), users);
    assert_volumes("a short window", &with(&email(), "/window/days", 3), users * 5);
    assert_volumes("suppressed sends", &with(&email(), "/circuit_breakers/suppress_sends", true), users);
    assert_volumes("dense mail", &scaled(&email(), "/sends/per_day", 5.0), 3_500);
    assert_volumes("many breakers", &scaled(&email(), "/circuit_breakers/probability", 10.0), users);
    assert_volumes("a floor of 0", &with(&email(), "/hot_paths/floor", 0.0), users);
    assert_volumes("two time zones", &with(&with(&email(), "/timezone", "UTC+05:30"), "/esp_timezone", "UTC-08:00"), users);
    assert_volumes("exponential delays", &with(&email(), "/open_delay", "exponential"), users);
    let seasons = json!([{"name": "a", "when": {"date": "11-20"}, "days": 15, "volume": 2, "open": 0.8, "click": 1.3},
        {"name": "b", "when": {"nth": {"month": 12, "weekday": "sat", "n": 2}}, "days": 9, "volume": 0.2, "open": 1.4}]);
    assert_volumes("seasons", &with_new(&email(), "/calendar", seasons), users);
    assert_volumes("a mixture of open delays", &with(&email(), "/open_delay", "mixture"), users);
    assert_volumes("three days of fatigue", &with(&email(), "/fatigue/hours", 72), users);
    assert_volumes(
        "every day hot",
        &with(&with(&email(), "/hot_paths/probability", 1.0), "/hot_paths/trigger/delay_minutes/high", 600),
        users,
    );
}

#[test]
fn expectations_follow_users_and_personas() {
    let half = Expectation::new(&model(&with(&email(), "/population/users", 175)));
    assert!((half.users.iter().sum::<f64>() - 175.0).abs() < 1e-9);
    let whole = Expectation::new(&model(&email()));
    assert_eq!(whole.personas, half.personas);
    assert_eq!(whole.users, model(&email()).config().personas.values().map(|persona| f64::from(persona.count)).collect());
    assert!((half.total().total() / whole.total().total() - 0.5).abs() < 1e-9);
    // Under a seed the recipients after the last whole block are who they are.
    let more = model(&with(&email(), "/population/users", 480));
    let key = StreamKey::root(5, EmailModel::NAME);
    let mut counts = [0.0; 9];
    (0..480).for_each(|actor| counts[more.persona_of(key, ActorId(actor))] += 1.0);
    assert_eq!(Expectation::under(&more, key).users, counts.into());
    let alone = model(&email()).population();
    assert!((alone.rows_per_actor * 350.0 / whole.total().total() - 1.0).abs() < 0.1, "shards are sized well enough");
}

/// The personas of the recipients of some blocks of 350 under a seed.
fn dealt(model: &EmailModel, seed: u64, blocks: Range<u64>) -> Vec<usize> {
    let key = StreamKey::root(seed, EmailModel::NAME);
    (blocks.start * 350..blocks.end * 350).map(|actor| model.persona_of(key, ActorId(actor))).collect()
}

#[test]
fn an_id_tells_nothing_of_the_persona() {
    let model = model(&email());
    let personas = dealt(&model, 1, 0..2_000);
    let slots: Vec<usize> = model.config().personas.values().map(|persona| persona.count as usize).collect();
    let shares: Vec<f64> = slots.iter().map(|slots| *slots as f64 / 350.0).collect();
    for place in 0..350 {
        let mut counts = [0; 9];
        personas.iter().skip(place).step_by(350).for_each(|persona| counts[*persona] += 1);
        chi_square(&format!("place {place}"), &counts, &shares).unwrap();
    }
    // Neither the neighbour in the block, nor the same place in the next block or under another seed.
    let alike: f64 = shares.iter().map(|share| share * share).sum();
    let within: f64 = shares.iter().map(|share| share * (350.0 * share - 1.0) / 349.0).sum();
    let same = |what: &str, pairs: &mut dyn Iterator<Item = (usize, usize)>, p: f64| {
        let (hits, n) = pairs.fold((0, 0), |(hits, n), (a, b)| (hits + usize::from(a == b), n + 1));
        share(what, hits, n, p).unwrap();
    };
    let pair = |block: &[usize]| (block[0], block[1]);
    same("neighbours", &mut personas.chunks_exact(350).flat_map(|block| block.chunks_exact(2).map(pair)), within);
    same("blocks", &mut personas.iter().copied().zip(personas[350..].iter().copied()), alike);
    same("seeds", &mut personas.iter().copied().zip(dealt(&model, 2, 0..2_000)), alike);
    for block in personas.chunks_exact(350) {
        let counts: [usize; 9] = std::array::from_fn(|persona| block.iter().filter(|own| **own == persona).count());
        assert_eq!(counts[..], slots);
    }
    // Whoever is asked for, in whatever order, alone or not.
    let key = StreamKey::root(1, EmailModel::NAME);
    for actor in [699_999, 3, 350, 349, 3, 123_456] {
        assert_eq!(model.persona_of(key, ActorId(actor)), personas[actor as usize]);
    }
}

#[test]
fn timing_is_normalised_exactly() {
    timing_table(&model(&email()), true).unwrap();
    timing_table(&model(&email_v1()), false).unwrap();
}

#[test]
fn drift_follows_its_amplitude() {
    for amplitude in [0.002, 0.3] {
        let samples = Samples::new(&with(&email(), "/drift/amplitude", amplitude), 0..1_400, None);
        drift_of(&samples, amplitude).unwrap();
        // The month of delivery sets the rate.
        let mut truths = samples.truths.iter();
        for message in &samples.messages {
            let truth = truths.next().unwrap();
            let Some((delivered, _)) = message.delivered else { continue };
            let month = samples.users[message.user].rates.iter().rev().find(|rate| rate.month <= delivered).unwrap();
            assert_eq!((truth.open_rate, truth.click_rate), (month.open_rate, month.click_rate));
        }
    }
}

#[test]
fn opens_follow_a_drift_that_is_raised() {
    let samples = Samples::new(&with(&email(), "/drift/amplitude", 0.5), 0..2_100, None);
    let (mut observed, mut drifted, mut plain, mut variance) = (0.0, 0.0, 0.0, 0.0);
    // Those whose rate fell below three quarters open by that rate, not by their persona's.
    for (message, truth) in samples.messages.iter().zip(&samples.truths).filter(|(message, _)| message.free) {
        let persona = samples.persona(message);
        let Some(p) = truth.p_open.filter(|_| truth.open_rate < 0.75 * persona.open) else { continue };
        observed += f64::from(u8::from(message.opened.is_some()));
        drifted += p;
        plain += message.p_open;
        variance += p * (1.0 - p);
    }
    let bound = 4.0 * f64::sqrt(variance);
    assert!((observed - drifted).abs() < bound && plain - observed > 5.0 * bound, "{observed} {drifted} {plain} {bound}");
}

#[test]
fn a_floor_of_zero_is_the_formula_itself() {
    let samples = Samples::new(&with(&email(), "/hot_paths/floor", 0.0), 0..700, None);
    let late = samples.truths.iter().filter_map(|truth| Some((truth.at.since_interest?, truth.factor("hot_path"))));
    let mut penalties = 0;
    for (minutes, factor) in late {
        assert!((factor - 2.0 * populace_core::math::exp(-minutes / 15.0)).abs() < 1e-12);
        penalties += u32::from(factor < 0.6);
    }
    assert!(penalties > 100);
}

#[test]
fn what_is_dropped_is_told() {
    let collected = collect(&model(&scaled(&email(), "/circuit_breakers/probability", 5.0)), 5, 0..1_400);
    let reasons = |reason| messages(&collected).iter().filter(|truth| truth.dropped_reason == Some(reason)).count();
    let dropped = [DroppedReason::OpenSuppressed, DroppedReason::ClickSuppressed].map(reasons);
    assert!(dropped[0] > 500 && dropped[1] > 5, "{dropped:?}");
    let opened: BTreeSet<Uuid> = of_type(&collected, &[EventType::Opened]).iter().filter_map(|event| event.message_id).collect();
    let clicked: BTreeSet<Uuid> = of_type(&collected, &[EventType::Clicked]).iter().filter_map(|event| event.message_id).collect();
    for truth in messages(&collected) {
        match truth.dropped_reason {
            Some(DroppedReason::OpenSuppressed) => assert!(!opened.contains(&truth.message_id)),
            Some(DroppedReason::ClickSuppressed) => assert!(opened.contains(&truth.message_id) && !clicked.contains(&truth.message_id)),
            None => assert!(!truth.at.suppressed || !opened.contains(&truth.message_id)),
        }
    }
}

#[test]
fn suppressed_sends_are_not_sent() {
    let model = model(&with(&email(), "/circuit_breakers/suppress_sends", true));
    let samples = Samples::new(&with(&email(), "/circuit_breakers/suppress_sends", true), 0..350, None);
    assert!(samples.messages.iter().all(|message| !samples.users[message.user].stopped(message.sent.time)));
    let (stopped, going) = (collect(&model, 42, 0..350), collect(&super::model(&email()), 42, 0..350));
    let sent =
        |of: &Collected<Event, Truth>| -> BTreeSet<Uuid> { of_type(of, &[EventType::Sent]).iter().map(|event| event.event_id).collect() };
    assert!(sent(&stopped).is_subset(&sent(&going)) && sent(&stopped).len() < sent(&going).len());
}

#[test]
fn clipped_probabilities_are_counted() {
    let collected = collect(&model(&email()), 42, 0..350);
    let clipped = messages(&collected).iter().filter(|truth| truth.cap < 1.0).count() as u64;
    assert!(clipped > 20);
    assert!(collected.clipped >= clipped);
    assert_eq!(collect(&model(&email_v1()), 42, 0..350).clipped, 0);
}

#[test]
fn event_ids_are_unique_and_carry_the_time() {
    let collected = collect(&model(&email()), 42, 0..350);
    let mut seen = BTreeSet::new();
    for (_, event) in &collected.rows {
        assert!(seen.insert(event.event_id));
        let id = event.event_id.to_u128();
        assert_eq!(((id >> 80) as i64 * 1_000, (id >> 76) & 0xF, (id >> 62) & 3), (event.time.0, 7, 2));
        if event.event_type == EventType::Sent {
            assert!(seen.insert(event.message_id.unwrap()));
        }
    }
    let id = Uuid::v7(Instant(1_704_067_200_000_000), 0x0F00_0123_4567_89AB, 0x3FF);
    assert_eq!(id.to_string(), "018cc251-f400-7ffc-8f00-0123456789ab");
}

#[test]
fn rows_come_in_the_order_of_time_then_type() {
    let collected = collect(&model(&scaled(&email(), "/sends/per_day", 500.0)), 42, 0..4);
    let ordered =
        |pair: &[(_, Event)]| pair[0].0 < pair[1].0 || (pair[0].1.time, pair[0].1.event_type) <= (pair[1].1.time, pair[1].1.event_type);
    assert!(collected.rows.windows(2).all(ordered));
    let ties = collected.rows.windows(2).filter(|pair| pair[0].1.time == pair[1].1.time).count();
    assert!(ties > 0, "the sample has ties");
}

/// The rows of one actor.
fn rows(model: &EmailModel, actor: u64) -> Vec<Event> {
    collect(model, 42, [actor]).rows.into_iter().map(|(_, event)| event).collect()
}

#[test]
fn users_do_not_depend_on_how_many_there_are_nor_on_the_order() {
    let (few, many) = (model(&email()), model(&with(&email(), "/population/users", 1_000_000)));
    let together = collect(&few, 42, 0..40);
    for actor in [39, 0, 17] {
        let of: Vec<Event> = together.rows.iter().filter(|(of, _)| of.0 == actor).map(|(_, event)| *event).collect();
        assert_eq!(rows(&few, actor), of);
        assert_eq!(rows(&many, actor), of);
    }
    assert_eq!(rows(&many, 999_999).len(), rows(&many, 999_999).len());
}

#[test]
fn days_do_not_depend_on_how_many_follow() {
    for document in [email(), email_v1()] {
        let long = model(&document);
        for days in [1, 30, 31, 100] {
            let short = model(&with(&document, "/window/days", days));
            let end = start().plus(days * DAY);
            for actor in 0..30 {
                let within = |rows: Vec<Event>| rows.into_iter().filter(|event| event.time < end).collect::<Vec<_>>();
                assert_eq!(within(rows(&short, actor)), within(rows(&long, actor)), "{days} days, actor {actor}");
            }
        }
    }
}

#[test]
fn a_window_holds_all_sends_and_engagement_may_spill_over() {
    let collected = collect(&model(&email()), 42, 0..350);
    let end = start().plus(DAYS * DAY);
    let spilled = collected.rows.iter().filter(|(_, event)| event.time >= end).count();
    assert!(spilled > 10);
    let bound = |event: &Event| event.event_type >= EventType::SupportTicket || event.event_type == EventType::Sent;
    assert!(collected.rows.iter().all(|(_, event)| event.time < end || !bound(event)));
}

/// What two documents have in common, event by event of some types.
fn assert_paired(pointer: &str, value: Value, same: &[EventType], other: EventType) {
    let (before, after) = (collect(&model(&email()), 42, 0..200), collect(&model(&with(&email(), pointer, value)), 42, 0..200));
    assert_eq!(of_type(&before, same), of_type(&after, same), "{pointer}");
    assert_ne!(of_type(&before, &[other]), of_type(&after, &[other]), "{pointer} changes something");
}

const MAIL: &[EventType] = &[EventType::Sent, EventType::Delivered];
const OCCASIONS: &[EventType] = &[
    EventType::SupportTicket,
    EventType::Complaint,
    EventType::UnsubscribeRequest,
    EventType::SiteVisit,
    EventType::SmsClick,
    EventType::ProductView,
];

#[test]
fn one_mechanism_leaves_the_draws_of_the_others_alone() {
    let and_mail: Vec<EventType> = MAIL.iter().chain(OCCASIONS).copied().collect();
    let and_opens: Vec<EventType> = and_mail.iter().copied().chain([EventType::Opened]).collect();
    assert_paired("/fatigue", Value::Null, &and_mail, EventType::Opened);
    assert_paired("/minute", Value::Null, &and_mail, EventType::Opened);
    assert_paired("/drift", json!({"amplitude": 0.3}), &and_mail, EventType::Opened);
    assert_paired("/hot_paths/boost", json!(3), &and_mail, EventType::Opened);
    assert_paired("/open_delay", json!("exponential"), &and_mail, EventType::Opened);
    assert_paired("/click_delays/mean_minutes", json!(5), &and_opens, EventType::Clicked);
    assert_paired("/personas/commuter/click_rate", json!(0.3), &and_opens, EventType::Clicked);
    assert_paired("/latency/lognormal/sigma", json!(0.8), &[OCCASIONS, &[EventType::Sent]].concat(), EventType::Delivered);
    assert_paired("/delivery/probability", json!(0.5), &[OCCASIONS, &[EventType::Sent]].concat(), EventType::Delivered);
    assert_paired("/sends/per_day", json!(3), OCCASIONS, EventType::Sent);
    assert_paired("/circuit_breakers/probability", json!(0.2), MAIL, EventType::Opened);
    assert_paired("/hot_paths/probability", json!(0.5), &OCCASIONS[..3], EventType::Sent);
    assert_paired(
        "/size_factor/high",
        json!(2),
        &[OCCASIONS, &[EventType::Sent, EventType::Opened, EventType::Clicked]].concat(),
        EventType::Delivered,
    );
}

#[test]
fn a_higher_rate_keeps_every_open_there_was() {
    let opened = |document: &Value| -> BTreeSet<Uuid> {
        of_type(&collect(&model(document), 42, 0..350), &[EventType::Opened]).iter().map(|event| event.event_id).collect()
    };
    assert!(opened(&email()).is_subset(&opened(&with(&email(), "/fatigue", Value::Null))));
    let busy = scaled(&email(), "/sends/per_day", 2.0);
    let sent = |document: &Value| -> BTreeSet<Uuid> {
        of_type(&collect(&model(document), 42, 0..350), &[EventType::Sent]).iter().map(|event| event.event_id).collect()
    };
    assert!(sent(&email()).is_subset(&sent(&busy)));
}

#[test]
fn two_changes_commute() {
    let changes: [(&str, Value); 2] = [("/fatigue", Value::Null), ("/latency/lognormal/sigma", json!(0.6))];
    let [a, b] = &changes;
    let one = with(&with(&email(), a.0, a.1.clone()), b.0, b.1.clone());
    let other = with(&with(&email(), b.0, b.1.clone()), a.0, a.1.clone());
    assert_eq!(collect(&model(&one), 42, 0..50).rows, collect(&model(&other), 42, 0..50).rows);
    // The latency of the changed law does not depend on whether fatigue was changed too.
    let alone = with(&email(), b.0, b.1.clone());
    let delivered = |document: &Value| of_type(&collect(&model(document), 42, 0..50), MAIL);
    assert_eq!(delivered(&one), delivered(&alone));
}

#[test]
fn v1_and_v2_are_paired() {
    let sent = |document: &Value| -> BTreeSet<Uuid> {
        of_type(&collect(&model(document), 42, 0..200), &[EventType::Sent]).iter().map(|event| event.event_id).collect()
    };
    assert!(sent(&email_v1()).is_subset(&sent(&email())), "V2 adds the triggered sends");
}

#[test]
fn an_explicit_peak_minute_of_a_persona_replaces_the_common_ones() {
    let mut document = email();
    document["personas"]["sporadic"]["peak_minutes"] = json!([5]);
    let model = model(&document);
    let sporadic = model.personas().iter().position(|persona| persona.name == "sporadic").unwrap();
    let factor =
        |minute: u16| model.timing().find(|row| usize::from(row.persona) == sporadic && row.minute_of_week == minute).unwrap().factor;
    assert_eq!([factor(5), factor(15), factor(59), factor(30)], [1.3, 1.0, 0.7, 1.0]);
}
