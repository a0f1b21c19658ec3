//! Distributions as tables and as values with weights.

use super::super::config::EmailConfig;
use super::super::effects::effect::Nodes;

/// Drift below this amplitude moves nothing under the clips.
const LEAST_DRIFT: f64 = 0.02;
/// Nodes of drift, and of one month's factor.
const DRIFT_NODES: usize = 32;
const STEP_NODES: usize = 8;

/// The middles of equal shares of a range.
pub(super) fn spread(low: f64, high: f64, steps: usize) -> impl Iterator<Item = f64> {
    (0..steps).map(move |step| low + (high - low) * (step as f64 + 0.5) / steps as f64)
}

/// Joins neighbours until so many values of about equal weight are left; the mean stays.
fn joined(mut nodes: Nodes, most: usize) -> Nodes {
    nodes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let share = nodes.iter().map(|(_, weight)| weight).sum::<f64>() / most as f64;
    let mut found = Nodes::new();
    let (mut sum, mut weight) = (0.0, 0.0);
    for (value, own) in nodes {
        sum += value * own;
        weight += own;
        if weight >= share * (1.0 - 1e-9) {
            found.push((sum / weight, weight));
            (sum, weight) = (0.0, 0.0);
        }
    }
    if weight > 0.0 {
        found.push((sum / weight, weight));
    }
    found
}

/// The distribution of a time of day of the recipient within a day of UTC, of that on the recipient's own days.
pub(super) fn moved(clock: &[f64], ahead: i16) -> Vec<f64> {
    let minutes = clock.len() - 1;
    let of = |minute: usize| (minute as i64 + i64::from(ahead)).rem_euclid(minutes as i64) as usize;
    let shares = (0..minutes).scan(0.0, |sum, minute| {
        *sum += clock[of(minute) + 1] - clock[of(minute)];
        Some(*sum)
    });
    [0.0].into_iter().chain(shares).collect()
}

/// The value of a distribution function known at whole minutes.
pub(super) fn interpolated(table: &[f64], minute: f64) -> f64 {
    let last = table.len() - 1;
    if minute <= 0.0 {
        return 0.0;
    }
    if minute >= last as f64 {
        return table[last];
    }
    let below = minute as usize;
    table[below] + (table[below + 1] - table[below]) * (minute - below as f64)
}

/// The factor by which a rate has drifted on a day of the window.
pub(super) fn drift(config: &EmailConfig) -> Nodes {
    let amplitude = config.drift.as_ref().map_or(0.0, |drift| drift.amplitude);
    if amplitude < LEAST_DRIFT {
        return Nodes::new();
    }
    let mut month: Nodes = vec![(1.0, 1.0)];
    let mut all = Nodes::new();
    let mut days = 0;
    let share = |days: u32| f64::from(days) / f64::from(config.window.days);
    for day in 0..config.window.days {
        if day > 0 && config.window.start.plus(day as i32).ymd().2 == 1 {
            all.extend(month.iter().map(|(value, weight)| (*value, weight * share(days))));
            let steps = || spread(1.0 - amplitude, 1.0 + amplitude, STEP_NODES);
            let next = month.iter().flat_map(|(value, weight)| steps().map(move |step| (value * step, weight / STEP_NODES as f64)));
            month = joined(next.collect(), DRIFT_NODES);
            all = joined(all, 4 * DRIFT_NODES);
            days = 0;
        }
        days += 1;
    }
    all.extend(month.iter().map(|(value, weight)| (*value, weight * share(days))));
    joined(all, DRIFT_NODES)
}
