//! What a policy did: what its decisions brought, when they sent, what they missed, and whether its propensities are true.

use super::super::law::Law;
use super::super::recipients::{self, Recipient};
use crate::error::AnalysisError;
use crate::report::figure::{Axis, Chart, Draw, Figure, Panel, Plot, Role, Section, Series};
use crate::report::measure::{Rate, Spread, Z, agreement, expected, observed};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::Sum;
use crate::watch::Watch;
use arrow_array::Array;
use populace_core::email::{Decider, EmailModel, Slots};
use populace_core::time::Instant;
use populace_io::document::Resolved;
use populace_io::tables::email::{actor_of, with_slots};
use std::collections::HashMap;

const DECISIONS: [Want; 6] = [
    Want::new("recipient_id", As::Text),
    Want::new("window_start", As::Instant),
    Want::new("arm", As::Text),
    Want::nullable("action", As::Int),
    Want::new("allowed", As::Text),
    Want::nullable("message_id", As::Uuid),
];
const TRUTH: [Want; 2] = [Want::new("recipient_id", As::Text), Want::nullable("regret", As::Float)];
/// The arms that send, and their names.
const ARMS: [&str; 2] = ["base", "explore"];
/// Width of the bins of regret, and how many there are.
const WIDTH: f64 = 0.025;
const BINS: usize = 40;

/// One decision.
struct Made {
    /// Of [`ARMS`]; none that was skipped.
    arm: Option<usize>,
    /// The hour of the recipient's day at which it sent.
    hour: Option<usize>,
    opened: bool,
    /// P(opened), where it is known; 0 if nothing was sent.
    p_open: Option<f64>,
    regret: Option<f64>,
}

/// What was decided on a recipient.
struct Of {
    persona: usize,
    made: Vec<Made>,
    /// Of each slot, and of none: how often it was taken, and how likely it was.
    slots: Vec<Rate>,
}

/// What was counted.
struct Decided {
    names: Vec<String>,
    /// Opens and decisions: of all, and by arm.
    spreads: [Spread; 3],
    opens: [Rate; 3],
    /// Sends by persona, arm and hour.
    hours: Vec<[[u64; 24]; 2]>,
    /// Decisions by arm and regret.
    regrets: [[u64; BINS]; 2],
    /// Regret by arm and persona: its sum, and of how many.
    by_persona: [Vec<(Sum, u64)>; 2],
    slots: Vec<Rate>,
}

/// The section of a run with a policy.
///
/// # Errors
/// A table cannot be read, or is not what the run's must be; the work was stopped.
pub(super) fn section(source: &Source, document: &Resolved, watch: &Watch<'_>) -> Result<Option<Section>, AnalysisError> {
    if !(source.has("decisions") && source.has("truth/decisions") && source.has("users") && source.has("events")) {
        return Ok(None);
    }
    let model: EmailModel = populace_io::catalogue::model(document)?;
    let model = if model.decider().is_some_and(Decider::lacks_schedule) {
        model
    } else {
        with_slots(model).map_err(|error| document.diagnose(&error))?
    };
    let Some(decider) = model.decider() else { return Ok(None) };
    let law = Law::new(&model, source.seed(document));
    let personas = law.personas().len();
    let mut all = Decided {
        names: law.personas().iter().map(|persona| persona.name.replace('_', " ")).collect(),
        spreads: Default::default(),
        opens: Default::default(),
        hours: vec![[[0; 24]; 2]; personas],
        regrets: [[0; BINS]; 2],
        by_persona: [vec![(Sum::default(), 0); personas], vec![(Sum::default(), 0); personas]],
        slots: vec![Rate::default(); decider.slots() + 1],
    };
    let sides = [Side { table: "decisions", wants: &DECISIONS, time: None }, Side { table: "truth/decisions", wants: &TRUTH, time: None }];
    recipients::each(
        source,
        &law,
        &[],
        &sides,
        watch,
        |recipient| of(&law, decider, &recipient),
        |of: Option<Of>| {
            if let Some(of) = of {
                all.add(&of);
            }
            Ok(())
        },
    )?;
    let figures = vec![all.value(), all.hours(), all.regret(), all.regret_by_persona(), all.propensities()];
    Ok(Section::new(
        "policy",
        "What the policy did",
        "Decisions of the policy on the messages that were due, of recipients whom it does not hold out.",
        figures,
    ))
}

