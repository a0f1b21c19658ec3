//! Experiments: who has which variant, what variants do, and what each would have done. All from rows and truth alone.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths, rounded};
use crate::support::{Collected, all, collect, config, follows, record_mutants, share, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{EFFECTS, EmailConfig, EmailModel, Event, EventType, MessageTruth, OutcomeTruth, Truth, Uuid};
use populace_core::math;
use populace_core::scenario::Scenario;
use populace_core::stream::ActorId;
use populace_core::time::DAY;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const USERS: u64 = 1_050;
/// The constants.
const CONTROL: f64 = 0.6;
const FROM: u32 = 7;
const DAYS: u32 = 28;
const OPEN: f64 = 1.2;
const CLICK: f64 = 1.3;
const SD: f64 = 0.25;
const EXTRA: f64 = 0.6;
const HALF: f64 = 9.0;

fn section() -> Value {
    json!({ "subject_test": {
        "unit": "user", "variants": { "control": CONTROL, "emoji": 0.4 }, "campaigns": ["promotion"], "from_day": FROM, "days": DAYS,
        "effect": { "emoji": { "open": OPEN, "click": CLICK } }, "heterogeneity_sd": SD,
        "novelty": { "extra": EXTRA, "half_life_days": HALF },
    } })
}

fn with_experiments(section: Value) -> Value {
    let mut document = with(&email(), "/window/days", 49);
    document["experiments"] = section;
    document
}

/// An experiment of two variants, on all mail of all days.
fn plain(days: u32, open: f64) -> Value {
    let variants = json!({ "control": 0.5, "emoji": 0.5 });
    let mut document = with(&email(), "/window/days", days);
    document["experiments"] = json!({ "ab": { "variants": variants, "days": days, "effect": { "emoji": { "open": open } } } });
    document
}

/// A message: of whom, its sent row, its variant of `subject_test`, its truth, and whether it was opened and clicked.
struct Mail {
    actor: u64,
    sent: Event,
    variant: Option<String>,
    truth: MessageTruth,
    opened: bool,
    clicked: bool,
}

struct Samples {
    model: EmailModel,
    mail: Vec<Mail>,
    outcomes: Vec<OutcomeTruth>,
    /// How far content moves each user.
    people: Vec<f64>,
}

fn truths(of: &Collected<Event, Truth>) -> BTreeMap<Uuid, MessageTruth> {
    let message = |(_, truth): &(ActorId, Truth)| if let Truth::Message(of) = truth { Some((of.message_id, *of)) } else { None };
    of.truths.iter().filter_map(message).collect()
}

fn outcomes(of: &Collected<Event, Truth>) -> Vec<OutcomeTruth> {
    let outcome = |(_, truth): &(ActorId, Truth)| if let Truth::Outcome(of) = truth { Some(*of) } else { None };
    of.truths.iter().filter_map(outcome).collect()
}

fn ids(of: &Collected<Event, Truth>, kind: EventType) -> BTreeSet<Uuid> {
    of.rows.iter().filter(|(_, event)| event.event_type == kind).filter_map(|(_, event)| event.message_id).collect()
}

/// The variant of an experiment that metadata names.
fn variant_in(metadata: &str, experiment: &str) -> Option<String> {
    serde_json::from_str::<Value>(metadata).unwrap()["experiments"][experiment].as_str().map(ToOwned::to_owned)
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let collected = collect(&model, 7, 0..USERS);
        let (truths, opened, clicked) = (truths(&collected), ids(&collected, EventType::Opened), ids(&collected, EventType::Clicked));
        let sent = collected.rows.iter().filter(|(_, event)| event.event_type == EventType::Sent);
        let mail = sent.map(|(actor, sent)| {
            let id = sent.message_id.unwrap();
            Mail {
                actor: actor.0,
                sent: *sent,
                variant: variant_in(&model.metadata()[usize::from(sent.metadata)], "subject_test"),
                truth: truths[&id],
                opened: opened.contains(&id),
                clicked: clicked.contains(&id),
            }
        });
        let mail: Vec<Mail> = mail.collect();
        let person = |(_, truth): &(ActorId, Truth)| if let Truth::User(user) = truth { Some(user.person.responsiveness) } else { None };
        let people = collected.truths.iter().filter_map(person).collect();
        Self { mail, outcomes: outcomes(&collected), people, model }
    }

    /// Days from the window's begin to a sending.
    fn day(&self, sent: &Event) -> f64 {
        sent.time.since(self.model.window().begin()) as f64 / DAY as f64
    }

    /// The factor of opens of a message, worked out apart.
    fn content(&self, of: &Mail) -> f64 {
        if of.variant.as_deref() != Some("emoji") {
            return 1.0;
        }
        let novelty = 1.0 + EXTRA * math::pow(0.5, (self.day(&of.sent) - f64::from(FROM)) / HALF);
        OPEN * novelty * math::exp(SD * of.truth.at.person.responsiveness - SD * SD / 2.0)
    }

    /// Opens of some messages against what the law lets expect.
    fn opens(&self, what: &str, of: impl Fn(&Mail) -> bool) -> Result<(), String> {
        let place = EFFECTS.iter().position(|about| about.name == "content").unwrap();
        let (mut observed, mut expected, mut variance) = (0.0, 0.0, 0.0);
        for mail in self.mail.iter().filter(|mail| of(mail) && mail.truth.p_open.is_some() && mail.truth.cap == 1.0) {
            let p = mail.truth.p_open.unwrap() / mail.truth.factors[place] * self.content(mail);
            // Circuit breakers take some back.
            observed += f64::from(mail.opened || mail.truth.dropped_reason.is_some() && mail.truth.human_opened_at.is_none());
            expected += p;
            variance += p * (1.0 - p).max(0.0);
        }
        sum(what, observed, expected, variance)
    }
}

