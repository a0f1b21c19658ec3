//! What a sender would know of a recipient: when the recipient clicks, how sure that is, and what state the recipient is in.

use populace_core::email::{Clock, EmailModel, EventType, Group, Interest};
use populace_core::time::{DAY, HOUR, Instant, MINUTE, MINUTES_PER_WEEK};
use serde::Serialize;

/// Days over which events are counted.
pub(super) const COUNT_DAYS: [i64; 3] = [1, 7, 30];
/// The best windows that are told.
pub(super) const WINDOWS: usize = 3;
/// Standard deviations of the smoothing kernel: beyond, it is below 10⁻¹⁴ of its peak.
const KERNEL_SIGMAS: f64 = 8.0;

/// The numbers that features are computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rules {
    /// Hours after which a click weighs half.
    pub(super) half_life_hours: f64,
    /// Standard deviation of the smoothing, minutes.
    pub(super) sigma_minutes: f64,
    /// Weight of the uniform curve, in clicks of this moment: what is known of a recipient of whom nothing is known.
    pub(super) prior_clicks: f64,
    /// Length of a window, minutes.
    pub(super) window_minutes: usize,
    /// Hours without engagement after a support ticket, a complaint and a request to unsubscribe.
    pub(super) breaker_hours: [i64; 3],
    /// How a hot path raises the open rate.
    pub(super) interest: Interest,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            half_life_hours: 72.0,
            sigma_minutes: 60.0,
            prior_clicks: 0.1,
            window_minutes: 120,
            breaker_hours: [48, 48, 168],
            interest: Interest::default(),
        }
    }
}

impl Rules {
    /// The defaults with the circuit breakers and hot paths of a scenario.
    pub(super) fn of(model: &EmailModel) -> Self {
        let mut rules = Self { interest: model.effects().interest().copied().unwrap_or_default(), ..Self::default() };
        for kind in model.occasion(Group::Breaker).into_iter().flat_map(|breakers| breakers.happenings.iter()) {
            rules.breaker_hours[kind.event_type as usize - EventType::SupportTicket as usize] = kind.within / HOUR;
        }
        rules
    }
}

/// What happened to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// When.
    pub(super) time: Instant,
    /// What.
    pub(super) kind: EventType,
}

/// A stretch of the week.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Window {
    /// The minute of the week that it begins at, Monday 00:00 being 0; it may pass the week's end.
    pub(super) start: usize,
    /// The curve's mass within it.
    pub(super) probability: f64,
}

/// The features of one recipient at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Features {
    /// The probability that the next click falls into each minute of the week, Monday 00:00 first; sums to 1.
    pub(super) curve: Vec<f64>,
    /// 1 − H / ln 10,080, H being the curve's entropy: 0 for a flat curve, 1 for a single minute.
    pub(super) confidence: f64,
    /// What the clicks weigh, in clicks of this moment.
    pub(super) click_weight: f64,
    /// The best windows that do not overlap, best first; none without clicks.
    pub(super) windows: Vec<Window>,
    /// The latest click, as the next in microseconds since 1970 UTC.
    pub(super) last_click: Option<i64>,
    /// The latest open.
    pub(super) last_open: Option<i64>,
    /// The latest delivery.
    pub(super) last_delivered: Option<i64>,
    /// Clicks over the last [`COUNT_DAYS`].
    pub(super) clicks: [u32; 3],
    /// Opens over the last [`COUNT_DAYS`].
    pub(super) opens: [u32; 3],
    /// Deliveries over the last [`COUNT_DAYS`].
    pub(super) delivered: [u32; 3],
    /// Bounces over the last [`COUNT_DAYS`].
    pub(super) bounced: [u32; 3],
    /// The end of the circuit breaker that is active, if one is: the latest where several are.
    pub(super) suppressed_until: Option<i64>,
    /// The latest hot path.
    pub(super) last_interest: Option<i64>,
    /// Whether that is still active.
    pub(super) interested: bool,
    /// The factor that it puts on the next open: 1 if it is not active.
    pub(super) interest_factor: f64,
    /// When the recipient unsubscribed or reported a message as spam, for good: the first time since it last subscribed again.
    pub(super) left: Option<i64>,
}

