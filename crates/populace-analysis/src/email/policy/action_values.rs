//! What each slot would have been worth to each decision of a run, all other decisions being as they were.
//!
//! E over the moment within the slot, the latency and the open delay of P(open | a message that goes out then), with the sends, hot paths
//! and circuit breakers that the run has. Moments and latencies are integrated over [`NODES`] points of a lattice; what depends on the
//! clock alone is integrated exactly, and the points tell how the rest differs from it.

use super::one_step::World;
use super::value::{Seen, heard, model_of};
use crate::error::AnalysisError;
use crate::policy::{ActionValues, Candidate, Reward};
use crate::score::rows::RowsFile;
use crate::source::Source;
use crate::watch::Watch;
use populace_core::email::laws::Cell;
use populace_core::email::{Circumstances, DecidedAt, Decider, Decision, EmailModel, Uuid};
use populace_core::scenario::Scenario;
use populace_core::stream::StreamKey;
use populace_core::time::{Instant, SECOND};
use populace_io::error::RunError;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Points of a slot and of the latency.
const NODES: usize = 64;
/// Users that a thread takes at once.
const USERS: u64 = 32;
/// The golden ratio less 1: points that it spaces lie evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;
/// No latency is longer, seconds.
const LONGEST: f64 = 86_400.0;

/// The latencies of a cell: the middles of parts that are equally likely, microseconds.
struct Latencies<'a> {
    model: &'a EmailModel,
    known: Vec<(Cell, [i64; NODES])>,
}

impl<'a> Latencies<'a> {
    fn new(model: &'a EmailModel) -> Self {
        Self { model, known: Vec::new() }
    }

    fn of(&mut self, sent: Instant) -> &[i64; NODES] {
        let cell = self.model.latency_cell(sent);
        let found = self.known.iter().position(|(of, _)| *of == cell);
        let place = found.unwrap_or(self.known.len());
        if found.is_none() {
            let middle = |part: usize| (part as f64 + 0.5) / NODES as f64;
            let parts = core::array::from_fn(|part| (self.quantile(cell, middle(part)) * SECOND as f64) as i64);
            self.known.push((cell, parts));
        }
        &self.known[place].1
    }

    /// Seconds.
    fn quantile(&self, cell: Cell, share: f64) -> f64 {
        let (mut low, mut high) = (0.0, LONGEST);
        for _ in 0..48 {
            let middle = 0.5 * (low + high);
            if self.model.latency_cdf(cell, middle) < share { low = middle } else { high = middle }
        }
        high
    }
}

impl World<'_> {
    /// E opens, clicks and reward of the message of a decision, had it gone out in a slot.
    fn action_value(&self, log: &Decider, decision: &Decision, action: usize, reward: Reward, latencies: &mut Latencies<'_>) -> [f64; 3] {
        let own = decision.message_id.and_then(|id| self.seen.sent.get(&id)).copied();
        let [from, until] = log.slot(&self.person, decision.window[0], action);
        let config = &self.model.config().engagement;
        let (mut by_clock, mut sums, mut sent) = (0.0, [0.0; 3], 0.0);
        for node in 0..NODES {
            let place = node as f64 + 0.5;
            let at = from.plus((place / NODES as f64 * until.since(from) as f64) as i64);
            let latency = latencies.of(at)[((place * GOLDEN).fract() * NODES as f64) as usize];
            let delivered = at.plus(latency);
            let decided = if config.decided_at == DecidedAt::Send { at } else { delivered };
            let circumstances = Circumstances { exposed: self.exposed(decision, at), ..self.circumstances_of(at, decided, own) };
            by_clock += self.model.effects().by_clock(self.person.open_rate, &self.person, circumstances.clock, circumstances.ahead);
            if self.model.suppresses_sends() && self.is_silent(at) {
                continue;
            }
            sent += 1.0;
            if circumstances.suppressed {
                continue;
            }
            let [open_rate, click_rate] = self.rates_at(delivered);
            let factors: f64 = self.model.effects().factors(&circumstances).iter().product();
            let open = (open_rate * factors).min(config.max_probability) * self.model.delivered_share();
            let click = (click_rate / open_rate * self.model.effects().click_factor(&circumstances)).min(1.0);
            let within = |minutes: f64| heard(self.model, &self.person, delivered, &self.silent, minutes);
            let any = within(f64::INFINITY);
            sums[0] += open * any;
            sums[1] += open * any * click;
            sums[2] += reward.open * open * reward.within_minutes.map_or(any, within) + reward.click * open * any * click;
        }
        let scale = if by_clock > 0.0 { log.value(&self.person, from) / by_clock } else { 0.0 };
        let [open, click, worth] = sums.map(|sum| sum * scale);
        [open, click, worth + reward.send * sent / NODES as f64]
    }
}

