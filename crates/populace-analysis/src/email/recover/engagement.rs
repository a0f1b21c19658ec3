//! Opens, by a joint model; clicks; delays.

use super::tally::{Cell, Tally, offsets, weight_of};
use crate::email::Law;
use crate::recover::loglinear::{self, Count, Fit, Predictor};
use crate::recover::numbers::Moments;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use populace_core::email::{Effect, EmailConfig, HOURS_OF_WEEK, Level, MONDAY, OpenDelayLaw, Person};
use populace_core::time::HOUR;
use std::collections::BTreeMap;

/// Why there are no delays to be looked at without attention.
pub(super) const NOT_FLAT: &str = "no persona looks at its mail at all hours alike";
const JOINT: &str = "joint log-linear model of opens";
/// Above it, the months of a recipient are too alike for their opens to pass as independent.
const NOTICEABLE_DRIFT: f64 = 0.05;

/// A level of an effect that the data can tell.
struct Found {
    effect: usize,
    level: usize,
    parameter: Level,
    place: usize,
}

/// Where the coefficients stand.
#[derive(Default)]
struct Places {
    bases: BTreeMap<(u16, u8), usize>,
    levels: Vec<Found>,
    size: usize,
}

impl Places {
    fn next(&mut self) -> usize {
        self.size += 1;
        self.size - 1
    }
}

/// ln p of a cell = the base of its persona and class + what the levels of the effects add that apply to it: places, and how often.
struct Model {
    rows: Vec<Vec<(usize, f64)>>,
}

impl Predictor for Model {
    fn predict(&self, cell: usize, coefficients: &[f64], derivatives: &mut Vec<(usize, f64)>) -> f64 {
        derivatives.clone_from(&self.rows[cell]);
        derivatives.iter().map(|&(place, x)| x * coefficients[place]).sum()
    }
}

/// The cells that a part of the model rests on.
fn total<'c>(cells: impl Iterator<Item = (&'c Cell, &'c Count)>, part: impl Fn(&Cell) -> bool) -> Count {
    cells
        .filter(|(cell, _)| part(cell))
        .fold(Count::default(), |sum, (_, count)| Count { trials: sum.trials + count.trials, successes: sum.successes + count.successes })
}

/// Open rates, timing and the other effects, all at once: each factor is what is left when the others are accounted for.
pub(super) fn opens(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let config = law.config();
    let mut cells = tally.cells.clone();
    let effects = law.model().effects().each();
    let places = places(law, &effects, &mut cells, sheet);
    if let Some(drift) = config.drift.as_ref().filter(|drift| drift.amplitude > NOTICEABLE_DRIFT) {
        let amplitude = drift.amplitude;
        sheet.notes.push(format!(
            "drift.amplitude is {amplitude}: opens of one recipient are alike, and the intervals of opens and clicks, which take them as \
             independent, are too narrow"
        ));
    }
    let row = |cell: &Cell| {
        let mut row = vec![(places.bases[&(cell.persona, cell.class)], 1.0)];
        let applies = |found: &&Found| effects[found.effect].applies(found.level, cell.states[found.effect]);
        row.extend(places.levels.iter().filter(applies).map(|found| (found.place, 1.0)));
        row
    };
    let model = Model { rows: cells.keys().map(row).collect() };
    let counts: Vec<Count> = cells.values().copied().collect();
    let mut start = vec![0.0; places.size];
    for (&(persona, class), &place) in &places.bases {
        let here = total(cells.iter(), |cell| (cell.persona, cell.class) == (persona, class));
        start[place] = (here.successes as f64 / here.trials as f64).ln().min(-0.05);
    }
    let Some(fit) = loglinear::fit(&model, &counts, config.engagement.max_probability, start) else {
        return sheet.skip("the model of opens", "the data does not identify it at this size");
    };
    report(law, tally, &cells, &places, &fit, sheet);
}

