//! When to send.

use super::worth::{self, VALUE, Worth};
use crate::email::{Inference, Law, Recipient, recipients};
use crate::error::AnalysisError;
use crate::score::Context;
use crate::score::card::{Metric, Scorecard};
use crate::score::predictions::{Missing, Predictions};
use crate::score::rows::RowsFile;
use crate::source::{As, Columns, Want};
use populace_core::email::{EmailModel, MONDAY, Person};
use populace_core::time::{Instant, MINUTE, MINUTES_PER_WEEK};
use populace_io::catalogue;

/// P(open) by minute of the week, UTC.
struct Values {
    /// By habit and minute: the factors by the clock if timing were flat, and what they are more if timing moves the rate as far as it may.
    factors: Vec<Vec<[f64; 2]>>,
    most: f64,
    /// By who a recipient may be: whether P(open) is capped at some minute.
    capped: Vec<bool>,
}

/// Scores a policy of send times.
pub(crate) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let model: &EmailModel = &catalogue::model(context.document)?;
    let wants = [Want::new("minute_of_week", As::Int)];
    let predictions = Predictions::<String, u16>::read(context, "recipient_id", &wants, |batch, row| {
        let minute = batch.int("minute_of_week").value(row);
        u16::try_from(minute)
            .ok()
            .filter(|minute| usize::from(*minute) < MINUTES_PER_WEEK)
            .ok_or_else(|| format!("minute_of_week is {minute}, and must be from 0 (Monday 00:00 UTC) to 10079"))
    })?;
    let law = Law::new(model, context.source.seed(context.document));
    let inference = Inference::new(&law);
    let values = Values::new(&inference);
    let mut missing = Missing::default();
    let mut worths = vec![Worth::default(); law.personas().len()];
    let header = "recipient_id,minute_of_week,value,observable_minute,observable_value,oracle_minute,oracle_value";
    let mut file = RowsFile::create(context.options.rows.as_deref(), header)?;
    // A recipient's id, who it is, and the best minute by what can be observed; of those without a prediction none.
    let work = |recipient: Recipient| {
        let id = &recipient.history.recipient_id;
        if predictions.place(id).is_none() {
            return Ok((recipient.history.recipient_id, recipient.person, 0));
        }
        let zones = inference.filters(&recipient.history).before(Instant(i64::MAX)).ok_or_else(|| {
            AnalysisError::input(format!("events: what {id} did cannot happen in this scenario; is the run's scenario.yaml its own?"))
        })?;
        // A minute of the week is one of the recipient's clock, wherever that is.
        let mut states = vec![0.0; inference.people().count()];
        for (of_zone, posterior) in zones {
            states.iter_mut().zip(posterior.states()).for_each(|(sum, weight)| *sum += of_zone * weight);
        }
        let best = values.best(inference.people().zip(states));
        Ok((recipient.history.recipient_id, recipient.person, best))
    };
    recipients::each(context.source, &law, &[], &[], context.watch, work, |(id, person, observable): (String, Person, usize)| {
        let Some(place) = predictions.place(&id) else {
            missing.add(&id);
            return Ok(());
        };
        predictions.mark(place);
        let own = values.of(&person);
        let (minute, oracle) = (usize::from(*predictions.value(place)), best(&own));
        let worth = &mut worths[usize::from(person.persona)];
        worth.n += 1.0;
        worth.model += own[minute];
        worth.observable += own[observable];
        worth.oracle += own[oracle];
        worth.base += own.iter().sum::<f64>() / MINUTES_PER_WEEK as f64;
        if let Some(file) = &mut file {
            file.write(format_args!("{id},{minute},{},{observable},{},{oracle},{}", own[minute], own[observable], own[oracle]))?;
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
    let mut card = context.card("the minute of the week at which a message to a recipient is best delivered, of each recipient");
    if missing.count() > 0 {
        card.counts.insert("without a prediction".into(), missing.count() as u64);
    }
    fill(&mut card, &law, &worths);
    Ok(card)
}

impl Values {
    fn new(inference: &Inference<'_>) -> Self {
        let law = inference.law();
        let minute = |habit: usize, minute: usize| {
            let clock = law.config().timezone.local(MONDAY.plus(minute as i64 * MINUTE));
            let person = law.model().person(habit, 1.0, 1.0);
            // Timing is 1 + k × what depends on the habit alone.
            let [flat, full] = [0.0, 1.0].map(|timing_k| law.model().effects().by_clock(1.0, &Person { timing_k, ..person }, clock, 0));
            [flat, full - flat]
        };
        let of = |habit: usize| (0..MINUTES_PER_WEEK).map(|of_week| minute(habit, of_week)).collect();
        let factors: Vec<Vec<[f64; 2]>> = (0..law.model().habits().len()).map(of).collect();
        let most = law.config().engagement.max_probability;
        let is_capped = |person: &Person| {
            let of = &factors[usize::from(person.habit)];
            of.iter().any(|[flat, more]| person.open_rate * (flat + person.timing_k * more) > most)
        };
        Self { capped: inference.people().map(is_capped).collect(), factors, most }
    }

    /// P(open) of a person, by minute of the week.
    fn of(&self, person: &Person) -> Vec<f64> {
        let value = |[flat, more]: &[f64; 2]| (person.open_rate * (flat + person.timing_k * more)).min(self.most);
        self.factors[usize::from(person.habit)].iter().map(value).collect()
    }

    /// The first minute that is best on average over people with these weights.
    fn best<'p>(&self, people: impl Iterator<Item = (&'p Person, f64)>) -> usize {
        let mut mean = vec![0.0; MINUTES_PER_WEEK];
        // Of those who are never capped, by habit: the sums of open rates, and of these times k.
        let mut sums = vec![[0.0; 2]; self.factors.len()];
        // What somebody of next to no weight has to say cannot be distinguished from rounding.
        for ((person, weight), is_capped) in people.zip(&self.capped).filter(|((_, weight), _)| *weight > 1e-12) {
            let habit = usize::from(person.habit);
            if *is_capped {
                mean.iter_mut().zip(self.of(person)).for_each(|(sum, value)| *sum += weight * value);
            } else {
                sums[habit][0] += weight * person.open_rate;
                sums[habit][1] += weight * person.open_rate * person.timing_k;
            }
        }
        for (factors, [rates, moved]) in self.factors.iter().zip(sums).filter(|(_, [rates, _])| *rates > 0.0) {
            mean.iter_mut().zip(factors).for_each(|(sum, [flat, more])| *sum += rates * flat + moved * more);
        }
        best(&mean)
    }
}

/// The first minute of the greatest value.
fn best(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, minute| if values[minute] > values[best] { minute } else { best })
}

fn fill(card: &mut Scorecard, law: &Law<'_>, worths: &[Worth]) {
    card.metrics = vec![
        Metric::more(VALUE, "P(open) at the minute, mean over recipients, under the truth"),
        Metric::less("regret", "what the best minute of each recipient would give more"),
    ];
    worth::fill(card, law, worths, "value_random");
    card.notes.push(
        "P(open) is open_rate × timing × minute, at most the greatest probability, of a message delivered in that minute with no recent \
         sends, hot path or breaker; it is the truth's, so these values have no sampling error. The base line is a minute at random. \
         Observable history is the best minute for the posterior of who the recipient is after the whole run."
            .into(),
    );
}
