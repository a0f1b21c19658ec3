//! Unsubscribes and complaints: who leaves, when, what is not sent any more, and that no constant of theirs moves unnoticed.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Verdict, all, collect, config, follows, mean, record_mutants, scaled, share, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{
    CampaignType, EmailConfig, EmailModel, Event, EventType, LeavingTruth, LeftBy, MailboxProvider, MessageTruth, Reply, Truth, Uuid,
};
use populace_core::math;
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, HOUR, Instant, MINUTE};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const USERS: u64 = 2_100;
const SEED: u64 = 7;
/// The constants: those of the specification would need a hundred times the recipients to show.
const UNSUBSCRIBE: f64 = 0.012;
const COMPLAINT: f64 = 0.006;
const LOOKS_BACK: i64 = 7 * DAY;
const TOLERATED: usize = 5;
const SLOPE: f64 = 0.25;
const MOST: f64 = 2.5;
const TRANSACTIONAL: f64 = 0.2;
const SECONDS: f64 = 40.0;
const HOURS: f64 = 6.0;
const SIGMAS: [f64; 2] = [1.0, 0.8];
const EFFECT: i64 = 24 * HOUR;

fn section() -> Value {
    json!({
        "unsubscribe": UNSUBSCRIBE, "complaint": COMPLAINT, "days": 7, "tolerated": TOLERATED, "slope": SLOPE, "max_factor": MOST,
        "transactional": TRANSACTIONAL, "after_open_median_seconds": SECONDS, "after_open_sigma": SIGMAS[0],
        "after_delivery_median_hours": HOURS, "after_delivery_sigma": SIGMAS[1], "effective_after_hours": 24.0, "ignore_opt_out": false,
    })
}

/// The default document, with more mail on fewer days.
fn base() -> Value {
    with(&scaled(&email(), "/sends/per_day", 1.5), "/window/days", 60)
}

fn with_leaving(document: &Value, section: Value) -> Value {
    let mut document = document.clone();
    document["leaving"] = section;
    document
}

/// A delivered message of a recipient that nothing before has made leave.
struct Risk {
    actor: u64,
    deliveries: usize,
    promotional: bool,
    delivered: Instant,
    opened: Option<Instant>,
    unsubscribed: Option<Instant>,
    complained: Option<Instant>,
    reported: bool,
    truth: LeavingTruth,
}

impl Risk {
    fn factor(&self) -> f64 {
        (1.0 + SLOPE * self.deliveries.saturating_sub(TOLERATED) as f64).min(MOST)
    }

    fn p_unsubscribe(&self) -> f64 {
        UNSUBSCRIBE * self.factor() * if self.promotional { 1.0 } else { TRANSACTIONAL }
    }

    fn p_complaint(&self) -> f64 {
        COMPLAINT * self.factor().powi(2)
    }

    /// Few deliveries before, some more, or so many that more raise nothing.
    fn level(&self) -> usize {
        match self.deliveries {
            0..=TOLERATED => 0,
            _ if self.factor() < MOST => 1,
            _ => 2,
        }
    }
}

/// A recipient as its rows tell.
#[derive(Default)]
struct Recipient {
    sent: Vec<(Instant, Uuid, u8)>,
    delivered: BTreeMap<Uuid, Instant>,
    unsubscribed: BTreeMap<Uuid, Instant>,
    reported: BTreeMap<Uuid, Instant>,
    dropped: Vec<Event>,
    truths: BTreeMap<Uuid, MessageTruth>,
    left: Option<(Instant, LeftBy)>,
}

