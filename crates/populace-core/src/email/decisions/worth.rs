//! What slots are worth by the clock alone.

use super::super::calendar::MONDAY;
use super::super::config::{DecidedAt, EmailConfig};
use super::super::delivery::{Cell, Latency};
use super::super::effects::Effects;
use super::super::people::{Habit, Person};
use super::super::zones::OwnZone;
use crate::time::{MINUTE, MINUTES_PER_WEEK};

/// Latencies beyond these minutes count as these.
const LATEST: usize = 240;

/// By habit and slot of the week, what the minute factor comes to, and its product with timing − 1 at k = 1: over the minutes of the slot
/// and the latency, to a quarter of a minute. The clock of the slots is `offset` ahead of UTC, that of the recipient so many minutes.
pub(super) fn values(
    config: &EmailConfig,
    effects: &Effects,
    latency: &Latency,
    habits: &[Habit],
    (week, minutes, offset, ahead): (usize, usize, i64, i16),
) -> Box<[[f64; 2]]> {
    let mut values = vec![[0.0; 2]; habits.len() * week];
    // How likely a message of a minute is delivered so many minutes later.
    let mut delays: Vec<Vec<f64>> = Vec::new();
    let mut known: Vec<(Cell, usize)> = Vec::new();
    let mut of_minute = Vec::with_capacity(MINUTES_PER_WEEK);
    for minute in 0..MINUTES_PER_WEEK {
        let cell = latency.cell(MONDAY.plus(minute as i64 * MINUTE));
        let found = known.iter().find(|(of, _)| *of == cell).map(|(_, place)| *place);
        let place = found.unwrap_or_else(|| {
            known.push((cell, delays.len()));
            delays.push(delay_minutes(config.engagement.decided_at, |seconds| latency.cdf(cell, seconds)));
            delays.len() - 1
        });
        of_minute.push(place);
    }
    for (place, habit) in habits.iter().enumerate() {
        let person = |timing_k: f64| Person {
            persona: habit.persona,
            habit: place as u16,
            open_rate: 1.0,
            click_rate: 0.0,
            timing_k,
            responsiveness: 0.0,
            zone: OwnZone::default(),
        };
        let clock = |minute: usize| MONDAY.plus((minute as i64 + i64::from(ahead)) * MINUTE);
        let factor = |timing_k: f64| -> Vec<f64> {
            (0..MINUTES_PER_WEEK).map(|minute| effects.by_clock(1.0, &person(timing_k), clock(minute), ahead)).collect()
        };
        let [base, timed] = [0.0, 1.0].map(factor);
        for minute in 0..MINUTES_PER_WEEK {
            let (mut sum, mut timed_sum) = (0.0, 0.0);
            for (later, share) in delays[of_minute[minute]].iter().enumerate() {
                let at = (minute + later) % MINUTES_PER_WEEK;
                sum += share * base[at];
                timed_sum += share * (timed[at] - base[at]);
            }
            let local = (minute as i64 + offset / MINUTE).rem_euclid(MINUTES_PER_WEEK as i64) as usize;
            let value = &mut values[place * week + local / minutes];
            value[0] += sum / minutes as f64;
            value[1] += timed_sum / minutes as f64;
        }
    }
    values.into()
}

/// P(delivered so many whole minutes later), of a moment that is uniform within its minute.
fn delay_minutes(decided_at: DecidedAt, cdf: impl Fn(f64) -> f64) -> Vec<f64> {
    const PARTS: usize = 4;
    if decided_at == DecidedAt::Send {
        return vec![1.0];
    }
    let by = |later: usize| {
        let at = |part: usize| cdf(60.0 * (later as f64 + 1.0 - (part as f64 + 0.5) / PARTS as f64));
        (0..PARTS).map(at).sum::<f64>() / PARTS as f64
    };
    let mut shares = Vec::new();
    let mut before = 0.0;
    while before < 1.0 - 1e-9 && shares.len() < LATEST {
        let now = by(shares.len());
        shares.push(now - before);
        before = now;
    }
    if let Some(last) = shares.last_mut() {
        *last += 1.0 - before;
    }
    shares
}
