//! What becomes of messages in expectation: how many arrive, how often they are deferred, and how many addresses exist.

use super::attempts::{Attempts, MOST_ATTEMPTS, wait};
use super::mailbox::MailboxProvider;
use super::model::EmailModel;
use crate::math;
use crate::time::MINUTE;
use std::ops::Range;

/// What becomes of messages, by their law.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// P(delivered).
    pub delivered: f64,
    /// Deferrals a message.
    pub deferrals: f64,
    /// P(given up).
    pub given_up: f64,
}

impl Attempts {
    /// What becomes of messages to addresses that live, whose first attempt is deferred with probability `first` where the mailbox is not
    /// full. Waits count with their means.
    pub fn outcome(&self, first: f64) -> Outcome {
        let full = self.full_share();
        let mut outcome = Outcome::default();
        // P(the attempt at hand is made, and the mailbox is full or not).
        let (mut at_full, mut at_free, mut p, mut deferral) = (full, 1.0 - full, first, 0.0);
        for number in 0..MOST_ATTEMPTS {
            outcome.delivered += at_free * (1.0 - p);
            let (full_deferred, free_deferred) = (at_full, at_free * p);
            outcome.deferrals += full_deferred + free_deferred;
            let minutes = wait(&self.waits, number) * self.wait_factor.mean();
            deferral += minutes;
            if deferral > self.give_up as f64 / MINUTE as f64 || number + 1 == MOST_ATTEMPTS {
                outcome.given_up += full_deferred + free_deferred;
                break;
            }
            // Of a mailbox that alternates between full and not, both exponential.
            let stays = self.full.as_ref().map_or(0.0, |law| math::exp(-minutes / (1_440.0 * law.mean_days * (1.0 - full))));
            at_full = full_deferred * (full + (1.0 - full) * stays) + free_deferred * full * (1.0 - stays);
            at_free = full_deferred + free_deferred - at_full;
            p = self.probability_again;
        }
        outcome
    }

    /// The mean of [`outcome`](Self::outcome) over providers and the minutes of an hour.
    pub fn mean_outcome(&self) -> Outcome {
        self.outcome_by(self.busy_share())
    }

    /// The mean of [`outcome`](Self::outcome) over providers, where such a share of messages is sent when many send at once.
    pub(super) fn outcome_by(&self, busy_share: f64) -> Outcome {
        let mut mean = Outcome::default();
        for provider in MailboxProvider::ALL {
            for (is_busy, share) in [(false, 1.0 - busy_share), (true, busy_share)] {
                let own = self.outcome(self.first(provider, is_busy).iter().product());
                let weight = MailboxProvider::SHARES[provider as usize] * share;
                mean.delivered += weight * own.delivered;
                mean.deferrals += weight * own.deferrals;
                mean.given_up += weight * own.given_up;
            }
        }
        mean
    }

    /// By day of the window, given the mean number of messages due on each: P(an address exists), and P(a message that is due bounces
    /// because it does not).
    fn mortality(&self, due: impl Iterator<Item = f64>) -> Vec<[f64; 2]> {
        let (initial, per_day) = self.dead.as_ref().map_or((0.0, 0.0), |dead| (dead.initial_share, dead.per_day));
        // P(it exists), and P(it does not, and the sender does not know), at the start of the day.
        let (mut alive, mut unknown) = (1.0 - initial, initial);
        let of_day = |due: f64| {
            let after = alive * math::exp(-per_day);
            let died = alive - after;
            // P(nothing is due in a day), and in what is left of it after a moment anywhere within.
            let none = math::exp(-due);
            let none_left = if due > 1e-9 { (1.0 - none) / due } else { 1.0 };
            let still_unknown = unknown * none + died * none_left;
            let of_one = [0.5 * (alive + after), if due > 0.0 { (unknown + died - still_unknown) / due } else { 0.0 }];
            (alive, unknown) = (after, still_unknown);
            of_one
        };
        due.map(of_day).collect()
    }
}

/// What becomes of the messages that are due.
pub(super) struct Arrivals {
    /// Of messages to addresses that exist.
    pub(super) outcome: Outcome,
    /// By day, P(an address exists), and P(a message that is due bounces because it does not); empty where all exist.
    mortality: Vec<[f64; 2]>,
}

impl Arrivals {
    pub(super) fn new(model: &EmailModel) -> Self {
        let Some(law) = model.attempts() else {
            return Self { outcome: Outcome { delivered: model.delivered_share(), ..Outcome::default() }, mortality: Vec::new() };
        };
        let config = model.config();
        let due = |day: u32| {
            let blasts = model.blasts().iter().filter(|blast| blast.date() == config.window.start.plus(day as i32));
            config.sends.per_day * model.volume_of(day) + model.triggered_per_day() + blasts.map(|blast| blast.share).sum::<f64>()
        };
        Self { outcome: law.mean_outcome(), mortality: law.mortality((0..config.window.days).map(due)) }
    }

    /// The mean over some days of P(an address exists), and of P(a message that is due bounces because it does not).
    pub(super) fn living(&self, days: Range<usize>) -> [f64; 2] {
        if self.mortality.is_empty() {
            return [1.0, 0.0];
        }
        let count = days.len() as f64;
        self.mortality[days].iter().fold([0.0; 2], |[alive, bounced], day| [alive + day[0] / count, bounced + day[1] / count])
    }
}
