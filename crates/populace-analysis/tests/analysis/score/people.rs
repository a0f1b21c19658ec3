//! Where people differ: the posterior is what integrating by brute force gives, and the ceilings of scores are right.

use super::Bench;
use super::engagement::assert_calibrated_and_ordered;
use crate::support::{Run, actors};
use populace_analysis::email::{EVENT_COLUMNS, History, Inference, Law, Message};
use populace_analysis::source::Side;
use populace_core::dist::beta_nodes;
use populace_core::email::EmailModel;
use populace_core::time::Instant;

/// Two personas whose laws are polynomials: open rates Beta(3, 5) and Beta(2, 6), clicks of opens Beta(6, 6) and Beta(3, 9).
const PERSONAS: &str = "{early: {count: 2, peak_hours: [7, 8, 9], active_days: [mon, tue, wed, thu, fri], open_rate: 0.375, click_rate: 0.1875}, \
                        any: {count: 1, peak_hours: [], active_days: [mon, tue, wed, thu, fri, sat, sun], open_rate: 0.25, click_rate: 0.0625}, \
                        morning_person: null, evening_person: null, night_owl: null, lunch_browser: null, weekend_warrior: null, \
                        commuter: null, sporadic: null, highly_engaged: null, low_engaged: null}";
const SHAPES: [[i32; 4]; 2] = [[2, 6, 3, 9], [3, 5, 6, 6]];

/// What the messages before `now` tell of a recipient of a persona, summed over hours and integrated over rates and clicks: the weight of
/// the persona, and the same with the next message's P(open), and P(click | open).
fn brute_force(law: &Law<'_>, history: &History, message: &Message, now: Instant, persona: usize, nodes: usize) -> [f64; 3] {
    let model = law.model();
    let known: Vec<&Message> =
        history.messages.iter().filter(|message| message.delivered.is_some_and(|delivered| delivered < now)).collect();
    let [a, b, c, d] = SHAPES[persona];
    let uniform = beta_nodes(1.0, 1.0, nodes);
    let density = |x: f64, a: i32, b: i32| x.powi(a - 1) * (1.0 - x).powi(b - 1);
    // Clicks.
    let mut clicks = [0.0; 2];
    for (ratio, weight) in &uniform {
        let tells: f64 = known
            .iter()
            .filter_map(|message| {
                let opened = message.opened.filter(|opened| *opened < now)?;
                let is_clicked = message.clicked.is_some_and(|clicked| clicked < now);
                Some(if is_clicked { *ratio } else { 1.0 - ratio * law.click_delay(opened).unsuppressed(0, now, history) })
            })
            .product();
        let of = weight * tells * density(*ratio, c, d);
        clicks = [clicks[0] + of, clicks[1] + of * ratio];
    }
    // Opens: where the week is nothing to a recipient, and where it may do all it can, p bends in the rate.
    let mut opens = [0.0; 2];
    for (habit, of) in model.habits().iter().enumerate().filter(|(_, habit)| usize::from(habit.persona) == persona) {
        let unsuppressed: Vec<f64> = known
            .iter()
            .map(|message| {
                let delay = law.open_delay(0, message.delivered.unwrap());
                match message.opened.filter(|opened| *opened < now) {
                    Some(opened) => delay.around(habit, opened),
                    None => delay.unsuppressed(habit, now, history),
                }
            })
            .collect();
        let most = (0..168)
            .map(|hour| {
                let full = model.person(habit, 1e-6, 1e-6);
                model.effects().timing_at(&full, populace_core::email::MONDAY.plus(hour * 3_600_000_000), 0)
            })
            .fold(0.0, f64::max);
        let last = 0.95 / 1.3;
        for ends in [0.0, last / most, last, 1.0].windows(2) {
            for (place, weight) in &uniform {
                let rate = ends[0] + (ends[1] - ends[0]) * place;
                let person = model.person(habit, rate, rate);
                let tells: f64 = known
                    .iter()
                    .zip(&unsuppressed)
                    .map(|(message, share)| {
                        let p = law.p_open(&person, message).unwrap() * share;
                        if message.opened.is_some_and(|opened| opened < now) { p } else { 1.0 - p }
                    })
                    .product();
                let of = of.share * weight * (ends[1] - ends[0]) * tells * density(rate, a, b);
                opens = [opens[0] + of, opens[1] + of * law.p_open(&person, message).unwrap()];
            }
        }
    }
    [opens[0] * clicks[0], opens[1] * clicks[0], opens[0] * clicks[1]]
}

fn assert_brute(days: &str, per_day: &str, users: usize, nodes: usize, tolerance: f64) {
    let set = [
        ("personas", PERSONAS),
        ("people", "{}"),
        ("engagement.max_probability", "1"),
        ("minute", "null"),
        ("hot_paths", "null"),
        ("drift", "null"),
        ("circuit_breakers.probability", "0.05"),
        ("window.days", days),
        ("sends.per_day", per_day),
        ("population.users", "60"),
    ];
    let run = Run::new("email", 31, &set);
    let model: EmailModel = run.source().model().unwrap();
    let law = Law::new(&model, Some(31));
    let inference = Inference::new(&law);
    // What the densities lack to be of mass 1: B(a, b) B(c, d).
    let factorial = |n: i32| (1..n).map(f64::from).product::<f64>();
    let beta = |a: i32, b: i32| factorial(a) * factorial(b) / factorial(a + b);
    let (mut compared, mut worst) = (0, 0.0_f64);
    for events in
        actors(&run.source(), "recipient_id", Side { table: "events", wants: &EVENT_COLUMNS, time: Some("timestamp") }).iter().take(users)
    {
        let history = History::new(&model, events);
        let mut delivered: Vec<&Message> = history.messages.iter().filter(|message| message.delivered.is_some()).collect();
        delivered.sort_by_key(|message| message.delivered);
        let mut filter = inference.filter(&history);
        for message in delivered.iter().skip(delivered.len() / 2).step_by(3) {
            let now = message.delivered.unwrap();
            let posterior = filter.posterior_before(now).unwrap();
            let found = [
                posterior.personas()[0],
                posterior.states().iter().zip(inference.p_open(model.typical(0).zone, message)).map(|(weight, p)| weight * p).sum(),
                posterior.p_click(message),
            ];
            let each: Vec<[f64; 3]> = (0..2)
                .map(|persona| {
                    let [a, b, c, d] = SHAPES[persona];
                    let share = law.personas()[persona].share / (beta(a, b) * beta(c, d));
                    brute_force(&law, &history, message, now, persona, nodes).map(|weight| share * weight)
                })
                .collect();
            let total = each[0][0] + each[1][0];
            let expected = [each[0][0] / total, (each[0][1] + each[1][1]) / total, (each[0][2] + each[1][2]) / total];
            for (found, expected) in found.iter().zip(expected) {
                worst = worst.max((found - expected).abs());
                compared += 1;
            }
        }
    }
    println!("{days} days of {per_day}: {compared} compared, the farthest off by {worst:e}");
    assert!(compared >= 60 && worst < tolerance, "{compared} compared, the farthest off by {worst:e}");
}

#[test]
fn the_posterior_is_what_brute_force_gives() {
    // As few messages as the rules are exact for.
    assert_brute("12", "0.8", 40, 40, 1e-9);
    // And as many as a run has.
    assert_brute("101", "0.8", 3, 120, 2e-5);
}

#[test]
fn ceilings_hold_where_people_differ() {
    let bench = Bench::new(Run::new("email", 18, &[("people", "{}"), ("population.users", "280")]));
    for task in ["open", "click"] {
        assert_calibrated_and_ordered(&bench, task);
    }
}
