//! A plan as text.

use super::Plan;
use crate::recover::text::{aligned, number};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, detect, power, alpha, days, users, users_of_document, .. } = self;
        writeln!(formatter, "{scenario}: {users} users for {days} days detect {detect} with power {power}, at alpha {alpha} two-sided\n")?;
        let other_days = || self.effects.first().into_iter().flat_map(|needed| &needed.users_by_days).map(|(days, _)| days);
        let mut header = ["parameter", "alternative", "null", "users"].map(str::to_owned).to_vec();
        header.extend(other_days().filter(|other| **other != *days).map(|days| format!("in {days} days")));
        header.extend([format!("power with {users_of_document}"), format!("nearest with {users_of_document}")]);
        let mut rows = vec![header];
        for needed in &self.effects {
            let mut row = vec![needed.parameter.clone(), number(needed.value), number(needed.from), needed.users.to_string()];
            row.extend(needed.users_by_days.iter().filter(|(other, _)| other != days).map(|(_, users)| users.to_string()));
            row.extend([format!("{:.3}", needed.power_at_document), number(needed.nearest_at_document)]);
            rows.push(row);
        }
        writeln!(formatter, "{}", aligned(&rows))?;
        let [first, second] = self.pilot.days;
        let set = self.pilot.set.as_ref().map_or_else(String::new, |path| format!(", with {path} set to the alternative"));
        write!(formatter, "From pilots of {} users for {first} and for {second} days, seed {}{set}", self.pilot.users, self.pilot.seed)
    }
}
