//! What choices of a moment are worth: those of the model, of both ceilings and of the base line.

use crate::email::Law;
use crate::score::card::{Column, Estimate, Gain, Group, Predictor, Scorecard};
use std::collections::BTreeMap;

/// What the values are of.
pub(super) const VALUE: &str = "expected_open_probability";

/// P(open) by who chooses, summed over recipients.
#[derive(Clone, Copy, Default)]
pub(super) struct Worth {
    pub(super) n: f64,
    pub(super) model: f64,
    pub(super) observable: f64,
    pub(super) oracle: f64,
    pub(super) base: f64,
}

impl Worth {
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            n: self.n + other.n,
            model: self.model + other.model,
            observable: self.observable + other.observable,
            oracle: self.oracle + other.oracle,
            base: self.base + other.base,
        }
    }

    /// The share of what is to gain over the base line.
    fn gain(&self, ceiling: f64) -> Option<f64> {
        // Of personas who open at any moment alike, nothing is to be gained but rounding.
        (ceiling - self.base > 1e-9 * self.n).then(|| (self.model - self.base) / (ceiling - self.base))
    }
}

/// Fills a card with the values, the gains, and both by persona; `base` is what the groups call the base line.
pub(super) fn fill(card: &mut Scorecard, law: &Law<'_>, worths: &[Worth], base: &str) {
    let all = worths.iter().fold(Worth::default(), |all, worth| all.plus(worth));
    let n = all.n.max(1.0);
    card.n = all.n as u64;
    let columns = [
        (Predictor::Model, all.model),
        (Predictor::Observable, all.observable),
        (Predictor::Latent, all.oracle),
        (Predictor::Base, all.base),
    ];
    for (predictor, value) in columns {
        let metrics = [(VALUE, value / n), ("regret", (all.oracle - value) / n)];
        let metrics = metrics.map(|(name, value)| (name.to_owned(), Estimate::exact(value))).into();
        card.columns.push(Column { predictor, metrics });
    }
    for (ceiling, value) in [(Predictor::Observable, all.observable), (Predictor::Latent, all.oracle)] {
        let share = all.gain(value).map(Estimate::exact);
        card.gains.extend(share.map(|share| Gain { metric: VALUE.to_owned(), ceiling, share, excess: None }));
    }
    for (persona, worth) in law.personas().iter().zip(worths).filter(|(_, worth)| worth.n > 0.0) {
        let n = worth.n;
        let mut values = BTreeMap::from([
            ("value_model".to_owned(), worth.model / n),
            ("value_observable".to_owned(), worth.observable / n),
            ("value_oracle".to_owned(), worth.oracle / n),
            (base.to_owned(), worth.base / n),
            ("regret".to_owned(), (worth.oracle - worth.model) / n),
        ]);
        values.extend(worth.gain(worth.oracle).map(|gain| ("gain_latent".to_owned(), gain)));
        card.groups.push(Group { by: "persona".into(), name: persona.name.clone(), n: n as u64, values });
    }
}
