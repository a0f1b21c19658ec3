//! Predicted survival curves.

use crate::error::AnalysisError;
use crate::score::Context;
use crate::score::predictions::{finite, listed};
use crate::source::{As, Columns, Id, TableSource, Want};
use populace_core::time::Date;
use std::collections::BTreeMap;

/// Users' curves: P(not churned by the end of a day), by day of the window. Memory: about 16 bytes a row.
pub(super) struct Curves {
    users: BTreeMap<Id, Curve>,
}

/// One user's curve: constant from one of its days to the next, and 1 before the first.
#[derive(Default)]
pub(super) struct Curve {
    points: Vec<(i32, f64)>,
    pub(super) seen: bool,
}

/// The days that curves are scored over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// The first day of the window.
    pub(super) start: Date,
    /// The last day that is known, counted from the start; −1 is the day before it.
    pub(super) as_of: i32,
    /// The last day of the window.
    pub(super) last: i32,
}

impl Horizon {
    /// The days after `as_of`.
    pub(super) fn days(self) -> impl ExactSizeIterator<Item = i32> {
        self.as_of + 1..self.last + 1
    }

    fn date(self, day: i32) -> Date {
        self.start.plus(day)
    }
}

impl Curve {
    /// The curve on every day of the horizon.
    pub(super) fn on(&self, horizon: Horizon) -> impl Iterator<Item = f64> {
        let mut next = 0;
        let mut survival = 1.0;
        horizon.days().map(move |day| {
            while let Some((_, value)) = self.points.get(next).filter(|(of, _)| *of <= day) {
                survival = *value;
                next += 1;
            }
            survival
        })
    }
}

impl Curves {
    /// Reads `user_id`, `date` or `day`, and `survival`.
    pub(super) fn read(context: &Context<'_>, names: &[String], horizon: Horizon) -> Result<Self, AnalysisError> {
        let path = context.predictions.display();
        let by_date = names.iter().any(|name| name == "date");
        let when = if by_date { Want::new("date", As::Date) } else { Want::new("day", As::Int) };
        let wants = [Want::new("user_id", As::Id), when, Want::new("survival", As::Float)];
        let mut users: BTreeMap<Id, Curve> = BTreeMap::new();
        let mut number = 0;
        for batch in TableSource::file_with(context.predictions, &context.options.reading)?.read(&wants)? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                number += 1;
                let user = Id::of(&batch, "user_id", row);
                let wrong = |what: String| AnalysisError::input(format!("{path}: row {number}, user_id {user}: {what}"));
                let day = if by_date {
                    i64::from(batch.date("date").value(row)) - i64::from(horizon.start.0)
                } else {
                    batch.int("day").value(row)
                };
                let day = i32::try_from(day).ok().filter(|day| horizon.days().any(|known| known == *day)).ok_or_else(|| {
                    let (first, last) = (horizon.as_of + 1, horizon.last);
                    wrong(format!(
                        "day {day} is not one of days {first} to {last} ({} to {}), which are to be predicted",
                        horizon.date(first),
                        horizon.date(last)
                    ))
                })?;
                let survival = finite(&batch, "survival", row).map_err(wrong)?;
                if !(0.0..=1.0).contains(&survival) {
                    return Err(wrong(format!("survival is {survival}, and must be a probability from 0 to 1")));
                }
                users.entry(user).or_default().points.push((day, survival));
            }
        }
        for (user, curve) in &mut users {
            curve.points.sort_unstable_by_key(|(day, _)| *day);
            let wrong = |what: String| AnalysisError::input(format!("{path}: user_id {user}: {what}"));
            for pair in curve.points.windows(2) {
                let [(day, survival), (next, after)] = [pair[0], pair[1]];
                if day == next {
                    return Err(wrong(format!("day {day} ({}) appears more than once", horizon.date(day))));
                }
                if after > survival {
                    return Err(wrong(format!("survival rises from {survival} on day {day} to {after} on day {next}; it never can")));
                }
            }
            if curve.points.last().is_none_or(|(day, _)| *day != horizon.last) {
                let last = horizon.last;
                return Err(wrong(format!("the curve must go to the window's end, day {last} ({})", horizon.date(last))));
            }
        }
        if users.is_empty() {
            return Err(AnalysisError::input(format!("{path}: has no rows; expected user_id, date, survival")));
        }
        Ok(Self { users })
    }

    /// The curve of a user.
    pub(super) fn get_mut(&mut self, user: &Id) -> Option<&mut Curve> {
        self.users.get_mut(user)
    }

    /// That every curve is of a user there is.
    pub(super) fn check_all_seen(&self, context: &Context<'_>) -> Result<(), AnalysisError> {
        let unseen: Vec<&Id> = self.users.iter().filter(|(_, curve)| !curve.seen).map(|(user, _)| user).collect();
        if unseen.is_empty() {
            return Ok(());
        }
        let named = listed(unseen.iter().take(3), unseen.len());
        Err(AnalysisError::input(format!(
            "{}: user_id {named}: no user of the run\nhint: leave such rows out",
            context.predictions.display()
        )))
    }
}
