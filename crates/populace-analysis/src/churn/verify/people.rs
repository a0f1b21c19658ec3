//! Who there is.

use super::Known;
use super::rows::Rows;
use crate::source::Id;
use crate::stats::{Pit, merge_fields};
use crate::verify::board::{Board, Found};
use crate::verify::{Group, anywhere};
use populace_core::churn::ChurnConfig;
use statrs::function::beta::checked_beta_reg;
use std::collections::HashMap;

/// Engagement beyond this is told apart by its last bits.
const NEAR_ONE: f64 = 0.999_999;

/// Users by what is known of them.
pub(super) struct People<'a> {
    config: &'a ChurnConfig,
    users: u64,
    paid: u64,
    countries: HashMap<String, u64>,
    sources: HashMap<String, u64>,
    signups: Vec<u64>,
    engagement: Pit,
}

merge_fields!(People<'_> { users, paid, countries, sources, signups, engagement } same { config });

impl<'a> People<'a> {
    pub(super) fn new(config: &'a ChurnConfig) -> Self {
        let signups = vec![0; Rows::signup_days(config) as usize];
        Self { config, users: 0, paid: 0, countries: HashMap::new(), sources: HashMap::new(), signups, engagement: Pit::default() }
    }

    pub(super) fn add(&mut self, known: &Known<'_>) {
        let user = known.user;
        self.users += 1;
        self.paid += u64::from(user.is_paid);
        *self.countries.entry(known.text("country").to_owned()).or_default() += 1;
        *self.sources.entry(known.text("marketing_source").to_owned()).or_default() += 1;
        let before = self.config.window.start.0 - user.signup.0;
        if let Some(count) = usize::try_from(before).ok().and_then(|before| self.signups.get_mut(before)) {
            *count += 1;
        }
        if let Some(e) = user.engagement {
            self.engagement.add(engagement_place(self.config, &user.id, e));
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Distribution;
        board.test(group, "the share on the paid plan", Found::share(self.paid, self.users, self.config.paid_ratio));
        for (name, of, counts) in
            [("countries", &self.config.countries, &self.countries), ("marketing sources", &self.config.marketing_sources, &self.sources)]
        {
            let counts: Vec<u64> = of.iter().map(|name| counts.get(name).copied().unwrap_or(0)).collect();
            board.test(group, format!("{name} are equally likely"), Found::cells(&counts, &vec![1.0; counts.len()], "equal shares"));
        }
        let days = vec![1.0; self.signups.len()];
        board.test(group, "signups are uniform over their days", Found::cells(&self.signups, &days, "equal shares"));
        let law = &self.config.engagement;
        let name = format!("engagement_score is Beta({}, {})", law.alpha, law.beta);
        if self.engagement.n() > 0 {
            board.test(group, name, Found::places(&self.engagement));
        } else {
            board.skip(group, name, "there is no column engagement_score");
        }
    }
}

/// The place of a user's engagement within its distribution. Near 1, doubles are far apart: anywhere within the number's own share.
pub(super) fn engagement_place(config: &ChurnConfig, id: &Id, e: f64) -> f64 {
    let law = &config.engagement;
    let cdf = |e: f64| checked_beta_reg(law.alpha, law.beta, e.clamp(0.0, 1.0)).unwrap_or(f64::NAN);
    if e < NEAR_ONE {
        return cdf(e);
    }
    let high = if e >= 1.0 { 1.0 } else { cdf(0.5 * (e + e.next_up())) };
    anywhere([cdf(0.5 * (e + e.next_down())), high], id.number() as u64)
}
