//! What a report says of churn: one pass over the users with their events.

mod draw;

use crate::churn::{Event, User, data};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::report::Found;
use crate::report::figure::{Fact, Format};
use crate::report::measure::{Rate, Spread};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::{Merge, Sum, merge_fields};
use crate::watch::Watch;
use arrow_array::{Array, RecordBatch};
use populace_core::churn::laws::Expectation;
use populace_core::churn::{ChurnConfig, ChurnModel, EventType};
use populace_core::time::Date;
use populace_io::catalogue;
use populace_io::document::Resolved;

/// The truth that is joined to the users.
const TRUTH_COLUMNS: [Want; 5] = [
    Want::new("user_id", As::Id),
    Want::new("engagement", As::Float),
    Want::new("churn_prob", As::Float),
    Want::new("churned", As::Bool),
    Want::nullable("churn_date", As::Date),
];
/// Bins of engagement and of probabilities.
const BINS: usize = 20;
/// Days before and after the churn date that are shown.
const AROUND: i32 = 40;
/// Days without an event after which a user counts as gone, where the data alone is asked.
const SILENCE: i32 = 14;
/// Longer windows are not drawn day by day.
const MOST_DAYS: i32 = 20_000;

/// The law of a document.
#[derive(Clone, Copy)]
struct Law<'a> {
    config: &'a ChurnConfig,
    expectation: &'a Expectation,
}

impl Law<'_> {
    /// The share of churn dates before a day of the window, from 0.
    fn passed(&self, day: i32) -> f64 {
        let days = self.config.window.days;
        let first = days / self.config.churn.first_day_divisor;
        (f64::from(day - first as i32) / f64::from(days - first)).clamp(0.0, 1.0)
    }
}

/// The users of one plan.
#[derive(Clone, Default)]
struct Survival {
    users: u64,
    /// By day of the window: users whose churn date it is.
    churned: Vec<u64>,
    /// By day of the window: users whose last event it is; the last entry is of users without events.
    last_event: Vec<u64>,
    /// The sum of the churn probabilities.
    probability: Sum,
}

/// What was counted.
struct Gathered<'a> {
    law: Option<Law<'a>>,
    /// Whether the truth tells the churn dates.
    truth: bool,
    start: Date,
    days: i32,
    /// Free, paid.
    plans: [Survival; 2],
    engagement: Vec<u64>,
    with_engagement: u64,
    /// Active days of the days as a subscriber, by engagement.
    activity: Vec<Rate>,
    calibration: Vec<Rate>,
    /// Users who are active, by day relative to the churn date.
    around: Vec<Rate>,
    /// Active days of users who stay.
    stay: Rate,
    active_by_day: Vec<u64>,
    /// Σ P(active on a day), and Σ P(active on a day) · P(churn), over users whose engagement is known.
    active_mass: (Sum, Sum),
    events: [u64; 7],
    /// Of a user: events by type, then active days, then churned, then on the paid plan.
    spreads: [Spread; 10],
    /// Succeeded and failed payments, and the sum of what succeeded, by day.
    payments: Vec<([u64; 2], Sum)>,
    outside: u64,
    orphans: u64,
    repeats: u64,
}

/// What the truth says of one user.
#[derive(Clone, Copy)]
struct Known {
    engagement: f64,
    probability: f64,
    churned: bool,
    churn_date: Option<Date>,
}

/// The facts and sections of churn, and what is to be said of them.
pub(crate) fn figures(source: &Source, document: Option<&Resolved>, watch: &Watch<'_>) -> Result<Found, AnalysisError> {
    let model: Option<ChurnModel> = document.map(catalogue::model).transpose()?;
    let law = model.as_ref().map(|model| Law { config: model.config(), expectation: model.expectation() });
    let truth = source.has("truth/users");
    let (start, days) = match law {
        Some(law) => (law.config.window.start, law.config.window.days as i32),
        None => span(source)?,
    };
    let known = truth.then_some(Side { table: "truth/users", wants: &TRUTH_COLUMNS, time: None });
    let inputs = Inputs::joined("user_id", data::sides(source).into_iter().chain(known).collect::<Vec<_>>());
    let gathered = pass::run(source, &inputs, watch, "counting", || Gathered::new(law, truth, start, days))?;
    if gathered.orphans > 0 && gathered.events.iter().sum::<u64>() == 0 {
        return Err(super::none_known(source, gathered.orphans));
    }
    let whole = source.manifest().is_some_and(|manifest| manifest.identity.count.is_none());
    let facts = gathered.facts(law.filter(|_| whole));
    let notes = gathered.notes();
    Ok(Found { facts, sections: draw::sections(&gathered), notes })
}

