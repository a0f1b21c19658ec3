//! Charges and tickets.

use super::{day_and_second, first_churn_day, second_place};
use crate::churn::User;
use crate::stats::{Pit, merge_fields};
use crate::verify::board::{Board, Exact, Found};
use crate::verify::{Group, mix};
use populace_core::churn::{BillingMode, ChurnConfig, EventType};
use std::collections::{BTreeMap, HashSet};

/// A day on which a charge may be attempted, and which attempt of its month it is, from 0.
#[derive(Clone, Copy)]
struct Attempt {
    day: i64,
    number: u32,
}

/// Charges and tickets.
pub(super) struct Billing<'a> {
    config: &'a ChurnConfig,
    attempts: Vec<Attempt>,
    charged: Exact,
    due: Exact,
    tickets_daily: Exact,
    succeeded: u64,
    many: u64,
    charge_seconds: Pit,
    ticket_seconds: Pit,
    early_tickets: u64,
    users: u64,
}

merge_fields!(Billing<'_> {
    charged, due, tickets_daily, succeeded, many, charge_seconds, ticket_seconds, early_tickets, users,
} same { config, attempts });

impl<'a> Billing<'a> {
    pub(super) fn new(config: &'a ChurnConfig) -> Self {
        let law = &config.billing;
        let attempts = (0..config.window.days).filter_map(|day| {
            let (_, _, of_month) = config.window.start.plus(day as i32).ymd();
            let number = of_month.checked_sub(law.first_day).filter(|number| *number < law.attempts)?;
            // An invoice whose first attempt lies before the window is not of this window.
            (law.mode == BillingMode::Daily || number <= day).then_some(Attempt { day: i64::from(day), number })
        });
        Self {
            config,
            attempts: attempts.collect(),
            charged: Exact::new(
                "charges are of paying users, on the days and in the hours of billing, one a day, and none after a success",
            ),
            due: Exact::new("every charge that is due is attempted, until a user's last event"),
            tickets_daily: Exact::new("a user has at most one ticket a day, in the hours of tickets"),
            succeeded: 0,
            many: 0,
            charge_seconds: Pit::default(),
            ticket_seconds: Pit::default(),
            early_tickets: 0,
            users: 0,
        }
    }

    pub(super) fn add(&mut self, user: &User) {
        self.users += 1;
        let (billing, tickets) = (&self.config.billing, &self.config.tickets);
        let mut charges: BTreeMap<i64, bool> = BTreeMap::new();
        let mut ticket_days: HashSet<i64> = HashSet::new();
        let mut last = i64::MIN;
        let hours = |from: u32, to: u32| (i64::from(from) * 3_600, i64::from(to) * 3_600);
        for event in &user.events {
            let (day, second) = day_and_second(self.config, event.time);
            last = last.max(day);
            let salt = mix(event.time.0 as u64 ^ user.id.number() as u64);
            let place = || format!("{} of user {} at {}", event.event_type.name(), user.id, event.time);
            match event.event_type {
                EventType::PaymentSuccess | EventType::PaymentFailed => {
                    let success = event.event_type == EventType::PaymentSuccess;
                    let (from, to) = hours(billing.from_hour, billing.to_hour);
                    let on_day = self.attempts.iter().any(|attempt| attempt.day == day);
                    let first = charges.insert(day, success).is_none();
                    self.charged.hold(user.is_paid && on_day && first && (from..to).contains(&second), place);
                    self.charge_seconds.add(second_place(second, from, to - from, salt));
                    self.many += 1;
                    self.succeeded += u64::from(success);
                }
                EventType::SupportTicket => {
                    let (from, to) = hours(tickets.from_hour, tickets.to_hour);
                    self.tickets_daily.hold(ticket_days.insert(day) && (from..to).contains(&second), place);
                    self.ticket_seconds.add(second_place(second, from, to - from, salt));
                    self.early_tickets += u64::from(day <= i64::from(first_churn_day(self.config)));
                }
                _ => {}
            }
        }
        if user.is_paid {
            self.invoices(user, &charges, last);
        }
    }

    /// A user's charges against the calendar of attempts.
    fn invoices(&mut self, user: &User, charges: &BTreeMap<i64, bool>, last: i64) {
        let monthly = self.config.billing.mode == BillingMode::Monthly;
        let mut settled = false;
        for attempt in &self.attempts {
            settled &= attempt.number > 0;
            let charge = charges.get(&attempt.day);
            let place = || format!("user {} on {}", user.id, self.config.window.start.plus(attempt.day as i32));
            if monthly && settled {
                self.charged.hold(charge.is_none(), place);
                continue;
            }
            // Everybody lives through the days up to the first on which anybody churns; later, until the last event at least.
            if attempt.day <= last.max(i64::from(first_churn_day(self.config))) {
                self.due.hold(charge.is_some(), place);
            }
            settled |= charge.copied().unwrap_or(false);
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Distribution;
        board.exact(self.charged);
        board.exact(self.due);
        board.exact(self.tickets_daily);
        if self.many > 0 {
            let found = Found::share(self.succeeded, self.many, self.config.billing.success_probability);
            board.test(group, "the share of charges that succeed", found);
            board.test(group, "the second of charges within their hours", Found::places(&self.charge_seconds));
        } else {
            board.skip(group, "the share of charges that succeed", "there are no charges");
        }
        let days = self.users * (u64::from(first_churn_day(self.config)) + 1);
        board.test(group, "tickets a day, before anybody churns", Found::share(self.early_tickets, days, self.config.tickets.probability));
        if self.ticket_seconds.n() > 0 {
            board.test(group, "the second of tickets within their hours", Found::places(&self.ticket_seconds));
        } else {
            board.skip(group, "the second of tickets within their hours", "there are no tickets");
        }
    }
}
