//! What variants do to clicks, over those of `control`. What they do to opens is in the joint model.

use super::clicks::Ratio;
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
            let mut clicks = Ratio::default();
            for (persona, about) in law.personas().iter().enumerate() {
                let count = |variant: usize| {
                    let own = tally.clicks_of.iter().filter(|((of, exposure), _)| *of == persona && has(*exposure, variant));
                    own.fold(Count::default(), |mut sum, (_, count)| {
                        sum.combine(*count);
                        sum
                    })
                };
                let ratio = about.click_rate / about.open_rate;
                clicks.add([count(index), count(control)], [ratio * click, ratio]);
            }
            let n = clicks.n;
            if !clicks.is_known() {
                sheet.skip(path, format!("no click among {n} opens, or none with `control`"));
                continue;
            }
            let parameter = Parameter::factor(path, clicks.truth(), "clicks of opens over those with `control`, by persona");
            let error = (clicks.hits.recip() * (1.0 - clicks.hits / n as f64) + clicks.variance()).sqrt();
            sheet.normal(parameter, Scale::Log, clicks.found(), error, n);
        }
    }
}
