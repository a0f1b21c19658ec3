//! What variants do to clicks, over those of `control`. What they do to opens is in the joint model.

use super::tally::Tally;
use crate::email::Law;
use crate::recover::loglinear::Count;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::stats::Merge;

pub(super) fn report(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let Some(experiments) = law.model().effects().experiments() else { return };
    for (place, of) in experiments.list().iter().enumerate() {
        let control = of.control();
        for (index, variant) in of.variants.iter().enumerate() {
            let Some([_, click]) = variant.effect else { continue };
            let path = format!("experiments.{}.effect.{}.click", of.name, variant.name);
            let has = |exposure: u16, variant: usize| {
                experiments.exposures()[usize::from(exposure)].variants.contains(&(place as u8, variant as u8))
            };
            // Clicks against those that each persona's rate under `control` lets expect.
            let (mut hits, mut expected, mut variance, mut truth, mut n) = (0.0, 0.0, 0.0, [0.0; 2], 0);
            for (persona, about) in law.personas().iter().enumerate() {
                let count = |variant: usize| {
                    let own = tally.clicks_of.iter().filter(|((of, exposure), _)| *of == persona && has(*exposure, variant));
                    own.fold(Count::default(), |mut sum, (_, count)| {
                        sum.combine(*count);
                        sum
                    })
                };
                let (here, plain) = (count(index), count(control));
                if plain.successes == 0 {
                    continue;
                }
                let (trials, successes) = (here.trials as f64, plain.successes as f64);
                let rate = successes / plain.trials as f64;
                hits += here.successes as f64;
                expected += trials * rate;
                variance += (trials * rate).powi(2) * (1.0 - rate) / successes;
                let ratio = about.click_rate / about.open_rate;
                truth = [truth[0] + trials * (ratio * click).min(1.0), truth[1] + trials * ratio.min(1.0)];
                n += here.trials;
            }
            if hits == 0.0 || expected == 0.0 {
                sheet.skip(path, format!("no click among {n} opens, or none with `control`"));
                continue;
            }
            let parameter = Parameter::factor(path, truth[0] / truth[1], "clicks of opens over those with `control`, by persona");
            let error = (hits.recip() * (1.0 - hits / n as f64) + variance / (expected * expected)).sqrt();
            sheet.normal(parameter, Scale::Log, hits / expected, error, n);
        }
    }
}