/// Computes features.
#[derive(Clone, Debug)]
pub(super) struct Computer {
    rules: Rules,
    /// The smoothing kernel by distance, its sum over the whole circle being 1.
    kernel: Vec<f64>,
}

impl Computer {
    /// With these rules.
    pub(super) fn new(rules: Rules) -> Self {
        let reach = ((KERNEL_SIGMAS * rules.sigma_minutes).ceil() as usize).min(MINUTES_PER_WEEK / 2 - 1);
        let bell = |distance: usize| (-0.5 * (distance as f64 / rules.sigma_minutes.max(f64::MIN_POSITIVE)).powi(2)).exp();
        let mut kernel: Vec<f64> = (0..=reach).map(bell).collect();
        let total = kernel[0] + 2.0 * kernel[1..].iter().sum::<f64>();
        for weight in &mut kernel {
            *weight /= total;
        }
        Self { rules, kernel }
    }

    /// The features of the recipient to whom `events` happened, in any order, as they stand at `now`. Events after `now` do not count. The
    /// week is that of the recipient's clock, where that is known, else of UTC.
    pub(super) fn compute(&self, events: &[Event], now: Instant, clock: Option<Clock<'_>>) -> Features {
        let mut features = Features {
            curve: Vec::new(),
            confidence: 0.0,
            click_weight: 0.0,
            windows: Vec::new(),
            last_click: None,
            last_open: None,
            last_delivered: None,
            clicks: [0; 3],
            opens: [0; 3],
            delivered: [0; 3],
            bounced: [0; 3],
            suppressed_until: None,
            last_interest: None,
            interested: false,
            interest_factor: 1.0,
            left: None,
        };
        let mut weights = vec![0.0; MINUTES_PER_WEEK];
        // Who subscribes again takes an earlier unsubscription or complaint back.
        let returns = events.iter().filter(|event| event.kind == EventType::Resubscribed && event.time <= now);
        let resubscribed = returns.map(|event| event.time).max();
        for event in events.iter().filter(|event| event.time <= now) {
            let age = now.since(event.time);
            let time = event.time.0;
            match event.kind {
                EventType::Bounced => note(&mut None, &mut features.bounced, time, age),
                EventType::Delivered => note(&mut features.last_delivered, &mut features.delivered, time, age),
                EventType::Opened => note(&mut features.last_open, &mut features.opens, time, age),
                EventType::Clicked => {
                    note(&mut features.last_click, &mut features.clicks, time, age);
                    let weight = (-(age as f64 / HOUR as f64) / self.rules.half_life_hours).exp2();
                    weights[clock.map_or(event.time, |clock| clock.local(event.time)).minute_of_week()] += weight;
                    features.click_weight += weight;
                }
                kind if kind.group() == Group::Breaker => {
                    let hours = self.rules.breaker_hours[kind as usize - EventType::SupportTicket as usize];
                    let end = time + hours * HOUR;
                    let is_ended = kind != EventType::SupportTicket && resubscribed.is_some_and(|again| again >= event.time);
                    if end > now.0 && !is_ended {
                        features.suppressed_until = features.suppressed_until.max(Some(end));
                    }
                }
                kind if kind.group() == Group::HotPath => features.last_interest = features.last_interest.max(Some(time)),
                kind if kind.group() == Group::Leaving && resubscribed.is_none_or(|again| again < event.time) => {
                    features.left = features.left.min(Some(time)).or(Some(time));
                }
                _ => {}
            }
        }
        features.curve = self.curve(&weights, features.click_weight);
        features.confidence = confidence(&features.curve);
        if features.click_weight > 0.0 {
            features.windows = self.windows(&features.curve);
        }
        if let Some(since) = features.last_interest.map(|last| now.0 - last) {
            features.interested = since < self.rules.interest.lasts;
            if features.interested {
                features.interest_factor = self.rules.interest.factor(since as f64 / MINUTE as f64);
            }
        }
        features
    }

    /// Smooths the weights of the slots, adds the prior and normalises.
    fn curve(&self, weights: &[f64], total: f64) -> Vec<f64> {
        let slots = MINUTES_PER_WEEK;
        let prior = if total > 0.0 { self.rules.prior_clicks / slots as f64 } else { 1.0 / slots as f64 };
        let mut curve = vec![prior; slots];
        for (slot, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            curve[slot] += weight * self.kernel[0];
            for (distance, share) in self.kernel.iter().enumerate().skip(1) {
                curve[(slot + distance) % slots] += weight * share;
                curve[(slot + slots - distance) % slots] += weight * share;
            }
        }
        let sum: f64 = curve.iter().sum();
        for value in &mut curve {
            *value /= sum;
        }
        curve
    }

