//! Figures of what was not delivered at once.

use super::Gathered;
use crate::email::{History, Law};
use crate::report::figure::{Axis, Chart, Draw, Figure, Plot, Role};
use crate::report::measure::{Rate, agreement, expected, observed, percent};
use crate::stats::merge_fields;
use populace_core::email::{EmailConfig, MailboxProvider};

/// Messages by what became of their attempts.
pub(super) struct Deliveries {
    /// By minute of the hour of sending, on the provider's clock: those whose first attempt was deferred.
    first: Vec<Rate>,
    /// By mailbox provider: those that bounced hard, and those that bounced after a deferral.
    bounced: [[Rate; 2]; MailboxProvider::ALL.len()],
}

merge_fields!(Deliveries { first, bounced });

impl Default for Deliveries {
    fn default() -> Self {
        Self { first: vec![Rate::default(); 60], bounced: [[Rate::default(); 2]; MailboxProvider::ALL.len()] }
    }
}

impl Deliveries {
    pub(super) fn add(&mut self, config: &EmailConfig, law: Option<&Law<'_>>, history: &History) {
        let address = law.and_then(|law| law.address_of(&history.recipient_id));
        let attempts = law.and_then(|law| law.model().attempts());
        for message in &history.messages {
            let Some(answered) = message.answered else { continue };
            let probability = attempts.zip(address.as_ref()).map(|(attempts, address)| {
                if address.is_dead(answered) {
                    0.0
                } else if address.full.iter().any(|(from, until)| *from <= answered && answered < *until) {
                    1.0
                } else {
                    attempts.first(address.provider, attempts.is_busy(message.sent)).iter().product()
                }
            });
            let minute = usize::from(config.esp_timezone.local(message.sent).minute());
            self.first[minute].add(message.deferrals > 0, probability);
            if let Some(address) = &address {
                let [hard, soft] = &mut self.bounced[address.provider as usize];
                let is_hard = message.bounced.is_some_and(|at| address.is_dead(at));
                hard.add(is_hard, None);
                soft.add(message.bounced.is_some() && !is_hard, None);
            }
        }
    }
}

/// First attempts deferred, by the minute of sending.
pub(super) fn by_minute(gathered: &Gathered<'_>) -> Option<Figure> {
    let rates = &gathered.deliveries.first;
    let (hits, n) = rates.iter().fold((0, 0), |(hits, n), rate| (hits + rate.hits, n + rate.n));
    if hits == 0 {
        return None;
    }
    let mut series = Vec::new();
    if gathered.law.is_some_and(|law| law.model().attempts().is_some()) {
        series.push(expected("true", Draw::Line, rates));
    }
    series.push(observed("observed", Role::Observed, Draw::Points, rates));
    let chart = Chart {
        x: Axis::categories("Minute of the hour of sending, on the provider's clock", (0..60).map(|minute| format!("{minute:02}"))),
        y: Axis::share("Deferred at the first attempt, of sent"),
        series,
        ..Chart::default()
    };
    let caption = format!(
        "{} of the messages were deferred at their first attempt: most where many send at once, and all whose mailbox was full.{}",
        percent(Some(hits as f64 / n as f64)),
        agreement(rates)
    );
    Some(Figure::new("deferrals", "Deferrals by the minute of the hour", caption, Plot::Chart(chart)))
}

/// Bounces by mailbox provider.
pub(super) fn by_provider(gathered: &Gathered<'_>) -> Option<Figure> {
    let bounced = &gathered.deliveries.bounced;
    let of = |kind: usize| -> Vec<Rate> { bounced.iter().map(|of| of[kind]).collect() };
    let total = |kind: usize| of(kind).iter().fold((0, 0), |(hits, n), rate| (hits + rate.hits, n + rate.n));
    let ([hard, soft], (_, n)) = ([total(0).0, total(1).0], total(0));
    if hard + soft == 0 {
        return None;
    }
    let series = vec![
        observed("hard: the address does not exist", Role::Observed, Draw::Bars, &of(0)),
        observed("soft: given up", Role::Second, Draw::Bars, &of(1)),
    ];
    let chart = Chart {
        x: Axis::categories("Mailbox provider", MailboxProvider::NAMES.map(str::to_owned)),
        y: Axis::share("Bounced, of sent"),
        series,
        ..Chart::default()
    };
    let share = |hits: u64| percent(Some(hits as f64 / n as f64));
    let caption =
        format!("{} of the messages bounced hard, {} soft. What is due after a hard bounce is not sent.", share(hard), share(soft));
    Some(Figure::new("bounces", "Bounces by mailbox provider", caption, Plot::Chart(chart)))
}