/// The first day with an event, and how many days there are up to the last.
fn span(source: &Source) -> Result<(Date, i32), AnalysisError> {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for batch in source.table("events")?.read(&[Want::new("event_time", As::Instant)])? {
        for &time in batch?.instant("event_time").values() {
            (first, last) = (first.min(time), last.max(time));
        }
    }
    if first > last {
        return Err(AnalysisError::input(format!("{}: the table of events is empty", source.root().display())));
    }
    let [first, last] = [first, last].map(|time| populace_core::time::Instant(time).date());
    let days = last.0 - first.0 + 1;
    if days > MOST_DAYS {
        return Err(AnalysisError::input(format!(
            "{}: the events span {days} days, from {first} to {last}, and a report shows at most {MOST_DAYS}; is a date wrong?",
            source.root().display()
        )));
    }
    Ok((first, days))
}

impl Known {
    fn new(truth: &RecordBatch) -> Self {
        let dates = truth.date("churn_date");
        Self {
            engagement: truth.float("engagement").value(0),
            probability: truth.float("churn_prob").value(0),
            churned: truth.bool("churned").value(0),
            churn_date: dates.is_valid(0).then(|| Date(dates.value(0))),
        }
    }
}

merge_fields!(Survival { users, churned, last_event, probability });
merge_fields!(Gathered<'_> {
    plans, engagement, with_engagement, activity, calibration, around, stay, active_by_day, active_mass, events, spreads, payments, outside, orphans,
    repeats,
} same { law, truth, start, days });

impl Observer for Gathered<'_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(users) = &actor[0] else { return Ok(()) };
        self.user(&User::told_once(users, actor[1].as_ref()), actor.get(2).and_then(Option::as_ref).map(Known::new));
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        Merge::combine(self, later);
        Ok(())
    }
}

fn bin(share: f64) -> usize {
    ((share * BINS as f64) as usize).min(BINS - 1)
}

impl<'a> Gathered<'a> {
    fn new(law: Option<Law<'a>>, truth: bool, start: Date, days: i32) -> Self {
        let plan = Survival { churned: vec![0; days as usize], last_event: vec![0; days as usize + 1], ..Survival::default() };
        Self {
            law,
            truth,
            start,
            days,
            plans: [plan.clone(), plan],
            engagement: vec![0; BINS],
            with_engagement: 0,
            activity: vec![Rate::default(); BINS],
            calibration: vec![Rate::default(); BINS],
            around: vec![Rate::default(); (2 * AROUND + 1) as usize],
            stay: Rate::default(),
            active_by_day: vec![0; days as usize],
            active_mass: Default::default(),
            events: [0; 7],
            spreads: Default::default(),
            payments: vec![Default::default(); days as usize],
            outside: 0,
            orphans: 0,
            repeats: 0,
        }
    }

    fn user(&mut self, user: &User, known: Option<Known>) {
        self.orphans += user.orphans;
        self.repeats += user.repeats;
        let engagement = known.map(|known| known.engagement).or(user.engagement);
        let active: Vec<i32> = user.active_days().iter().map(|(date, _)| date.0 - self.start.0).collect();
        let mut counts = [0; 10];
        for event in &user.events {
            counts[event.event_type as usize] += 1;
            self.payment(event);
        }
        self.events.combine(core::array::from_fn(|kind| counts[kind]));
        let churned = known.is_some_and(|known| known.churned);
        counts[7..].copy_from_slice(&[active.len() as u64, churned.into(), user.is_paid.into()]);
        self.spreads.iter_mut().zip(counts).for_each(|(spread, count)| spread.add(count, 1));
        for &day in &active {
            match usize::try_from(day).ok().and_then(|day| self.active_by_day.get_mut(day)) {
                Some(count) => *count += 1,
                None => self.outside += 1,
            }
        }
        let probability = self.probability(user, known, engagement);
        self.survival(user, known, probability);
        let law = self.law.zip(engagement).map(|(law, engagement)| law.config.activity.probability.at(engagement));
        if let (Some(active), Some(probability)) = (law, probability) {
            self.active_mass.0.add(active);
            self.active_mass.1.add(active * probability);
        }
        if let Some(engagement) = engagement {
            self.with_engagement += 1;
            self.engagement[bin(engagement)] += 1;
        }
        let Some(known) = known else { return };
        self.calibration[bin(known.probability)].add(known.churned, Some(known.probability));
        let last = known.churn_date.map_or(self.days - 1, |date| date.0 - self.start.0);
        let mut lived = Rate::default();
        let mut next = 0;
        for day in 0..self.days {
            while active.get(next).is_some_and(|active| *active < day) {
                next += 1;
            }
            let is_active = active.get(next) == Some(&day);
            if day <= last {
                lived.add(is_active, law);
            }
            if known.churned && (day - last).abs() <= AROUND {
                let expected = if day <= last { law } else { Some(0.0) };
                self.around[(day - last + AROUND) as usize].add(is_active, expected);
            }
        }
        self.activity[bin(known.engagement)].merge(&lived);
        if !known.churned {
            self.stay.merge(&lived);
        }
    }