/// The coefficients that the data can tell. Cells of those that it cannot are left out.
fn places(law: &Law<'_>, effects: &[&dyn Effect], cells: &mut BTreeMap<Cell, Count>, sheet: &mut Sheet) -> Places {
    let mut places = Places::default();
    // Of people whose own rates nobody sees, what raises opens further than timing leaves room for is capped by nobody knows how much.
    let rates_differ = law.config().people.as_ref().is_some_and(|people| people.open_concentration.is_some());
    let is_capped = |level: &Level| rates_differ && level.truth.is_none_or(|truth| truth > law.config().timing.minute_allowance);
    for (index, effect) in effects.iter().enumerate() {
        for (level, parameter) in effect.levels().into_iter().enumerate() {
            let applies = |cell: &Cell| effect.applies(level, cell.states[index]);
            let here = total(cells.iter(), applies);
            if is_capped(&parameter) {
                sheet.skip(&parameter.path, "recipients' own rates differ, and how often the greatest probability cuts it off with them");
                cells.retain(|cell, _| !applies(cell));
            } else if here.successes > 0 {
                let place = places.next();
                places.levels.push(Found { effect: index, level, parameter, place });
            } else {
                sheet.skip(&parameter.path, format!("no open among {} messages", here.trials));
                cells.retain(|cell, _| !applies(cell));
            }
        }
    }
    let bases: Vec<(u16, u8)> = cells.keys().map(|cell| (cell.persona, cell.class)).collect();
    for base in bases {
        let here = total(cells.iter(), |cell| (cell.persona, cell.class) == base);
        // Where none or all were opened, the base has no bound.
        if !places.bases.contains_key(&base) && here.successes > 0 && here.successes < here.trials {
            let place = places.next();
            places.bases.insert(base, place);
        }
    }
    cells.retain(|cell, _| places.bases.contains_key(&(cell.persona, cell.class)));
    places
}

/// Writes down what was found.
fn report(law: &Law<'_>, tally: &Tally<'_>, cells: &BTreeMap<Cell, Count>, places: &Places, fit: &Fit, sheet: &mut Sheet) {
    let mut factor = |path: String, truth: f64, place: usize, n: u64| {
        let error = fit.covariance.at(place, place).sqrt();
        sheet.normal(Parameter::factor(path, truth, JOINT), Scale::Log, fit.coefficients[place].exp(), error, n);
    };
    let trials = |part: &dyn Fn(&Cell) -> bool| total(cells.iter(), part).trials;
    let effects = law.model().effects().each();
    for Found { effect, level, parameter, place } in &places.levels {
        let applies = |state: u16| effects[*effect].applies(*level, state);
        let mut means = tally.factors.iter().filter(|((of, state), _)| of == effect && applies(*state)).map(|(_, factors)| factors.mean);
        let truth = parameter.truth.or_else(|| means.next()).expect("a level that was kept applies to messages");
        factor(parameter.path.clone(), truth, *place, trials(&|cell| applies(cell.states[*effect])));
    }
    let neutral: f64 = effects.iter().map(|effect| effect.neutral()).product();
    for (index, persona) in law.personas().iter().enumerate() {
        let Some(week) = Week::new(tally, index, places, fit) else {
            sheet.skip(format!("personas.{}.open_rate", persona.name), "in some of its hours none or all of the messages were opened");
            continue;
        };
        let path = format!("personas.{}", persona.name);
        let n = trials(&|cell| usize::from(cell.persona) == index);
        let rate = Parameter::level(format!("{path}.open_rate"), "share", persona.open_rate * neutral, JOINT);
        let all = week.mean(|_| true);
        let unlike = Unlike::new(law, tally, index);
        sheet.normal(rate, Scale::Log, all.value, all.error(fit, None, unlike.as_ref()), n);
        // Peak against other hours, active against other days: all of the one over all of the other.
        for (name, bit) in [("peak_over_off_peak", 1), ("active_over_inactive_day", 2)] {
            let (inside, outside) = (week.mean(|class| class & bit == 0), week.mean(|class| class & bit != 0));
            if inside.weight == 0.0 || outside.weight == 0.0 {
                continue;
            }
            let parameter = Parameter::factor(format!("{path}.timing.{name}"), inside.truth / outside.truth, JOINT);
            let error = inside.error(fit, Some(&outside), unlike.as_ref());
            sheet.normal(parameter, Scale::Log, inside.value / outside.value, error, n);
        }
    }
}

/// A persona's week, by the classes of its hours.
struct Week {
    /// Class, weight in the law of sends, factor in truth, place of the coefficient, rate found.
    classes: Vec<(u8, f64, f64, usize, f64)>,
}

/// The mean rate over some classes.
struct Mean {
    weight: f64,
    value: f64,
    truth: f64,
    /// Derivatives of its logarithm, by the place of the coefficient.
    derivatives: Vec<(usize, f64)>,
    /// The same by class.
    of_classes: [f64; CLASSES],
}

/// Classes of hours.
const CLASSES: usize = 4;

