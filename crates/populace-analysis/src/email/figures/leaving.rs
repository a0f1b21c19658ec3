//! Who leaves, by the mail before and over time.

use crate::email::{History, Law, Message};
use crate::report::figure::{Axis, Chart, Draw, Figure, Plot, Role, Series};
use crate::report::measure::{Rate, agreement, expected, observed, percent, wilson};
use crate::source::Texts;
use crate::stats::{Sum, merge_fields};
use populace_core::email::{Leaving, MailboxProvider};
use populace_core::time::Date;

/// More deliveries than these are one bar.
const MOST_DELIVERIES: usize = 25;
/// Days beyond these are not drawn day by day.
const MOST_DAYS: usize = 4_000;

/// What was counted of messages that may make their recipient leave.
#[derive(Default)]
pub(super) struct Leavers {
    /// Unsubscribes by the deliveries before.
    by_deliveries: Vec<Rate>,
    /// By day of the window on which it was delivered: messages that made their recipient leave, and how many were expected to.
    by_day: Vec<(u64, Sum)>,
    /// Recipients whom a scanner unsubscribed.
    scanned_out: u64,
    recipients: u64,
}

merge_fields!(Leavers { by_deliveries, by_day, scanned_out, recipients });

impl Leavers {
    pub(super) fn new(law: Option<&Law<'_>>) -> Self {
        let Some(law) = law.filter(|law| law.model().leaving().is_some()) else { return Self::default() };
        let days = law.config().window.days as usize;
        Self {
            by_deliveries: vec![Rate::default(); MOST_DELIVERIES + 1],
            by_day: vec![(0, Sum::default()); if days <= MOST_DAYS { days } else { 0 }],
            scanned_out: 0,
            recipients: 0,
        }
    }

    /// Adds a recipient; `campaigns` are those of its rows.
    pub(super) fn add(&mut self, law: &Law<'_>, leaving: &Leaving, history: &History, campaigns: Texts<'_>) {
        self.recipients += 1;
        let known = law.mailbox_of(&history.recipient_id).map(|mailbox| f64::from(u8::from(mailbox.reports)));
        let all = || MailboxProvider::ALL.iter().map(|of| MailboxProvider::SHARES[*of as usize] * of.reporting()).sum();
        let told = known.unwrap_or_else(all);
        let begin = law.config().window.start.0;
        for message in history.messages.iter().filter(|message| message.may_leave || message.scanned_out().is_some()) {
            if !message.may_leave {
                // What a scanner did says nothing of the recipient.
                self.scanned_out += 1;
                if let Some((left, expected)) = self.on(begin, message) {
                    *left += 1;
                    expected.add(1.0);
                }
                continue;
            }
            let p = p_unsubscribe(law, leaving, message, campaigns);
            let unsubscribed = message.unsubscribed.is_some();
            self.by_deliveries[(message.recent_deliveries as usize).min(MOST_DELIVERIES)].add(unsubscribed, p);
            if let Some((left, expected)) = self.on(begin, message) {
                *left += u64::from(unsubscribed || message.reported.is_some());
                expected.add(1.0 - (1.0 - p.unwrap_or(0.0)) * (1.0 - told * leaving.p_complaint(message.recent_deliveries)));
            }
        }
    }

    /// The day on which a message was delivered; `begin` is the first.
    fn on(&mut self, begin: i32, message: &Message) -> Option<&mut (u64, Sum)> {
        let day = message.delivered.and_then(|delivered| usize::try_from(delivered.date().0 - begin).ok())?;
        // What is delivered after the window's last midnight is of its last day.
        let last = self.by_day.len().saturating_sub(1);
        self.by_day.get_mut(day.min(last))
    }

    pub(super) fn unsubscribes(&self) -> u64 {
        self.scanned_out + self.by_deliveries.iter().map(|rate| rate.hits).sum::<u64>()
    }

