//! When within the hours after delivery an open falls. Attention is constant within an hour, so mass and inverse are exact: an hour of
//! attention a that begins x minutes on has mass a · e^(−x/mean) · (1 − e^(−60/mean)).

use super::super::calendar::{HOURS_OF_WEEK, hour_of_week};
use super::super::personas::PersonaConfig;
use super::delays::DelaysConfig;
use crate::math;
use crate::section::{choice, section};
use crate::time::{HOUR, Instant, MINUTE};

choice! {
    /// The distribution of the time from delivery to open.
    pub enum OpenDelayLaw {
        /// Truncated exponential × attention: opens gather in a persona's own hours.
        Attention,
        /// Truncated exponential alone.
        Exponential,
        /// A mixture of truncated exponentials, each × attention: `open_mixture`.
        Mixture,
    }
}

section! {
    /// When a persona looks at its mail: 1 in peak hours of active days; the terms multiply. Personas without peak hours: 1 at any hour.
    pub struct AttentionConfig {
        /// The term outside peak hours.
        off_peak: f64 [0.001 ..= 1.0],
        /// The term on other than active days.
        inactive_day: f64 [0.001 ..= 1.0],
    }
}

impl AttentionConfig {
    /// A persona's attention by the hour of the week.
    pub fn of(&self, law: OpenDelayLaw, persona: &PersonaConfig) -> [f64; HOURS_OF_WEEK] {
        match law {
            OpenDelayLaw::Attention | OpenDelayLaw::Mixture => persona.shape(self.off_peak, self.inactive_day),
            OpenDelayLaw::Exponential => [1.0; HOURS_OF_WEEK],
        }
    }
}

/// Attention by the hour of the week.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    hours: [f64; HOURS_OF_WEEK],
    /// Mass of the [`OpenDelays::whole_hours`] that begin with this one, had the first of them begun at once.
    sums: [f64; HOURS_OF_WEEK],
    /// Mass of the week that begins with this hour, had it begun at once; empty where no delay lasts so long.
    weeks: Box<[f64]>,
}

impl Attention {
    pub(super) fn new(hours: &[f64; HOURS_OF_WEEK], delays: &OpenDelays) -> Self {
        let mass = |first: usize, length: usize| {
            (0..length).rev().fold(0.0, |sum, hour| sum * delays.ratio + hours[(first + hour) % HOURS_OF_WEEK]) * (1.0 - delays.ratio)
        };
        let weeks = if delays.whole_hours < HOURS_OF_WEEK { 0 } else { HOURS_OF_WEEK };
        Self {
            sums: core::array::from_fn(|first| mass(first, delays.whole_hours)),
            weeks: (0..weeks).map(|first| mass(first, HOURS_OF_WEEK)).collect(),
            hours: *hours,
        }
    }
}

/// The law of open delays: density ∝ exp(−x/mean) × attention over x = delay − least, 0 ≤ x ≤ span; all in minutes.
#[derive(Clone, Debug)]
pub(super) struct OpenDelays {
    least: f64,
    mean: f64,
    span: f64,
    /// exp(−60/mean): what is left after an hour.
    ratio: f64,
    /// How many whole hours of the clock the span always holds.
    whole_hours: usize,
    /// `ratio` to the power `whole_hours`, and to the hours of a week.
    after_whole_hours: f64,
    after_week: f64,
    /// exp(−span/mean).
    end: f64,
}

/// The clock's hours at a delivery: how the span is cut.
struct Cut {
    hour: usize,
    /// exp(−x/mean) at the end of the first, broken hour.
    first: f64,
    /// Whole hours that follow.
    whole_hours: usize,
    /// Mass of the first hour, and of everything.
    first_mass: f64,
    mass: f64,
}

impl OpenDelays {
    /// The law of checked delays: the span is at least an hour.
    pub(super) fn new(config: &DelaysConfig) -> Self {
        let span = config.max_minutes - config.min_minutes;
        let whole_hours = ((span - 60.0) / 60.0) as usize;
        Self {
            least: config.min_minutes,
            mean: config.mean_minutes,
            span,
            ratio: math::exp(-60.0 / config.mean_minutes),
            whole_hours,
            after_whole_hours: math::exp(-60.0 * whole_hours as f64 / config.mean_minutes),
            after_week: math::exp(-60.0 * HOURS_OF_WEEK as f64 / config.mean_minutes),
            end: math::exp(-span / config.mean_minutes),
        }
    }

