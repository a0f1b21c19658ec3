//! People who differ: their rates and hours, that timing keeps its mean, and that no constant of theirs moves unnoticed.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Collected, Verdict, all, chi_square, collect, config, mean, record_mutants, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{EmailConfig, EmailModel, Event, EventType, Person, Truth};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::DAY;
use serde_json::{Value, json};

/// The constants, as the specification has them.
const OPEN: f64 = 8.0;
const RATIO: f64 = 12.0;
const SHIFTS: [f64; 5] = [0.1, 0.2, 0.4, 0.2, 0.1];
const USERS: u64 = 21_000;

fn section() -> Value {
    json!({ "open_concentration": OPEN, "ratio_concentration": RATIO, "peak_shifts": SHIFTS })
}

fn with_people(document: &Value, section: Value) -> Value {
    let mut document = document.clone();
    document["people"] = section;
    document
}

/// Who the recipients are, without what they do.
struct Population {
    model: EmailModel,
    people: Vec<Person>,
}

impl Population {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let key = StreamKey::root(7, EmailModel::NAME);
        Self { people: (0..USERS).map(|actor| model.person_of(key, ActorId(actor))).collect(), model }
    }

    /// Of each persona, its people's rates and the rate that they are about.
    fn by_persona(&self, of: fn(f64, f64) -> f64) -> Vec<(Vec<f64>, f64)> {
        let rates = |(index, persona): (usize, &populace_core::email::Persona)| {
            let own = self.people.iter().filter(|person| usize::from(person.persona) == index);
            (own.map(|person| of(person.open_rate, person.click_rate)).collect(), of(persona.open_rate, persona.click_rate))
        };
        self.model.personas().iter().enumerate().map(rates).collect()
    }

    /// Means and the concentration, by the moments of a Beta distribution.
    fn spread(&self, of: fn(f64, f64) -> f64, concentration: f64) -> Verdict {
        let mut scatter = Vec::new();
        for (own, about) in self.by_persona(of) {
            let variance = about * (1.0 - about) / (concentration + 1.0);
            mean("mean of a persona", own.iter().sum::<f64>() / own.len() as f64, own.len(), about, variance.sqrt())?;
            scatter.extend(own.iter().map(|rate| (rate - about).powi(2) / (about * (1.0 - about))));
        }
        let n = scatter.len() as f64;
        let found = scatter.iter().sum::<f64>() / n;
        let deviation = (scatter.iter().map(|of| (of - found).powi(2)).sum::<f64>() / n).sqrt();
        mean("1 / (1 + concentration)", found, scatter.len(), 1.0 / (concentration + 1.0), deviation)
    }
}

const LAWS: &[Law<Population>] = &[
    ("open rates are Beta about those of the personas", |population| population.spread(|open, _| open, OPEN)),
    ("clicks of opens are Beta about those of the personas", |population| population.spread(|open, click| click / open, RATIO)),
    ("shifts of peak hours have their weights", |population| {
        let mut counts = [0; 5];
        for person in &population.people {
            counts
                [usize::try_from(population.model.habits()[usize::from(person.habit)].shift + 2).map_err(|error| error.to_string())?] += 1;
        }
        chi_square("shifts", &counts, &SHIFTS)
    }),
    ("own rates, clicks and shifts do not depend on each other", |population| {
        let Population { model, people } = population;
        let z = |person: &Person| {
            let persona = &model.personas()[usize::from(person.persona)];
            let ratio = persona.click_rate / persona.open_rate;
            let of = |own: f64, about: f64, concentration: f64| (own - about) / (about * (1.0 - about) / (concentration + 1.0)).sqrt();
            let shift = f64::from(model.habits()[usize::from(person.habit)].shift) / 1.2_f64.sqrt();
            [of(person.open_rate, persona.open_rate, OPEN), of(person.click_rate / person.open_rate, ratio, RATIO), shift]
        };
        let z: Vec<[f64; 3]> = people.iter().map(z).collect();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            mean("correlation", z.iter().map(|z| z[a] * z[b]).sum::<f64>() / z.len() as f64, z.len(), 0.0, 1.0)?;
        }
        Ok(())
    }),
];

