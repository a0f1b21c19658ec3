//! Opens and clicks against the probability of each message, worked out from the events and the document.

use super::Recipient;
use super::latency::minutes;
use crate::email::history::decided_at;
use crate::email::{Law, Message};
use crate::stats::{PoissonBinomial, merge_fields};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Probable, WorstActor};
use populace_core::email::{EFFECTS, EventType, Group as EventGroup, Grouping, hour_of_week};
use populace_core::time::{HOUR, Instant};
use std::cmp::Ordering;

/// By what opens are grouped beside their effects, and clicks, if they are, in the order of [`Opens::labels`].
const GROUPS: [(&str, &str); 16] = [
    ("opens", "clicks of opens"),
    ("opens by persona", "clicks of opens by persona"),
    ("opens by month", "clicks of opens by month"),
    ("opens by persona, own hours and own days", "clicks of opens by own hours"),
    ("opens by day of delivery", "clicks of opens by day of delivery"),
    ("opens by hours since the send before", "clicks of opens by hours since the send before"),
    ("opens by persona and day of the week", "clicks of opens by persona and day of the week"),
    ("opens by day of the week", "clicks of opens by day of the week"),
    ("opens by hour of the day", "clicks of opens by hour of the day"),
    ("opens by campaign", "clicks of opens by campaign"),
    ("opens by provider", "clicks of opens by provider"),
    ("opens of mail that a hot path triggered", "clicks of opens of mail that a hot path triggered"),
    ("opens by what became of the message before", "clicks of opens by what became of the message before"),
    ("opens after a circuit breaker's window", ""),
    ("opens by probability", ""),
    ("opens of mail sent and delivered in hours of unlike timing", ""),
];

/// By what clicks are grouped.
fn clicks() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|of| of.1).filter(|name| !name.is_empty())
}

/// How effects group messages.
fn groupings() -> impl Iterator<Item = &'static Grouping> {
    EFFECTS.iter().filter_map(|about| about.grouping.as_ref())
}

/// Hours beyond which a send before matters to nobody.
const FAR_HOURS: f64 = 48.0;

/// Opens and clicks by what may matter to them.
pub(super) struct Opens<'a> {
    law: &'a Law<'a>,
    by_open: Vec<Calibration>,
    by_click: Vec<Calibration>,
    recipients: WorstActor,
}