/// Writes what each slot would have been worth to each decision of a run, as a CSV file.
pub(super) fn rewards(run: &Path, reward: Reward, output: &Path, watch: &Watch<'_>) -> Result<ActionValues, AnalysisError> {
    let source = Source::open(run)?;
    let document = source.scenario()?;
    let seed = source.seed(&document).ok_or_else(|| AnalysisError::input(format!("{}: its seed is not known", run.display())))?;
    let model = model_of(&Candidate { name: "the run".to_owned(), document })?;
    let refused = |what: &str| Err(AnalysisError::input(format!("{}: {what}", run.display())));
    let Some(log) = model.decider() else {
        return refused("its scenario has no policy, so that it has no decisions\nhint: generate it with --policy scheduled");
    };
    if log.lacks_schedule() {
        return refused("its scenario mails by a schedule, whose rows are not part of it\nhint: choose the run that it is a replay of");
    }
    if model.leaving().is_some() || model.attempts().is_some() {
        return refused(
            "with `leaving` or `delivery.attempts` another slot changes who is still there and what arrives when, which is not worked out\n\
             hint: replay policies in its place: populace policy value",
        );
    }
    let users = model.config().population.users;
    let key = StreamKey::root(seed, EmailModel::NAME);
    let of_user = |actor: u64, latencies: &mut Latencies<'_>| -> Vec<(Uuid, usize, [f64; 3])> {
        let seen = Seen::of(&model, key, actor, Instant(i64::MIN));
        let world = World::new(&model, key, actor, &seen);
        let mut rows = Vec::new();
        for decision in &seen.decided {
            for action in (0..log.slots()).filter(|action| decision.allowed.has(*action)) {
                rows.push((decision.id, action, world.action_value(log, decision, action, reward, latencies)));
            }
        }
        rows
    };
    let mut file = RowsFile::create(Some(output), "decision_id,action,q_open,q_click,q_reward")?;
    let mut found = ActionValues { decisions: 0, rows: 0 };
    watch.progress.begins("valuing", Some(users));
    let at_once = USERS * watch.threads.max(1) as u64;
    let mut first = 0;
    while first < users {
        if watch.stop.load(Ordering::Relaxed) {
            return Err(RunError::Interrupted.into());
        }
        let end = (first + at_once).min(users);
        let parts: Vec<Vec<_>> = std::thread::scope(|scope| {
            let part = |begin: u64| {
                let of_user = &of_user;
                let model = &model;
                scope.spawn(move || {
                    let mut latencies = Latencies::new(model);
                    (begin..(begin + USERS).min(end)).flat_map(|actor| of_user(actor, &mut latencies)).collect()
                })
            };
            let threads: Vec<_> = (first..end).step_by(USERS as usize).map(part).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread that panics ends the program")).collect()
        });
        let mut last = None;
        for (id, action, [open, click, worth]) in parts.into_iter().flatten() {
            found.decisions += u64::from(last != Some(id));
            found.rows += 1;
            last = Some(id);
            if let Some(file) = &mut file {
                file.write(format_args!("{id},{action},{open},{click},{worth}"))?;
            }
        }
        watch.progress.advanced(end - first);
        first = end;
    }
    if let Some(file) = file {
        file.finish()?;
    }
    Ok(found)
}
