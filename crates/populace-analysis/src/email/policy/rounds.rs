//! A log as arrays: a row for each decision, as libraries of off-policy evaluation take it.

use super::super::history::Message;
use super::super::law::Law;
use super::super::recipients::{self, Recipient};
use super::evaluate::{folds, without};
use super::learn::{BySlot, slots_of};
use super::logged::{DECISIONS, FOLDS, Logged, logged};
use super::value;
use crate::error::AnalysisError;
use crate::policy::{Rounds, Wanted};
use crate::source::{Columns, Side, Source};
use crate::watch::Watch;
use populace_core::email::{Decider, EmailModel, Person, PolicyClock};
use populace_core::time::{DAY, Instant};
use populace_io::tables::email::actor_of;
use std::path::Path;

/// What is known when a window begins: days since the first, the weekday from Monday, messages sent and opened; what is by slot follows.
const KNOWN: [&str; 4] = ["day", "weekday", "sent", "opened"];

/// The decisions of the log of a run.
pub(super) fn rounds(run: &Path, wanted: &Wanted<'_>, watch: &Watch<'_>) -> Result<Rounds, AnalysisError> {
    let source = Source::open(run)?;
    let document = source.scenario()?;
    let log: EmailModel = populace_io::catalogue::model(&document)?;
    let log = populace_io::tables::email::with_slots(log).map_err(|error| document.diagnose(&error))?;
    let target = wanted.target.map(value::model_of).transpose()?;
    let Some(logger) = log.decider() else {
        return Err(AnalysisError::input(format!(
            "{}: its scenario has no policy, so that nothing is known of how likely its sends were\nhint: generate it with --policy explore",
            run.display()
        )));
    };
    let decider = target.as_ref().and_then(EmailModel::decider);
    if let (Some(of), Some(decider)) = (wanted.target, decider)
        && !logger.is_comparable(decider)
    {
        return Err(AnalysisError::input(format!(
            "{}: has other windows or slots than the log; give it the same `window`, `slot_minutes` and `clock`",
            of.name
        )));
    }
    let law = Law::new(&log, source.seed(&document));
    let (slots, slot_of) = slots_of(&log);
    let from = wanted.from.map_or(Instant(i64::MIN), populace_core::time::Date::midnight);
    let sides = [Side { table: "decisions", wants: &DECISIONS, time: None }];
    let mut by_fold: Vec<BySlot> = (0..FOLDS).map(|_| BySlot::of(slots)).collect();
    let mut has_none = decider.is_some_and(|decider| decider.skip() > 0.0);
    let read = |recipient: Recipient| {
        let decisions = logged(&recipient, wanted.reward, from)?.unwrap_or_default();
        Ok((decisions.iter().any(|decision| decision.action.is_none()), folds(&decisions, slots)))
    };
    recipients::each(&source, &law, &[], &sides, watch, read, |(none, own): (bool, Vec<BySlot>)| {
        has_none |= none;
        by_fold.iter_mut().zip(&own).for_each(|(all, own)| all.include(own));
        Ok(())
    })?;
    let pooled: Vec<Vec<f64>> = (0..FOLDS).map(|fold| without(&by_fold, fold).pooled()).collect();
    let actions = slots + usize::from(has_none);
    let config = log.config();
    let is_utc = config.policy.as_ref().is_some_and(|policy| policy.clock == PolicyClock::Utc);
    let local = |person: &Person, moment: Instant| if is_utc { moment } else { log.clock(person.zone.zone).local(moment) };
    let start = config.window.start;
    let rows = |recipient: Recipient| {
        let mut rows = Rounds { actions, ..Rounds::default() };
        let Some(decisions) = logged(&recipient, wanted.reward, from)? else { return Ok(rows) };
        let actor = actor_of(&recipient.history.recipient_id).unwrap_or(u64::MAX);
        let own = folds(&decisions, slots);
        let rates: Vec<Vec<f64>> = (0..FOLDS).map(|fold| without(&own, fold).shrunk(&pooled[fold])).collect();
        let explores = logger.is_explored_by_user().then(|| {
            let arms = recipient.more[0].as_ref().map(|batch| batch.text("arm"));
            arms.is_some_and(|arms| (0..arms.len()).any(|row| arms.value(row) == "explore"))
        });
        for decision in &decisions {
            rows.recipients.push(recipient.history.recipient_id.clone());
            let date = local(&recipient.person, decision.window).date();
            rows.context.extend([date.midnight().since(start.midnight()) as f64 / DAY as f64, f64::from(date.weekday())]);
            rows.context.extend(known(&recipient.history.messages, decision.window, slots, &|moment| slot_of(&recipient.person, moment)));
            rows.action.push(decision.action.unwrap_or(slots) as i64);
            rows.reward.push(decision.reward);
            rows.propensity.push(decision.propensity);
            let shares = |of: &Decider, explores: Option<bool>| shares(of, explores, (&recipient, actor), decision, actions);
            rows.logged.extend(shares(logger, explores));
            rows.target.extend(decider.into_iter().flat_map(|of| shares(of, None)));
            let none = std::iter::repeat_n(0.0, actions - slots);
            rows.expected.extend(logger.values(&recipient.person, decision.window).into_iter().chain(none.clone()));
            rows.modelled.extend(rates[decision.fold].iter().copied().chain(none));
        }
        Ok(rows)
    };
    let names = KNOWN.iter().map(ToString::to_string).chain((0..slots).map(|slot| format!("opened_{slot}")));
    let mut all = Rounds { actions, names: names.collect(), ..Rounds::default() };
    recipients::each(&source, &law, &[], &sides, watch, rows, |rows: Rounds| {
        all.recipients.extend(rows.recipients);
        all.action.extend(rows.action);
        for (all, rows) in [
            (&mut all.context, rows.context),
            (&mut all.reward, rows.reward),
            (&mut all.propensity, rows.propensity),
            (&mut all.logged, rows.logged),
            (&mut all.expected, rows.expected),
            (&mut all.modelled, rows.modelled),
            (&mut all.target, rows.target),
        ] {
            all.extend(rows);
        }
        Ok(())
    })?;
    if all.action.is_empty() {
        return Err(AnalysisError::input(format!(
            "{}: its table decisions has no decision on a recipient who is not held out",
            run.display()
        )));
    }
    Ok(all)
}

