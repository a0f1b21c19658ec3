//! Clicks by scanners: what they add, what they leave alone, and that no constant of theirs moves unnoticed.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Collected, all, chi_square, collect, config, fills, follows, mean, record_mutants, share, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{Agent, EmailConfig, EmailModel, Event, EventType, LeftBy, MessageTruth, Truth, Uuid};
use populace_core::math;
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Instant, SECOND};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const USERS: u64 = 2_100;
/// Whose scanners are counted without their mail.
const MANY: u64 = 20_000;
/// The constants, as the specification has them.
const SHARE: f64 = 0.12;
const PROBABILITY: f64 = 0.9;
const LINKS: usize = 8;
const FAST: f64 = 0.8;
const MEDIAN: f64 = 3.0;
const SIGMA: f64 = 0.8;
const SLOW: [f64; 2] = [1.0, 30.0];
const GAP: [f64; 2] = [0.05, 0.5];
const PIXEL: f64 = 0.5;
const AGENTS: [&str; 2] = ["scanner one", "scanner two"];

fn section() -> Value {
    json!({
        "user_share": SHARE, "probability": PROBABILITY, "links": LINKS, "fast_share": FAST, "fast_median_seconds": MEDIAN,
        "fast_sigma": SIGMA, "slow_minutes": { "low": SLOW[0], "high": SLOW[1] }, "gap_seconds": { "low": GAP[0], "high": GAP[1] },
        "pixel_share": PIXEL, "user_agents": AGENTS, "unsubscribe_on_get": 0.0,
    })
}

fn with_scanners(document: &Value, section: Value) -> Value {
    let mut document = document.clone();
    document["scanners"] = section;
    document
}

/// What a scanner did with a message.
#[derive(Default)]
struct Scan {
    clicks: Vec<(Instant, Option<u8>)>,
    pixel: Option<Instant>,
}

struct Samples {
    model: EmailModel,
    collected: Collected<Event, Truth>,
    has_scanner: usize,
    /// Messages delivered to recipients behind a scanner, each with its scan.
    delivered: Vec<(Instant, Option<Scan>)>,
    /// By recipient, the user agent of its scanner.
    agents: BTreeMap<u64, u8>,
    /// Rows of scanners that are of another user agent of the same recipient, or of a recipient without.
    strange: usize,
    links_of_people: Vec<Option<u8>>,
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let key = StreamKey::root(7, EmailModel::NAME);
        let has_scanner = (0..MANY).filter(|actor| model.is_scanned(key, ActorId(*actor))).count();
        let collected = collect(&model, 7, 0..USERS);
        let mut messages: BTreeMap<(u64, Uuid), (Instant, Option<Scan>)> = BTreeMap::new();
        let (mut agents, mut strange, mut links_of_people) = (BTreeMap::new(), 0, Vec::new());
        for (actor, event) in &collected.rows {
            let Some(id) = event.message_id else { continue };
            if event.event_type == EventType::Delivered && model.is_scanned(key, *actor) {
                messages.insert((actor.0, id), (event.time, None));
            }
            if event.agent != Agent::Scanner {
                links_of_people.extend((event.event_type == EventType::Clicked).then_some(event.link));
                continue;
            }
            let agent = event.client.expect("a scanner says what it is").user_agent;
            strange += usize::from(*agents.entry(actor.0).or_insert(agent) != agent);
            let Some((_, scan)) = messages.get_mut(&(actor.0, id)) else {
                strange += 1;
                continue;
            };
            let scan = scan.get_or_insert_default();
            if event.event_type == EventType::Clicked {
                scan.clicks.push((event.time, event.link));
            } else {
                scan.pixel = Some(event.time);
            }
        }
        Self { model, collected, has_scanner, delivered: messages.into_values().collect(), agents, strange, links_of_people }
    }

    fn scans(&self) -> impl Iterator<Item = (Instant, &Scan)> {
        self.delivered.iter().filter_map(|(delivered, scan)| Some((*delivered, scan.as_ref()?)))
    }

    /// Seconds from delivery to the first click, up to a minute or beyond it.
    fn starts(&self, is_fast: bool) -> Vec<f64> {
        let starts = self.scans().map(|(delivered, scan)| seconds(delivered, scan.clicks[0].0));
        starts.filter(|seconds| (*seconds < 60.0) == is_fast).collect()
    }
}

fn seconds(from: Instant, to: Instant) -> f64 {
    to.since(from) as f64 / SECOND as f64
}

