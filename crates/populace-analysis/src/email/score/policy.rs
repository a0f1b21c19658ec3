//! A slot for each recipient.

use super::worth::{self, VALUE, Worth};
use crate::email::policy::variant;
use crate::email::{History, Inference, Law, Recipient, recipients};
use crate::error::AnalysisError;
use crate::score::Context;
use crate::score::card::{Metric, Scorecard};
use crate::score::predictions::{Missing, Predictions};
use crate::score::rows::RowsFile;
use crate::source::{As, Columns, Side, Want};
use populace_core::email::{Decider, EmailModel, Person, Slots};
use populace_core::time::Instant;
use populace_io::catalogue;

const DECISIONS: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("window_start", As::Instant),
    Want::new("arm", As::Text),
    Want::new("allowed", As::Text),
];

/// Decisions on a recipient: when the window begins, and the slots that are allowed.
type Windows = Vec<(Instant, Slots)>;

fn windows(recipient: &Recipient) -> Result<Windows, AnalysisError> {
    let Some(batch) = &recipient.more[0] else { return Ok(Vec::new()) };
    let (begins, arms, allowed) = (batch.instant("window_start"), batch.text("arm"), batch.text("allowed"));
    let rows = (0..batch.num_rows()).filter(|row| arms.value(*row) != "holdout");
    let window = |row: usize| {
        let slots = Slots::of_hex(allowed.value(row)).ok_or_else(|| {
            AnalysisError::input(format!("decisions: allowed is `{}`; it must be hexadecimal digits", allowed.value(row)))
        })?;
        Ok((Instant(begins.value(row)), slots))
    };
    let found: Result<Windows, AnalysisError> = rows.map(window).collect();
    found.map(|found| found.into_iter().filter(|(_, allowed)| !allowed.is_empty()).collect())
}

/// What is known of a recipient: by zone and habit, the open rate and what it is times k, over who it may be.
pub(crate) struct Belief {
    people: Vec<Person>,
}

impl Belief {
    /// After what has happened before a moment; none where that cannot have happened.
    pub(crate) fn before(inference: &Inference<'_>, history: &History, moment: Instant) -> Option<Self> {
        let habits = inference.law().model().habits().len();
        let mut people = Vec::new();
        for (of_zone, posterior) in inference.filters(history).before(moment)? {
            let mut sums = vec![[0.0; 2]; habits];
            for (person, weight) in inference.people().zip(posterior.states()) {
                let sum = &mut sums[usize::from(person.habit)];
                sum[0] += of_zone * weight * person.open_rate;
                sum[1] += of_zone * weight * person.open_rate * person.timing_k;
            }
            let person = |(habit, [rate, moved]): (usize, [f64; 2])| {
                let of = inference.law().model().person(habit, rate, 0.0);
                Person { timing_k: moved / rate, zone: posterior.zone(), ..of }
            };
            people.extend(sums.into_iter().enumerate().filter(|(_, [rate, _])| *rate > 1e-12).map(person));
        }
        Some(Self { people })
    }

    /// The mean value of a slot of a window.
    pub(crate) fn value(&self, decider: &Decider, begin: Instant, slot: usize) -> f64 {
        self.people.iter().map(|person| decider.value(person, decider.slot(person, begin, slot)[0])).sum()
    }
}

/// The allowed slot of the greatest value; the first of them.
fn best(slots: usize, allowed: &Slots, value: impl Fn(usize) -> f64) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for slot in (0..slots).filter(|slot| allowed.has(*slot)) {
        let value = value(slot);
        if value > best.1 {
            best = (slot, value);
        }
    }
    best.0
}

