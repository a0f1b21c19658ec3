//! What must hold of the truth itself.

use super::laws::{all, exactly, sum};
use super::samples::{PERSONAS, Samples, minute_factor, start};
use crate::support::{Verdict, follows};
use populace_core::email::EmailModel;
use populace_core::time::{DAY, MINUTE, MINUTES_PER_WEEK};

pub(super) fn probabilities(samples: &Samples) -> Verdict {
    for truth in &samples.truths {
        let product =
            truth.open_rate * ["timing", "minute", "fatigue", "hot_path"].map(|effect| truth.factor(effect)).iter().product::<f64>();
        let expected = if truth.at.suppressed { 0.0 } else { product * truth.cap };
        let sound = match (truth.p_open, truth.p_click) {
            (None, None) => true,
            (Some(p_open), Some(p_click)) => {
                (p_open - expected).abs() < 1e-12
                    && (truth.at.suppressed || (p_open - product.min(0.98)).abs() < 1e-12)
                    && (p_click - (truth.click_rate / truth.open_rate).min(1.0)).abs() < 1e-12
            }
            _ => false,
        };
        if !sound {
            return Err(format!("{truth:?}"));
        }
    }
    // What the truth tells is what the events show: the probability worked out from them, but for drift.
    for (message, truth) in samples.messages.iter().zip(&samples.truths) {
        let persona = samples.persona(message);
        let undrifted = truth.p_open.map(|p| p * persona.open / truth.open_rate);
        if message.sent.message_id != Some(truth.message_id)
            || message.delivered.is_some() != truth.p_open.is_some()
            || truth.at.recent_sends as usize != if samples.v1 { 0 } else { message.recent[1] }
            || (message.free && undrifted.is_some_and(|p| (p - message.p_open).abs() > 1e-9 && p < 0.97))
        {
            return Err(format!("{truth:?} of {message:?}"));
        }
    }
    Ok(())
}

pub(super) fn told_hot_paths(samples: &Samples) -> Verdict {
    for (message, truth) in samples.messages.iter().zip(&samples.truths).filter(|(message, _)| message.delivered.is_some()) {
        let expected = (message.since_hot_path < 30.0).then_some(message.since_hot_path);
        exactly("minutes since a hot path", truth.at.since_interest, expected)?;
    }
    Ok(())
}

/// The bound of a month's drift in the built-in document.
const AMPLITUDE: f64 = 0.002;

/// The steps of the monthly rates, over 1 ± the amplitude, are uniform.
pub(super) fn drift_of(samples: &Samples, amplitude: f64) -> Verdict {
    let mut steps = [Vec::new(), Vec::new()];
    for user in &samples.users {
        for pair in user.rates.windows(2) {
            steps[0].push(pair[1].open_rate / pair[0].open_rate);
            steps[1].push(pair[1].click_rate / pair[0].click_rate);
        }
    }
    if amplitude == 0.0 {
        return exactly("rates", steps.iter().flatten().all(|step| *step == 1.0), true);
    }
    // Independent steps: the mean of their product is that of uncorrelated ones.
    let n = steps[0].len() as f64;
    let product: f64 = steps[0].iter().zip(&steps[1]).map(|(a, b)| (a - 1.0) * (b - 1.0) / amplitude.powi(2)).sum();
    let [open, click] = steps;
    let uniform = |step: f64| ((step - 1.0 + amplitude) / (2.0 * amplitude)).clamp(0.0, 1.0);
    all([
        follows("drift of open rates", open, uniform),
        follows("drift of click rates", click, uniform),
        sum("drifts apart", product, 0.0, n / 9.0),
    ])
}

pub(super) fn drift(samples: &Samples) -> Verdict {
    drift_of(samples, if samples.v1 { 0.0 } else { AMPLITUDE })
}

/// The timing table: its mean over the law of sends is 1, and it is what the specification's formula gives.
pub(super) fn timing_table(model: &EmailModel, minutes: bool) -> Verdict {
    for (index, persona) in model.personas().iter().enumerate() {
        let name = &persona.name;
        let persona = PERSONAS.iter().find(|persona| persona.name == name).expect("a known persona");
        let timing = persona.timing();
        let (mut total, mut weights, mut best) = (0.0, 0.0, (0.0, 0));
        for row in model.timing().filter(|row| usize::from(row.persona) == index) {
            // 2025-10-06 was a Monday.
            let time = start().plus(5 * DAY + i64::from(row.minute_of_week) * MINUTE);
            let (peak, active) = persona.at(time);
            let minute = if minutes { minute_factor(time.minute()) } else { 1.0 };
            let factor = timing[usize::from(peak)][usize::from(active)] * minute;
            if (row.factor - factor).abs() > 1e-12 {
                return Err(format!("{name}, {row:?}: expected {factor}"));
            }
            let weight = if (6..23).contains(&time.hour()) { 1.0 } else { 0.15 };
            total += weight * row.factor / minute;
            weights += weight;
            if row.factor > best.0 {
                best = (row.factor, row.minute_of_week);
            }
        }
        let told = model.timing().find(|row| usize::from(row.persona) == index).map(|row| row.best_minute);
        exactly("best minute", told, Some(best.1))?;
        if (total / weights - 1.0).abs() > 1e-12 || weights == 0.0 {
            return Err(format!("{name}: mean {}", total / weights));
        }
    }
    exactly("rows", model.timing().count(), PERSONAS.len() * MINUTES_PER_WEEK)
}
