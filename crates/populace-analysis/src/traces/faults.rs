//! Cascades, told from what calls show: status codes 503 and 504, and retries. Which sessions a cascade hit is not seen where nothing
//! shows, so the share of sessions and the shares of faults are estimated together, as a mixture.

use super::Call;
use crate::recover::numbers::Symmetric;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use populace_core::traces::TracesConfig;
use std::collections::BTreeMap;

const TIMEOUT: i64 = 504;
const UNAVAILABLE: i64 = 503;
const MOST_STEPS: usize = 10_000;
const SMALL_CHANGE: f64 = 1e-12;

/// What the calls show of sessions from where a cascade may strike.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Sessions that show something, and the sessions that do not, by their number of calls.
    marked: u64,
    plain: BTreeMap<usize, u64>,
    /// Calls of marked sessions: 504, 503, others that were retried, the rest.
    calls: [u64; 4],
    /// Of the 503 and 504, those that were retried.
    retried: u64,
}

/// Share of sessions hit, then shares of calls that are 504, 503, otherwise retried; those never seen are 0.
type Shares = [f64; 4];

crate::stats::merge_fields!(Faults { marked, plain, calls, retried });

impl Faults {
    /// Adds the calls of a session from where a cascade may strike.
    pub(super) fn add(&mut self, calls: &[&Call]) {
        let kind = |call: &Call| match call.status_code {
            Some(TIMEOUT) => 0,
            Some(UNAVAILABLE) => 1,
            _ if call.is_retried => 2,
            _ => 3,
        };
        if calls.iter().all(|call| kind(call) == 3) {
            *self.plain.entry(calls.len()).or_default() += 1;
            return;
        }
        self.marked += 1;
        for call in calls {
            self.calls[kind(call)] += 1;
            self.retried += u64::from(kind(call) < 2 && call.is_retried);
        }
    }

    fn sessions(&self) -> u64 {
        self.marked + self.plain.values().sum::<u64>()
    }

    /// The most likely shares, by expectation and maximisation.
    fn shares(&self) -> Shares {
        let counts = self.calls.map(|count| count as f64);
        let shown: f64 = counts[..3].iter().sum();
        let mut shares = [self.marked as f64 / self.sessions() as f64, 0.0, 0.0, 0.0];
        let mut rest = counts[3] / (shown + counts[3]);
        for _ in 0..MOST_STEPS {
            let before = shares;
            let (mut hit, mut calls) = (self.marked as f64, shown + counts[3]);
            for (&length, &sessions) in &self.plain {
                let unseen = before[0] * rest.powi(length as i32);
                let weight = sessions as f64 * unseen / (unseen + 1.0 - before[0]);
                hit += weight;
                calls += weight * length as f64;
            }
            shares = [hit / self.sessions() as f64, counts[0] / calls, counts[1] / calls, counts[2] / calls];
            rest = 1.0 - shown / calls;
            if shares.iter().zip(&before).all(|(now, before)| (now - before).abs() < SMALL_CHANGE) {
                break;
            }
        }
        shares
    }

    /// The observed information of the shares that are not 0, in order.
    fn information(&self, shares: Shares) -> Symmetric {
        let [hit, ..] = shares;
        let rest = 1.0 - shares[1..].iter().sum::<f64>();
        let seen: Vec<usize> = (0..3).filter(|kind| self.calls[*kind] > 0).collect();
        let mut of_hit = self.marked as f64 / (hit * hit);
        let (mut crossed, mut common) = (0.0, if rest > 0.0 { self.calls[3] as f64 / (rest * rest) } else { 0.0 });
        for (&length, &sessions) in &self.plain {
            let (n, m) = (sessions as f64, length as f64);
            let unseen = rest.powi(length as i32);
            let density = hit * unseen + 1.0 - hit;
            // The first two derivatives of rest^m.
            let by = m * rest.powi(length as i32 - 1);
            let twice = if length > 1 { m * (m - 1.0) * rest.powi(length as i32 - 2) } else { 0.0 };
            of_hit += n * ((unseen - 1.0) / density).powi(2);
            crossed += n * by / (density * density);
            common += n * ((hit * by / density).powi(2) - hit * twice / density);
        }
        let mut information = Symmetric::zero(1 + seen.len());
        information.add(0, 0, of_hit);
        for (row, &kind) in seen.iter().enumerate() {
            information.add(0, row + 1, crossed);
            information.add(row + 1, row + 1, common + self.calls[kind] as f64 / shares[kind + 1].powi(2));
            (0..row).for_each(|column| information.add(row + 1, column + 1, common));
        }
        information
    }

    /// Estimates what cascades do.
    pub(super) fn report(&self, config: &TracesConfig, sheet: &mut Sheet) {
        let law = &config.cascade;
        let method = "mixture of sessions hit and not, by 503, 504 and retries";
        let share = |path: &str, truth| Parameter::level(path, "share", truth, method);
        let rate = share("cascade_failure_rate", config.cascade_failure_rate);
        if config.statuses.contains_key("503") || config.statuses.contains_key("504") {
            return sheet
                .skip("cascade_failure_rate", "503 and 504 are ordinary statuses of this document, so they do not identify a cascade");
        }
        if self.marked == 0 || config.cascade_failure_rate == 0.0 {
            return sheet.share(rate, self.marked, self.sessions());
        }
        let shares = self.shares();
        let Some(covariance) = self.information(shares).inverse() else {
            return sheet.skip("cascade_failure_rate", "too few faults to identify the sessions that were hit");
        };
        let relative = |place: usize, share: f64| covariance.at(place, place).sqrt() / share;
        sheet.normal(rate, Scale::Log, shares[0], relative(0, shares[0]), self.sessions());
        let faulted = self.calls[0] + self.calls[1];
        let mut place = 0;
        for (kind, (path, truth)) in [("cascade.timeout", law.timeout), ("cascade.unavailable", law.unavailable)].into_iter().enumerate() {
            if self.calls[kind] == 0 {
                sheet.skip(path, "no such fault");
                continue;
            }
            place += 1;
            sheet.normal(share(path, truth), Scale::Log, shares[kind + 1], relative(place, shares[kind + 1]), self.calls[kind]);
        }
        let retry = Parameter::level("cascade.retry", "share", law.retry, "retried of 503 and 504");
        sheet.share(retry, self.retried, faulted);
        if self.calls[2] == 0 || self.retried == 0 {
            return sheet.skip("cascade.slow", "no retry of a call that was slow, or none of another");
        }
        // Slow calls show only where they are retried.
        let retried = self.retried as f64 / faulted as f64;
        let error = (relative(place + 1, shares[3]).powi(2) + (1.0 - retried) / self.retried as f64).sqrt();
        let slow =
            Parameter::level("cascade.slow", "share", law.slow, "retried calls that are neither 503 nor 504, over the share retried");
        sheet.normal(slow, Scale::Log, shares[3] / retried, error, self.calls[2]);
    }
}