#[test]
fn every_law_of_people_holds() {
    let found = broken(&Population::new(&with_people(&email(), section())), LAWS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mutants_of_people_are_caught() {
    let document = json!({ "people": section() });
    let mutation = Mutation {
        document: &document,
        exceptions: &[],
        moves: |_, value| fifths(value, false),
        mutate: |document, pointer, moved| with(document, pointer, moved.clone()),
        sample: |document| Population::new(&with_people(&email(), document["people"].clone())),
        laws: LAWS,
    };
    record_mutants("email, people who differ", &mutation.table());
}

/// The mean of timing over the law of scheduled sends is 1 for everybody, and nobody's rate goes where it may not.
#[test]
fn timing_keeps_everybodys_rate() {
    let Population { model, people } = Population::new(&with_people(&email(), section()));
    let timing = &model.config().timing;
    let weeks: Vec<f64> = (0..168).map(|hour| model.calendar().weight(hour % 24)).collect();
    let mut flat = 0;
    for person in people.iter().take(2_000) {
        let at = |hour: usize| model.effects().timing_at(person, populace_core::email::MONDAY.plus(hour as i64 * 3_600_000_000), 0);
        let mean = (0..168).map(|hour| weeks[hour] * at(hour)).sum::<f64>() / weeks.iter().sum::<f64>();
        assert!((mean - 1.0).abs() < 1e-12, "{person:?}: {mean}");
        let greatest = (0..168).map(at).fold(0.0, f64::max) * person.open_rate * timing.minute_allowance;
        assert!(greatest < timing.max_probability + 1e-12 || person.timing_k == 0.0, "{person:?}: {greatest}");
        assert!(person.click_rate <= person.open_rate && (0.0..=1.0).contains(&person.timing_k));
        flat += u32::from(person.timing_k == 0.0);
    }
    assert!(flat > 20, "some open so much that time is nothing to them: {flat}");
}

fn opens_of(collected: &Collected<Event, Truth>, users: u64) -> Vec<[f64; 3]> {
    let mut counts = vec![[0.0; 3]; users as usize];
    for (actor, event) in &collected.rows {
        match event.event_type {
            EventType::Delivered => counts[actor.0 as usize][0] += 1.0,
            EventType::Opened => counts[actor.0 as usize][1] += 1.0,
            EventType::Clicked => counts[actor.0 as usize][2] += 1.0,
            _ => {}
        }
    }
    counts
}

/// What people do follows their own rates and hours: against probabilities worked out from who they are, apart from the simulation.
#[test]
fn people_act_by_their_own_rates_and_hours() {
    let mut document = with_people(&email(), section());
    for key in ["circuit_breakers", "hot_paths", "fatigue", "minute", "drift"] {
        document[key] = Value::Null;
    }
    let model = model(&document);
    let users = 2_100;
    let collected = collect(&model, 7, 0..users);
    let key = StreamKey::root(7, EmailModel::NAME);
    // By the shift, and by the fifth of the own rate: opens expected and their variance.
    let mut by = vec![[0.0; 3]; 10];
    let mut clicks = [0.0; 3];
    for (actor, truth) in &collected.truths {
        let Truth::Message(message) = truth else { continue };
        let person = model.person_of(key, *actor);
        assert_eq!(message.at.person, person);
        let habit = &model.habits()[usize::from(person.habit)];
        let persona = &model.config().personas[&model.personas()[usize::from(person.persona)].name];
        let hour = i32::from(message.at.clock.hour());
        let own = |hour: i32| {
            persona.peak_hours.is_empty()
                || persona.peak_hours.iter().any(|peak| (i32::from(*peak) + i32::from(habit.shift)).rem_euclid(24) == hour)
        };
        let day = |day: usize| if persona.active_days.iter().any(|active| *active as usize == day) { 1.0 } else { 0.3 };
        let shape = |day_of_week: usize, hour: i32| (if own(hour) { 1.0 } else { 0.2 }) * day(day_of_week);
        let weight = |hour: i32| if (6..=22).contains(&hour) { 1.0 } else { 0.15 };
        let mean =
            (0..7).flat_map(|day| (0..24).map(move |hour| (day, hour))).map(|(day, hour)| weight(hour) * shape(day, hour)).sum::<f64>()
                / (7.0 * (0..24).map(weight).sum::<f64>());
        let most = (0..7).flat_map(|day| (0..24).map(move |hour| shape(day, hour))).fold(0.0, f64::max) / mean;
        let k = if most > 1.0 + 1e-12 { ((0.95 / 1.3 / person.open_rate - 1.0) / (most - 1.0)).clamp(0.0, 1.0) } else { 0.0 };
        let timing = 1.0 + k * (shape(usize::from(message.at.clock.weekday()), hour) / mean - 1.0);
        let (Some(p_open), Some(p_click)) = (message.p_open, message.p_click) else { continue };
        assert!((p_open - (person.open_rate * timing).min(0.98)).abs() < 1e-12);
        assert!((p_click - person.click_rate / person.open_rate).abs() < 1e-12);
        let opened = f64::from(u8::from(message.human_opened_at.is_some()));
        for group in [(habit.shift + 2) as usize, 5 + ((person.open_rate * 5.0) as usize).min(4)] {
            by[group] = [by[group][0] + opened, by[group][1] + p_open, by[group][2] + p_open * (1.0 - p_open)];
        }
        clicks = [clicks[0], clicks[1] + opened * p_click, clicks[2] + opened * p_click * (1.0 - p_click)];
    }
    for (group, [observed, expected, variance]) in by.iter().enumerate() {
        assert!(*expected > 100.0);
        sum(&format!("opens, group {group}"), *observed, *expected, *variance).unwrap();
    }
    clicks[0] = opens_of(&collected, users).iter().map(|counts| counts[2]).sum();
    sum("clicks", clicks[0], clicks[1], clicks[2]).unwrap();
}

/// The opens of a shifted recipient come later, too.
#[test]
fn attention_is_shifted_with_the_hours() {
    let mut document = with_people(&email(), json!({ "peak_shifts": [0, 0, 0, 0, 1], "open_concentration": null }));
    document["circuit_breakers"] = Value::Null;
    let shifted = collect(&model(&document), 7, 0..350);
    document["people"] = Value::Null;
    let plain = collect(&model(&document), 7, 0..350);
    let lunch = model(&document).personas().iter().position(|persona| persona.name == "lunch_browser").unwrap() as u8;
    let at_peak = |of: &Collected<Event, Truth>, hours: [u8; 2]| {
        let people: Vec<u64> = of
            .truths
            .iter()
            .filter_map(|(actor, truth)| matches!(truth, Truth::User(user) if user.person.persona == lunch).then_some(actor.0))
            .collect();
        let opens: Vec<&Event> = of
            .rows
            .iter()
            .filter(|(actor, event)| people.binary_search(&actor.0).is_ok() && event.event_type == EventType::Opened)
            .map(|(_, event)| event)
            .collect();
        opens.iter().filter(|event| hours.contains(&event.time.hour())).count() as f64 / opens.len() as f64
    };
    let (before, after) = (at_peak(&plain, [12, 13]), at_peak(&shifted, [14, 15]));
    assert!((before - after).abs() < 0.1 && before > 0.3, "{before} {after}");
    let (none, other) = (at_peak(&plain, [14, 15]), at_peak(&shifted, [12, 13]));
    assert!(none < 0.2 && other < 0.2, "{none} {other}");
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let rows = |section: Value| collect(&model(&with_people(&email(), section)), 7, 0..50).rows;
    assert_eq!(rows(json!({})), rows(section()));
}

#[test]
fn people_who_do_not_differ_change_nothing() {
    let alike = json!({ "open_concentration": null, "ratio_concentration": null, "peak_shifts": [0, 0, 1, 0, 0] });
    let (off, neutral) = (collect(&model(&email()), 7, 0..300), collect(&model(&with_people(&email(), alike)), 7, 0..300));
    assert_eq!(off.rows, neutral.rows);
    assert_eq!(off.truths, neutral.truths);
    assert_eq!(off.clipped, neutral.clipped);
}

#[test]
fn days_and_users_that_follow_change_nothing() {
    let document = with_people(&email(), section());
    let (long, short) = (model(&document), model(&with(&with(&document, "/window/days", 40), "/population/users", 100)));
    let until = long.window().begin().plus(40 * DAY);
    let before = |rows: Vec<(ActorId, Event)>| -> Vec<Event> {
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    assert_eq!(before(collect(&long, 7, 0..100).rows), before(collect(&short, 7, 0..100).rows));
}

/// One parameter moved leaves the draws of the others.
#[test]
fn a_shift_does_not_move_rates() {
    let people = |section: Value| Population::new(&with_people(&email(), section)).people;
    let rates = |people: &[Person]| people.iter().map(|person| (person.open_rate, person.click_rate)).collect::<Vec<_>>();
    let all = people(section());
    assert_eq!(rates(&all), rates(&people(json!({ "peak_shifts": [1] }))));
    let alike = people(json!({ "ratio_concentration": null }));
    assert!(all.iter().zip(&alike).all(|(a, b)| a.open_rate == b.open_rate && a.habit == b.habit));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut document = with_people(&email(), json!({ "open_concentration": 0.5, "peak_shifts": [0.5, 0.5] }));
    document["personas"]["commuter"]["open_rate"] = json!(0.005);
    document["personas"]["commuter"]["click_rate"] = json!(0.001);
    let error = EmailModel::from_config(&config::<EmailConfig>(&document)).unwrap_err().to_string();
    for problem in ["people.open_concentration", "people.peak_shifts"] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
    document["people"] = json!({ "peak_shifts": [0, 0, 0] });
    let error = EmailModel::from_config(&config::<EmailConfig>(&document)).unwrap_err().to_string();
    for problem in ["people.open_concentration", "of commuter", "people.peak_shifts"] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
}

/// The figures of the specification: the variance between users of the share that they open, and what a binomial law leaves of it; and
/// that next to nothing more is clipped.
#[test]
fn people_have_the_figures_of_the_specification() {
    let users = 4_200;
    let mut document = with_people(&email(), section());
    for key in ["circuit_breakers", "hot_paths"] {
        document[key] = Value::Null;
    }
    let on = collect(&model(&document), 7, 0..users);
    let key = StreamKey::root(7, EmailModel::NAME);
    let model = model(&document);
    let within: Vec<(usize, [f64; 3])> = opens_of(&on, users)
        .into_iter()
        .enumerate()
        .filter(|(_, counts)| counts[0] > 0.0)
        .map(|(actor, counts)| (usize::from(model.person_of(key, ActorId(actor as u64)).persona), counts))
        .collect();
    let n = within.len() as f64;
    let rate = |persona: usize| {
        let own = || within.iter().filter(|(of, _)| *of == persona);
        own().map(|(_, counts)| counts[1]).sum::<f64>() / own().map(|(_, counts)| counts[0]).sum::<f64>()
    };
    let rates: Vec<f64> = (0..model.personas().len()).map(rate).collect();
    let scatter = within.iter().map(|(persona, counts)| (counts[1] / counts[0] - rates[*persona]).powi(2)).sum::<f64>() / n;
    let binomial = within.iter().map(|(_, [n, opens, _])| opens / n * (1.0 - opens / n) / n).sum::<f64>() / n;
    assert!((scatter - binomial - 0.022).abs() < 0.004 && (binomial - 0.0025).abs() < 0.0015, "{scatter} {binomial}");
    let messages = on.truths.iter().filter(|(_, truth)| matches!(truth, Truth::Message(_))).count();
    assert!((on.clipped as f64) < 0.004 * messages as f64, "{} of {messages}", on.clipped);
}

#[test]
fn opens_and_clicks_of_people_are_expected() {
    let model = model(&with_people(&email(), section()));
    let expectation = Expectation::new(&model);
    let users = 4_200;
    let counts = opens_of(&collect(&model, 11, 0..users), users);
    let n = users as f64;
    for (step, kind) in [(1, EventType::Opened), (2, EventType::Clicked)] {
        let mean = counts.iter().map(|of| of[step]).sum::<f64>() / n;
        let variance = counts.iter().map(|of| (of[step] - mean).powi(2)).sum::<f64>() / n;
        let expected = expectation.total().of(kind) / model.config().population.users as f64;
        sum(kind.name(), mean * n, expected * n, variance * n).unwrap();
    }
    all(expectation.total().of(EventType::Opened) > 0.0, String::new).unwrap();
}