/// The decisions on a recipient; none of one who is held out.
fn of(law: &Law<'_>, decider: &Decider, recipient: &Recipient) -> Result<Option<Of>, AnalysisError> {
    let (Some(batch), Some(truth)) = (&recipient.more[0], &recipient.more[1]) else { return Ok(None) };
    let (windows, arms, allowed) = (batch.instant("window_start"), batch.text("arm"), batch.text("allowed"));
    let (actions, messages, regrets) = (batch.int("action"), batch.uuid("message_id"), truth.float("regret"));
    if arms.len() != regrets.len() {
        let id = &recipient.history.recipient_id;
        return Err(AnalysisError::input(format!("decisions: {id} has {} of them, and {} in truth", arms.len(), regrets.len())));
    }
    let (person, history) = (&recipient.person, &recipient.history);
    let actor = actor_of(&history.recipient_id).unwrap_or(u64::MAX);
    let explores = decider.is_explored_by_user().then(|| (0..arms.len()).any(|row| arms.value(row) == ARMS[1]));
    let of_message: HashMap<u128, usize> = history.messages.iter().enumerate().map(|(place, message)| (message.id, place)).collect();
    let clock = law.model().clock(person.zone.zone);
    let is_ahead = history.is_opened_ahead();
    let mut of =
        Of { persona: person.persona.into(), made: Vec::with_capacity(arms.len()), slots: vec![Rate::default(); decider.slots() + 1] };
    for row in 0..arms.len() {
        let arm = arms.value(row);
        if arm == "holdout" {
            return Ok(None);
        }
        let message = messages.get(row).and_then(|id| of_message.get(&id)).map(|place| &history.messages[*place]);
        let p_open = match message {
            None => Some(0.0),
            Some(_) if is_ahead => None,
            Some(message) if message.delivered.is_none() => Some(0.0),
            Some(message) => law.p_open(person, message).map(|p| p * (1.0 - law.p_open_dropped(person, message, history))),
        };
        of.made.push(Made {
            arm: ARMS.iter().position(|name| *name == arm),
            hour: message.map(|message| usize::from(clock.local(message.sent).hour())),
            opened: message.is_some_and(|message| message.opened.or(message.machine_opened).is_some()),
            p_open,
            regret: regrets.is_valid(row).then(|| regrets.value(row)),
        });
        let Some(slots) = Slots::of_hex(allowed.value(row)).filter(|slots| !slots.is_empty() && !decider.lacks_schedule()) else {
            continue;
        };
        let window = Instant(windows.value(row));
        let (shares, skip) = match explores {
            None => decider.distribution(person, actor, window, &slots),
            Some(explores) => decider.distribution_of_arm(explores, person, actor, window, &slots),
        };
        let taken = if actions.is_valid(row) { usize::try_from(actions.value(row)).ok() } else { Some(decider.slots()) };
        for (slot, rate) in of.slots.iter_mut().enumerate() {
            let p = if slot == decider.slots() { skip } else { shares[slot] };
            rate.add(taken == Some(slot), Some(p));
        }
    }
    Ok(Some(of))
}

