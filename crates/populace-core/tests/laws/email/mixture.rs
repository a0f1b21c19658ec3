//! Opens whose delay is of a mixture: what the events show of it, and what it leaves alone.

use super::laws::{all, sum};
use super::samples::Samples;
use super::{email, model};
use crate::mutation::{Law, broken};
use crate::support::{Verdict, collect, follows, record_mutants, share, with};
use populace_core::email::{Event, MessageTruth, Truth};
use populace_core::math;
use populace_core::time::{DAY, HOUR, Instant, MINUTE};
use serde_json::{Value, json};
use std::fmt::Write as _;

const USERS: u64 = 4_200;
/// Weights and means of the components, minutes, and the greatest delay.
const COMPONENTS: [(f64, f64); 4] = [(0.13, 15.0), (0.46, 240.0), (0.30, 1_440.0), (0.11, 10_080.0)];
const MOST: f64 = 43_200.0;

/// Without circuit breakers, which few opens of a month would escape; of personas of whom some look at their mail at all hours alike.
fn document() -> Value {
    let mut document = with(&email(), "/open_delay", "mixture");
    document["circuit_breakers"] = Value::Null;
    document["open_mixture"] = json!({
        "max_minutes": MOST,
        "components": COMPONENTS.map(|(weight, mean)| json!({"weight": weight, "mean_minutes": mean})),
    });
    document
}

fn cdf_of(mean: f64, minutes: f64) -> f64 {
    let below = |x: f64| 1.0 - math::exp(-x / mean);
    below((minutes - 1.0).clamp(0.0, MOST - 1.0)) / below(MOST - 1.0)
}

/// P(delay ≤ minutes) of a persona that looks at its mail at all hours alike.
fn cdf(minutes: f64) -> f64 {
    COMPONENTS.iter().map(|(weight, mean)| weight * cdf_of(*mean, minutes)).sum()
}

/// Opens with their component by the truth: of flat personas, or of others.
fn opens(samples: &Samples, flat: bool) -> impl Iterator<Item = (u8, f64, Instant)> {
    let of_kind = move |persona: &super::samples::Persona| persona.peak_hours.is_empty() == flat;
    samples.messages.iter().zip(&samples.truths).filter(move |(message, _)| of_kind(samples.persona(message))).filter_map(
        |(message, truth)| {
            let (delivered, opened) = (message.delivered?.0, message.opened?);
            Some((truth.open_component?, opened.since(delivered) as f64 / MINUTE as f64, opened))
        },
    )
}

fn delays(samples: &Samples) -> Verdict {
    follows("open delays", opens(samples, true).map(|(_, delay, _)| delay).collect(), cdf)
}

fn ends(samples: &Samples) -> Verdict {
    let found: Vec<f64> = [true, false].into_iter().flat_map(|flat| opens(samples, flat)).map(|(_, delay, _)| delay).collect();
    // What is rounded to the millisecond may stand just below the end.
    if let Some(delay) = found.iter().find(|delay| !(0.999..=MOST + 1e-3).contains(*delay)) {
        return Err(format!("a delay of {delay} minutes"));
    }
    let of_flat: Vec<f64> = opens(samples, true).map(|(_, delay, _)| delay).collect();
    let late = of_flat.iter().filter(|delay| **delay > MOST / 1.2).count() as f64;
    let expected = (1.0 - cdf(MOST / 1.2)) * of_flat.len() as f64;
    sum("opens in the last sixth", late, expected, expected)
}

fn components(samples: &Samples) -> Verdict {
    let of_kind = |flat| opens(samples, flat).map(|(component, ..)| usize::from(component)).collect::<Vec<_>>();
    let found = [of_kind(true), of_kind(false)].into_iter().filter(|found| !found.is_empty()).collect::<Vec<_>>();
    if found.is_empty() {
        return Err("no open has a component".into());
    }
    // Whatever the persona and the hour: attention moves opens within their component alone.
    let shares = found.iter().flat_map(|found| {
        let hits = |component: usize| found.iter().filter(|of| **of == component).count();
        COMPONENTS.iter().enumerate().map(move |(component, (weight, _))| share("component", hits(component), found.len(), *weight))
    });
    let places = COMPONENTS.iter().enumerate().map(|(component, (_, mean))| {
        let of = opens(samples, true).filter(|(own, ..)| usize::from(*own) == component).map(|(_, delay, _)| delay);
        follows("delays of a component", of.collect(), |minutes| cdf_of(*mean, minutes))
    });
    all(shares.chain(places))
}

/// Opens of each component fall into a persona's own hours as often as attention says: .1 outside its hours, .2 on other days.
fn attention(samples: &Samples) -> Verdict {
    let mut sums = [(0.0, 0.0, 0.0); COMPONENTS.len()];
    let opened = samples.messages.iter().zip(&samples.truths).filter(|(message, _)| !samples.persona(message).peak_hours.is_empty());
    let opened = opened.filter_map(|(message, truth)| Some((message, truth.open_component?, message.delivered?.0, message.opened?)));
    for (message, component, delivered, opened) in opened.take(6_000) {
        let mean = COMPONENTS[usize::from(component)].1;
        let persona = samples.persona(message);
        let (mut at, end) = (delivered.plus(MINUTE), delivered.plus(MOST as i64 * MINUTE));
        let (mut total, mut own, mut left) = (0.0, 0.0, 1.0);
        // Beyond that nothing is left.
        while at < end && left > 1e-12 {
            let next = Instant((at.0.div_euclid(HOUR) + 1) * HOUR).min(end);
            let after = left * math::exp(-(next.since(at) as f64) / MINUTE as f64 / mean);
            let (peak, day) = persona.at(at);
            let mass = (left - after) * (if peak { 1.0 } else { 0.1 }) * (if day { 1.0 } else { 0.2 });
            total += mass;
            own += if peak && day { mass } else { 0.0 };
            (left, at) = (after, next);
        }
        let (p, hit) = (own / total, persona.at(opened) == (true, true));
        let (observed, expected, variance) = &mut sums[usize::from(component)];
        *observed += f64::from(u8::from(hit));
        *expected += p;
        *variance += p * (1.0 - p);
    }
    all(sums.map(|(observed, expected, variance)| sum("opens of a component in own hours", observed, expected, variance)))
}

