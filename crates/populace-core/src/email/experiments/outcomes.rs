//! What each variant would have done to a message: the same words, against the probabilities of the variant.

use super::super::actor::Walk;
use super::super::policy::Draft;
use super::super::rows::{Event, MessageTruth, OutcomeTruth, Truth};
use super::{Experiment, ExperimentUnit, Experiments, Exposed};
use crate::scenario::Observer;
use crate::stream::unit;
use crate::time::{DAY, Instant};

/// What comes of a message if its open is decided for.
#[derive(Clone, Copy)]
pub(in super::super) struct Prospect {
    /// Whether no circuit breaker stands against the open, and against the click.
    pub(in super::super) opens: bool,
    pub(in super::super) clicks: bool,
    /// The word by which the click is decided.
    pub(in super::super) click: f64,
}

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// The variants that a message has, by its campaign, the moment of its sending and what was dealt.
    pub(in super::super) fn exposed(&self, experiments: &Experiments, draft: &Draft) -> Exposed {
        let (model, zone) = (self.model, self.person.zone.zone);
        let begin = model.window.begin();
        let day = model.on_days(zone, draft.time).since(begin) as f64 / DAY as f64;
        let variant = |place: usize, of: &Experiment| match of.unit {
            ExperimentUnit::User => usize::from(self.scratch.dealt[place]),
            ExperimentUnit::Message => of.of_message(&self.key, draft.ordinal),
        };
        let of_day = model.day_of(zone, draft.time);
        let exposure = of_day.map_or(0, |day| experiments.exposure(usize::from(draft.campaign), day, variant));
        Exposed { exposure, day }
    }

    /// The truth of every variant of every experiment that a message is in. `open` is the word by which its open is decided.
    pub(in super::super) fn outcomes(
        &mut self,
        experiments: &Experiments,
        draft: &Draft,
        (delivered_at, open): (Instant, u64),
        truth: &MessageTruth,
    ) {
        let own = truth.at.exposed;
        let mut prospect = None;
        for &(experiment, factual) in &experiments.exposures[usize::from(own.exposure)].variants {
            for variant in 0..experiments.list[usize::from(experiment)].variants.len() as u8 {
                let exposed = Exposed { exposure: experiments.with(own.exposure, experiment, variant), ..own };
                let weighed = self.model.weigh(&super::super::world::Circumstances { exposed, ..truth.at }, self.rates_at(delivered_at));
                let p = truth.p_open.map(|_| [weighed.p_open, weighed.p_click]);
                let [opens, clicks] = p.filter(|[p_open, _]| unit(open) < *p_open).map_or([false; 2], |[_, p_click]| {
                    let Prospect { opens, clicks, click } = *prospect.get_or_insert_with(|| self.prospect(draft, delivered_at));
                    [opens, opens && clicks && click < p_click]
                });
                self.out.reveal(Truth::Outcome(OutcomeTruth {
                    message_id: truth.message_id,
                    experiment,
                    variant,
                    is_factual: variant == factual,
                    p_open: p.map(|[p, _]| p),
                    p_click: p.map(|[_, p]| p),
                    opens,
                    clicks,
                }));
            }
        }
    }
}
