//! Events as they would come in now, from the engine of the scenario `email`.

use super::drafts::words;
use super::{Draft, Drafts, Moment, Rejection};
use crate::event::{Fields, Given, column};
use crate::identity::Identifier;
use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_select::take::take_record_batch;
use populace_core::plan::Shard;
use populace_core::time::{Date, Instant};
use populace_io::catalogue;
use populace_io::document::{Request, Setting, Source};
use populace_io::generator::{Generator, TableSet};
use populace_io::tables::email::actor_of;
use populace_io::text::TextFormat;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The most events that are generated at once.
pub const MAX_COUNT: u64 = 10_000;
/// Requests that generate at a time: 10,000 events take some 100 MB until they are published.
const AT_ONCE: usize = 4;
/// What a day brings at least, with which the days are guessed that `count` events need: the scenario's 350 users make some 800.
const EVENTS_A_DAY: u64 = 700;
/// Days before those that are asked for: what opens late was sent days before.
const WARM_UP: u32 = 4;
/// No slice of the past is longer.
const MAX_DAYS: u32 = 64;
/// In how long a history a full journey is looked for, days.
const JOURNEY_DAYS: u32 = 28;
/// In how many histories: a click in 28 days has a probability of 0.4 for the least engaged, so this many fail with one of 10¹⁴.
const JOURNEYS: u64 = 64;
/// The number in the address of the recipient of actor 0.
pub(super) const FIRST_RECIPIENT: u64 = 1_000;

/// A generator, with the first day and the days that it is for.
type Window = (Date, u32, Arc<dyn Generator>);

/// The generator behind `/api/mock/events`.
#[derive(Default)]
pub struct Mock {
    /// That of the last request.
    last: Mutex<Option<Window>>,
    /// How many generate at this moment.
    busy: Mutex<usize>,
    freed: Condvar,
}

/// As long as it lives, there is room for what is generated.
pub struct Turn<'a>(&'a Mock);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

impl Mock {
    /// Waits until few enough others generate: what a request generates is held until it is published.
    pub fn turn(&self) -> Turn<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy >= AT_ONCE {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy += 1;
        Turn(self)
    }