/// P(each action) of a decision. Of a recipient who explores for good, or does not, it is that of the recipient's arm.
fn shares(of: &Decider, explores: Option<bool>, (recipient, actor): (&Recipient, u64), decision: &Logged, actions: usize) -> Vec<f64> {
    let (slots, allowed) = (of.slots(), &decision.allowed);
    let (shares, skip) = match explores {
        None => of.distribution(&recipient.person, actor, decision.window, allowed),
        Some(explores) => of.distribution_of_arm(explores, &recipient.person, actor, decision.window, allowed),
    };
    let none = if allowed.is_empty() { 1.0 } else { skip };
    let mut shares = shares[..slots].to_vec();
    shares.resize(actions, none);
    shares
}

/// What is known of a recipient at the begin of a window: messages sent and opened before, and those opened by the slot in which they
/// were sent.
fn known(messages: &[Message], begin: Instant, slots: usize, slot_of: &impl Fn(Instant) -> usize) -> Vec<f64> {
    let mut by_slot = vec![0.0; slots];
    let (mut sent, mut opened) = (0.0, 0.0);
    for message in messages.iter().filter(|message| message.sent < begin) {
        sent += 1.0;
        if message.opened.or(message.machine_opened).is_some_and(|opened| opened < begin) {
            opened += 1.0;
            by_slot[slot_of(message.sent)] += 1.0;
        }
    }
    [sent, opened].into_iter().chain(by_slot).collect()
}
