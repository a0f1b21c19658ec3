//! What must hold of opens and clicks.

use super::laws::{all, calibrated, reference, sum};
use super::samples::{DAYS, Message, PERSONAS, Samples, hours, minute_factor, start};
use crate::support::{Verdict, follows};
use populace_core::dist::TruncatedExponential;
use populace_core::math;
use populace_core::time::{DAY, HOUR, Instant, MINUTE};

/// Opens against their probabilities, in groups.
fn opens(samples: &Samples, what: &str, group: impl Fn(&Message) -> Option<usize>) -> Verdict {
    calibrated(what, samples.free().filter_map(|message| Some((group(message)?, message.opened.is_some(), message.p_open))))
}

pub(super) fn opens_by_persona(samples: &Samples) -> Verdict {
    opens(samples, "opens by persona", |message| Some(samples.users[message.user].persona))
}

pub(super) fn opens_by_time(samples: &Samples) -> Verdict {
    opens(samples, "opens by time", |message| {
        let (peak, active) = samples.persona(message).at(message.decided_at(samples.v1));
        Some(samples.users[message.user].persona * 4 + usize::from(peak) * 2 + usize::from(active))
    })
}

pub(super) fn opens_by_hour(samples: &Samples) -> Verdict {
    opens(samples, "opens by hour", |message| {
        Some(samples.users[message.user].persona * 24 + usize::from(message.decided_at(samples.v1).hour()))
    })
}

pub(super) fn opens_by_day(samples: &Samples) -> Verdict {
    opens(samples, "opens by day", |message| {
        Some(samples.users[message.user].persona * 7 + usize::from(message.decided_at(samples.v1).weekday()))
    })
}

pub(super) fn opens_by_minute(samples: &Samples) -> Verdict {
    opens(samples, "opens by minute", |message| Some(usize::from(message.decided_at(samples.v1).minute())))
}

/// Messages whose minute factor is one at sending and another at delivery: that by which the open is decided holds.
pub(super) fn opens_by_delivery(samples: &Samples) -> Verdict {
    opens(samples, "opens by minute of delivery", |message| {
        let delivered = message.delivered?.0;
        let [sent, delivered] = [message.sent.time, delivered].map(|time| (minute_factor(time.minute()) * 10.0) as usize);
        (sent != delivered).then_some(sent * 14 + delivered)
    })
}

pub(super) fn opens_by_fatigue(samples: &Samples) -> Verdict {
    opens(samples, "opens by recent sends", |message| Some(message.recent[1].min(5)))
}

pub(super) fn fatigue_window(samples: &Samples) -> Verdict {
    opens(samples, "opens by recent sends of other spans", |message| {
        Some(message.recent.iter().fold(0, |group, recent| group * 4 + recent.min(&3)))
    })
}

pub(super) fn opens_by_hot_path(samples: &Samples) -> Verdict {
    opens(samples, "opens by minutes since a hot path", |message| Some((message.since_hot_path / 2.5).min(16.0) as usize))
}

pub(super) fn clipped_opens(samples: &Samples) -> Verdict {
    opens(samples, "opens of probability .98", |message| (message.p_open >= 0.98).then_some(0))
}

/// Clicks of opens that nothing else could have stopped, against click rate / open rate.
fn clicks(samples: &Samples, what: &str, group: impl Fn(&Message) -> usize) -> Verdict {
    let opened = samples.free().filter(|message| message.opened.is_some());
    calibrated(
        what,
        opened.map(|message| {
            let persona = samples.persona(message);
            (group(message), message.clicked.is_some(), persona.click / persona.open)
        }),
    )
}

pub(super) fn clicks_by_persona(samples: &Samples) -> Verdict {
    clicks(samples, "clicks by persona", |message| samples.users[message.user].persona)
}

pub(super) fn clicks_by_factor(samples: &Samples) -> Verdict {
    let minute = |message: &Message| minute_factor(message.decided_at(samples.v1).minute());
    all([
        clicks(samples, "clicks by minute factor", |message| (minute(message) * 10.0) as usize),
        clicks(samples, "clicks by recent sends", |message| message.recent[1].min(3)),
        clicks(samples, "clicks by hot path", |message| usize::from(message.since_hot_path < 10.0)),
        clicks(samples, "clicks by timing", |message| usize::from(samples.persona(message).at(message.decided_at(samples.v1)).0)),
    ])
}

/// No open and no click within a circuit breaker's window, nor of a message delivered inside one.
pub(super) fn silence(samples: &Samples) -> Verdict {
    for message in &samples.messages {
        let user = &samples.users[message.user];
        let engaged = [message.opened, message.clicked];
        let delivered_within = message.opened.is_some() && user.stopped(message.decided_at(samples.v1));
        if delivered_within || engaged.iter().flatten().any(|time| user.stopped(*time)) {
            return Err(format!("{message:?}"));
        }
    }
    Ok(())
}

pub(super) fn sends_in_windows(samples: &Samples) -> Verdict {
    if samples.v1 {
        return Ok(());
    }
    let end = start().plus(DAYS * DAY);
    let (mut expected, mut observed) = (0.0, 0.0);
    for user in &samples.users {
        for breaker in &user.breakers {
            // By the day after, the hours are those of a whole day.
            expected += if breaker.time.plus(DAY) <= end { 0.8 } else { 0.0 };
        }
    }
    for message in samples.scheduled() {
        let breakers = &samples.users[message.user].breakers;
        observed += breakers
            .iter()
            .filter(|breaker| (0..DAY).contains(&message.sent.time.since(breaker.time)) && breaker.time.plus(DAY) <= end)
            .count() as f64;
    }
    sum("sends in the day after a circuit breaker", observed, expected, 1.1 * expected)
}