struct Samples {
    model: EmailModel,
    recipients: BTreeMap<u64, Recipient>,
    risks: Vec<Risk>,
    /// Messages that were delivered to somebody whom one before had made leave.
    after: Vec<LeavingTruth>,
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let collected = collect(&model, SEED, 0..USERS);
        let mut recipients: BTreeMap<u64, Recipient> = BTreeMap::new();
        for (actor, event) in &collected.rows {
            let of = recipients.entry(actor.0).or_default();
            let Some(id) = event.message_id else { continue };
            match event.event_type {
                EventType::Sent => of.sent.push((event.time, id, event.campaign)),
                EventType::Delivered => assert!(of.delivered.insert(id, event.time).is_none()),
                EventType::Unsubscribed => assert!(of.unsubscribed.insert(id, event.time).is_none()),
                EventType::SpamReported => assert!(of.reported.insert(id, event.time).is_none()),
                EventType::Dropped => of.dropped.push(*event),
                _ => {}
            }
        }
        for (actor, truth) in &collected.truths {
            let of = recipients.entry(actor.0).or_default();
            match truth {
                Truth::Message(message) => assert!(of.truths.insert(message.message_id, *message).is_none()),
                Truth::Left(time, by) => assert!(of.left.replace((*time, *by)).is_none()),
                _ => {}
            }
        }
        let (mut risks, mut after) = (Vec::new(), Vec::new());
        for (&actor, of) in &recipients {
            let mut before: Vec<Instant> = Vec::new();
            let mut is_over = false;
            for (_, id, campaign) in &of.sent {
                let Some(&delivered) = of.delivered.get(id) else { continue };
                let deliveries = before.iter().filter(|time| **time <= delivered && delivered.since(**time) <= LOOKS_BACK).count();
                before.push(delivered);
                let (unsubscribed, reported) = (of.unsubscribed.get(id).copied(), of.reported.get(id).copied());
                let message = &of.truths[id];
                let truth = message.leaving.expect("what is delivered has its truth");
                if is_over {
                    assert!(unsubscribed.is_none() && reported.is_none() && truth.complained_at.is_none());
                    after.push(truth);
                    continue;
                }
                let promotional = model.campaigns()[usize::from(*campaign)].kind == Some(CampaignType::Promotional);
                let (opened, complained) = (message.human_opened_at, truth.complained_at);
                assert!(reported.is_none() || reported == complained);
                let reported = reported.is_some();
                risks.push(Risk { actor, deliveries, promotional, delivered, opened, unsubscribed, complained, reported, truth });
                is_over = unsubscribed.is_some() || reported;
            }
        }
        Self { model, recipients, risks, after }
    }

    /// Messages at risk of a kind against what is expected of them.
    fn hold(&self, what: &str, is: impl Fn(&Risk) -> bool, hit: fn(&Risk) -> bool, p: fn(&Risk) -> f64) -> Verdict {
        let of = || self.risks.iter().filter(|risk| is(risk));
        let expected: f64 = of().map(p).sum();
        let variance: f64 = of().map(p).map(|p| p * (1.0 - p)).sum();
        sum(what, of().filter(|risk| hit(risk)).count() as f64, expected, variance)
    }

    fn by_level(&self, what: &str, hit: fn(&Risk) -> bool, p: fn(&Risk) -> f64) -> Verdict {
        (0..3).try_for_each(|level| self.hold(&format!("{what} at level {level}"), |risk| risk.level() == level, hit, p))
    }
}

/// Waits of both kinds of act, from the open or from the delivery of messages that were opened or were not.
fn waits(what: &str, samples: &Samples, opened: bool, median: f64, sigma: f64) -> Verdict {
    let acts = |risk: &Risk| {
        let from = risk.opened.unwrap_or(risk.delivered);
        [risk.unsubscribed, risk.complained].map(|act| act.map(|act| minutes(from, act)))
    };
    let risks = samples.risks.iter().filter(|risk| risk.opened.is_some() == opened);
    let minutes: Vec<f64> = risks.flat_map(acts).flatten().collect();
    let n = minutes.len();
    let normal = || minutes.iter().map(|wait| math::ln(*wait / median) / sigma);
    mean(what, normal().sum::<f64>() / n as f64, n, 0.0, 1.0)?;
    mean(what, normal().map(|z| z * z).sum::<f64>() / n as f64, n, 1.0, f64::sqrt(2.0))?;
    follows(what, minutes.clone(), |wait| math::normal_cdf(math::ln(wait / median) / sigma))
}

fn minutes(from: Instant, to: Instant) -> f64 {
    to.since(from) as f64 / MINUTE as f64
}