merge_fields!(Opens<'_> { by_open, by_click, recipients } same { law });

impl<'a> Opens<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        Self {
            law,
            by_open: GROUPS.iter().map(|of| of.0).chain(groupings().map(|grouping| grouping.opens)).map(Calibration::new).collect(),
            by_click: clicks().chain(groupings().map(|grouping| grouping.clicks)).map(Calibration::new).collect(),
            recipients: WorstActor::default(),
        }
    }

    /// Adds a recipient; gives its opens against what was expected of them.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>) -> PoissonBinomial {
        let config = recipient.config();
        let mut before: Option<Instant> = None;
        let mut own = Probable::default();
        let mut outcome: Option<&'static str> = None;
        for (message, trigger) in recipient.sends() {
            let since = before.map_or(FAR_HOURS, |before| message.sent.since(before) as f64 / HOUR as f64);
            before = Some(message.sent);
            let Some((p_open, p_click)) = self.law.drifted(recipient.persona, message) else { continue };
            let Some(moment) = decided_at(config, message) else { continue };
            let p = p_open * (1.0 - self.law.p_open_dropped(recipient.persona, message, recipient.history));
            own.add(p, message.opened.is_some());
            let labels = self.labels(recipient, message, config.timezone.local(moment), since, p_open, trigger, outcome);
            outcome = Some(if message.clicked.is_some() {
                "clicked"
            } else if message.opened.is_some() {
                "opened"
            } else {
                "neither"
            });
            let Some(at) = self.law.circumstances(recipient.persona, message) else { continue };
            let of_effects: Vec<Option<String>> = groupings().map(|grouping| Some((grouping.label)(&at))).collect();
            for (calibration, label) in self.by_open.iter_mut().zip(labels.iter().chain(&of_effects)) {
                if let Some(label) = label {
                    calibration.add(label, p, message.opened.is_some());
                }
            }
            let Some(opened) = message.opened else { continue };
            let p = p_click * (1.0 - self.law.p_click_dropped(opened, recipient.history));
            for (calibration, label) in self.by_click.iter_mut().zip(labels[..clicks().count()].iter().chain(&of_effects)) {
                if let Some(label) = label {
                    calibration.add(label, p, message.clicked.is_some());
                }
            }
        }
        self.by_open.iter_mut().chain(&mut self.by_click).for_each(Calibration::end_actor);
        let opens = own.sum.clone();
        self.recipients.add(recipient.id(), own, self.law.drift().variance());
        opens
    }

    /// The groups that a message belongs to, as in [`GROUPS`].
    #[expect(clippy::too_many_arguments, reason = "each is a thing to group by")]
    fn labels(
        &self,
        recipient: &Recipient<'_>,
        message: &Message,
        local: Instant,
        since: f64,
        p_open: f64,
        trigger: Option<EventType>,
        before: Option<&'static str>,
    ) -> [Option<String>; GROUPS.len()] {
        let name = &self.law.personas()[recipient.persona].name;
        let (peak, active) = recipient.config().personas[name].own(hour_of_week(local));
        let (year, month, _) = message.delivered.unwrap_or(message.sent).date().ymd();
        // The latest window that ended before the open was decided, by its kind and the time since, in tenths of its length.
        let breakers = self.law.model().occasion(EventGroup::Breaker);
        let after = recipient.breakers.iter().rev().find_map(|(time, kind)| {
            let lasts = breakers?.happenings.iter().find(|known| known.event_type == *kind)?.within;
            let hours = (lasts / HOUR) as f64;
            let moment = decided_at(recipient.config(), message)?;
            let past = minutes(moment, *time) / 60.0 - hours;
            (0.0..0.3 * hours).contains(&past).then(|| format!("{}, by tenths {:.0}", kind.name(), past / (0.1 * hours)))
        });
        [
            Some("all".to_owned()),
            Some(name.clone()),
            Some(format!("{year}-{month:02}")),
            Some(format!("{name}, {} hours, {} day", if peak { "peak" } else { "other" }, if active { "active" } else { "other" })),
            Some(message.delivered.unwrap_or(message.sent).date().to_string()),
            Some(format!("{:.0} hours", (since.min(FAR_HOURS) / 4.0).floor() * 4.0)),
            Some(format!("{name}, day {}", local.weekday())),
            Some(format!("day {}", local.weekday())),
            Some(format!("hour {}", local.hour())),
            Some(recipient.text("campaign_id", message.sent_row).to_owned()),
            Some(recipient.text("esp", message.sent_row).to_owned()),
            trigger.map(|kind| kind.name().to_owned()),
            before.map(str::to_owned),
            after,
            Some(format!("{:.2}", (p_open * 20.0).floor() / 20.0)),
            self.unlike_hours(recipient.persona, message),
        ]
    }

    /// Whether the hour of sending or that of delivery has the greater timing, where they differ: only one of them decides.
    fn unlike_hours(&self, persona: usize, message: &Message) -> Option<String> {
        let sent = self.law.timing_at(persona, message.sent);
        let delivered = self.law.timing_at(persona, message.delivered?);
        match sent.total_cmp(&delivered) {
            Ordering::Less => Some("greater at delivery".to_owned()),
            Ordering::Equal => None,
            Ordering::Greater => Some("greater at sending".to_owned()),
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let variance = self.law.drift().variance();
        self.recipients.report(board, Group::Calibration, "opens by recipient", "");
        for calibration in self.by_open {
            calibration.report(board, Group::Calibration, variance);
        }
        // Of clicks given an open, both rates vary.
        for calibration in self.by_click {
            calibration.report(board, Group::Calibration, 2.0 * variance);
        }
    }
}