    /// The best windows, each the best of those that overlap none before.
    fn windows(&self, curve: &[f64]) -> Vec<Window> {
        let (slots, length) = (curve.len(), self.rules.window_minutes.clamp(1, curve.len() / WINDOWS));
        let mut masses = Vec::with_capacity(slots);
        let mut mass: f64 = curve[..length].iter().sum();
        for start in 0..slots {
            masses.push(mass);
            mass += curve[(start + length) % slots] - curve[start];
        }
        let mut found: Vec<Window> = Vec::with_capacity(WINDOWS);
        while found.len() < WINDOWS {
            let apart = |start: usize| found.iter().all(|other| circular_distance(start, other.start, slots) >= length);
            let free = (0..slots).filter(|&start| apart(start));
            let Some(start) = free.reduce(|best, start| if masses[start] > masses[best] { start } else { best }) else { break };
            // The running sum gathers rounding errors over a week of steps.
            let probability = (start..start + length).map(|minute| curve[minute % slots]).sum();
            found.push(Window { start, probability });
        }
        found
    }
}

fn note(last: &mut Option<i64>, counts: &mut [u32; 3], time: i64, age: i64) {
    *last = (*last).max(Some(time));
    for (count, days) in counts.iter_mut().zip(COUNT_DAYS) {
        *count += u32::from(age < days * DAY);
    }
}

fn circular_distance(a: usize, b: usize, slots: usize) -> usize {
    let distance = a.abs_diff(b);
    distance.min(slots - distance)
}

