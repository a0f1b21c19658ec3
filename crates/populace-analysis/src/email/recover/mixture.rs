//! How often an open's delay is of which component of a mixture: by maximum likelihood, of the opens of personas that look at their mail at
//! all hours alike.

use super::engagement::NOT_FLAT;
use super::tally::Tally;
use crate::recover::numbers::Symmetric;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use populace_core::email::{DelaysConfig, EmailConfig, OpenDelayLaw};

/// Bins in a unit of the logarithm.
const BINS: f64 = 20.0;
/// Shorter delays, minutes, are one.
const LEAST: f64 = 0.01;
/// The likelihood of mixing weights has one top, to which each step goes a part of the way.
const MOST_STEPS: usize = 20_000;
const SMALL_STEP: f64 = 1e-10;

/// The bin of a delay beyond the least, minutes.
pub(super) fn bin(minutes: f64) -> i32 {
    (minutes.max(LEAST).ln() * BINS).floor() as i32
}

/// P(a delay of a component falls into a bin).
fn share(delays: &DelaysConfig, bin: i32) -> f64 {
    let span = delays.max_minutes - delays.min_minutes;
    let below = |minutes: f64| (-minutes.min(span) / delays.mean_minutes).exp_m1() / (-span / delays.mean_minutes).exp_m1();
    let edge = |bin: i32| (f64::from(bin) / BINS).exp();
    // The first begins at 0.
    let from = if edge(bin) <= LEAST * 1.001 { 0.0 } else { edge(bin) };
    below(edge(bin + 1)) - below(from)
}

pub(super) fn weights(config: &EmailConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    if config.open_delay != OpenDelayLaw::Mixture {
        return;
    }
    let components = config.open_components();
    let path = |place: usize| format!("open_mixture.components.{place}.weight (share)");
    let n: u64 = tally.mixed_delays.values().sum();
    if n == 0 {
        return sheet.skip(path(0), NOT_FLAT);
    }
    if components.len() == 1 {
        return sheet.skip(path(0), "there is one component");
    }
    let shares =
        |(bin, count): (&i32, &u64)| (*count as f64, components.iter().map(|(_, delays)| share(delays, *bin)).collect::<Vec<f64>>());
    let bins: Vec<(f64, Vec<f64>)> = tally.mixed_delays.iter().map(shares).collect();
    let mixed = |weights: &[f64], shares: &[f64]| weights.iter().zip(shares).map(|(weight, share)| weight * share).sum::<f64>();
    let mut weights = vec![1.0 / components.len() as f64; components.len()];
    for _ in 0..MOST_STEPS {
        let mut next = vec![0.0; weights.len()];
        for (count, shares) in &bins {
            let all = mixed(&weights, shares);
            if all > 0.0 {
                next.iter_mut().zip(&weights).zip(shares).for_each(|((next, weight), share)| *next += count * weight * share / all);
            }
        }
        let total: f64 = next.iter().sum();
        for weight in &mut next {
            *weight /= total;
        }
        let step = next.iter().zip(&weights).map(|(next, weight)| (next - weight).abs()).fold(0.0, f64::max);
        weights = next;
        if step < SMALL_STEP {
            break;
        }
    }
    // The last weight is what the others leave.
    let last = components.len() - 1;
    let mut information = Symmetric::zero(last);
    for (count, shares) in &bins {
        let all = mixed(&weights, shares);
        let slopes: Vec<(usize, f64)> = (0..last).map(|place| (place, (shares[place] - shares[last]) / all)).collect();
        information.add_outer(&slopes, *count);
    }
    let Some(covariance) = information.inverse() else {
        return sheet.skip(path(0), "the data does not identify it at this size");
    };
    let all: Vec<(usize, f64)> = (0..last).map(|place| (place, 1.0)).collect();
    for (place, (truth, _)) in components.iter().enumerate() {
        let of: &[(usize, f64)] = if place == last { &all } else { &[(place, 1.0)] };
        let parameter = Parameter::level(path(place), "share", *truth, "maximum likelihood, mixture of truncated exponentials");
        sheet.normal(parameter, Scale::Linear, weights[place], covariance.quadratic(of).sqrt(), n);
    }
}
