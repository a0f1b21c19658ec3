//! What the variants of experiments do to opens, and how they were dealt.

use crate::email::{History, Law};
use crate::report::figure::{Axis, Chart, Draw, Figure, Plot, Role, Series};
use crate::report::measure::{Spread, Z};
use crate::stats::{chi_square_tail, merge_fields};
use populace_core::email::{EmailModel, ExperimentUnit, Experiments};

/// Messages by experiment and variant.
#[derive(Default)]
pub(super) struct Variants {
    arms: Vec<Vec<Arm>>,
}

/// One variant.
#[derive(Clone, Default)]
struct Arm {
    /// What was dealt: recipients or messages.
    units: u64,
    opened: u64,
    delivered: u64,
    spread: Spread,
}

merge_fields!(Arm { units, opened, delivered, spread });
merge_fields!(Variants { arms });

impl Variants {
    pub(super) fn new(model: &EmailModel) -> Self {
        let list = model.effects().experiments().map_or(&[][..], Experiments::list);
        Self { arms: list.iter().map(|of| vec![Arm::default(); of.variants.len()]).collect() }
    }

    /// Adds a recipient of whom rows say whether it opens.
    pub(super) fn add(&mut self, model: &EmailModel, history: &History) {
        let Some(own) = model.effects().experiments() else { return };
        for (place, of) in own.list().iter().enumerate() {
            let mut counts = vec![[0_u64; 3]; of.variants.len()];
            for message in &history.messages {
                let exposure = &own.exposures()[usize::from(message.exposure)];
                let Some((_, variant)) = exposure.variants.iter().find(|(experiment, _)| usize::from(*experiment) == place) else {
                    continue;
                };
                let [sent, delivered, opened] = &mut counts[usize::from(*variant)];
                *sent += 1;
                *delivered += u64::from(message.delivered.is_some());
                *opened += u64::from(message.delivered.is_some() && message.opened.is_some());
            }
            for (arm, [sent, delivered, opened]) in self.arms[place].iter_mut().zip(counts).filter(|(_, [sent, ..])| *sent > 0) {
                arm.units += if of.unit == ExperimentUnit::User { 1 } else { sent };
                arm.delivered += delivered;
                arm.opened += opened;
                arm.spread.add(opened, delivered);
            }
        }
    }

    /// The difference of each variant from `control`, beside the truth.
    pub(super) fn figure(&self, law: Option<&Law<'_>>) -> Option<Figure> {
        let model = law?.model();
        let own = model.effects().experiments()?;
        let worth = model.variants();
        let (mut names, mut found, mut low, mut high, mut truth, mut n) = (vec![], vec![], vec![], vec![], vec![], vec![]);
        let mut splits = Vec::new();
        for (of, arms) in own.list().iter().zip(&self.arms) {
            let control = &arms[of.control()];
            for (place, arm) in arms.iter().enumerate().filter(|(place, _)| *place != of.control()) {
                let rate = |of: &Arm| (of.delivered > 0).then(|| of.opened as f64 / of.delivered as f64);
                let difference = rate(arm).zip(rate(control)).map(|(here, plain)| here - plain);
                let error = arm.spread.of_ratio().zip(control.spread.of_ratio()).map(|(here, plain)| here.hypot(plain));
                let variant = &of.variants[place].name;
                names.push(format!("{}: {variant}", of.name));
                found.push(difference);
                low.push(difference.zip(error).map(|(difference, error)| difference - Z * error));
                high.push(difference.zip(error).map(|(difference, error)| difference + Z * error));
                truth.push(worth.iter().find(|worth| worth.experiment == of.name && worth.variant == *variant).map(|worth| worth.ate[0]));
                n.push(arm.delivered);
            }
            splits.extend(split(&of.name, arms, &of.variants.iter().map(|variant| variant.weight).collect::<Vec<_>>()));
        }
        if found.iter().all(Option::is_none) {
            return None;
        }
        let within = |place: &usize| low[*place] <= truth[*place] && truth[*place] <= high[*place];
        let caption = format!(
            "Opened of delivered, less the same with `control`; the bands are 95% intervals over recipients. {} of {} hold the truth.{}",
            (0..names.len()).filter(within).count(),
            names.len(),
            splits.concat()
        );
        let mut observed = Series::new("observed", Role::Observed, Draw::Bars, found);
        (observed.low, observed.high, observed.n) = (low, high, n);
        let mut y = Axis::share("Opened, more than with `control`");
        y.min = None;
        let chart = Chart {
            x: Axis::categories("Experiments with their variants", names),
            y,
            series: vec![observed, Series::new("true", Role::Truth, Draw::Ticks, truth)],
            ..Chart::default()
        };
        Some(Figure::new("variants", "What variants do to opens", caption, Plot::Chart(chart)))
    }
}

/// How an experiment was dealt, in a sentence that begins with a blank; nothing of one that was not.
fn split(name: &str, arms: &[Arm], weights: &[f64]) -> Option<String> {
    let total = arms.iter().map(|arm| arm.units).sum::<u64>() as f64;
    let cells = || arms.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
    if total == 0.0 || cells().count() < 2 {
        return None;
    }
    let square: f64 = cells().map(|(arm, weight)| (arm.units as f64 - total * weight).powi(2) / (total * weight)).sum();
    let counts = arms.iter().map(|arm| arm.units.to_string()).collect::<Vec<_>>().join(" : ");
    let p = chi_square_tail(square, cells().count() as f64 - 1.0);
    Some(format!(" `{name}` was dealt {counts} (sample ratio: p = {p:.4})."))
}
