//! Who a recipient may be: every habit with places of the law of its open rates, and places of the law of clicks of an open. Where people do
//! not differ these are the personas. Where the variants of experiments do more to some than to others, each has places of that too.
//!
//! P(open) of a message bends in the open rate where the k of timing leaves 1 and where it reaches 0. Between the bends the likelihood of a
//! history is a polynomial but where a probability is capped, so that Gauss's rules on each piece integrate it: exactly where the messages
//! are fewer than twice the places, and to below a rounding of the probabilities otherwise, as places are no farther apart than opens can
//! tell rates apart.

use populace_core::dist::{beta_nodes, fewer_nodes};
use populace_core::email::{EmailModel, Experiments, Person, normal_nodes};
use populace_core::math::ln_gamma;

/// Places of open rates over all pieces, for as many messages; of more, as many more as the rates of a recipient can be told apart better.
const PLACES: usize = 33;
const OF_MESSAGES: f64 = 100.0;
/// No more places than so many times that.
const MOST: f64 = 4.0;
/// Places of clicks of an open: exact up to 47 opens.
const RATIOS: usize = 24;
/// Places of what the content of variants does to people: exp of a normal variable, whose deviation is a few tenths.
const RESPONSES: usize = 7;
/// Places that stand for the law on a piece before they are joined.
const FINE: usize = 128;
/// What is left out of a law.
const NEGLIGIBLE: f64 = 1e-14;

/// Who a recipient may be.
pub(super) struct Candidates {
    /// With P(this one | persona), by persona.
    pub(super) people: Vec<(Person, f64)>,
    /// Click rate over open rate with its probability, by persona.
    pub(super) ratios: Vec<Vec<(f64, f64)>>,
}

impl Candidates {
    /// Of a model, for histories of about so many messages.
    pub(super) fn new(model: &EmailModel, messages: f64) -> Self {
        let finer = (messages / OF_MESSAGES).sqrt().clamp(1.0, MOST);
        let differ = model.effects().experiments().is_some_and(Experiments::people_differ);
        let responsiveness = if differ { normal_nodes(RESPONSES) } else { vec![(0.0, 1.0)] };
        let of_habit = |(index, habit): (usize, &populace_core::email::Habit)| {
            let persona = usize::from(habit.persona);
            let of = &model.personas()[persona];
            let rates = match model.open_rates_of(persona) {
                None => vec![(of.open_rate, 1.0)],
                Some(shapes) => places(shapes, &model.timing_bends(index), (finer * PLACES as f64) as usize),
            };
            let person =
                |(rate, share): (f64, f64)| (model.person(index, rate, rate * (of.click_rate / of.open_rate)), share * habit.share);
            let responsive = |(person, share): (Person, f64)| {
                responsiveness.iter().map(move |(at, weight)| (Person { responsiveness: *at, ..person }, share * weight))
            };
            rates.into_iter().map(person).flat_map(responsive).collect::<Vec<_>>()
        };
        let ratios = model.personas().iter().enumerate().map(|(persona, of)| match model.ratios_of(persona) {
            None => vec![(of.click_rate / of.open_rate, 1.0)],
            Some([a, b]) => beta_nodes(a, b, RATIOS),
        });
        Self { people: model.habits().iter().enumerate().flat_map(of_habit).collect(), ratios: ratios.collect() }
    }
}

/// Places and weights for Beta(a, b), with rules of their own on both sides of every bend.
fn places([a, b]: [f64; 2], bends: &[f64], count: usize) -> Vec<(f64, f64)> {
    if bends.is_empty() {
        return beta_nodes(a, b, count);
    }
    let ends: Vec<f64> = [0.0].into_iter().chain(bends.iter().copied()).chain([1.0]).collect();
    let pieces: Vec<Vec<(f64, f64)>> = ends.windows(2).map(|ends| fine_places([a, b], ends[0], ends[1])).collect();
    let total: f64 = pieces.iter().flatten().map(|(_, weight)| weight).sum();
    let each = count.div_ceil(pieces.len());
    let joined = pieces.iter().filter(|piece| piece.iter().map(|(_, weight)| weight).sum::<f64>() > NEGLIGIBLE * total);
    joined.flat_map(|piece| fewer_nodes(piece, each)).map(|(place, weight)| (place, weight / total)).collect()
}

/// Many places for Beta(a, b) between two ends; weights are right up to a factor that is the same for all ends.
fn fine_places([a, b]: [f64; 2], from: f64, to: f64) -> Vec<(f64, f64)> {
    let length = to - from;
    // At the ends of [0, 1] a power that is not whole goes into the rule.
    let split = |shape: f64, is_end: bool| {
        let power = shape - 1.0;
        let whole = power.floor().max(0.0);
        if is_end { (power - whole, whole) } else { (0.0, power) }
    };
    let ((low, rises), (high, falls)) = (split(a, from == 0.0), split(b, to == 1.0));
    let mean = a / (a + b);
    let scale = rises * mean.ln() + falls * (1.0 - mean).ln() - ((a - 1.0) * mean.ln() + (b - 1.0) * (1.0 - mean).ln());
    let of_rule = ln_gamma(low + 1.0) + ln_gamma(high + 1.0) - ln_gamma(low + high + 2.0) + (1.0 + low + high) * length.ln();
    let weigh = |(place, weight): (f64, f64)| {
        let x = from + length * place;
        let density = rises * (x.ln() - mean.ln()) + falls * ((1.0 - x).ln() - (1.0 - mean).ln()) + scale;
        (x, weight * (density + of_rule).exp())
    };
    beta_nodes(low + 1.0, high + 1.0, FINE).into_iter().map(weigh).filter(|(_, weight)| *weight > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_moments_of_the_law_and_see_the_bends() {
        for shapes in [[0.8, 7.2], [2.8, 5.2], [5.2, 2.8], [0.1, 0.9], [300.0, 500.0]] {
            let [a, b] = shapes;
            let all = places(shapes, &[0.25, 0.73], 33);
            let mut expected = 1.0;
            for power in 0..20 {
                let found: f64 = all.iter().map(|(place, weight)| weight * place.powi(power)).sum();
                assert!((found / expected - 1.0).abs() < 1e-9, "{shapes:?}, power {power}: {found}, not {expected}");
                expected *= (a + f64::from(power)) / (a + b + f64::from(power));
            }
            // A function with bends there, against many more places.
            let bent = |x: f64| (x - 0.25).max(0.0) + 2.0 * (0.73 - x).max(0.0).powi(3);
            let of = |places: &[(f64, f64)]| places.iter().map(|(place, weight)| weight * bent(*place)).sum::<f64>();
            let many = places(shapes, &[0.25, 0.73], 99);
            assert!((of(&all) - of(&many)).abs() < 1e-10, "{shapes:?}: {} {}", of(&all), of(&many));
        }
    }
}
