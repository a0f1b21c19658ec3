//! Attempts at delivery: how often they are deferred, how long it takes, what bounces, and what is dropped after that.

use super::{email, model};
use crate::mutation::{Law, Mutation, broken, fifths};
use crate::support::{Collected, all, chi_square, collect, config, fills, follows, mean, record_mutants, share, sum, with};
use populace_core::email::laws::Expectation;
use populace_core::email::{
    Address, Attempt, Attempts, DeliveryConfig, EmailConfig, EmailModel, Event, EventType, MailboxProvider, MessageTruth, Reply, Truth,
    UserTruth, Uuid,
};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, HOUR, Instant, MINUTE, SECOND};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SEED: u64 = 7;
const USERS: u64 = 350;
/// Whose addresses are looked at.
const ADDRESSES: u64 = 10_000;
const DAYS: i64 = 50;
/// The constants of the document that is mutated: what is rare by default is frequent.
const PROVIDERS: [(&str, f64); 5] = [("gmail", 1.0), ("yahoo", 1.6), ("outlook", 1.2), ("apple", 0.8), ("other", 1.4)];
const PROBABILITY: f64 = 0.06;
const AGAIN: f64 = 0.6;
const BUSY: [u8; 2] = [0, 30];
const BUSY_FACTOR: f64 = 8.0;
const CAUSES: [f64; 3] = [0.5, 0.3, 0.2];
const WAITS: [f64; 3] = [5.0, 20.0, 120.0];
const WAIT_FACTOR: [f64; 2] = [0.8, 1.2];
const GIVE_UP_HOURS: f64 = 12.0;
const FULL_SHARE: f64 = 0.1;
const FULL_DAYS: f64 = 3.0;
const DEAD: f64 = 0.1;
const DYING: f64 = 0.006;