const LAWS: &[Law<Samples>] = &[
    ("unsubscribes by the deliveries before", |samples| {
        samples.by_level("unsubscribes", |risk| risk.unsubscribed.is_some(), Risk::p_unsubscribe)
    }),
    ("unsubscribes by the type of the campaign", |samples| {
        let of = |promotional: bool| {
            samples.hold("unsubscribes", |risk| risk.promotional == promotional, |risk| risk.unsubscribed.is_some(), Risk::p_unsubscribe)
        };
        of(true).and_then(|()| of(false))
    }),
    ("complaints by the deliveries before", |samples| samples.by_level("complaints", |risk| risk.complained.is_some(), Risk::p_complaint)),
    ("unsubscribes do not wait for an open", |samples| {
        samples.hold("unsubscribes", |risk| risk.opened.is_some(), |risk| risk.unsubscribed.is_some(), Risk::p_unsubscribe)
    }),
    ("waits from an open", |samples| waits("minutes", samples, true, SECONDS / 60.0, SIGMAS[0])),
    ("waits from a delivery without an open", |samples| waits("minutes", samples, false, HOURS * 60.0, SIGMAS[1])),
    ("complaints are told of by Yahoo, Outlook and half of the others", |samples| {
        // Who is told of leaves, so that of each recipient the first counts.
        let mut first: BTreeMap<u64, bool> = BTreeMap::new();
        for risk in samples.risks.iter().filter(|risk| risk.complained.is_some()) {
            first.entry(risk.actor).or_insert(risk.reported);
            let told = samples.model.mailbox_of(StreamKey::root(SEED, EmailModel::NAME), ActorId(risk.actor)).reports;
            all(told == risk.reported, || format!("a complaint of {}", risk.actor))?;
        }
        share("told", first.values().filter(|told| **told).count(), first.len(), 0.14 + 0.16 + 0.09)
    }),
    ("the truth is what the rows give", |samples| {
        for risk in &samples.risks {
            let Risk { truth, deliveries, .. } = risk;
            let campaign = if risk.promotional { 1.0 } else { TRANSACTIONAL };
            let near = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
            all(
                truth.deliveries as usize == *deliveries
                    && near(truth.frequency, risk.factor())
                    && near(truth.campaign, campaign)
                    && near(truth.p_unsubscribe, risk.p_unsubscribe())
                    && near(truth.p_complaint, risk.p_complaint()),
                || format!("{truth:?} after {deliveries}"),
            )?;
        }
        let still = samples.after.iter().find(|truth| truth.p_unsubscribe + truth.p_complaint > 0.0);
        all(still.is_none() && !samples.after.is_empty(), || format!("{still:?}"))
    }),
    ("who has left is mailed for a day", |samples| {
        for (actor, of) in &samples.recipients {
            let acts = [(&of.unsubscribed, LeftBy::Unsubscribed), (&of.reported, LeftBy::SpamReported)];
            let first = acts.into_iter().flat_map(|(acts, by)| acts.values().map(move |time| (*time, by))).min();
            all(first == of.left, || format!("{actor}: {first:?} and {:?}", of.left))?;
            let until = first.map(|(time, _)| time.plus(EFFECT));
            let late = of.sent.iter().find(|(sent, ..)| until.is_some_and(|until| *sent >= until));
            let early = of.dropped.iter().find(|dropped| until.is_none_or(|until| dropped.time < until));
            all(late.is_none() && early.is_none(), || format!("{actor}: {late:?} {early:?}"))?;
        }
        let reasons: BTreeSet<Option<&str>> =
            samples.recipients.values().flat_map(|of| &of.dropped).map(|row| row.reply.map(Reply::response)).collect();
        all(reasons == [Some("Unsubscribed Address")].into(), || format!("{reasons:?}"))
    }),
];

#[test]
fn every_law_of_leaving_holds() {
    let samples = Samples::new(&with_leaving(&base(), section()));
    let found = broken(&samples, LAWS);
    assert!(found.is_empty(), "{found:#?}");
    // Complaints that nobody tells the sender of change nothing: there are recipients that stay after one.
    let silent = samples.risks.iter().filter(|risk| risk.complained.is_some() && !risk.reported && risk.unsubscribed.is_none()).count();
    assert!(silent > 300, "{silent}");
}

#[test]
fn mutants_of_leaving_are_caught() {
    let document = json!({ "leaving": section() });
    let mutation = Mutation {
        document: &document,
        exceptions: &[("/leaving/ignore_opt_out", &["true"])],
        moves: |pointer, value| fifths(value, pointer.ends_with("days") || pointer.ends_with("tolerated")),
        mutate: |document, pointer, moved| with(document, pointer, moved.clone()),
        sample: |document| Samples::new(&with_leaving(&base(), document["leaving"].clone())),
        laws: LAWS,
    };
    record_mutants("email, leaving", &mutation.table());
}