const LAWS: &[Law<Samples>] = &[
    ("recipients have variants as often as these weigh", |samples| {
        let of = |variant: &str| -> BTreeSet<u64> {
            samples.mail.iter().filter(|mail| mail.variant.as_deref() == Some(variant)).map(|mail| mail.actor).collect()
        };
        let (control, emoji) = (of("control"), of("emoji"));
        share("control", control.len(), control.union(&emoji).count(), CONTROL)?;
        all(control.is_disjoint(&emoji), || "a recipient has two variants".to_owned())
    }),
    ("mail of the experiment's campaigns and days has a variant, and no other", |samples| {
        let campaign = samples.model.campaigns().iter().position(|campaign| campaign.id == "promotion").unwrap();
        let is_in = |mail: &Mail| {
            let day = samples.day(&mail.sent) as u32;
            usize::from(mail.sent.campaign) == campaign && (FROM..FROM + DAYS).contains(&day)
        };
        let wrong = samples.mail.iter().find(|mail| mail.variant.is_some() != is_in(mail));
        all(wrong.is_none(), || format!("{:?}", wrong.map(|mail| (mail.sent.time, mail.sent.campaign))))
    }),
    ("the factor is effect × novelty × what is the person's own", |samples| {
        let place = EFFECTS.iter().position(|about| about.name == "content").unwrap();
        let wrong = samples.mail.iter().find(|mail| (mail.truth.factors[place] - samples.content(mail)).abs() > 1e-6);
        all(wrong.is_none(), || format!("{:?}", wrong.map(|mail| (mail.truth.factors[place], samples.content(mail)))))
    }),
    ("opens of mail with a variant are as often as its factor says", |samples| {
        samples.opens("emoji", |mail| mail.variant.as_deref() == Some("emoji"))?;
        let is_early = |mail: &Mail| samples.day(&mail.sent) < f64::from(FROM) + HALF;
        samples.opens("early", |mail| mail.variant.as_deref() == Some("emoji") && is_early(mail))?;
        samples.opens("control", |mail| mail.variant.as_deref() == Some("control"))?;
        samples.opens("elsewhere", |mail| mail.variant.is_none())
    }),
    ("clicks of opens are as often as its factor says", |samples| {
        let (mut observed, mut expected, mut variance) = (0.0, 0.0, 0.0);
        for mail in samples.mail.iter().filter(|mail| mail.opened && mail.truth.dropped_reason.is_none()) {
            if mail.variant.as_deref() == Some("emoji") {
                let p = (mail.truth.click_rate / mail.truth.open_rate * CLICK).min(1.0);
                observed += f64::from(mail.clicked);
                expected += p;
                variance += p * (1.0 - p);
            }
        }
        sum("clicks", observed, expected, variance)?;
        let of = |mail: &&Mail| mail.truth.p_click.is_some() && mail.variant.as_deref() == Some("emoji");
        let p = |mail: &Mail| (mail.truth.click_rate / mail.truth.open_rate * CLICK).min(1.0);
        let wrong = samples.mail.iter().filter(of).find(|mail| (mail.truth.p_click.unwrap() - p(mail)).abs() > 1e-9);
        all(wrong.is_none(), || format!("{:?}", wrong.map(|mail| mail.truth.p_click)))
    }),
    ("people's responsiveness is standard normal", |samples| follows("responsiveness", samples.people.clone(), math::normal_cdf)),
    ("the variant that a message has did what the rows say", |samples| {
        let mail: BTreeMap<Uuid, &Mail> = samples.mail.iter().map(|mail| (mail.sent.message_id.unwrap(), mail)).collect();
        let of = |outcome: &&OutcomeTruth| outcome.is_factual;
        let same = |outcome: &&OutcomeTruth| {
            let own = mail[&outcome.message_id];
            (outcome.p_open, outcome.p_click) == (own.truth.p_open, own.truth.p_click)
                && (outcome.opens, outcome.clicks) == (own.opened, own.clicked)
        };
        let wrong = samples.outcomes.iter().filter(of).find(|outcome| !same(outcome));
        all(wrong.is_none() && !samples.outcomes.is_empty(), || format!("{wrong:?}"))
    }),
];

