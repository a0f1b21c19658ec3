//! How people differ: the concentrations of their own rates by maximum likelihood, and the weights of their shifts by one step of Fisher
//! scoring, of the histories of recipients whose persona is known. The laws of opens, clicks and delays are the document's.

use crate::email::{History, Inference, Law};
use crate::recover::numbers::Symmetric;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::stats::merge_fields;
use populace_core::email::PeopleConfig;
use populace_core::math::ln_gamma;
use populace_core::time::Instant;

/// Concentrations are tried from a quarter of the document's to four times it, so many to a doubling.
const PER_DOUBLING: f64 = 6.0;
const TRIED: usize = 25;

/// The logarithm of the concentration at a place, over the document's.
fn tried(place: usize) -> f64 {
    (place as f64 - (TRIED / 2) as f64) / PER_DOUBLING * std::f64::consts::LN_2
}

/// The density of Beta(a, b) with another concentration and the same mean, over its own.
fn ratio_of_densities(x: f64, [a, b]: [f64; 2], times: f64) -> f64 {
    let ln_density = |a: f64, b: f64| {
        ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + (a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).max(f64::MIN_POSITIVE).ln()
    };
    (ln_density(times * a, times * b) - ln_density(a, b)).exp()
}

/// The means of what other concentrations make of some weights.
fn mean<'w>(weights: impl Iterator<Item = (&'w f64, &'w [f64; TRIED])>) -> [f64; TRIED] {
    weights.fold([0.0; TRIED], |mut sums, (weight, of)| {
        sums.iter_mut().zip(of).for_each(|(sum, of)| *sum += weight * of);
        sums
    })
}

/// What other concentrations make of the weights of who a recipient may be.
pub(super) struct Others<'a> {
    pub(super) inference: &'a Inference<'a>,
    /// By state, then concentration.
    rates: Vec<[f64; TRIED]>,
    /// By persona, place of its ratios, then concentration.
    ratios: Vec<Vec<[f64; TRIED]>>,
    shifts: Vec<f64>,
}

impl<'a> Others<'a> {
    pub(super) fn new(law: &Law<'_>, inference: &'a Inference<'a>) -> Self {
        let model = law.model();
        let of = |shapes: Option<[f64; 2]>, x: f64| {
            std::array::from_fn(|place| shapes.map_or(1.0, |shapes| ratio_of_densities(x, shapes, tried(place).exp())))
        };
        let rates = inference.people().map(|person| of(model.open_rates_of(person.persona.into()), person.open_rate));
        let ratios = inference
            .ratios()
            .iter()
            .enumerate()
            .map(|(persona, places)| places.iter().map(|(ratio, _)| of(model.ratios_of(persona), *ratio)).collect());
        let shifts = model.habits().len() / model.personas().len();
        Self {
            inference,
            rates: rates.collect(),
            ratios: ratios.collect(),
            shifts: model.habits()[..shifts].iter().map(|habit| habit.share).collect(),
        }
    }
}

/// Sums over recipients.
pub(super) struct People {
    users: u64,
    /// ln of the likelihood by concentration, over that of the document's.
    rates: [f64; TRIED],
    ratios: [f64; TRIED],
    /// Derivatives in the weights of all shifts but the last, and their squares.
    score: Vec<f64>,
    information: Vec<f64>,
}

merge_fields!(People { users, rates, ratios, score, information });

impl People {
    pub(super) fn new(others: &Others<'_>) -> Self {
        let free = others.shifts.len() - 1;
        Self { users: 0, rates: [0.0; TRIED], ratios: [0.0; TRIED], score: vec![0.0; free], information: vec![0.0; free * free] }
    }

    /// Adds a recipient of a persona, whose client does not open ahead.
    pub(super) fn add(&mut self, others: &Others<'_>, persona: usize, history: &History) {
        let prior: Vec<f64> = (0..others.ratios.len()).map(|of| f64::from(u8::from(of == persona))).collect();
        let Some(posterior) = others.inference.filter_from(history, &prior).posterior_before(Instant(i64::MAX)) else { return };
        self.users += 1;
        let states = posterior.states();
        let rates = mean(states.iter().zip(&others.rates).filter(|(weight, _)| **weight > 0.0));
        let ratios = posterior.ratios();
        let ratios = mean(ratios[persona].iter().zip(&others.ratios[persona]));
        self.rates.iter_mut().zip(rates).for_each(|(sum, of)| *sum += of.ln());
        self.ratios.iter_mut().zip(ratios).for_each(|(sum, of)| *sum += of.ln());
        let mut shifts = vec![0.0; others.shifts.len()];
        for (person, weight) in others.inference.people().zip(&states) {
            shifts[usize::from(person.habit) % others.shifts.len()] += weight;
        }
        let over: Vec<f64> = shifts.iter().zip(&others.shifts).map(|(posterior, prior)| posterior / prior).collect();
        let (last, free) = (over[over.len() - 1], self.score.len());
        for row in 0..free {
            self.score[row] += over[row] - last;
            for column in 0..free {
                self.information[row * free + column] += (over[row] - last) * (over[column] - last);
            }
        }
    }

    pub(super) fn report(&self, own: &PeopleConfig, sheet: &mut Sheet) {
        self.concentration("people.open_concentration", own.open_concentration, &self.rates, sheet);
        self.concentration("people.ratio_concentration", own.ratio_concentration, &self.ratios, sheet);
        self.shifts(own, sheet);
    }

    fn concentration(&self, path: &str, truth: Option<f64>, curve: &[f64; TRIED], sheet: &mut Sheet) {
        let Some(truth) = truth else { return };
        let top = (0..TRIED).fold(0, |top, place| if curve[place] > curve[top] { place } else { top });
        if top == 0 || top == TRIED - 1 {
            return sheet.skip(path, "the data favours none within a factor of four of the document's");
        }
        // The parabola through the top and its neighbours.
        let (before, at, after) = (curve[top - 1], curve[top], curve[top + 1]);
        let (step, bend) = (tried(1) - tried(0), 2.0 * at - before - after);
        let best = tried(top) + step * 0.5 * (after - before) / bend;
        let parameter = Parameter::level(path, "concentration", truth, "maximum likelihood, all else as the document has it");
        sheet.normal(parameter, Scale::Log, truth * best.exp(), step / bend.sqrt(), self.users);
    }

    fn shifts(&self, own: &PeopleConfig, sheet: &mut Sheet) {
        let places: Vec<usize> = (0..own.peak_shifts.len()).filter(|place| own.peak_shifts[*place] > 0.0).collect();
        let path = |place: usize| format!("people.peak_shifts.{} (share)", places[place]);
        let free = self.score.len();
        if free == 0 {
            return;
        }
        let mut information = Symmetric::zero(free);
        for row in 0..free {
            for column in 0..=row {
                information.add(row, column, self.information[row * free + column]);
            }
        }
        let Some(covariance) = information.inverse() else {
            return sheet.skip(path(0), "the data does not identify it at this size");
        };
        let steps = covariance.times(&self.score);
        let all: Vec<(usize, f64)> = (0..free).map(|place| (place, 1.0)).collect();
        for (place, (_, share)) in own.shifts().into_iter().enumerate() {
            let (of, step): (&[(usize, f64)], f64) =
                if place == free { (&all, -steps.iter().sum::<f64>()) } else { (&[(place, 1.0)], steps[place]) };
            let parameter = Parameter::level(path(place), "share", share, "one step of Fisher scoring, all else as the document has it");
            sheet.normal(parameter, Scale::Linear, share + step, covariance.quadratic(of).sqrt(), self.users);
        }
    }
}