impl Decided {
    fn add(&mut self, of: &Of) {
        let mut counts = [(0, 0); 3];
        for made in &of.made {
            for place in [Some(0), made.arm.map(|arm| arm + 1)].into_iter().flatten() {
                counts[place].0 += u64::from(made.opened);
                counts[place].1 += 1;
                self.opens[place].add(made.opened, made.p_open);
            }
            let Some(arm) = made.arm else { continue };
            if let Some(hour) = made.hour {
                self.hours[of.persona][arm][hour] += 1;
            }
            if let Some(regret) = made.regret {
                self.regrets[arm][((regret / WIDTH) as usize).min(BINS - 1)] += 1;
                let (sum, n) = &mut self.by_persona[arm][of.persona];
                sum.add(regret);
                *n += 1;
            }
        }
        self.spreads.iter_mut().zip(counts).for_each(|(spread, (opens, decisions))| spread.add(opens, decisions));
        self.slots.iter_mut().zip(&of.slots).for_each(|(all, own)| all.merge(own));
    }

    /// The arms that decided on anything, by index.
    fn arms(&self) -> Vec<usize> {
        (0..ARMS.len()).filter(|arm| self.opens[arm + 1].n > 0).collect()
    }

    /// Opens a decision, of all and by arm.
    fn value(&self) -> Option<Figure> {
        let places: Vec<usize> = [0].into_iter().chain(self.arms().into_iter().map(|arm| arm + 1)).collect();
        let rates: Vec<Rate> = places.iter().map(|place| self.opens[*place]).collect();
        let overall = rates[0].share()?;
        let mut seen = observed("observed", Role::Observed, Draw::Bars, &rates);
        // Decisions on one recipient are alike: the interval is over recipients.
        let errors: Vec<Option<f64>> = places.iter().map(|place| self.spreads[*place].of_ratio()).collect();
        let end = |sign: f64| -> Vec<Option<f64>> {
            seen.y
                .iter()
                .zip(&errors)
                .map(|(value, error)| Some((*value).map_or(0.0, |value| value + sign * Z * error.unwrap_or(0.0))))
                .collect()
        };
        (seen.low, seen.high) = (end(-1.0), end(1.0));
        let names = places.iter().map(|place| if *place == 0 { "all decisions" } else { ARMS[place - 1] });
        let chart = Chart {
            x: Axis::categories("Decisions", names),
            y: Axis::share("Opened, of decisions"),
            series: vec![seen, expected("true", Draw::Ticks, &rates)],
            horizontal: true,
            ..Chart::default()
        };
        let caption = format!(
            "{:.1} of 100 decisions led to an open. `base` is what the policy does by itself, `explore` what it tries; decisions that send \
             nothing count. The intervals are over recipients, the ticks the means of the true probabilities.",
            100.0 * overall
        );
        Some(Figure::new("policy-value", "What decisions are worth", caption, Plot::Chart(chart)))
    }

    /// When messages go out, a panel for each persona.
    fn hours(&self) -> Option<Figure> {
        let arms = self.arms();
        let panel = |persona: usize| {
            let draw = |arm: usize| if arm == 0 { (Role::Observed, Draw::Bars) } else { (Role::Estimate, Draw::Points) };
            let series = arms.iter().filter_map(|arm| {
                let counts = self.hours[persona][*arm];
                let n: u64 = counts.iter().sum();
                let rates: Vec<Rate> = counts.iter().map(|count| Rate::counted(*count, n)).collect();
                let (role, draw) = draw(*arm);
                (n > 0).then(|| observed(ARMS[*arm], role, draw, &rates))
            });
            let series: Vec<Series> = series.collect();
            let chart = Chart {
                x: Axis::categories("Hour of sending, on the recipients' clock", (0..24).map(|hour| format!("{hour:02}"))),
                y: Axis::share("Of the arm's messages"),
                series,
                ..Chart::default()
            };
            (!chart.series.is_empty()).then(|| Panel { name: self.names[persona].clone(), plot: Plot::Chart(chart) })
        };
        let panels: Vec<Panel> = (0..self.names.len()).filter_map(panel).collect();
        let caption = "When the policy's messages go out, by what it does itself and by what it tries.";
        (!panels.is_empty()).then(|| Figure::choice("policy-hours", "Hours of sending", caption, "Persona", panels))
    }