    fn generator(&self, at: Instant, days: u32) -> Result<Arc<dyn Generator>, Rejection> {
        let start = at.date().plus(1 - days as i32);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, long, generator)) = last.as_ref()
            && (*of, *long) == (start, days)
        {
            return Ok(Arc::clone(generator));
        }
        let (first, count) = (start.to_string(), days.to_string());
        let settings = [
            Setting { option: "window", path: "window.start", value: &first },
            Setting { option: "window", path: "window.days", value: &count },
        ];
        let request = Request { settings: &settings, ..Request::new(Source::Named("email")) };
        let made = catalogue::resolve(&request).and_then(|resolved| catalogue::generator(&resolved));
        let generator: Arc<dyn Generator> = made.map_err(|problems| Rejection::Malformed(problems.to_string()))?.into();
        *last = Some((start, days, Arc::clone(&generator)));
        Ok(generator)
    }

    /// The last rows of some actors up to a moment, in the order of time, `most` of them or all if there are fewer.
    fn rows(&self, moment: Moment, days: u32, most: usize, actors: &dyn Fn(u64) -> Range<u64>) -> Result<Vec<Fields<'static>>, Rejection> {
        let generator = self.generator(moment.at, days)?;
        let main = generator.main_table();
        let shard = Shard { index: 0, actors: actors(generator.population().actors) };
        let (batches, _) = generator.simulate(moment.seed, &shard, TableSet::EMPTY.with(main)).finish(0);
        let Some(batch) = &batches[main] else { return Ok(Vec::new()) };
        let times = batch.column(const { column("timestamp") }).as_primitive::<TimestampMicrosecondType>().values();
        let mut order: Vec<u32> = (0..).zip(times).filter(|(_, time)| **time <= moment.at.0).map(|(row, _)| row).collect();
        // Stable: a user's events of one millisecond stay in their order.
        order.sort_by_key(|row| times[*row as usize]);
        let last = UInt32Array::from(order.split_off(order.len().saturating_sub(most)));
        let batch = take_record_batch(batch, &last).expect("rows of the batch");
        let mut lines = Vec::new();
        TextFormat::Jsonl.append(&generator.tables()[main], &batch, &mut lines);
        let row = |line| serde_json::from_str::<Fields<'_>>(line).expect("what was written as JSON").into_owned();
        Ok(std::str::from_utf8(&lines).expect("JSON is UTF-8").lines().map(row).collect())
    }

    /// The last `count` events (1 to [`MAX_COUNT`]) of the scenario's users before now, in the order of time.
    ///
    /// # Errors
    /// So many are not made at once.
    pub fn generate(&self, count: u64, moment: Moment) -> Result<Drafts<'static>, Rejection> {
        if !(1..=MAX_COUNT).contains(&count) {
            return Err(Rejection::Malformed(format!("count: must be from 1 to {MAX_COUNT}, got {count}")));
        }
        let mut days = (count / EVENTS_A_DAY) as u32 + WARM_UP;
        loop {
            let rows = self.rows(moment, days, count as usize, &|users| 0..users)?;
            if rows.len() as u64 == count {
                return Ok(drafts(rows.into_iter(), moment));
            }
            if days >= MAX_DAYS {
                return Err(Rejection::Malformed(format!("count: {MAX_DAYS} days have fewer than {count} events")));
            }
            days = (days * 2).min(MAX_DAYS);
        }
    }

    /// The latest full journey of a user before now: sent, delivered, opened and clicked of one message. `user` may be a recipient of the
    /// scenario (`synth_user_01000`, `user1000@example.com`), or any id or address, which then behaves as one of them.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub fn journey(&self, user: &str, moment: Moment) -> Result<Drafts<'static>, Rejection> {
        let user = user.trim();
        if user.is_empty() || user.chars().count() > 256 {
            return Err(Rejection::Malformed("userId: must have 1 to 256 characters".to_owned()));
        }
        let [word, more] = words(&[b"user", user.as_bytes()]);
        let known = actor_of(user).or_else(|| actor_of_address(user));
        for attempt in 0..JOURNEYS {
            let seed = Moment { at: moment.at, seed: moment.seed ^ more.wrapping_add(attempt) };
            // Personas repeat with the scenario's users.
            let rows = self.rows(seed, JOURNEY_DAYS, usize::MAX, &|users| {
                let actor = known.unwrap_or(word % users);
                actor..actor + 1
            })?;
            let (event_type, message_id) = const { (column("event_type"), column("message_id")) };
            let Some(clicked) = rows.iter().rev().find(|row| row.text(event_type) == Some("clicked")) else { continue };
            let message = clicked.get(message_id).clone();
            let journey = rows.into_iter().filter(|row| *row.get(message_id) == message);
            let mut made = drafts(journey, moment);
            if known.is_none() {
                made.drafts.iter_mut().for_each(|draft| rename(draft, user));
            }
            return Ok(made);
        }
        Err(Rejection::Malformed("userId: no click in many histories of this user; give another seed".to_owned()))
    }
}

/// The actor whose address this is.
fn actor_of_address(text: &str) -> Option<u64> {
    let number: u64 = text.strip_prefix("user")?.strip_suffix("@example.com")?.parse().ok()?;
    number.checked_sub(FIRST_RECIPIENT)
}

/// Rows of recipients of the scenario, whose addresses are resolved like all others.
fn drafts(rows: impl Iterator<Item = Fields<'static>>, moment: Moment) -> Drafts<'static> {
    let mut made = Drafts { seed: Some(moment.seed), shown: true, ..Drafts::default() };
    let mut addresses: HashMap<String, String> = HashMap::new();
    for (item, mut fields) in rows.enumerate() {
        let recipient = fields.text(const { column("recipient_id") }).unwrap_or_default().to_owned();
        let address = addresses.entry(recipient).or_insert_with_key(|recipient| {
            let actor = actor_of(recipient).expect("a recipient of the scenario");
            format!("user{}@example.com", actor + FIRST_RECIPIENT)
        });
        let identifier = Identifier::Email(address.clone());
        fields.set(const { column("universal_id") }, Given::Missing);
        fields.set(const { column("recipient_email_hash") }, Given::Missing);
        made.drafts.push(Draft { item, fields, identifiers: vec![("recipient_email", identifier)], event: "" });
    }
    made
}

/// Makes an event that of a user whom the scenario does not know.
fn rename(draft: &mut Draft<'_>, user: &str) {
    if user.contains('@') {
        draft.fields.set(const { column("recipient_id") }, Given::Missing);
        draft.identifiers = vec![("userId", Identifier::Email(user.to_owned()))];
    } else {
        draft.fields.set_text(const { column("recipient_id") }, Some(user.to_owned()));
        draft.identifiers = vec![("userId", Identifier::Provider("mock".to_owned(), user.to_owned()))];
    }
}