fn section() -> Value {
    let factors: BTreeMap<&str, f64> = PROVIDERS.into();
    json!({
        "provider_factors": factors, "probability": PROBABILITY, "probability_again": AGAIN, "busy_minutes": BUSY, "busy_factor": BUSY_FACTOR,
        "causes": { "greylist": CAUSES[0], "rate": CAUSES[1], "server": CAUSES[2] }, "wait_minutes": WAITS,
        "wait_factor": { "low": WAIT_FACTOR[0], "high": WAIT_FACTOR[1] }, "give_up_hours": GIVE_UP_HOURS,
        "full_mailboxes": { "share": FULL_SHARE, "mean_days": FULL_DAYS },
        "dead_addresses": { "initial_share": DEAD, "per_day": DYING },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "sections are written where they are used")]
fn with_attempts(document: &Value, section: Value) -> Value {
    with(document, "/delivery", json!({ "attempts": section }))
}

/// A document in which attempts are looked at: much mail, in few days.
fn busy(section: Value) -> Value {
    let document = with_attempts(&email(), section);
    with(&with(&document, "/window/days", DAYS), "/sends/per_day", 2.0)
}

/// A message and the attempts to deliver it.
struct Tried {
    provider: MailboxProvider,
    sent: Instant,
    attempts: Vec<Attempt>,
    ended: Option<(EventType, Reply, Instant)>,
    truth: MessageTruth,
}

struct Samples {
    model: EmailModel,
    addresses: Vec<Address>,
    collected: Collected<Event, Truth>,
    tried: Vec<Tried>,
}

impl Samples {
    fn new(document: &Value) -> Self {
        let model = model(document);
        let key = StreamKey::root(SEED, EmailModel::NAME);
        let address = |actor| model.address_of(key, ActorId(actor)).expect("addresses matter");
        let addresses: Vec<Address> = (0..ADDRESSES).map(address).collect();
        let collected = collect(&model, SEED, 0..USERS);
        let mut tried = Vec::new();
        let mut places = BTreeMap::new();
        let mut attempts: Vec<Attempt> = Vec::new();
        for (actor, truth) in &collected.truths {
            match truth {
                Truth::Attempt(truth) => attempts.push(truth.attempt),
                Truth::Message(truth) => {
                    places.insert(truth.message_id, tried.len());
                    let provider = addresses[actor.0 as usize].provider;
                    let attempts = std::mem::take(&mut attempts);
                    tried.push(Tried { provider, sent: Instant(0), attempts, ended: None, truth: *truth });
                }
                _ => {}
            }
        }
        for (_, event) in &collected.rows {
            let Some(message) = event.message_id.and_then(|id| places.get(&id)).map(|place| &mut tried[*place]) else { continue };
            match event.event_type {
                EventType::Sent => message.sent = event.time,
                EventType::Bounced => message.ended = Some((EventType::Bounced, event.reply.expect("a bounce has a reply"), event.time)),
                _ => {}
            }
        }
        Self { model, addresses, collected, tried }
    }

    /// Attempts at addresses that exist whose mailbox is not full.
    fn free(&self) -> impl Iterator<Item = (&Tried, &Attempt)> {
        let attempts = self.tried.iter().flat_map(|message| message.attempts.iter().map(move |attempt| (message, attempt)));
        attempts.filter(|(_, attempt)| !attempt.is_full && attempt.reply != Some(Reply::NoSuchMailbox))
    }

    /// The words of an address that begins with the window.
    fn begin(&self) -> Instant {
        self.model.window().begin()
    }
}

const LAWS: &[Law<Samples>] = &[
    ("shares of mailbox providers", |samples| {
        let mut counts = [0; PROVIDERS.len()];
        samples.addresses.iter().for_each(|address| counts[address.provider as usize] += 1);
        chi_square("providers", &counts, &[0.42, 0.14, 0.16, 0.1, 0.18])
    }),
    ("first attempts deferred, by provider and minute", |samples| {
        for (provider, (name, factor)) in MailboxProvider::ALL.into_iter().zip(PROVIDERS) {
            for is_busy in [false, true] {
                let of = |message: &Tried| message.provider == provider && BUSY.contains(&message.sent.minute()) == is_busy;
                let first = || samples.free().filter(|(message, attempt)| attempt.number == 1 && of(message));
                let p = PROBABILITY * factor * if is_busy { BUSY_FACTOR } else { 1.0 };
                let known = first().all(|(_, attempt)| (attempt.p_defer - p).abs() < 1e-12);
                all(known, || format!("p_defer of {name} is not {p}"))?;
                share(name, first().filter(|(_, attempt)| attempt.reply.is_some()).count(), first().count(), p)?;
            }
        }
        Ok(())
    }),
    ("later attempts deferred", |samples| {
        let later = || samples.free().filter(|(_, attempt)| attempt.number > 1);
        share("later", later().filter(|(_, attempt)| attempt.reply.is_some()).count(), later().count(), AGAIN)
    }),
    ("causes of deferrals", |samples| {
        let mut counts = [0; CAUSES.len()];
        for reply in samples.free().filter_map(|(_, attempt)| attempt.reply) {
            counts[Attempts::CAUSES.iter().position(|cause| *cause == reply).expect("a cause")] += 1;
        }
        let n = counts.iter().sum();
        CAUSES.iter().zip(counts).try_for_each(|(p, count)| share("causes", count, n, *p))
    }),
    ("waits between attempts", |samples| {
        let pairs = || samples.tried.iter().flat_map(|message| message.attempts.windows(2));
        for (place, wait) in WAITS.iter().enumerate() {
            let is_its_own = |number: u8| usize::from(number).min(WAITS.len()) == place + 1;
            let own = pairs().filter(|pair| is_its_own(pair[0].number));
            // What would have passed the end was not tried.
            let early = own.filter(|pair| pair[0].number < 5);
            let factors: Vec<f64> = early.map(|pair| pair[1].at.since(pair[0].at) as f64 / MINUTE as f64 / wait).collect();
            fills("waits", factors, WAIT_FACTOR[0], WAIT_FACTOR[1])?;
        }
        Ok(())
    }),
    ("messages are given up in time", |samples| {
        let give_up = (GIVE_UP_HOURS * HOUR as f64) as i64;
        let mut count = 0;
        for message in &samples.tried {
            let (first, last) = (message.attempts[0], message.attempts.last().expect("an attempt"));
            let expired = message.ended.filter(|(_, reply, _)| matches!(reply, Reply::Expired | Reply::ExpiredFull));
            let in_time = last.at.since(first.at) <= give_up && expired.is_none_or(|(_, _, at)| at.since(first.at) == give_up);
            let longest = (WAIT_FACTOR[1] * WAITS[WAITS.len() - 1] * MINUTE as f64) as i64;
            let late = expired.is_none() || last.at.plus(longest).since(first.at) > give_up;
            all(in_time && late, || format!("given up after {} minutes", last.at.since(first.at) / MINUTE))?;
            count += usize::from(expired.is_some());
        }
        all(count > 100, || format!("{count} were given up"))
    }),
    ("how often and how long mailboxes are full", |samples| {
        let at = samples.begin();
        let is_full = |address: &&Address, at: Instant| address.full.iter().any(|(from, until)| *from <= at && at < *until);
        share("full at the start", samples.addresses.iter().filter(|of| is_full(of, at)).count(), ADDRESSES as usize, FULL_SHARE)?;
        let later = at.plus(20 * DAY);
        share("full later", samples.addresses.iter().filter(|of| is_full(of, later)).count(), ADDRESSES as usize, FULL_SHARE)?;
        // Of those that are full at the start, how long they go on to be.
        let lasting = samples.addresses.iter().filter(|of| is_full(of, at)).map(|of| of.full[0].1.since(at) as f64 / DAY as f64);
        let lasting: Vec<f64> = lasting.collect();
        mean("episodes", lasting.iter().sum::<f64>() / lasting.len() as f64, lasting.len(), FULL_DAYS, FULL_DAYS)?;
        follows("episodes", lasting, |days| 1.0 - populace_core::math::exp(-days / FULL_DAYS))
    }),
    ("when addresses die", |samples| {
        let begin = samples.begin();
        let dead = |days: i64| samples.addresses.iter().filter(|of| of.is_dead(begin.plus(days * DAY))).count();
        share("dead from the start", dead(0), ADDRESSES as usize, DEAD)?;
        share("dead later", dead(DAYS), ADDRESSES as usize, 1.0 - (1.0 - DEAD) * populace_core::math::exp(-DYING * DAYS as f64))
    }),
    ("attempts fail where the mailbox is full or the address is dead, and rows say so", |samples| {
        let mut ids = BTreeMap::new();
        for (actor, event) in &samples.collected.rows {
            ids.entry((event.message_id, event.attempt, event.time)).or_insert((actor, event.reply));
        }
        for message in &samples.tried {
            for attempt in &message.attempts {
                let found = ids.get(&(Some(message.truth.message_id), attempt.number, attempt.at));
                let Some((actor, reply)) = found else { return Err(format!("attempt {} has no row", attempt.number)) };
                let address = &samples.addresses[actor.0 as usize];
                let full = address.full.iter().any(|(from, until)| *from <= attempt.at && attempt.at < *until);
                let dead = address.is_dead(attempt.at);
                let as_it_was = *reply == attempt.reply
                    && dead == (attempt.reply == Some(Reply::NoSuchMailbox))
                    && full == attempt.is_full
                    && (dead || full == (attempt.reply == Some(Reply::MailboxFull)));
                all(as_it_was, || format!("{attempt:?} of {address:?}"))?;
            }
        }
        Ok(())
    }),
];

#[test]
fn every_law_of_attempts_holds() {
    let found = broken(&Samples::new(&busy(section())), LAWS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mutants_of_attempts_are_caught() {
    let document = json!({ "attempts": section() });
    let mutation = Mutation {
        document: &document,
        exceptions: &[("/attempts/busy_minutes/0", &["1"]), ("/attempts/busy_minutes/1", &["29"])],
        moves: |_, value| fifths(value, false),
        mutate: |document, pointer, moved| with(document, pointer, moved.clone()),
        sample: |document| Samples::new(&busy(document["attempts"].clone())),
        laws: LAWS,
    };
    record_mutants("email, attempts at delivery", &mutation.table());
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let spelled = json!({
        "provider_factors": { "gmail": 0.7, "yahoo": 1.3, "outlook": 1.2, "apple": 0.7, "other": 1.0 },
        "probability": 0.03, "probability_again": 0.35, "busy_minutes": [0, 1, 2, 30, 31], "busy_factor": 3.0,
        "causes": { "greylist": 0.5, "rate": 0.3, "server": 0.2 }, "wait_minutes": [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 240.0],
        "wait_factor": { "low": 0.8, "high": 1.2 }, "give_up_hours": 72.0,
        "full_mailboxes": { "share": 0.008, "mean_days": 10.0 }, "dead_addresses": { "initial_share": 0.004, "per_day": 2.5e-4 },
    });
    let [default, spelled] = [json!({}), spelled].map(|section| config::<EmailConfig>(&with_attempts(&email(), section)));
    assert_eq!(default, spelled);
    // P(longer than three days) of an episode is e^(−.3), and a message into a full mailbox meets what is left of one.
    let outcome = model(&with_attempts(&email(), json!({}))).attempts().unwrap().mean_outcome();
    assert!((outcome.given_up - 0.0059).abs() < 3e-4, "{outcome:?}");
}

#[test]
fn codes_and_kinds_are_as_written() {
    let found: Vec<_> = Reply::ALL.iter().map(|reply| (reply.smtp_code(), reply.enhanced_code(), reply.bounce_type())).collect();
    assert_eq!(
        found,
        [
            (Some(451), Some("4.7.1"), None),
            (Some(421), Some("4.7.28"), None),
            (Some(451), Some("4.3.0"), None),
            (Some(452), Some("4.2.2"), None),
            (Some(550), Some("5.1.1"), Some("hard")),
            (Some(554), Some("4.4.7"), Some("soft")),
            (Some(554), Some("4.4.7"), Some("soft")),
            (None, None, None),
            (None, None, None),
        ]
    );
    assert_eq!(Reply::BouncedAddress.response(), "Bounced Address");
    assert_eq!(Reply::UnsubscribedAddress.response(), "Unsubscribed Address");
}

/// The share of sends that circuit breakers, hot paths and the rest leave alone: messages alone.
fn plain() -> Value {
    let mut document = with(&email(), "/delivery/probability", 1.0);
    document["machine_opens"] = json!({});
    document
}

#[test]
fn where_nothing_fails_nothing_changes() {
    let none = json!({ "probability": 0.0, "full_mailboxes": null, "dead_addresses": null });
    let (off, neutral) = (collect(&model(&plain()), SEED, 0..300), collect(&model(&with_attempts(&plain(), none)), SEED, 0..300));
    assert_eq!(off.rows, neutral.rows);
    let but_attempts = |of: Collected<Event, Truth>| -> Vec<Truth> {
        let truths = of.truths.into_iter().filter(|(_, truth)| !matches!(truth, Truth::Attempt(_)));
        let unknown = |truth| match truth {
            Truth::User(user) => Truth::User(UserTruth { mailbox_provider: None, ..user }),
            other => other,
        };
        truths.map(|(_, truth)| unknown(truth)).collect()
    };
    assert_eq!(but_attempts(off), but_attempts(neutral));
}

/// Of messages that arrive at their first attempt everything is what it is where all arrive.
#[test]
fn what_is_not_deferred_is_what_it_was() {
    let one_factor = |document: &Value| {
        let mut document = document.clone();
        // What other messages do is no matter: no recent sends that were dropped.
        document["fatigue"] = Value::Null;
        document
    };
    let off = collect(&model(&one_factor(&plain())), SEED, 0..USERS);
    let on = collect(&model(&one_factor(&with_attempts(&plain(), section()))), SEED, 0..USERS);
    let deferred: BTreeSet<Option<Uuid>> =
        on.rows.iter().filter(|(_, event)| event.reply.is_some()).map(|(_, event)| event.message_id).collect();
    let alike = |of: &Collected<Event, Truth>| -> Vec<Event> {
        of.rows
            .iter()
            .map(|(_, event)| *event)
            .filter(|event| event.message_id.is_none() || !deferred.contains(&event.message_id))
            .collect()
    };
    assert!(deferred.len() > 1_000);
    assert_eq!(alike(&off), alike(&on));
}

#[test]
fn days_and_users_that_follow_change_nothing() {
    let document = with_attempts(&email(), section());
    let (long, short) = (model(&document), model(&with(&document, "/window/days", 40)));
    let until = long.window().begin().plus(40 * DAY);
    let before = |rows: Vec<(ActorId, Event)>| -> Vec<Event> {
        rows.into_iter().map(|(_, event)| event).filter(|event| event.time < until).collect()
    };
    let (long, short) = (collect(&long, SEED, 0..100), collect(&short, SEED, 0..100));
    let full = |of: &Collected<Event, Truth>| -> Vec<(ActorId, Truth)> {
        let is = |truth: &Truth| matches!(truth, Truth::Full(full) if full.from < until) || matches!(truth, Truth::User(_));
        of.truths.iter().filter(|(_, truth)| is(truth)).copied().collect()
    };
    assert_eq!(full(&long), full(&short));
    assert_eq!(before(long.rows), before(short.rows));
}

#[test]
fn nothing_is_delivered_after_a_bounce_and_dead_addresses_are_mailed_no_more() {
    let Samples { collected, addresses, .. } = Samples::new(&busy(section()));
    let (mut bounced, mut known_dead): (BTreeSet<Uuid>, BTreeMap<ActorId, Instant>) = (BTreeSet::new(), BTreeMap::new());
    let mut dropped = 0;
    for (actor, event) in &collected.rows {
        let Some(id) = event.message_id else { continue };
        let dead = known_dead.get(actor).is_some_and(|since| *since <= event.time);
        match event.event_type {
            EventType::Sent => assert!(!dead, "{event:?}"),
            EventType::Dropped => {
                assert!(known_dead.contains_key(actor) && event.reply == Some(Reply::BouncedAddress));
                dropped += 1;
            }
            EventType::Bounced => {
                bounced.insert(id);
                if event.reply == Some(Reply::NoSuchMailbox) {
                    assert!(addresses[actor.0 as usize].is_dead(event.time));
                    known_dead.entry(*actor).or_insert(event.time);
                }
            }
            _ => assert!(!bounced.contains(&id), "{event:?} after its bounce"),
        }
    }
    assert!(bounced.len() > 100 && dropped > 1_000, "{} bounced, {dropped} dropped", bounced.len());
}

#[test]
fn first_answers_follow_the_law_of_latency() {
    let samples = Samples::new(&busy(section()));
    let plain = |sent: Instant| {
        let cell = samples.model.latency_cell(sent);
        !cell.top && !cell.batch && !cell.weekend
    };
    let first = samples.tried.iter().filter(|message| plain(message.sent));
    let seconds: Vec<f64> = first.map(|message| message.attempts[0].at.since(message.sent) as f64 / SECOND as f64).collect();
    let cell = samples.tried.iter().find(|message| plain(message.sent)).map(|message| samples.model.latency_cell(message.sent)).unwrap();
    follows("latency", seconds, |seconds| samples.model.latency_cdf(cell, seconds)).unwrap();
    for message in &samples.tried {
        let last = message.attempts.last().unwrap();
        let end = message.ended.map_or(last.at, |(_, _, at)| at);
        let deferral = end.since(message.attempts[0].at) as f64 / SECOND as f64;
        assert!((message.truth.latency_deferral - deferral).abs() < 1e-9, "{:?}", message.truth);
    }
}

#[test]
fn what_becomes_of_messages_is_expected() {
    let samples = Samples::new(&busy(section()));
    let law = samples.model.attempts().unwrap();
    // Given who lives: deferrals and what is given up, of messages to addresses that exist.
    let alive = || samples.tried.iter().filter(|message| message.attempts.iter().all(|of| of.reply != Some(Reply::NoSuchMailbox)));
    let n = alive().count();
    let expected = |of: fn(&populace_core::email::Outcome) -> f64| {
        alive().map(|message| of(&law.outcome(law.first(message.provider, law.is_busy(message.sent)).iter().product()))).sum::<f64>()
            / n as f64
    };
    let deferrals = alive().map(|message| message.attempts.iter().filter(|of| of.reply.is_some()).count()).sum::<usize>();
    let given_up = alive().filter(|message| message.ended.is_some()).count();
    // Messages into one full mailbox share their fate: some twenty of them.
    mean("deferrals", deferrals as f64 / n as f64, n / 20, expected(|of| of.deferrals), 3.0).unwrap();
    share("given up", given_up * (n / 8) / n, n / 8, expected(|of| of.given_up)).unwrap();
}

/// Who is dead is drawn for each recipient, and takes all its mail: two thirds of the spread of what is sent.
#[test]
fn volumes_are_expected() {
    const MANY: u64 = 2_100;
    let model = model(&with(&busy(section()), "/sends/per_day", 0.8));
    let collected = collect(&model, SEED, 0..MANY);
    let expectation = Expectation::new(&model).total();
    let scale = model.config().population.users as f64 / MANY as f64;
    let of = |kind: EventType| collected.rows.iter().filter(|(_, event)| event.event_type == kind).count() as f64;
    for (kind, spread) in [
        (EventType::Sent, 0.04),
        (EventType::Delivered, 0.05),
        (EventType::Opened, 0.05),
        (EventType::Deferred, 0.1),
        (EventType::Bounced, 0.1),
        (EventType::Dropped, 0.14),
    ] {
        let (observed, expected) = (of(kind), expectation.of(kind) / scale);
        assert!((observed / expected - 1.0).abs() < spread, "{}: {observed}, expected {expected}", kind.name());
    }
    // What is due is the same as ever: some of it is dropped.
    let due = of(EventType::Sent) + of(EventType::Dropped);
    sum("due", due, (expectation.of(EventType::Sent) + expectation.of(EventType::Dropped)) / scale, due).unwrap();
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let problems = |delivery: Value| {
        let document = with(&email(), "/delivery", delivery);
        EmailModel::from_config(&config::<EmailConfig>(&document)).map_or_else(|error| error.to_string(), |_| String::new())
    };
    let both = problems(json!({ "probability": 0.99, "attempts": {} }));
    assert_eq!(
        both,
        "delivery: has two laws, `probability` and `attempts` \
         (hint: write `probability: null` where attempts decide, or leave `attempts` out)"
    );
    assert!(problems(json!({})).starts_with("delivery: has no law"));
    let many = problems(json!({ "attempts": {
        "probability": 2, "busy_minutes": [3, 3, 60], "wait_factor": { "low": 0, "high": 11 }, "give_up_hours": 1_000,
        "causes": { "greylist": 0, "rate": 0, "server": 0 }, "full_mailboxes": { "share": 1.5 }, "dead_addresses": { "per_day": -1 },
        "provider_factors": { "gmail": -1, "yahoo": 1, "outlook": 1, "apple": 1, "other": 1 },
    } }));
    let keys = "probability busy_minutes.1 busy_minutes.2 wait_factor.low wait_factor.high give_up_hours causes provider_factors.gmail \
                full_mailboxes.share dead_addresses.per_day";
    for key in keys.split(' ') {
        assert!(many.contains(&format!("delivery.attempts.{key}: ")), "{key} is not in {many}");
    }
    assert!(problems(json!({ "attempts": { "probability": 0.5, "busy_factor": 4 } })).contains("must be at most 1, got"));
    assert!(problems(json!({ "attempts": { "wait_minutes": [1] } })).contains("64 attempts may end after 0.8 hours"));
    assert!(serde_json::from_value::<DeliveryConfig>(json!({ "attempts": { "probabilty": 0.1 } })).is_err());
}