fn rows_of(document: &Value, actors: u64) -> BTreeMap<u64, Vec<Event>> {
    let mut rows: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    collect(&model(document), SEED, 0..actors).rows.into_iter().for_each(|(actor, row)| rows.entry(actor.0).or_default().push(row));
    rows
}

/// Rows of somebody who leaves are those of somebody who does not, but for what would be sent after it, which is dropped.
#[test]
fn leaving_takes_mail_away_and_moves_nothing_else() {
    let mut document = base();
    // Fatigue looks at real sends, which are fewer; there are none after the last.
    document["fatigue"] = Value::Null;
    let (off, on) = (rows_of(&document, 600), rows_of(&with_leaving(&document, section()), 600));
    let mut left = 0;
    for (actor, on) in &on {
        let is_new = |event: &&Event| matches!(event.event_type, EventType::Unsubscribed | EventType::SpamReported | EventType::Dropped);
        let dropped: BTreeMap<Uuid, &Event> =
            on.iter().filter(|event| event.event_type == EventType::Dropped).map(|event| (event.message_id.unwrap(), event)).collect();
        left += usize::from(!dropped.is_empty());
        let others: Vec<&Event> = on.iter().filter(|event| !is_new(event)).collect();
        let expected: Vec<&Event> =
            off[actor].iter().filter(|event| event.message_id.is_none_or(|id| !dropped.contains_key(&id))).collect();
        assert_eq!(others, expected);
        for sent in off[actor].iter().filter(|event| event.event_type == EventType::Sent) {
            if let Some(dropped) = sent.message_id.and_then(|id| dropped.get(&id)) {
                let as_sent = Event { event_type: EventType::Sent, reply: None, ..**dropped };
                assert_eq!(as_sent, *sent);
            }
        }
    }
    assert!(left > 200, "{left}");
}

#[test]
fn where_nobody_leaves_nothing_changes() {
    let none = json!({ "unsubscribe": 0.0, "complaint": 0.0 });
    let (off, neutral) = (collect(&model(&email()), SEED, 0..300), collect(&model(&with_leaving(&email(), none)), SEED, 0..300));
    assert_eq!(off.rows, neutral.rows);
    let without = |(_, truth): &(ActorId, Truth)| match truth {
        Truth::Message(message) => Truth::Message(MessageTruth { leaving: None, ..*message }),
        other => *other,
    };
    assert_eq!(off.truths.iter().map(without).collect::<Vec<_>>(), neutral.truths.iter().map(without).collect::<Vec<_>>());
}

#[test]
fn a_sender_that_ignores_it_sends_on() {
    let mut ignoring = section();
    ignoring["ignore_opt_out"] = json!(true);
    let (off, on) = (rows_of(&base(), 300), rows_of(&with_leaving(&base(), ignoring), 300));
    let mut leave = 0;
    for (actor, on) in &on {
        let acts = on.iter().filter(|event| matches!(event.event_type, EventType::Unsubscribed | EventType::SpamReported));
        let by: BTreeSet<Option<Uuid>> = acts.map(|event| event.message_id).collect();
        assert!(by.len() <= 1, "{actor} leaves twice");
        leave += by.len();
        let others = on.iter().filter(|event| event.event_type <= EventType::ProductView);
        assert!(others.eq(off[actor].iter()));
        assert!(on.iter().all(|event| event.event_type != EventType::Dropped));
    }
    assert!(leave > 150, "{leave}");
}

/// Who unsubscribes under less mail does so under more: words stand still.
#[test]
fn unsubscribes_are_monotone_in_frequency() {
    let who = |slope: f64| -> BTreeSet<u64> {
        let mut section = section();
        (section["slope"], section["complaint"]) = (json!(slope), json!(0.0));
        let rows = collect(&model(&with_leaving(&base(), section)), SEED, 0..700).rows;
        rows.iter().filter(|(_, event)| event.event_type == EventType::Unsubscribed).map(|(actor, _)| actor.0).collect()
    };
    let (less, more) = (who(0.05), who(0.25));
    assert!(less.is_subset(&more) && more.len() > less.len() + 50, "{} and {}", less.len(), more.len());
}