const LAWS: &[Law<Samples>] = &[
    ("share of recipients behind a scanner", |samples| share("recipients", samples.has_scanner, MANY as usize, SHARE)),
    ("share of their messages that are scanned", |samples| share("scanned", samples.scans().count(), samples.delivered.len(), PROBABILITY)),
    ("a scan visits every link once, one after another, and loads images as it begins", |samples| {
        let links: Vec<Option<u8>> = (0..LINKS as u8).map(Some).collect();
        let sound = |scan: &Scan| {
            scan.clicks.iter().map(|(_, link)| *link).eq(links.iter().copied()) && scan.pixel.is_none_or(|at| at == scan.clicks[0].0)
        };
        let found = samples.scans().find(|(_, scan)| !sound(scan));
        all(found.is_none(), || format!("{:?}", found.map(|(_, scan)| &scan.clicks)))
    }),
    ("share of scans within a minute", |samples| share("fast", samples.starts(true).len(), samples.scans().count(), FAST)),
    ("median and spread of scans within a minute", |samples| {
        let fast = samples.starts(true);
        let logarithms = fast.iter().map(|seconds| math::ln(*seconds)).sum::<f64>() / fast.len() as f64;
        mean("median", logarithms, fast.len(), math::ln(MEDIAN), SIGMA)?;
        // A standard normal is below −1 with this probability.
        let beyond = |is: &dyn Fn(f64) -> bool| fast.iter().filter(|seconds| is(**seconds)).count();
        share("spread", beyond(&|seconds| seconds < MEDIAN * math::exp(-SIGMA)), fast.len(), 0.158_655)?;
        share("spread", beyond(&|seconds| seconds > MEDIAN * math::exp(SIGMA)), fast.len(), 0.158_655)
    }),
    ("other scans begin uniformly", |samples| {
        fills("minutes", samples.starts(false).iter().map(|seconds| seconds / 60.0).collect(), SLOW[0], SLOW[1])
    }),
    ("others begin after a minute, and hardly a fast one does", |samples| {
        let within = |from: f64, to: f64| {
            [true, false].map(|is_fast| samples.starts(is_fast)).concat().iter().filter(|at| (from..to).contains(*at)).count()
        };
        let scans = samples.scans().count();
        // Of a lognormal of this median and spread between 40 and 60, and between 60 and 72, seconds.
        share("before", within(40.0, 60.0), scans, FAST * 5.117e-4)?;
        share("after", within(60.0, 72.0), scans, FAST * 5.48e-5 + (1.0 - FAST) * 0.2 / (SLOW[1] - SLOW[0]))
    }),
    ("gaps are uniform", |samples| {
        let gaps = samples.scans().flat_map(|(_, scan)| scan.clicks.windows(2).map(|pair| seconds(pair[0].0, pair[1].0)));
        follows("seconds", gaps.collect(), |x| ((x - GAP[0]) / (GAP[1] - GAP[0])).clamp(0.0, 1.0))
    }),
    ("share of scans that load images", |samples| {
        share("images", samples.scans().filter(|(_, scan)| scan.pixel.is_some()).count(), samples.scans().count(), PIXEL)
    }),
    ("a recipient's scanner says what it is, and each is as frequent", |samples| {
        let names = samples.model.user_agents();
        let own = &names[names.len().saturating_sub(AGENTS.len())..];
        all(own == AGENTS && samples.strange == 0, || format!("{own:?}, {} strange rows", samples.strange))?;
        let first = samples.agents.values().filter(|agent| usize::from(**agent) == names.len() - 2).count();
        share("of the first", first, samples.agents.len(), 0.5)
    }),
    ("people click any of the links", |samples| {
        let mut counts = [0; LINKS];
        for link in &samples.links_of_people {
            *link.and_then(|link| counts.get_mut(usize::from(link))).ok_or_else(|| format!("a click of {link:?}"))? += 1;
        }
        chi_square("links", &counts, &[1.0 / LINKS as f64; LINKS])
    }),
];

#[test]
fn every_law_of_scanners_holds() {
    let samples = Samples::new(&with_scanners(&email(), section()));
    let found = broken(&samples, LAWS);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(samples.collected.clipped, collect(&model(&email()), 7, 0..USERS).clipped, "a scan after a day");
}

#[test]
fn mutants_of_scanners_are_caught() {
    let document = json!({ "scanners": section() });
    let mutation = Mutation {
        document: &document,
        // Without `leaving` nobody can.
        exceptions: &[("/scanners/probability", &["0.72", "1"]), ("/scanners/unsubscribe_on_get", &[])],
        moves: |pointer, value| fifths(value, pointer.ends_with("links")),
        mutate: |document, pointer, moved| with(document, pointer, moved.clone()),
        sample: |document| Samples::new(&with_scanners(&email(), document["scanners"].clone())),
        laws: LAWS,
    };
    record_mutants("email, scanners", &mutation.table());
}

/// Rows of all but scanners, without their links.
fn of_others(collected: &Collected<Event, Truth>) -> Vec<Event> {
    let others = collected.rows.iter().map(|(_, event)| *event).filter(|event| event.agent != Agent::Scanner);
    others.map(|event| Event { link: None, ..event }).collect()
}