#[test]
fn every_law_of_experiments_holds() {
    let found = broken(&Samples::new(&with_experiments(section())), LAWS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mutants_of_experiments_are_caught() {
    let document = section();
    let mutation = Mutation {
        document: &document,
        exceptions: &[
            ("/subject_test/unit", &["\"message\""]),
            ("/subject_test/campaigns", &["[\"newsletter\"]"]),
            ("/subject_test/variants/emoji", &[]),
        ],
        moves: |pointer, value| fifths(value, pointer.ends_with("/from_day") || pointer.ends_with("/days")),
        mutate: |document, pointer, moved| {
            let changed = with(document, pointer, moved.clone());
            match moved.as_f64().filter(|_| pointer.ends_with("/control")) {
                Some(weight) => with(&changed, "/subject_test/variants/emoji", rounded(1.0 - weight)),
                None => changed,
            }
        },
        sample: |document| Samples::new(&with_experiments(document.clone())),
        laws: LAWS,
    };
    record_mutants("email, experiments", &mutation.table());
}

/// With factors of 1 a document is the one without experiments, but for what its mail says of itself.
#[test]
fn variants_that_do_nothing_change_nothing() {
    let off = collect(&model(&with(&email(), "/window/days", 49)), 7, 0..150);
    let mut neutral = section();
    neutral["subject_test"]["effect"] = json!({ "emoji": { "open": 1.0, "click": 1.0 } });
    neutral["subject_test"]["heterogeneity_sd"] = json!(0.0);
    neutral["subject_test"].as_object_mut().unwrap().remove("novelty");
    let on = collect(&model(&with_experiments(neutral)), 7, 0..150);
    let rows = |of: &Collected<Event, Truth>| -> Vec<Event> { of.rows.iter().map(|(_, event)| Event { metadata: 0, ..*event }).collect() };
    assert_eq!(rows(&off), rows(&on));
    let probabilities = |of: &Collected<Event, Truth>| -> Vec<_> {
        truths(of).into_values().map(|of| (of.message_id, of.p_open, of.p_click, of.factors, of.cap, of.dropped_reason)).collect()
    };
    assert!(probabilities(&off) == probabilities(&on));
    assert!(on.rows.iter().zip(&off.rows).any(|(on, off)| on != off));
    let none = collect(&model(&with_experiments(json!({}))), 7, 0..50);
    assert!(none.rows == collect(&model(&with(&email(), "/window/days", 49)), 7, 0..50).rows);
}

#[test]
fn another_experiment_leaves_assignments_alone() {
    let of = |section: Value| -> BTreeMap<u128, Option<String>> {
        let model = model(&with_experiments(section));
        let rows = collect(&model, 7, 0..300).rows;
        let sent = rows.iter().filter(|(_, event)| event.event_type == EventType::Sent);
        let variant = |event: &Event| variant_in(&model.metadata()[usize::from(event.metadata)], "subject_test");
        sent.map(|(_, event)| (event.message_id.unwrap().to_u128(), variant(event))).collect()
    };
    let one = of(section());
    let mut two = section();
    two["a_before_it"] = json!({ "variants": { "control": 0.2, "x": 0.5, "y": 0.3 }, "days": 40, "effect": { "x": { "open": 1.5 } } });
    assert_eq!(one, of(two));
}

/// What a variant would have done is what it does where all mail has it: the same words.
#[test]
fn potential_outcomes_are_those_of_the_other_world() {
    for unit in ["user", "message"] {
        let mut own = section();
        own["subject_test"]["unit"] = json!(unit);
        let of = collect(&model(&with_experiments(own.clone())), 7, 0..200);
        for (place, variant) in ["control", "emoji"].into_iter().enumerate() {
            for (other, name) in ["control", "emoji"].into_iter().enumerate() {
                own["subject_test"]["variants"][name] = json!(f64::from(u8::from(place == other)));
            }
            let world = collect(&model(&with_experiments(own.clone())), 7, 0..200);
            let (truths, opened, clicked) = (truths(&world), ids(&world, EventType::Opened), ids(&world, EventType::Clicked));
            let mut others = 0;
            for outcome in outcomes(&of).into_iter().filter(|outcome| usize::from(outcome.variant) == place) {
                let there = truths[&outcome.message_id];
                assert_eq!((outcome.p_open, outcome.p_click), (there.p_open, there.p_click), "{variant}");
                assert_eq!(outcome.opens, opened.contains(&outcome.message_id));
                assert_eq!(outcome.clicks, clicked.contains(&outcome.message_id));
                others += u32::from(!outcome.is_factual);
            }
            assert!(others > 400, "{unit} {variant}: {others}");
        }
    }
}

/// Users by variant, with delivered and opened messages of each user.
fn by_arm(document: &Value, seed: u64, users: u64) -> [Vec<[f64; 2]>; 2] {
    let model = model(document);
    let of = collect(&model, seed, 0..users);
    let mut counts: BTreeMap<u64, (usize, [f64; 2])> = BTreeMap::new();
    for (actor, event) in &of.rows {
        let step = match event.event_type {
            EventType::Delivered => 0,
            EventType::Opened => 1,
            _ => continue,
        };
        // What a late hot path triggers may go out after the last day.
        let Some(variant) = variant_in(&model.metadata()[usize::from(event.metadata)], "ab") else { continue };
        let own = counts.entry(actor.0).or_insert((usize::from(variant == "emoji"), [0.0; 2]));
        own.1[step] += 1.0;
    }
    let mut arms = [Vec::new(), Vec::new()];
    for (arm, own) in counts.into_values() {
        arms[arm].push(own);
    }
    arms
}

/// Opens a delivered message, and the variance of it, over users.
fn rate(arm: &[[f64; 2]]) -> [f64; 2] {
    let [delivered, opened] = arm.iter().fold([0.0; 2], |sum, own| [sum[0] + own[0], sum[1] + own[1]]);
    let (value, n) = (opened / delivered, arm.len() as f64);
    let squares: f64 = arm.iter().map(|[delivered, opened]| (opened - value * delivered).powi(2)).sum();
    [value, squares * n / (n - 1.0) / (delivered * delivered)]
}

/// Where variants do nothing, tests of a difference and of the split have uniform p-values.
#[test]
fn a_test_of_a_against_a_is_as_often_wrong_as_it_says() {
    let document = plain(7, 1.0);
    let (mut differences, mut splits) = (Vec::new(), Vec::new());
    let two_sided = |z: f64| 2.0 * math::normal_cdf(-z.abs());
    let (mut chi, seeds) = (0.0, 60);
    for seed in 0..seeds {
        let arms = by_arm(&document, 300 + seed, 300);
        let [[a, va], [b, vb]] = [rate(&arms[0]), rate(&arms[1])];
        differences.push(two_sided((a - b) / (va + vb).sqrt()));
        let [n, m] = [arms[0].len() as f64, arms[1].len() as f64];
        let z = (n - m) / (n + m).sqrt();
        chi += z * z;
        splits.push(math::normal_cdf(z));
    }
    follows("differences", differences, |p| p).unwrap();
    follows("splits", splits, |p| p).unwrap();
    let n = seeds as f64;
    assert!((chi - n).abs() < 4.0 * (2.0 * n).sqrt(), "sample ratios: χ² {chi} over {n}");
}

/// About as many messages an arm as an effect of 8% needs: it is found within three errors of its size, and lies three above nothing.
#[test]
fn a_test_of_a_against_b_finds_the_effect() {
    let arms = by_arm(&plain(28, 1.08), 7, 4_200);
    let [[a, va], [b, vb]] = [rate(&arms[0]), rate(&arms[1])];
    let error = (va / (a * a) + vb / (b * b)).sqrt();
    let found = math::ln(b / a);
    assert!((found - math::ln(1.08)).abs() < 3.0 * error, "{found} ± {error}");
    assert!(found > 3.0 * error, "{found} ± {error}");
}

/// A message of the weekend's trap: whether its window is of 24 hours, day of the week on which it is due, hour of the week at which it is
/// sent, and whether it is opened.
type Trapped = (bool, u8, usize, f64);

/// Mail of recipients of whom half are under windows of a day, and half under windows of the next 24 hours; nothing else differs.
fn trap() -> BTreeMap<u64, Vec<Trapped>> {
    let mut mail: BTreeMap<u64, Vec<Trapped>> = BTreeMap::new();
    for (arm, window) in ["day", "next_24h"].into_iter().enumerate() {
        let mut document = email();
        document["policy"] = json!({ "window": window, "base": { "type": "uniform" } });
        let model = model(&document);
        let of = collect(&model, 7, (0..7_000).filter(|actor| actor % 2 == arm as u64));
        let (delivered, opened) = (ids(&of, EventType::Delivered), ids(&of, EventType::Opened));
        let sent: BTreeMap<Uuid, Event> = of.rows.iter().rev().filter_map(|(_, event)| Some((event.message_id?, *event))).collect();
        for (actor, truth) in &of.truths {
            let Truth::Decision(decision) = truth else { continue };
            let Some(id) = decision.message_id.filter(|id| delivered.contains(id)) else { continue };
            let hour = sent[&id].time.minute_of_week() / 60;
            let own = (arm == 1, decision.due.weekday(), hour, f64::from(u8::from(opened.contains(&id))));
            mail.entry(actor.0).or_default().push(own);
        }
    }
    mail
}

/// The difference of the arms by messages of some kind, each weighed, with its standard error over recipients.
fn difference(mail: &BTreeMap<u64, Vec<Trapped>>, weight: impl Fn(&Trapped) -> f64) -> [f64; 2] {
    let arm = |is_long: bool| {
        let own = mail.values().filter(|own| own[0].0 == is_long);
        let sums = |own: &Vec<Trapped>| own.iter().fold([0.0; 2], |sum, of| [sum[0] + weight(of), sum[1] + weight(of) * of.3]);
        rate(&own.map(sums).collect::<Vec<_>>())
    };
    let [[day, of_day], [long, of_long]] = [arm(false), arm(true)];
    [long - day, (of_day + of_long).sqrt()]
}

/// Of mail that is due on a Friday, a window of the next 24 hours moves half to the Saturday. Compared as it stands it looks as if the longer
/// window moved opens; hour of the week by hour of the week there is no difference, as nothing but the hours differs.
#[test]
fn a_window_that_reaches_into_the_weekend_looks_like_an_effect() {
    const FRIDAY: u8 = 4;
    let mail = trap();
    let [naive, error] = difference(&mail, |of| f64::from(u8::from(of.1 == FRIDAY)));
    assert!(naive.abs() > 3.0 * error, "{naive} ± {error}");
    let mut counts = [[0.0; 168]; 2];
    mail.values().flatten().for_each(|of| counts[usize::from(of.0)][of.2] += 1.0);
    let [found, error] = difference(&mail, |of| 1.0 / counts[usize::from(of.0)][of.2]);
    assert!(found.abs() < 3.0 * error, "{found} ± {error}");
}

/// Expected volumes and the effects of variants are those of the law: with mail of a trigger and a blast in the experiment.
#[test]
fn volumes_and_effects_are_expected() {
    let mut own = section();
    own["subject_test"]["campaigns"] = json!(["promotion", "abandoned_cart"]);
    let mut document = with_experiments(own);
    document["blasts"] = json!([{ "name": "one", "campaign": "promotion", "share": 0.9, "date": "2025-10-20", "hour": 9, "minute": 30 }]);
    let model = model(&document);
    let users = model.config().population.users;
    let of = collect(&model, 11, 0..10 * users);
    let expected = Expectation::new(&model).total();
    for kind in [EventType::Sent, EventType::Opened, EventType::Clicked] {
        let observed = of.rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64 / 10.0;
        sum(kind.name(), observed, expected.of(kind), expected.of(kind) / 3.0 + (0.003 * expected.of(kind)).powi(2)).unwrap();
    }
    let blasted = model.metadata().iter().filter(|text| text.starts_with(r#"{"blast":"one","experiments""#)).count();
    assert_eq!(blasted, 2);
    let worth = model.variants();
    assert_eq!(worth[0].ate, [0.0; 2]);
    let outcomes = outcomes(&of);
    for step in 0..2 {
        let mean = |variant: u8| {
            let own = outcomes.iter().filter(|outcome| outcome.variant == variant && outcome.p_open.is_some());
            let (mut n, mut all) = (0.0, 0.0);
            for outcome in own {
                n += 1.0;
                all += f64::from(if step == 0 { outcome.opens } else { outcome.clicks });
            }
            all / n
        };
        let (found, expected) = (mean(1) - mean(0), worth[1].ate[step]);
        assert!((found / expected - 1.0).abs() < 0.05, "{step}: {found} instead of {expected}");
    }
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut bad = section();
    let own = &mut bad["subject_test"];
    own["variants"] = json!({ "kontrol": 0.5, "emoji": 0.4 });
    own["campaigns"] = json!(["promotoin", "newsletter", "newsletter"]);
    own["effect"] = json!({ "emojy": { "open": 1.1 } });
    (own["from_day"], own["days"]) = (json!(40), json!(10));
    own["novelty"]["half_life_days"] = json!(0.0);
    bad["no spaces"] = section()["subject_test"].clone();
    let error = EmailModel::from_config(&config::<EmailConfig>(&with_experiments(bad))).unwrap_err().to_string();
    for problem in [
        "must sum to 1, got 0.9",
        "must have `control`",
        "`promotoin` is not a campaign",
        "did you mean `promotion`?",
        "`newsletter` is listed twice",
        "`emojy` is not a variant",
        "did you mean `emoji`?",
        "it lasts from day 40 to day 49, and the window has 49 days",
        "novelty.half_life_days",
        "experiments.no spaces",
    ] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
}