    fn cut(&self, attention: &Attention, delivered: Instant) -> Cut {
        let begin = delivered.plus((self.least * MINUTE as f64) as i64);
        let hour = hour_of_week(begin);
        let first_minutes = 60.0 - begin.0.rem_euclid(HOUR) as f64 / MINUTE as f64;
        let first = math::exp(-first_minutes / self.mean);
        let first_mass = attention.hours[hour] * (1.0 - first);
        let mut mass = first_mass + first * attention.sums[wrapped(hour + 1)];
        let mut whole_hours = self.whole_hours;
        let mut left = first * self.after_whole_hours;
        if (self.span - first_minutes) / 60.0 >= (whole_hours + 1) as f64 {
            mass += left * (1.0 - self.ratio) * attention.hours[(hour + 1 + whole_hours) % HOURS_OF_WEEK];
            left *= self.ratio;
            whole_hours += 1;
        }
        mass += (left - self.end) * attention.hours[(hour + 1 + whole_hours) % HOURS_OF_WEEK];
        Cut { hour, first, whole_hours, first_mass, mass }
    }

    /// The delay at which a share `unit` of the mass lies behind, minutes, of a message delivered at `delivered` on the local clock.
    #[inline]
    pub(super) fn at(&self, attention: &Attention, delivered: Instant, unit: f64) -> f64 {
        let cut = self.cut(attention, delivered);
        let mut mass = unit * cut.mass;
        let mut hour = cut.hour;
        let mut left = 1.0;
        if mass >= cut.first_mass {
            mass -= cut.first_mass;
            left = cut.first;
            hour = wrapped(hour + 1);
            let mut whole_hours = cut.whole_hours;
            while whole_hours >= HOURS_OF_WEEK && mass >= left * attention.weeks[hour] {
                mass -= left * attention.weeks[hour];
                left *= self.after_week;
                whole_hours -= HOURS_OF_WEEK;
            }
            for _ in 0..whole_hours {
                let of_hour = attention.hours[hour] * left * (1.0 - self.ratio);
                if mass < of_hour {
                    break;
                }
                mass -= of_hour;
                left *= self.ratio;
                hour = wrapped(hour + 1);
            }
        }
        // Rounding may leave a hair more mass than there is; the end is where it lies, or what no draw is beyond.
        let left = (left - mass / attention.hours[hour]).max(self.end).max(BEYOND);
        self.least - self.mean * math::ln(left)
    }

    /// P(delay ≤ `minutes`) of a message delivered at `delivered` on the local clock.
    pub(super) fn cdf(&self, attention: &Attention, delivered: Instant, minutes: f64) -> f64 {
        let x = minutes - self.least;
        if x <= 0.0 {
            return 0.0;
        }
        if x >= self.span {
            return 1.0;
        }
        let cut = self.cut(attention, delivered);
        let here = math::exp(-x / self.mean);
        if here >= cut.first {
            return attention.hours[cut.hour] * (1.0 - here) / cut.mass;
        }
        let mut mass = cut.first_mass;
        let mut left = cut.first;
        let mut hour = wrapped(cut.hour + 1);
        let mut whole_hours = cut.whole_hours;
        while whole_hours >= HOURS_OF_WEEK && left * self.after_week >= here {
            mass += left * attention.weeks[hour];
            left *= self.after_week;
            whole_hours -= HOURS_OF_WEEK;
        }
        for _ in 0..whole_hours {
            if left * self.ratio < here {
                break;
            }
            mass += attention.hours[hour] * left * (1.0 - self.ratio);
            left *= self.ratio;
            hour = wrapped(hour + 1);
        }
        (mass + attention.hours[hour] * (left - here)) / cut.mass
    }
}

/// What is left of an exponential where no draw of 53 bits falls, whatever the attention: exp(−x/mean) of a mean of minutes over weeks is 0.
const BEYOND: f64 = 1e-24;

