//! How far recipients' shares of opened mail lie apart, and how far they would if all people of a persona were alike.

use crate::report::figure::{Axis, Chart, Draw, Figure, Plot, Role, Series};
use crate::stats::{Sum, merge_fields};

/// Bins of the share of its mail that a recipient opens.
const BINS: usize = 20;

/// Recipients by the share of their delivered mail that they open.
pub(super) struct OwnRates {
    observed: [u64; BINS],
    /// If each opened with the probabilities of its persona.
    alike: [Sum; BINS],
}

merge_fields!(OwnRates { observed, alike });

fn bin(opened: usize, delivered: usize) -> usize {
    (opened * BINS / delivered).min(BINS - 1)
}

impl OwnRates {
    pub(super) fn new() -> Self {
        Self { observed: [0; BINS], alike: [Sum::default(); BINS] }
    }

    /// Adds a recipient who opened so many of its delivered messages; `alike` are the probabilities of a typical one of its persona.
    pub(super) fn add(&mut self, opened: usize, alike: &[f64]) {
        let n = alike.len();
        if n == 0 {
            return;
        }
        self.observed[bin(opened, n)] += 1;
        // P(so many opens), one message after another.
        let mut chances = vec![0.0; n + 1];
        chances[0] = 1.0;
        for (before, p) in alike.iter().enumerate() {
            for count in (0..=before).rev() {
                chances[count + 1] += chances[count] * p;
                chances[count] *= 1.0 - p;
            }
        }
        let mut bins = [0.0; BINS];
        chances.iter().enumerate().for_each(|(count, chance)| bins[bin(count, n)] += chance);
        self.alike.iter_mut().zip(bins).for_each(|(sum, chance)| sum.add(chance));
    }

    pub(super) fn figure(&self) -> Option<Figure> {
        let users: u64 = self.observed.iter().sum();
        if users == 0 {
            return None;
        }
        let alike: Vec<f64> = self.alike.iter().map(|sum| sum.value()).collect();
        let middle = |bin: usize| (bin as f64 + 0.5) / BINS as f64;
        let deviation = |counts: &dyn Fn(usize) -> f64| {
            let mean = (0..BINS).map(|bin| counts(bin) * middle(bin)).sum::<f64>() / users as f64;
            ((0..BINS).map(|bin| counts(bin) * (middle(bin) - mean).powi(2)).sum::<f64>() / users as f64).sqrt()
        };
        let (found, expected) = (deviation(&|bin| self.observed[bin] as f64), deviation(&|bin| alike[bin]));
        let series = vec![
            Series::new("recipients", Role::Observed, Draw::Bars, self.observed.iter().map(|count| Some(*count as f64)).collect()),
            Series::new("if people of a persona were alike", Role::Second, Draw::Bars, alike.iter().map(|count| Some(*count)).collect()),
        ];
        let chart = Chart {
            x: Axis::categories("Share of its mail that a recipient opens, percent", (0..BINS).map(|bin| format!("{}", 100 * bin / BINS))),
            y: Axis::number("Recipients", "").from_zero(),
            series,
            ..Chart::default()
        };
        let caption = format!(
            "The shares that recipients open lie {:.1} points apart (one standard deviation); if people of a persona were alike, {:.1}. What is \
             beyond chance and persona is each recipient's own.",
            100.0 * found,
            100.0 * expected
        );
        Some(Figure::new("own-rates", "How people differ", caption, Plot::Chart(chart)))
    }
}