/// Scores a slot for each recipient.
pub(crate) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let model: &EmailModel = &catalogue::model(context.document)?;
    let Some(log) = model.decider() else {
        return Err(AnalysisError::input(
            "policy: the run's scenario has no policy, so that it has no decisions\nhint: generate it with --policy explore, or score send_time",
        ));
    };
    let base =
        variant(context.document, &serde_json::json!({ "base": { "type": "scheduled" }, "explore": null, "skip": 0, "holdout": null }))?;
    let scheduled = base.decider().unwrap_or(log);
    let slots = log.slots();
    let wants = [Want::new("slot", As::Int)];
    let predictions = Predictions::<String, u16>::read(context, "recipient_id", &wants, |batch, row| {
        let slot = batch.int("slot").value(row);
        let of = u16::try_from(slot).ok().filter(|slot| usize::from(*slot) < slots);
        of.ok_or_else(|| format!("slot is {slot}, and must be from 0 to {}", slots - 1))
    })?;
    let law = Law::new(model, context.source.seed(context.document));
    let inference = Inference::new(&law);
    let mut missing = Missing::default();
    let mut worths = vec![Worth::default(); law.personas().len()];
    let mut file = RowsFile::create(
        context.options.rows.as_deref(),
        "recipient_id,slot,decisions,value,observable_value,oracle_value,scheduled_value",
    )?;
    let sides = [Side { table: "decisions", wants: &DECISIONS, time: None }];
    let work = |recipient: Recipient| {
        let id = recipient.history.recipient_id.clone();
        let (person, decisions) = (recipient.person, windows(&recipient)?);
        let Some(place) = predictions.place(&id) else { return Ok((id, person, 0, Worth::default())) };
        let belief = Belief::before(&inference, &recipient.history, Instant(i64::MAX)).ok_or_else(|| {
            AnalysisError::input(format!("events: what {id} did cannot happen in this scenario; is the run's scenario.yaml its own?"))
        })?;
        let own = usize::from(*predictions.value(place));
        let actor = populace_io::tables::email::actor_of(&id).unwrap_or(u64::MAX);
        let mut worth = Worth::default();
        for (begin, allowed) in &decisions {
            let value = |slot: usize| log.value(&person, log.slot(&person, *begin, slot)[0]);
            let (shares, _) = scheduled.distribution(&person, actor, *begin, allowed);
            let by_schedule: f64 = (0..slots).filter(|slot| shares[*slot] > 0.0).map(|slot| shares[slot] * value(slot)).sum();
            let observable = best(slots, allowed, |slot| belief.value(log, *begin, slot));
            worth.base += by_schedule;
            // A slot that is not allowed is no slot: all that are allowed are alike, as in a run with the table.
            let alike = || (0..slots).filter(|slot| allowed.has(*slot)).map(value).sum::<f64>() / allowed.len() as f64;
            worth.model += if allowed.has(own) { value(own) } else { alike() };
            worth.observable += value(observable);
            worth.oracle += value(best(slots, allowed, value));
        }
        Ok((id, person, decisions.len(), worth))
    };
    recipients::each(context.source, &law, &[], &sides, context.watch, work, |(id, person, n, sums): (String, Person, usize, Worth)| {
        let Some(place) = predictions.place(&id) else {
            missing.add(&id);
            return Ok(());
        };
        predictions.mark(place);
        if n == 0 {
            return Ok(());
        }
        let worth = &mut worths[usize::from(person.persona)];
        let mean = |sum: f64| sum / n as f64;
        let [own, observable, oracle, by_schedule] = [sums.model, sums.observable, sums.oracle, sums.base].map(mean);
        worth.n += 1.0;
        worth.model += own;
        worth.observable += observable;
        worth.oracle += oracle;
        worth.base += by_schedule;
        if let Some(file) = &mut file {
            file.write(format_args!("{id},{},{n},{own},{observable},{oracle},{by_schedule}", predictions.value(place)))?;
        }
        Ok(())
    })?;
    predictions.check_all_seen("is not a recipient of the run")?;
    if !context.options.subset {
        missing.check(predictions.path(), "recipient_id", "recipient")?;
    }
    if let Some(file) = file {
        file.finish()?;
    }
    let mut card = context.card("the slot in which messages to a recipient go out, of each recipient on whom the log decided");
    if missing.count() > 0 {
        card.counts.insert("without a prediction".into(), missing.count() as u64);
    }
    fill(&mut card, &law, &worths);
    Ok(card)
}

fn fill(card: &mut Scorecard, law: &Law<'_>, worths: &[Worth]) {
    card.metrics = vec![
        Metric::more(VALUE, "P(open) in the slot, mean over recipients of the mean over their decisions, under the truth"),
        Metric::less("regret", "what the best slot of each decision would give more"),
    ];
    worth::fill(card, law, worths, "value_scheduled");
    card.notes.push(
        "P(open) is E open rate × timing × minute over the minutes of the slot and the latency; it is the truth's, so these values have no \
         sampling error, and recent sends, hot paths and breakers are left out. The base line is the schedule of `sends`. Observable history is the \
         best slot for the posterior of who the recipient is after the whole run; everything known is the best slot of each decision."
            .into(),
    );
}