/// How the people of a persona differ, where they do.
struct Unlike {
    /// Their shares, and by how much of itself the rate of each class would be more if all were like this.
    people: Vec<(f64, [f64; CLASSES])>,
    /// Σ n² / (Σ n)² over recipients with n messages.
    share: f64,
}

impl Unlike {
    fn new(law: &Law<'_>, tally: &Tally<'_>, persona: usize) -> Option<Self> {
        let own = tally.candidates()?.iter().filter(|(person, _)| usize::from(person.persona) == persona);
        let (model, offsets) = (law.model(), offsets(law));
        // By person: the weight of each class in its week, and its opens there.
        let week = |(person, share): &(Person, f64)| {
            let mut sums = [[0.0; 2]; CLASSES];
            for hour in 0..HOURS_OF_WEEK {
                let (peak, active) = model.habits()[usize::from(person.habit)].own.own(hour);
                let clock = MONDAY.plus(hour as i64 * HOUR);
                let (mut weight, mut timing) = (0.0, 0.0);
                for (ahead, share) in &offsets {
                    weight += share * weight_of(law, hour, *ahead);
                    timing += share * model.effects().timing_at(person, clock, *ahead);
                }
                let rate = person.open_rate * timing;
                let sum = &mut sums[usize::from(!peak) + 2 * usize::from(!active)];
                *sum = [sum[0] + weight, sum[1] + weight * rate];
            }
            (*share, sums)
        };
        let weeks: Vec<(f64, [[f64; 2]; CLASSES])> = own.map(week).collect();
        let mean = |class: usize, of: usize| weeks.iter().map(|(share, sums)| share * sums[class][of]).sum::<f64>();
        let means: [[f64; 2]; CLASSES] = std::array::from_fn(|class| [mean(class, 0), mean(class, 1)]);
        let more = |(share, sums): &(f64, [[f64; 2]; CLASSES])| {
            let of = |class: usize| {
                let [weight, opens] = means[class];
                if opens > 0.0 { sums[class][1] / opens - sums[class][0] / weight } else { 0.0 }
            };
            (*share, std::array::from_fn(of))
        };
        let trials = total(tally.cells.iter(), |cell| usize::from(cell.persona) == persona).trials as f64;
        Some(Self { people: weeks.iter().map(more).collect(), share: tally.squares[persona][0] / (trials * trials) })
    }

    /// The variance that they add to a logarithm with these derivatives.
    fn variance(&self, of_classes: &[f64; CLASSES]) -> f64 {
        let square = |more: &[f64; CLASSES]| more.iter().zip(of_classes).map(|(more, x)| more * x).sum::<f64>().powi(2);
        self.share * self.people.iter().map(|(share, more)| share * square(more)).sum::<f64>()
    }
}

impl Week {
    /// `None` where one of its classes was left out.
    fn new(tally: &Tally<'_>, persona: usize, places: &Places, fit: &Fit) -> Option<Self> {
        let mut classes = Vec::new();
        for class in 0..4 {
            let hours = || tally.weeks[persona].iter().filter(|hour| hour.class == class);
            let weight: f64 = hours().map(|hour| hour.weight).sum();
            if weight > 0.0 {
                let truth = hours().map(|hour| hour.weight * hour.factor).sum::<f64>() / weight;
                let place = *places.bases.get(&(persona as u16, class))?;
                classes.push((class, weight, truth, place, fit.coefficients[place].exp()));
            }
        }
        Some(Self { classes })
    }

    fn mean(&self, of: impl Fn(u8) -> bool) -> Mean {
        let classes = || self.classes.iter().filter(|class| of(class.0));
        let weight: f64 = classes().map(|class| class.1).sum();
        let value = classes().map(|class| class.1 * class.4).sum::<f64>() / weight;
        let truth = classes().map(|class| class.1 * class.2).sum::<f64>() / weight;
        let derivative = |class: &(u8, f64, f64, usize, f64)| class.1 * class.4 / weight / value;
        let derivatives = classes().map(|class| (class.3, derivative(class))).collect();
        let mut of_classes = [0.0; CLASSES];
        classes().for_each(|class| of_classes[usize::from(class.0)] = derivative(class));
        Mean { weight, value, truth, derivatives, of_classes }
    }
}

impl Mean {
    /// The error of its logarithm, or of that of its ratio to another.
    fn error(&self, fit: &Fit, over: Option<&Self>, unlike: Option<&Unlike>) -> f64 {
        let mut derivatives = self.derivatives.clone();
        derivatives.extend(over.into_iter().flat_map(|over| &over.derivatives).map(|&(place, x)| (place, -x)));
        let mut of_classes = self.of_classes;
        if let Some(over) = over {
            of_classes.iter_mut().zip(over.of_classes).for_each(|(x, over)| *x -= over);
        }
        (fit.covariance.quadratic(&derivatives) + unlike.map_or(0.0, |unlike| unlike.variance(&of_classes))).sqrt()
    }
}