/// Messages delivered soon after a window's end are opened as ever.
pub(super) fn windows_end(samples: &Samples) -> Verdict {
    opens(samples, "opens after a window", |message| {
        let time = message.decided_at(samples.v1);
        let kind = samples.users[message.user].breakers.iter().find(|breaker| {
            let after = time.since(breaker.time) - hours(breaker.event_type) * HOUR;
            (0..hours(breaker.event_type) * HOUR / 5).contains(&after)
        })?;
        Some(kind.event_type as usize)
    })
}

/// Open delays of free messages with their places within their law.
fn delays(samples: &Samples) -> impl Iterator<Item = (&Message, Instant, f64)> {
    samples.free().filter_map(|message| {
        let delivered = message.delivered?.0;
        let opened = message.opened?;
        Some((message, delivered, opened.since(delivered) as f64 / MINUTE as f64))
    })
}

/// The index of a persona of the specification among the model's, which are in the alphabet's order.
fn index_of(samples: &Samples, persona: usize) -> usize {
    samples.model.personas().iter().position(|known| known.name == PERSONAS[persona].name).expect("a known persona")
}

pub(super) fn open_delays(samples: &Samples) -> Verdict {
    let law = reference(samples);
    let mut places = vec![Vec::new(); PERSONAS.len()];
    for (message, delivered, delay) in delays(samples) {
        let persona = samples.users[message.user].persona;
        places[persona].push(law.open_delay_cdf(index_of(samples, persona), delivered, delay));
    }
    let every: Vec<f64> = places.iter().flatten().copied().collect();
    places.push(every);
    all(places.into_iter().filter(|places| places.len() > 100).map(|places| follows("open delays", places, |share| share)))
}

pub(super) fn open_delay_ends(samples: &Samples) -> Verdict {
    let law = reference(samples);
    // What is rounded to the millisecond may stand just below the end.
    let beyond = delays(samples).find(|(_, _, delay)| *delay < 1.0 || *delay > 2_880.0);
    if let Some((_, _, delay)) = beyond {
        return Err(format!("a delay of {delay} minutes"));
    }
    let tails = delays(samples).map(|(message, delivered, delay)| {
        let persona = index_of(samples, samples.users[message.user].persona);
        [
            (f64::from(u8::from(delay < 1.2)), law.open_delay_cdf(persona, delivered, 1.2)),
            (f64::from(u8::from(delay > 2_304.0)), 1.0 - law.open_delay_cdf(persona, delivered, 2_304.0)),
        ]
    });
    let mut sums = [(0.0, 0.0); 2];
    for tail in tails {
        for (sum, (hit, p)) in sums.iter_mut().zip(tail) {
            sum.0 += hit;
            sum.1 += p;
        }
    }
    all([("below 1.2 minutes", sums[0]), ("above 2,304 minutes", sums[1])].map(|(what, (hits, p))| sum(what, hits, p, p)))
}

/// Opens fall within a persona's own hours and days as often as its attention says: .1 outside its hours, .2 on other days.
pub(super) fn attention(samples: &Samples) -> Verdict {
    let mean = 240.0;
    let after_an_hour = math::exp(-60.0 / mean);
    let mut shares = [(0.0, 0.0, 0.0); 2 * PERSONAS.len()];
    for (message, delivered, delay) in delays(samples) {
        let persona = samples.users[message.user].persona;
        let spec = &PERSONAS[persona];
        if spec.peak_hours.is_empty() {
            continue;
        }
        let mut at = delivered.plus(MINUTE);
        let end = delivered.plus(2_880 * MINUTE);
        let (mut total, mut at_peak, mut active, mut left) = (0.0, 0.0, 0.0, 1.0);
        while at < end {
            let next = Instant((at.0.div_euclid(HOUR) + 1) * HOUR).min(end);
            let minutes = next.since(at) as f64 / MINUTE as f64;
            let after = left * if minutes == 60.0 { after_an_hour } else { math::exp(-minutes / mean) };
            let (peak, day) = spec.at(at);
            let mass = (left - after) * (if peak { 1.0 } else { 0.1 }) * (if day { 1.0 } else { 0.2 });
            total += mass;
            at_peak += if peak { mass } else { 0.0 };
            active += if day { mass } else { 0.0 };
            (left, at) = (after, next);
        }
        let (peak, day) = spec.at(delivered.plus((delay * MINUTE as f64) as i64));
        for (cell, hit, mass) in [(2 * persona, peak, at_peak), (2 * persona + 1, day, active)] {
            let p = mass / total;
            shares[cell].0 += f64::from(u8::from(hit));
            shares[cell].1 += p;
            shares[cell].2 += p * (1.0 - p);
        }
    }
    all(shares.iter().map(|&(observed, expected, variance)| sum("opens in own hours and days", observed, expected, variance)))
}

pub(super) fn click_delays(samples: &Samples) -> Verdict {
    let law = TruncatedExponential::new(15.0, 59.0).expect("a law");
    let delay = |message: &Message| Some(message.clicked?.since(message.opened?) as f64 / MINUTE as f64);
    let delays: Vec<f64> = samples.free().filter_map(delay).collect();
    if let Some(delay) = delays.iter().find(|delay| !(1.0..=60.0).contains(*delay)) {
        return Err(format!("a delay of {delay} minutes"));
    }
    let early = delays.iter().filter(|delay| **delay < 1.2).count() as f64;
    let expected = law.cdf(0.2) * delays.len() as f64;
    all([sum("clicks below 1.2 minutes", early, expected, expected), follows("click delays", delays, |minutes| law.cdf(minutes - 1.0))])
}