/// 1 − H / ln n, H being the entropy of a curve of n values.
pub(super) fn confidence(curve: &[f64]) -> f64 {
    let entropy: f64 = curve.iter().filter(|value| **value > 0.0).map(|value| -value * value.ln()).sum();
    (1.0 - entropy / (curve.len() as f64).ln()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday 2025-10-06, 00:00 UTC.
    const MONDAY: i64 = 1_759_708_800 * 1_000_000;

    fn at(hours: f64) -> Instant {
        Instant(MONDAY + (hours * HOUR as f64) as i64)
    }

    fn click(hours: f64) -> Event {
        Event { time: at(hours), kind: EventType::Clicked }
    }

    #[test]
    fn a_recipient_without_clicks_has_a_flat_curve_and_no_windows() {
        let features = Computer::new(Rules::default()).compute(&[], at(0.0), None);
        assert!(features.confidence.abs() < 1e-12 && features.windows.is_empty());
        assert!(features.curve.iter().all(|value| (value - 1.0 / 10_080.0).abs() < 1e-18));
    }

    #[test]
    fn the_curve_is_the_formula_worked_out_for_every_minute() {
        let rules = Rules::default();
        let now = at(200.0);
        let clicks = [click(0.01), click(26.5), click(26.5), click(190.0)];
        let features = Computer::new(rules).compute(&clicks, now, None);
        let bell = |minutes: f64| (-0.5 * (minutes / 60.0).powi(2)).exp();
        let norm: f64 = (-5_040..5_040).map(|minutes| bell(f64::from(minutes))).sum();
        let expected: Vec<f64> = (0..10_080)
            .map(|slot| {
                let clicked: f64 = clicks
                    .iter()
                    .map(|click| {
                        let distance = circular_distance(slot, click.time.minute_of_week(), 10_080) as f64;
                        0.5_f64.powf(now.since(click.time) as f64 / HOUR as f64 / 72.0) * bell(distance) / norm
                    })
                    .sum();
                clicked + 0.1 / 10_080.0
            })
            .collect();
        let total: f64 = expected.iter().sum();
        for (slot, (value, expected)) in features.curve.iter().zip(&expected).enumerate() {
            assert!((value - expected / total).abs() < 1e-14, "minute {slot}");
        }
        assert!((features.curve.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // The click of Monday 00:00 is smoothed into the Sunday before.
        assert!(features.curve[10_079] > 3.0 * features.curve[5_000]);
    }

    #[test]
    fn windows_are_the_best_and_do_not_overlap_around_the_weeks_end() {
        // Two clicks late on Sunday, one on Tuesday 10:00.
        let features = Computer::new(Rules::default()).compute(&[click(167.9), click(167.95), click(34.0)], at(168.0), None);
        let [first, second, third] = features.windows.as_slice() else { panic!("{:?}", features.windows) };
        assert!((10_000..10_080).contains(&first.start), "it passes the week's end: {first:?}");
        assert!(first.probability >= second.probability && second.probability >= third.probability);
        for (a, b) in [(first, second), (first, third), (second, third)] {
            assert!(circular_distance(a.start, b.start, 10_080) >= 120);
        }
        let mass: f64 = (0..120).map(|minute| features.curve[(first.start + minute) % 10_080]).sum();
        assert!((mass - first.probability).abs() < 1e-15);
        let best = (0..10_080).map(|start| (0..120).map(|minute| features.curve[(start + minute) % 10_080]).sum::<f64>());
        assert!(best.fold(0.0, f64::max) <= first.probability + 1e-12);
    }

    #[test]
    fn confidence_grows_with_evidence_and_fades_with_age() {
        let computer = Computer::new(Rules::default());
        let of = |count: usize, now: f64| computer.compute(&vec![click(1.0); count], at(now), None).confidence;
        assert!(of(1, 2.0) < of(5, 2.0) && of(5, 2.0) < of(50, 2.0));
        assert!(of(5, 2.0) > of(5, 500.0));
        let single: Vec<f64> = (0..100).map(|minute| f64::from(minute == 7)).collect();
        assert_eq!((confidence(&single), confidence(&[0.25; 4])), (1.0, 0.0));
    }

    #[test]
    fn a_resubscription_ends_what_the_user_asked_for_before_it_and_no_support_ticket() {
        let event = |hours: f64, kind| Event { time: at(hours), kind };
        let until = |events: &[Event], now: f64| Computer::new(Rules::default()).compute(events, at(now), None).suppressed_until;
        for kind in [EventType::UnsubscribeRequest, EventType::Complaint] {
            let events = [event(20.0, EventType::Resubscribed), event(10.0, kind)];
            assert!(until(&events, 19.0).is_some() && until(&events, 21.0).is_none(), "{kind:?}");
            assert!(until(&[event(5.0, EventType::Resubscribed), event(10.0, kind)], 21.0).is_some(), "{kind:?}");
        }
        let ticket = [event(10.0, EventType::SupportTicket), event(20.0, EventType::Resubscribed)];
        assert_eq!(until(&ticket, 21.0), Some(at(58.0).0));
    }

    #[test]
    fn counts_recencies_and_states_hold_at_the_moment() {
        let event = |hours: f64, kind| Event { time: at(hours), kind };
        let events = [
            event(0.0, EventType::Delivered),
            event(0.5, EventType::Opened),
            event(30.0, EventType::Delivered),
            event(31.0, EventType::Clicked),
            event(40.0, EventType::Complaint),
            event(10.0, EventType::UnsubscribeRequest),
            event(50.0, EventType::SiteVisit),
            event(60.0, EventType::Delivered),
            event(45.0, EventType::Bounced),
            event(46.0, EventType::Dropped),
        ];
        let computer = Computer::new(Rules::default());
        let features = computer.compute(&events, at(50.25), None);
        assert_eq!((features.delivered, features.opens, features.clicks), ([1, 2, 2], [0, 1, 1], [1, 1, 1]));
        assert_eq!((features.bounced, features.last_interest), ([1; 3], Some(at(50.0).0)));
        assert_eq!(features.last_delivered, Some(at(30.0).0), "what comes later is not known");
        assert_eq!(features.suppressed_until, Some(at(178.0).0), "the later end holds");
        assert!(features.interested);
        assert_eq!(features.interest_factor, 1.0, "the floor holds where 2 exp(-1) lies below it");
        let fresh = computer.compute(&events, at(50.1), None);
        assert!((fresh.interest_factor - 2.0 * (-0.4_f64).exp()).abs() < 1e-12);
        let later = computer.compute(&events, at(178.0), None);
        assert_eq!((later.suppressed_until, later.interested, later.interest_factor), (None, false, 1.0));
        assert_eq!(later.last_interest, Some(at(50.0).0));
    }
}