#[inline]
const fn wrapped(hour: usize) -> usize {
    if hour >= HOURS_OF_WEEK { hour - HOURS_OF_WEEK } else { hour }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    fn law() -> (OpenDelays, Attention) {
        law_of(240.0, 2880.0)
    }

    fn law_of(mean_minutes: f64, max_minutes: f64) -> (OpenDelays, Attention) {
        let delays = OpenDelays::new(&DelaysConfig { min_minutes: 1.0, mean_minutes, max_minutes });
        let attention =
            Attention::new(&core::array::from_fn(|hour| if hour % 24 == 8 { 1.0 } else { 0.02 + (hour % 7) as f64 / 70.0 }), &delays);
        (delays, attention)
    }

    #[test]
    fn the_inverse_undoes_the_distribution_function() {
        let (delays, attention) = law();
        for start in [0, 59 * MINUTE, HOUR - SECOND, 3 * HOUR + 17 * MINUTE, 100 * HOUR + 58 * MINUTE + 59 * SECOND, 167 * HOUR] {
            let mut previous = 0.0;
            for step in 0..=1_000 {
                let unit = (f64::from(step) / 1_000.0).min(1.0 - 1e-15);
                let delay = delays.at(&attention, Instant(start), unit);
                assert!((1.0..=2880.0).contains(&delay) && delay >= previous, "{delay}");
                assert!((delays.cdf(&attention, Instant(start), delay) - unit).abs() < 1e-9, "{start} {unit}");
                previous = delay;
            }
        }
    }

    /// Over 30 days, whose weeks are passed over at once, with means from minutes to weeks.
    #[test]
    fn delays_of_weeks_are_those_of_their_hours() {
        for mean in [15.0, 240.0, 10_080.0, 43_200.0] {
            let (delays, attention) = law_of(mean, 43_200.0);
            for start in [0, 59 * MINUTE, 100 * HOUR + 58 * MINUTE, 167 * HOUR] {
                for step in 0..=400 {
                    let unit = (f64::from(step) / 400.0).min(1.0 - 1e-15);
                    let delay = delays.at(&attention, Instant(start), unit);
                    assert!((1.0..=43_200.0).contains(&delay), "{mean} {unit}: {delay}");
                    assert!((delays.cdf(&attention, Instant(start), delay) - unit).abs() < 1e-9, "{mean} {start} {unit}");
                    // Hour by hour.
                    let (mut total, mut below, mut at, mut left) = (0.0, 0.0, 0.0, 1.0);
                    while at < 43_199.0 {
                        let minute = (start / MINUTE) as f64 + 1.0 + at;
                        let next = (at + 60.0 - minute.rem_euclid(60.0)).min(43_199.0);
                        let of_hour = attention.hours[hour_of_week(Instant((minute * MINUTE as f64) as i64))];
                        let after = math::exp(-next / mean);
                        total += of_hour * (left - after);
                        let until = (delay - 1.0).clamp(at, next);
                        below += of_hour * (left - math::exp(-until / mean));
                        (at, left) = (next, after);
                    }
                    assert!((below / total - unit).abs() < 1e-9, "{mean} {start} {unit}: {}", below / total);
                }
            }
        }
    }

    #[test]
    fn the_distribution_function_is_the_integral_of_the_density() {
        let (delays, attention) = law();
        let start = Instant(50 * HOUR + 41 * MINUTE + 13 * SECOND);
        let steps = 288_000;
        let width = 2879.0 / f64::from(steps);
        let density = |x: f64| {
            let hour = hour_of_week(start.plus(((1.0 + x) * MINUTE as f64) as i64));
            math::exp(-x / 240.0) * attention.hours[hour]
        };
        let below =
            |end: f64| (0..steps).map(|step| (f64::from(step) + 0.5) * width).filter(|x| *x < end).map(density).sum::<f64>() * width;
        let total = below(2880.0);
        for x in [5.0, 19.0, 100.0, 700.0, 1439.0, 2870.0] {
            assert!((delays.cdf(&attention, start, 1.0 + x) - below(x) / total).abs() < 1e-4, "{x}");
        }
    }
}
