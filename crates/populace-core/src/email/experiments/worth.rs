//! What variants are worth: the effect on opens and clicks, over the law of the population.

use super::super::blast::Blast;
use super::super::events::EventType;
use super::super::model::EmailModel;
use super::super::volumes::Expectation;
use super::{Experiment, ExperimentUnit};

/// A variant of an experiment, and what it does on average.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantWorth {
    /// The experiment.
    pub experiment: String,
    /// What variants are dealt to.
    pub unit: ExperimentUnit,
    /// The variant.
    pub variant: String,
    /// Its probability.
    pub weight: f64,
    /// The mean factor of the open rate, and the factor of P(click | open).
    pub factors: [f64; 2],
    /// Opens and clicks a delivered message of the experiment, if all had the variant, less those if all had `control`; the other
    /// experiments as they are.
    pub ate: [f64; 2],
}

impl EmailModel {
    /// The variants of every experiment, in the order of their names. Takes as long as so many [`Expectation`]s.
    pub fn variants(&self) -> Vec<VariantWorth> {
        let Some(experiments) = self.effects().experiments() else { return Vec::new() };
        experiments.list().iter().flat_map(|of| self.variants_of(of)).collect()
    }

    fn variants_of(&self, of: &Experiment) -> Vec<VariantWorth> {
        let delivered = self.delivered_in(of);
        let control = self.engaged_if(of, of.control());
        let worth = |(place, variant): (usize, &super::Variant)| {
            let engaged = if variant.effect.is_some() { self.engaged_if(of, place) } else { control };
            let ate = [0, 1].map(|step: usize| if delivered > 0.0 { (engaged[step] - control[step]) / delivered } else { 0.0 });
            VariantWorth {
                experiment: of.name.clone(),
                unit: of.unit,
                variant: variant.name.clone(),
                weight: variant.weight,
                factors: [of.mean_effect(place), variant.effect.map_or(1.0, |[_, click]| click)],
                ate,
            }
        };
        of.variants.iter().enumerate().map(worth).collect()
    }

    /// People's opens and clicks, if all mail of an experiment had one variant.
    fn engaged_if(&self, of: &Experiment, variant: usize) -> [f64; 2] {
        let mut config = self.config.clone();
        (config.machine_opens, config.scanners) = (None, None);
        if let Some(own) = config.experiments.as_mut().and_then(|all| all.get_mut(&of.name)) {
            for (place, weight) in own.variants.values_mut().enumerate() {
                *weight = f64::from(u8::from(place == variant));
            }
        }
        let total = Self::new(&config).map(|model| Expectation::new(&model).total()).unwrap_or_default();
        [total.of(EventType::Opened), total.of(EventType::Clicked)]
    }

    /// Messages of an experiment that are delivered.
    fn delivered_in(&self, of: &Experiment) -> f64 {
        let total = Expectation::new(self).total();
        let shares = self.effects().experiments().map_or(&[][..], |all| &all.shares);
        let share: f64 = shares.iter().enumerate().filter(|(campaign, _)| of.has_campaign(*campaign)).map(|(_, share)| share).sum();
        let triggered = self.effects().experiments().and_then(|all| all.triggered).filter(|campaign| of.has_campaign(*campaign));
        let volume = |days: core::ops::Range<u32>| days.map(|day| self.volume_of(day)).sum::<f64>();
        let all = self.config.window.days;
        let scheduled = total.scheduled * share * volume(of.days.clone()) / volume(0..all);
        let days = f64::from(of.days.end - of.days.start) / f64::from(all);
        let of_blasts =
            |is_in: &dyn Fn(&Blast) -> bool| self.blasts().iter().filter(|blast| is_in(blast)).map(|blast| blast.share).sum::<f64>();
        let day = |blast: &Blast| u32::try_from(blast.date().0 - self.config.window.start.0).unwrap_or(0);
        let within = of_blasts(&|blast| of.days.contains(&day(blast)) && of.has_campaign(blast.campaign.into()));
        let blasted = if within > 0.0 { total.blasted * within / of_blasts(&|_| true) } else { 0.0 };
        let sent = scheduled + triggered.map_or(0.0, |_| total.triggered * days) + blasted;
        sent * total.of(EventType::Delivered) / total.of(EventType::Sent)
    }
}