/// Clicks given an open.
pub(super) fn clicks(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    // Where seasons move clicks, those of the days that others are compared with.
    let season = law.model().effects().season();
    let plain = season.and_then(|season| season.days().find(|(_, day)| day.state == 0)).map_or(1.0, |(_, day)| day.click);
    for (index, (persona, all)) in law.personas().iter().zip(&tally.clicks).enumerate() {
        let path = format!("personas.{}.click_rate (given an open)", persona.name);
        let truth = (persona.click_rate / persona.open_rate * plain).min(1.0);
        let parameter = Parameter::level(path, "share", truth, "clicks of opens away from circuit breakers");
        let count = if season.is_some() { tally.clicks_in.get(&(index, 0)).copied().unwrap_or_default() } else { *all };
        let Some([a, b]) = law.model().ratios_of(index).filter(|_| season.is_none() && count.successes > 0) else {
            sheet.share(parameter, count.successes, count.trials);
            continue;
        };
        // A share of the variance is between recipients, each of whom has a part of the opens.
        let (n, found, between) = (count.trials as f64, count.successes as f64 / count.trials as f64, 1.0 / (a + b + 1.0));
        let variance = found * (1.0 - found) * ((1.0 - between) / n + between * tally.squares[index][1] / (n * n));
        sheet.normal(parameter, Scale::Log, found, variance.sqrt() / found, count.trials);
    }
}

/// The mean times to an open and to a click.
pub(super) fn delays(config: &EmailConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    let method = "maximum likelihood, truncated exponential";
    let opens = ("open_delays.mean_minutes", &config.open_delays, &tally.open_delays, NOT_FLAT);
    let clicks = ("click_delays.mean_minutes", &config.click_delays, &tally.click_delays, "there is no click");
    let laws = if config.open_delay == OpenDelayLaw::Mixture { vec![clicks] } else { vec![opens, clicks] };
    for (path, law, sample, reason) in laws {
        if sample.n == 0 {
            sheet.skip(path, reason);
            continue;
        }
        match truncated_exponential(sample, law.max_minutes - law.min_minutes) {
            Some((rate, error)) => {
                let parameter = Parameter::level(path, "minutes", law.mean_minutes, method);
                sheet.normal(parameter, Scale::Reciprocal, rate.recip(), error, sample.n);
            }
            None => sheet.skip(path, "the delays are spread so evenly that their mean is anything"),
        }
    }
}

/// The rate of an exponential law truncated at `span`, by maximum likelihood, and its error: an exponential family in the rate, so that
/// the likelihood's top is where the mean is the sample's, and the information is the variance.
fn truncated_exponential(sample: &Moments, span: f64) -> Option<(f64, f64)> {
    let mean_of = |rate: f64| rate.recip() - span / (rate * span).exp_m1();
    if sample.mean >= span / 2.0 || sample.mean <= 0.0 {
        return None;
    }
    // The mean falls from span / 2 as the rate grows from 0; without truncation the rate would be 1 / mean, with it it is less.
    let (mut low, mut high) = (1e-9 / span, sample.mean.recip());
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if mean_of(middle) > sample.mean { low = middle } else { high = middle }
    }
    let rate = f64::midpoint(low, high);
    let cut = span / (0.5 * rate * span).sinh() / 2.0;
    let variance = rate.powi(-2) - cut * cut;
    Some((rate, (sample.n as f64 * variance).sqrt().recip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_exponential_is_found_from_its_mean() {
        for (rate, span) in [(1.0_f64 / 15.0, 59.0), (1.0 / 240.0, 2_879.0), (0.01, 20.0)] {
            let mut sample = Moments::default();
            let steps = 100_000;
            for step in 0..steps {
                let u = (f64::from(step) + 0.5) / f64::from(steps);
                sample.add(-(u * (-rate * span).exp_m1()).ln_1p() / rate);
            }
            let (found, error) = truncated_exponential(&sample, span).unwrap();
            assert!((found / rate - 1.0).abs() < 1e-3, "{found} instead of {rate}");
            let expected = (sample.n as f64 * sample.variance()).sqrt().recip();
            assert!((error / expected - 1.0).abs() < 1e-2, "{error} instead of {expected}");
        }
    }
}