#[test]
fn days_and_users_that_follow_change_nothing() {
    let document = with_leaving(&base(), section());
    let (long, short) = (model(&document), model(&with(&document, "/window/days", 25)));
    let until = long.window().begin().plus(25 * DAY);
    let before = |rows: Vec<(ActorId, Event)>| -> Vec<Event> {
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    assert_eq!(before(collect(&long, SEED, 0..150).rows), before(collect(&short, SEED, 0..150).rows));
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let model = model(&with_leaving(&email(), json!({})));
    let leaving = model.leaving().unwrap();
    let of_type = |kind: CampaignType| model.campaigns().iter().position(|campaign| campaign.kind == Some(kind)).unwrap();
    let (promotional, transactional) = (of_type(CampaignType::Promotional), of_type(CampaignType::Transactional));
    for (deliveries, m) in [(0, 1.0), (5, 1.0), (6, 1.25), (15, 3.5), (25, 6.0), (70, 6.0)] {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} and {expected}");
        near(leaving.p_unsubscribe(deliveries, promotional), 0.0008 * m);
        near(leaving.p_unsubscribe(deliveries, transactional), 0.0008 * 0.2 * m);
        near(leaving.p_complaint(deliveries), 0.000_12 * m * m);
    }
    assert_eq!((leaving.looks_back(), leaving.takes_effect_after()), (7 * DAY, Some(DAY)));
    assert!((leaving.after_open(40.0 / 60.0) - 0.5).abs() < 1e-9 && (leaving.after_delivery(360.0) - 0.5).abs() < 1e-9);
}

#[test]
fn mailboxes_have_their_shares_whatever_the_document_says() {
    let (model, other) = (model(&email()), model(&with_leaving(&base(), section())));
    let key = StreamKey::root(SEED, EmailModel::NAME);
    let mut counts = [[0; 2]; 5];
    for actor in (0..20_000).map(ActorId) {
        let mailbox = model.mailbox_of(key, actor);
        assert_eq!(mailbox, other.mailbox_of(key, actor));
        counts[mailbox.provider as usize][usize::from(mailbox.reports)] += 1;
    }
    for (provider, [silent, telling]) in MailboxProvider::ALL.iter().zip(counts) {
        let expected = [0.42, 0.14, 0.16, 0.10, 0.18][*provider as usize];
        share(provider.name(), silent + telling, 20_000, expected).unwrap();
        let tells = [0.0, 1.0, 1.0, 0.0, 0.5][*provider as usize];
        share(provider.name(), telling, silent + telling, tells).unwrap();
    }
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let section = json!({ "unsubscribe": 0.5, "complaint": 0.1, "days": 0, "effective_after_hours": -1.0 });
    let error = EmailModel::from_config(&config::<EmailConfig>(&with_leaving(&email(), section))).unwrap_err().to_string();
    for problem in ["leaving.days", "leaving.effective_after_hours", "leaving.unsubscribe", "leaving.complaint"] {
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
}

/// By the rates of the specification and by far greater ones, at little mail and at much.
#[test]
fn volumes_are_expected() {
    for (per_day, times, users) in [(0.8, 5.0, 700), (0.8, 25.0, 700), (3.0, 4.0, 350)] {
        let mut section = json!({ "unsubscribe": 0.0008 * times, "complaint": 0.000_12 * times });
        section["max_factor"] = json!(6.0);
        let model = model(&with(&with_leaving(&email(), section), "/sends/per_day", per_day));
        let total = Expectation::new(&model).total();
        let of_population = users as f64 / model.config().population.users as f64;
        let rows = collect(&model, 11, 0..users).rows;
        let count = |kind: EventType| rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64;
        let expected = |kind: EventType| total.of(kind) * of_population;
        for kind in [EventType::Unsubscribed, EventType::SpamReported] {
            sum(kind.name(), count(kind), expected(kind), expected(kind)).unwrap();
        }
        // How long somebody stays moves sends most: at most as much as between none and all.
        let due = expected(EventType::Sent) + expected(EventType::Dropped);
        sum("due", count(EventType::Sent) + count(EventType::Dropped), due, due).unwrap();
        let (of_one, gone) = (due / users as f64, expected(EventType::Dropped) / due);
        let spread = of_one * of_one * gone * (1.0 - gone) * users as f64;
        for kind in [EventType::Sent, EventType::Delivered, EventType::Opened, EventType::Clicked, EventType::Dropped] {
            let share = if kind == EventType::Dropped { 1.0 } else { expected(kind) / expected(EventType::Sent) };
            sum(kind.name(), count(kind), expected(kind), expected(kind) + share * share * spread).unwrap();
        }
    }
}