    /// How much decisions miss.
    fn regret(&self) -> Option<Figure> {
        let arms: Vec<usize> = self.arms().into_iter().filter(|arm| self.regrets[*arm].iter().any(|n| *n > 0)).collect();
        let last = arms.iter().filter_map(|arm| self.regrets[*arm].iter().rposition(|n| *n > 0)).max()?;
        let series = arms.iter().map(|arm| {
            let counts = &self.regrets[*arm][..=last];
            let n: u64 = counts.iter().sum();
            let shares = counts.iter().map(|count| Some(*count as f64 / n as f64)).collect();
            let (role, draw) = if *arm == 0 { (Role::Observed, Draw::Bars) } else { (Role::Estimate, Draw::Points) };
            Series::new(ARMS[*arm], role, draw, shares)
        });
        let chart = Chart {
            x: Axis::categories(
                "Regret: the value of the best allowed slot, less that of the slot taken",
                (0..=last).map(|bin| format!("{:.3}", bin as f64 * WIDTH)),
            ),
            y: Axis::share("Of the arm's decisions"),
            series: series.collect(),
            ..Chart::default()
        };
        let mean = |arm: &usize| {
            let (sum, n) = self.by_persona[*arm].iter().fold((0.0, 0), |(sum, all), (own, n)| (sum + own.value(), all + n));
            format!("{:.3} of `{}`", sum / n.max(1) as f64, ARMS[*arm])
        };
        let means: Vec<String> = arms.iter().map(mean).collect();
        let caption = format!(
            "By how much the open rate is below that of the best slot that was allowed, in truth: on average {}. A bin is named by its lower end.",
            means.join(", ")
        );
        Some(Figure::new("policy-regret", "Regret", caption, Plot::Chart(chart)))
    }

    /// Who loses by them.
    fn regret_by_persona(&self) -> Option<Figure> {
        let present: Vec<usize> = (0..self.names.len()).filter(|persona| self.by_persona.iter().any(|arm| arm[*persona].1 > 0)).collect();
        let series = self.arms().into_iter().map(|arm| {
            let mean = |persona: &usize| {
                let (sum, n) = self.by_persona[arm][*persona];
                (n > 0).then(|| sum.value() / n as f64)
            };
            let (role, draw) = if arm == 0 { (Role::Observed, Draw::Bars) } else { (Role::Estimate, Draw::Points) };
            let mut series = Series::new(ARMS[arm], role, draw, present.iter().map(mean).collect());
            series.n = present.iter().map(|persona| self.by_persona[arm][*persona].1).collect();
            series
        });
        let chart = Chart {
            x: Axis::categories("Persona", present.iter().map(|persona| self.names[*persona].clone())),
            y: Axis::number("Mean regret", "").from_zero(),
            series: series.collect(),
            horizontal: true,
            ..Chart::default()
        };
        let caption = "Mean regret of the decisions on each persona: where it is great there is most to win by another hour.";
        (!present.is_empty()).then(|| Figure::new("policy-regret-persona", "Regret by persona", caption, Plot::Chart(chart)))
    }

    /// Slots against what was said of them.
    fn propensities(&self) -> Option<Figure> {
        let (none, slots) = self.slots.split_last()?;
        let mut rates = slots.to_vec();
        let mut names: Vec<String> = (0..slots.len()).map(|slot| slot.to_string()).collect();
        if none.mean_expected().is_some_and(|p| p > 0.0) {
            rates.push(*none);
            names.push("none".to_owned());
        }
        if rates.iter().all(|rate| rate.n == 0) {
            return None;
        }
        let chart = Chart {
            x: Axis::categories("Slot of the window", names),
            y: Axis::share("Taken, of decisions"),
            series: vec![expected("mean propensity", Draw::Ticks, &rates), observed("observed", Role::Observed, Draw::Points, &rates)],
            ..Chart::default()
        };
        let caption =
            format!("How often each slot was taken, and the mean of the probabilities with which it was to be.{}", agreement(&rates));
        Some(Figure::new("policy-propensity", "Slots against propensities", caption, Plot::Chart(chart)))
    }
}