    fn payment(&mut self, event: &Event) {
        let outcome = match event.event_type {
            EventType::PaymentSuccess => 0,
            EventType::PaymentFailed => 1,
            _ => return,
        };
        let day = usize::try_from(event.time.date().0 - self.start.0).ok();
        if let Some((counts, amount)) = day.and_then(|day| self.payments.get_mut(day)) {
            counts[outcome] += 1;
            amount.add(if outcome == 0 { event.amount.unwrap_or(0.0) } else { 0.0 });
        }
    }

    /// The probability that a user churns: of the truth, or by the law from the engagement, or of the plan.
    fn probability(&self, user: &User, known: Option<Known>, engagement: Option<f64>) -> Option<f64> {
        if let Some(known) = known {
            return Some(known.probability);
        }
        let law = self.law?;
        Some(match engagement {
            Some(engagement) => populace_core::churn::Hazard::new(law.config, engagement, user.is_paid).probability,
            None if user.is_paid => law.expectation.paid.churn,
            None => law.expectation.free.churn,
        })
    }

    fn survival(&mut self, user: &User, known: Option<Known>, probability: Option<f64>) {
        let days = self.days as usize;
        let plan = &mut self.plans[usize::from(user.is_paid)];
        plan.users += 1;
        plan.probability.add(probability.unwrap_or(0.0));
        let place = |date: Date| usize::try_from(date.0 - self.start.0).ok();
        if let Some(day) = known.and_then(|known| known.churn_date).and_then(place).filter(|day| *day < days) {
            plan.churned[day] += 1;
        }
        let last = user.events.last().map(|event| event.time.date()).and_then(place);
        plan.last_event[last.map_or(days, |day| day.min(days - 1))] += 1;
    }

    fn users(&self) -> u64 {
        self.plans.iter().map(|plan| plan.users).sum()
    }

    fn facts(&self, law: Option<Law<'_>>) -> Vec<Fact> {
        let users = self.users();
        let expected = |kind: EventType| law.map(|law| law.expectation.any.of(kind) * users as f64);
        let of = |kind: EventType| self.events[kind as usize];
        let count = |name: &str, kind: EventType| {
            Fact::new(name, of(kind) as f64, Format::Count).expected(expected(kind)).spread(self.spreads[kind as usize].of_sum())
        };
        let share = |part: u64| part as f64 / users.max(1) as f64;
        let mut facts = vec![
            Fact::new("users", users as f64, Format::Count).expected(law.map(|law| law.config.population.users as f64)),
            Fact::new("on the paid plan", share(self.plans[1].users), Format::Share)
                .expected(law.map(|law| law.config.paid_ratio))
                .spread(self.spreads[9].of_ratio()),
        ];
        if self.truth {
            let churned: u64 = self.plans.iter().flat_map(|plan| &plan.churned).sum();
            let expected = law.map(|law| law.expectation.any.churn);
            facts.push(Fact::new("churned", share(churned), Format::Share).expected(expected).spread(self.spreads[8].of_ratio()));
        }
        let active: u64 = self.active_by_day.iter().sum();
        let active_days = law.map(|law| law.expectation.any.active_days);
        facts.push(Fact::new("active days a user", share(active), Format::Number).expected(active_days).spread(self.spreads[7].of_ratio()));
        facts.push(count("sessions", EventType::Login));
        facts.push(count("payments", EventType::PaymentSuccess));
        let revenue: f64 = self.payments.iter().map(|(_, amount)| amount.value()).sum();
        let amount = law.map(|law| law.config.billing.amount);
        let error = self.spreads[EventType::PaymentSuccess as usize].of_sum();
        facts.push(
            Fact::new("revenue", revenue, Format::Count)
                .expected(amount.zip(expected(EventType::PaymentSuccess)).map(|(amount, payments)| amount * payments))
                .spread(amount.zip(error).map(|(amount, error)| amount * error)),
        );
        facts
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.law.is_none() {
            notes.push("There is no scenario.yaml beside the data: true curves, which need it, are left out.".to_owned());
        }
        if !self.truth {
            notes.push(
                "There is no truth/users beside the data: churn dates, calibration and activity around the churn date, which need it, are left out."
                    .to_owned(),
            );
        }
        if self.outside > 0 {
            notes.push(format!("{} active days lie outside the window and are not drawn.", self.outside));
        }
        if self.orphans > 0 {
            notes.push(format!("{} events were left out: of an unknown type.", self.orphans));
        }
        if self.repeats > 0 {
            notes.push(format!("{} events were left out: duplicates of an earlier event.", self.repeats));
        }
        notes
    }
}