fn messages(collected: &Collected<Event, Truth>) -> impl Iterator<Item = MessageTruth> {
    collected.truths.iter().filter_map(|(_, truth)| if let Truth::Message(message) = truth { Some(*message) } else { None })
}

#[test]
fn scanners_add_rows_and_leave_all_others_alone() {
    let mut machines = email();
    machines["machine_opens"] = json!({});
    for document in [email(), machines] {
        let off = collect(&model(&document), 7, 0..350);
        let on = collect(&model(&with_scanners(&document, section())), 7, 0..350);
        assert!(on.rows.len() > off.rows.len() + 10_000);
        assert_eq!(of_others(&on), of_others(&off));
        let people = |message: MessageTruth| MessageTruth { p_open_row: None, p_click_row: None, ..message };
        assert!(messages(&on).map(people).eq(messages(&off).map(people)));
        let more = |row: Option<f64>, before: Option<f64>| row >= before && row.is_some() == before.is_some();
        for (on, off) in messages(&on).zip(messages(&off)) {
            assert!(more(on.p_open_row, off.p_open_row) && more(on.p_click_row, off.p_click_row), "{on:?}");
        }
    }
}

#[test]
fn probabilities_of_rows_are_their_frequencies() {
    let mut document = with_scanners(&email(), section());
    document["machine_opens"] = json!({});
    for key in ["circuit_breakers", "hot_paths"] {
        document[key] = Value::Null;
    }
    let Samples { collected, .. } = Samples::new(&document);
    let of = |event_type: EventType| {
        let mut messages: Vec<Uuid> =
            collected.rows.iter().filter(|(_, event)| event.event_type == event_type).filter_map(|(_, event)| event.message_id).collect();
        messages.sort_unstable();
        messages.dedup();
        messages.len() as f64
    };
    for (event_type, p_row) in [
        (EventType::Opened, (|message| message.p_open_row) as fn(MessageTruth) -> Option<f64>),
        (EventType::Clicked, |message| message.p_click_row),
    ] {
        let p = || messages(&collected).filter_map(p_row);
        sum(event_type.name(), of(event_type), p().sum(), p().map(|p| p * (1.0 - p)).sum()).unwrap();
    }
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let default = EmailModel::from_config(&config::<EmailConfig>(&with_scanners(&email(), json!({})))).unwrap();
    let own = default.config().scanners.as_ref().unwrap();
    let mut section = section();
    section["user_agents"] = json!(own.user_agents);
    assert_eq!(serde_json::to_value(own).unwrap(), section);
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut document = with_scanners(
        &email(),
        json!({
            "user_share": 2, "links": 0, "slow_minutes": { "low": 1, "high": 1_441 }, "gap_seconds": { "low": 0.5, "high": 0.05 },
            "unsubscribe_on_get": 1, "user_agents": ["one", "one", "Mozilla/5.0", ""],
        }),
    );
    document["machine_opens"] = json!({});
    let error = EmailModel::from_config(&config::<EmailConfig>(&document)).unwrap_err().to_string();
    assert_eq!(error.matches("`leaving`").count(), 1, "{error}");
    for key in
        ["user_share", "links", "slow_minutes.high", "gap_seconds", "unsubscribe_on_get", "user_agents.1", "user_agents.2", "user_agents.3"]
    {
        assert!(error.contains(&format!("scanners.{key}")), "{key} is not in {error}");
    }
}

#[test]
fn without_recipients_behind_them_nothing_changes() {
    let mut none = section();
    none["user_share"] = json!(0.0);
    let (off, neutral) = (collect(&model(&email()), 7, 0..300), collect(&model(&with_scanners(&email(), none)), 7, 0..300));
    assert_eq!(of_others(&off), neutral.rows.iter().map(|(_, event)| Event { link: None, ..*event }).collect::<Vec<_>>());
    assert_eq!(off.truths, neutral.truths);
}