const RULES: &[Law<Samples>] =
    &[("open delays", delays), ("greatest open delay", ends), ("components", components), ("own hours", attention)];

#[test]
fn opens_show_the_mixture() {
    let found = broken(&Samples::new(&document(), 0..USERS, None), RULES);
    assert!(found.is_empty(), "{found:#?}");
    // The document without its components has those, too.
    let mut short = document();
    short.as_object_mut().unwrap().remove("open_mixture");
    let found = broken(&Samples::new(&short, 0..USERS, None), RULES);
    assert!(found.is_empty(), "{found:#?}");
    for (hours, expected) in [(1.0, 0.24), (6.0, 0.55), (24.0, 0.79), (48.0, 0.87), (168.0, 0.96)] {
        assert!((cdf(60.0 * hours) - expected).abs() < 0.01, "{hours} h: {}", cdf(60.0 * hours));
    }
}

#[test]
fn mixtures_that_are_moved_are_caught() {
    let weight = |place: usize, factor: f64| (format!("/open_mixture/components/{place}/weight"), json!(COMPONENTS[place].0 * factor));
    let mean = |place: usize, factor: f64| (format!("/open_mixture/components/{place}/mean_minutes"), json!(COMPONENTS[place].1 * factor));
    let both = |of: &dyn Fn(usize, f64) -> (String, Value)| (0..4).flat_map(|place| [of(place, 0.8), of(place, 1.2)]).collect::<Vec<_>>();
    let ends = [0.8, 1.0 / 1.2].map(|factor| ("/open_mixture/max_minutes".to_owned(), json!((MOST * factor).round())));
    let moved = both(&weight).into_iter().chain(both(&mean)).chain(ends);
    let mut table = String::from("| constant | is | moved to | caught by |\n|---|---|---|---|\n");
    for (pointer, value) in moved.chain([("/open_delay".to_owned(), json!("attention"))]) {
        let mut document = document();
        let is = document.pointer(&pointer).unwrap().clone();
        document = with(&document, &pointer, value.clone());
        if pointer == "/open_delay" {
            document.as_object_mut().unwrap().remove("open_mixture");
        }
        let caught: Vec<&str> =
            broken(&Samples::new(&document, 0..3 * USERS, Some("sporadic")), RULES).into_iter().map(|(rule, _)| rule).collect();
        assert!(!caught.is_empty(), "{pointer} = {value}");
        writeln!(table, "| `{}` | {is} | {value} | {} |", pointer[1..].replace('/', "."), caught.join("; ")).unwrap();
    }
    record_mutants("email, with a mixture of open delays", &table);
}

fn simulated(document: &Value, actors: u64) -> (Vec<Event>, Vec<MessageTruth>) {
    let collected = collect(&model(document), 42, 0..actors);
    let message = |(_, truth): &(_, Truth)| if let Truth::Message(message) = truth { Some(*message) } else { None };
    (collected.rows.into_iter().map(|(_, event)| event).collect(), collected.truths.iter().filter_map(message).collect())
}

#[test]
fn a_mixture_of_todays_delay_alone_is_todays() {
    let mut document = with(&email(), "/open_delay", "mixture");
    document["open_mixture"] = json!({"max_minutes": 2_880, "components": [{"weight": 3, "mean_minutes": 240}]});
    let (events, truths) = simulated(&document, 60);
    let (of_today, truths_of_today) = simulated(&email(), 60);
    assert_eq!(events, of_today);
    assert!(truths.iter().any(|truth| truth.open_component == Some(0)));
    let without = |truth: MessageTruth| MessageTruth { open_component: None, ..truth };
    assert_eq!(truths.into_iter().map(without).collect::<Vec<_>>(), truths_of_today);
}

#[test]
fn a_mixture_moves_opens_and_what_follows_them_alone() {
    let (mixed, plain) = (simulated(&document(), 100).1, simulated(&with(&email(), "/circuit_breakers", Value::Null), 100).1);
    let without = |truth: &MessageTruth| MessageTruth { open_component: None, human_opened_at: None, ..*truth };
    let [mixed, plain] = [mixed, plain].map(|truths| truths.iter().map(without).collect::<Vec<_>>());
    assert_eq!(mixed, plain);
}

#[test]
fn days_of_a_mixture_do_not_depend_on_how_many_follow() {
    let (long, _) = simulated(&document(), 30);
    for days in [1, 40, 90] {
        let end = super::samples::start().plus(days * DAY);
        let within = |events: &[Event]| events.iter().filter(|event| event.time < end).copied().collect::<Vec<_>>();
        assert_eq!(within(&simulated(&with(&document(), "/window/days", days), 30).0), within(&long), "{days} days");
    }
}