    /// The hazard by the deliveries before.
    pub(super) fn by_frequency(&self, law: Option<&Law<'_>>) -> Option<Figure> {
        let leaving = law?.model().leaving()?;
        let rates = &self.by_deliveries;
        if rates.iter().all(|rate| rate.n == 0) {
            return None;
        }
        let days = leaving.config().days;
        let tolerated = (leaving.config().tolerated as usize).min(MOST_DELIVERIES);
        let names =
            (0..=MOST_DELIVERIES).map(|count| if count == MOST_DELIVERIES { format!("{count} or more") } else { count.to_string() });
        let chart = Chart {
            x: Axis::categories(&format!("Deliveries to the same recipient in the {days} days before"), names),
            y: Axis { max: top(rates), ..Axis::share("Unsubscribed, of delivered") },
            series: vec![observed("observed", Role::Observed, Draw::Bars, rates), expected("true", Draw::Ticks, rates)],
            ..Chart::default()
        };
        let share = |rates: &[Rate]| {
            let mut all = Rate::default();
            for rate in rates {
                all.merge(rate);
            }
            all.share().map_or_else(|| "none".into(), |share| format!("{:.3}%", 100.0 * share))
        };
        let caption = format!(
            "How many messages make their recipient unsubscribe, by how many were delivered in the {days} days before: {} after {tolerated} or \
             fewer, {} after more.{}",
            share(&rates[..=tolerated]),
            share(&rates[tolerated + 1..]),
            agreement(rates)
        );
        Some(Figure::new("unsubscribes", "Unsubscribes by the mail before", caption, Plot::Chart(chart)))
    }

    /// Who is still there, by day.
    pub(super) fn survivors(&self, law: Option<&Law<'_>>) -> Option<Figure> {
        let law = law?;
        if self.by_day.is_empty() || self.recipients == 0 {
            return None;
        }
        let (mut left, mut truth) = (0, 1.0);
        let [mut seen, mut expected] = [Vec::new(), Vec::new()];
        for (leavers, hazard) in &self.by_day {
            // The hazard of a day is what was expected of those who were still there.
            let there = (self.recipients - left) as f64;
            truth *= if there > 0.0 { (1.0 - hazard.value() / there).max(0.0) } else { 1.0 };
            left += leavers;
            seen.push(Some((self.recipients - left) as f64 / self.recipients as f64));
            expected.push(Some(truth));
        }
        let start = law.config().window.start.0;
        let last = seen.last().copied().flatten();
        let chart = Chart {
            x: Axis::categories("Day (UTC)", (0..self.by_day.len() as i32).map(|day| Date(start + day).to_string())),
            y: Axis::share("Recipients that nothing has made leave"),
            series: vec![Series::new("true", Role::Truth, Draw::Line, expected), Series::new("observed", Role::Observed, Draw::Line, seen)],
            ..Chart::default()
        };
        let caption = format!(
            "By the day of the message that made somebody unsubscribe, or complain where the sender is told: at the end {} are still there.",
            percent(last)
        );
        Some(Figure::new("survivors", "Who is still there", caption, Plot::Chart(chart)))
    }
}

/// Where the axis ends: above the intervals that say something, not those of the bars with the fewest messages.
fn top(rates: &[Rate]) -> Option<f64> {
    let most = rates.iter().map(|rate| rate.n).max()? as f64;
    let told = |rate: &&Rate| rate.n as f64 >= most / 10.0;
    let high = rates.iter().filter(told).filter_map(|rate| wilson(rate.hits, rate.n)).map(|(_, high)| high);
    let truth = rates.iter().filter(|rate| rate.n > 0).filter_map(Rate::mean_expected);
    let top = high.chain(truth).fold(0.0, f64::max);
    // Two digits.
    let step = 10.0_f64.powf(top.log10().floor() - 1.0);
    (top > 0.0).then(|| ((1.1 * top / step).ceil() * step).min(1.0))
}

/// P(unsubscribes), if the campaign is one of the document's.
fn p_unsubscribe(law: &Law<'_>, leaving: &Leaving, message: &Message, campaigns: Texts<'_>) -> Option<f64> {
    let id = campaigns.is_valid(message.sent_row).then(|| campaigns.value(message.sent_row))?;
    let campaign = law.config().campaigns.keys().position(|known| known == id)?;
    Some(leaving.p_unsubscribe(message.recent_deliveries, campaign))
}