#[test]
fn days_and_users_that_follow_change_nothing() {
    let document = with_scanners(&email(), section());
    let (long, short) = (model(&document), model(&with(&document, "/window/days", 40)));
    let until = long.window().begin().plus(40 * DAY);
    let before = |rows: Vec<(ActorId, Event)>| -> Vec<Event> {
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    assert_eq!(before(collect(&long, 7, 0..100).rows), before(collect(&short, 7, 0..100).rows));
    let more = model(&with(&document, "/population/users", 1_000_000));
    assert_eq!(collect(&long, 7, 0..50).rows, collect(&more, 7, 0..50).rows);
}

#[test]
fn rows_of_scanners_are_expected() {
    let document = with_scanners(&email(), with(&section(), "/user_share", 0.6));
    let model = model(&document);
    let of_people = Expectation::new(&super::model(&email())).total();
    let expected = Expectation::new(&model).total();
    let rows = collect(&model, 11, 0..350).rows;
    for kind in [EventType::Opened, EventType::Clicked] {
        let observed = rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64;
        // Who is behind a scanner is drawn for each of the 350, and moves the sum most.
        let of_one = (expected.of(kind) - of_people.of(kind)) / 350.0 / 0.6;
        sum(kind.name(), observed, expected.of(kind), 350.0 * of_one * of_one * 0.24 + 4.0 * expected.of(kind)).unwrap();
    }
}

/// A share of half, with much mail on few days, and a section of leaving in which nobody else leaves.
fn requested(share: f64) -> Value {
    let section = with(&with(&section(), "/user_share", 0.5), "/unsubscribe_on_get", share);
    let mut document = with_scanners(&with(&email(), "/window/days", 20), section);
    document["leaving"] = json!({ "unsubscribe": 0.0, "complaint": 0.0 });
    document
}

/// Of recipients with a scan, whether the first unsubscribed them.
fn first_scans(collected: &Collected<Event, Truth>) -> BTreeMap<u64, bool> {
    let mut first = BTreeMap::new();
    for (actor, event) in collected.rows.iter().filter(|(_, event)| event.agent == Agent::Scanner) {
        *first.entry(actor.0).or_default() |= event.event_type == EventType::Unsubscribed;
    }
    first
}

#[test]
fn a_visit_that_is_taken_for_a_request_unsubscribes_by_the_first_scan() {
    const OF: f64 = 0.6;
    let collected = collect(&model(&requested(OF)), 7, 0..USERS);
    let first = first_scans(&collected);
    let leavers = first.values().filter(|leaves| **leaves).count();
    share("unsubscribed", leavers, first.len(), OF).unwrap();
    for moved in [0.48, 0.72] {
        let first = first_scans(&collect(&model(&requested(moved)), 7, 0..USERS));
        assert!(share("moved", first.values().filter(|leaves| **leaves).count(), first.len(), OF).is_err(), "nothing sees {moved}");
    }
    let mut left: BTreeMap<u64, (Instant, Uuid)> = BTreeMap::new();
    for (actor, event) in &collected.rows {
        if event.event_type == EventType::Unsubscribed {
            let id = event.message_id.expect("it is of a message");
            assert!(left.insert(actor.0, (event.time, id)).is_none(), "{actor:?} leaves twice");
            assert!(event.agent == Agent::Scanner && event.client.is_some() && event.link.is_none());
        }
    }
    assert_eq!(left.len(), leavers);
    let (mut dropped, mut scans) = (0, 0);
    for (actor, event) in &collected.rows {
        let Some(&(at, id)) = left.get(&actor.0) else {
            assert!(event.event_type != EventType::Dropped, "{actor:?} has not left");
            continue;
        };
        dropped += usize::from(event.event_type == EventType::Dropped);
        assert!(event.event_type != EventType::Sent || event.time < at.plus(DAY), "mail goes on");
        if event.agent == Agent::Scanner && event.link == Some(LINKS as u8 - 1) && event.message_id == Some(id) {
            let gap = seconds(event.time, at);
            assert!((GAP[0] - 0.001..=GAP[1] + 0.001).contains(&gap), "{gap} seconds after the last link");
            scans += 1;
        }
    }
    assert!(dropped > 1_000 && scans == leavers, "{dropped} {scans}");
    let why: Vec<(u64, Instant, LeftBy)> = collected
        .truths
        .iter()
        .filter_map(|(actor, truth)| if let Truth::Left(at, by) = truth { Some((actor.0, *at, *by)) } else { None })
        .collect();
    assert_eq!(why, left.iter().map(|(actor, (at, _))| (*actor, *at, LeftBy::Scanner)).collect::<Vec<_>>());

    // Who is not behind such a scanner notices nothing.
    let others = |collected: &Collected<Event, Truth>| -> Vec<Event> {
        collected.rows.iter().filter(|(actor, _)| !left.contains_key(&actor.0)).map(|(_, event)| *event).collect()
    };
    assert_eq!(others(&collected), others(&collect(&model(&requested(0.0)), 7, 0..USERS)));
}

#[test]
fn rows_of_those_that_scans_unsubscribe_are_expected() {
    let model = model(&requested(0.6));
    let expected = Expectation::new(&model).total();
    let rows = collect(&model, 11, 0..USERS).rows;
    for kind in [EventType::Sent, EventType::Dropped, EventType::Unsubscribed, EventType::Opened, EventType::Clicked] {
        let observed = rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64;
        let expected = expected.of(kind) * USERS as f64 / 350.0;
        println!("{kind:?} {observed} {expected}");
        // Who is behind which scanner moves sums by 2% of themselves.
        assert!((observed / expected - 1.0).abs() < 0.08, "{kind:?}: {observed} rows, expected {expected}");
    }
}
