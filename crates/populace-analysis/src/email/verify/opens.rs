//! Opens and clicks against the probability of each message, worked out from the events and the document.

use super::Recipient;
use super::latency::minutes;
use crate::email::history::decided_at;
use crate::email::{Law, Message};
use crate::stats::{PoissonBinomial, merge_fields};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Probable, WorstActor};
use populace_core::email::{Effects, EventType, Group as EventGroup, Grouping, Person, hour_of_week};
use populace_core::time::{Date, HOUR, Instant};
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

/// How effects group messages.
fn groupings(effects: &Effects) -> impl Iterator<Item = &'static Grouping> {
    effects.present().filter_map(|about| about.grouping.as_ref())
}

/// Hours beyond which a send before matters to nobody, and hours that make a group.
const FAR_HOURS: f64 = 48.0;
const GROUP_HOURS: f64 = 4.0;
/// Groups of probabilities.
const SHARES: f64 = 20.0;
/// What may have become of the message before.
const OUTCOMES: [&str; 3] = ["neither", "opened", "clicked"];
const DAYS_OF_WEEK: u64 = 7;

/// Opens and clicks by what may matter to them: by [`GROUPS`], each group a number, and by effects.
pub(super) struct Opens<'a> {
    law: &'a Law<'a>,
    by_open: Vec<Calibration<u64>>,
    by_click: Vec<Calibration<u64>>,
    effects: [Vec<Calibration>; 2],
    recipients: WorstActor,
}

merge_fields!(Opens<'_> { by_open, by_click, effects, recipients } same { law });

impl<'a> Opens<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let effects = law.model().effects();
        let [opens, clicks] = [|of: &Grouping| of.opens, |of: &Grouping| of.clicks]
            .map(|name| groupings(effects).map(|of| Calibration::new(name(of))).collect());
        Self {
            law,
            by_open: GROUPS.iter().map(|of| Calibration::new(of.0)).collect(),
            by_click: GROUPS.iter().map(|of| of.1).filter(|name| !name.is_empty()).map(Calibration::new).collect(),
            effects: [opens, clicks],
            recipients: WorstActor::default(),
        }
    }

    /// Adds a recipient; gives its opens against what was expected of them.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>) -> PoissonBinomial {
        let config = recipient.config();
        let mut before: Option<Instant> = None;
        let mut own = Probable::default();
        let mut outcome = None;
        let mut of_effects = Vec::new();
        for (message, trigger) in recipient.sends() {
            let since = before.map_or(FAR_HOURS, |before| message.sent.since(before) as f64 / HOUR as f64);
            before = Some(message.sent);
            let Some((p_open, p_click)) = self.law.drifted(&recipient.person, message) else { continue };
            let Some(moment) = decided_at(config, message) else { continue };
            let p = p_open * (1.0 - self.law.p_open_dropped(&recipient.person, message, recipient.history));
            let (is_open, is_click) = (message.opened.is_some(), message.clicked.is_some());
            own.add(p, is_open);
            let groups = self.groups(recipient, message, recipient.local(moment), since, p_open, trigger, outcome);
            outcome = Some(if is_click { 2 } else { u64::from(is_open) });
            let Some(at) = self.law.circumstances(&recipient.person, message) else { continue };
            of_effects.clear();
            of_effects.extend(groupings(self.law.model().effects()).map(|grouping| (grouping.label)(self.law.model().effects(), &at)));
            let put = |calibrations: &mut [Calibration<u64>], effects: &mut [Calibration], p: f64, hit: bool| {
                for (calibration, group) in calibrations.iter_mut().zip(groups) {
                    if let Some(group) = group {
                        calibration.add_to(group, p, hit);
                    }
                }
                effects.iter_mut().zip(&of_effects).for_each(|(calibration, label)| calibration.add(label, p, hit));
            };
            let [opens, clicks] = &mut self.effects;
            put(&mut self.by_open, opens, p, is_open);
            if let Some(opened) = message.opened {
                let p = p_click * (1.0 - self.law.p_click_dropped(opened, recipient.history));
                put(&mut self.by_click, clicks, p, is_click);
            }
        }
        self.by_open.iter_mut().chain(&mut self.by_click).for_each(Calibration::end_actor);
        self.effects.iter_mut().flatten().for_each(Calibration::end_actor);
        let opens = own.sum.clone();
        self.recipients.add(recipient.id(), own, self.law.drift().variance());
        opens
    }

    /// The groups that a message belongs to, as in [`GROUPS`].
    #[expect(clippy::too_many_arguments, reason = "each is a thing to group by")]
    fn groups(
        &self,
        recipient: &Recipient<'_>,
        message: &Message,
        local: Instant,
        since: f64,
        p_open: f64,
        trigger: Option<EventType>,
        before: Option<u64>,
    ) -> [Option<u64>; GROUPS.len()] {
        let persona = recipient.persona as u64;
        let (peak, active) = self.law.model().habits()[usize::from(recipient.person.habit)].own.own(hour_of_week(local));
        let date = message.delivered.unwrap_or(message.sent).date();
        let (year, month, _) = date.ymd();
        let weekday = u64::from(local.weekday());
        // The latest window that ended before the open was decided, by its kind and the time since, in tenths of its length.
        let breakers = self.law.model().occasion(EventGroup::Breaker);
        let after = recipient.breakers.iter().rev().find_map(|(time, kind)| {
            let lasts = breakers?.happenings.iter().find(|known| known.event_type == *kind)?.within;
            let hours = (lasts / HOUR) as f64;
            let moment = decided_at(recipient.config(), message)?;
            let past = minutes(moment, *time) / 60.0 - hours;
            (0.0..0.3 * hours).contains(&past).then(|| 10 * *kind as u64 + (past / (0.1 * hours)).round_ties_even() as u64)
        });
        [
            Some(0),
            Some(persona),
            Some(12 * year as u64 + u64::from(month) - 1),
            Some(4 * persona + 2 * u64::from(peak) + u64::from(active)),
            Some(date.0 as u64),
            Some((since.min(FAR_HOURS) / GROUP_HOURS) as u64),
            Some(DAYS_OF_WEEK * persona + weekday),
            Some(weekday),
            Some(local.hour().into()),
            Some(recipient.campaigns[message.sent_row] as u64),
            Some(recipient.providers[message.sent_row] as u64),
            trigger.map(|kind| kind as u64),
            before,
            after,
            Some((p_open * SHARES) as u64),
            self.unlike_hours(&recipient.person, message),
        ]
    }

    /// The name of a group, by its place in [`GROUPS`].
    fn label(law: &Law<'_>, place: usize, group: u64) -> String {
        let persona = |index: u64| law.personas()[index as usize].name.as_str();
        match place {
            0 => "all".to_owned(),
            1 => persona(group).to_owned(),
            2 => format!("{}-{:02}", group / 12, group % 12 + 1),
            3 => {
                let (peak, active) = (if group & 2 > 0 { "peak" } else { "other" }, if group & 1 > 0 { "active" } else { "other" });
                format!("{}, {peak} hours, {active} day", persona(group / 4))
            }
            4 => Date(group as i32).to_string(),
            5 => format!("{} hours", group as f64 * GROUP_HOURS),
            6 => format!("{}, day {}", persona(group / DAYS_OF_WEEK), group % DAYS_OF_WEEK),
            7 => format!("day {group}"),
            8 => format!("hour {group}"),
            9 => law.config().campaigns.keys().nth(group as usize).map_or("unknown", String::as_str).to_owned(),
            10 => law.config().esps.keys().nth(group as usize).map_or("unknown", String::as_str).to_owned(),
            11 => EventType::ALL[group as usize].name().to_owned(),
            12 => OUTCOMES[group as usize].to_owned(),
            13 => format!("{}, by tenths {}", EventType::ALL[(group / 10) as usize].name(), group % 10),
            14 => format!("{:.2}", group as f64 / SHARES),
            _ => ["greater at delivery", "greater at sending"][group as usize].to_owned(),
        }
    }

    /// Whether the hour of sending or that of delivery has the greater timing, where they differ: only one of them decides.
    fn unlike_hours(&self, person: &Person, message: &Message) -> Option<u64> {
        let sent = self.law.timing_at(person, message.sent);
        let delivered = self.law.timing_at(person, message.delivered?);
        match sent.total_cmp(&delivered) {
            Ordering::Less => Some(0),
            Ordering::Equal => None,
            Ordering::Greater => Some(1),
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let variance = self.law.drift().variance();
        self.recipients.report(board, Group::Calibration, "opens by recipient", "");
        // Of clicks given an open, both rates vary.
        let [opens, clicks] = self.effects;
        for (groups, effects, variance) in [(self.by_open, opens, variance), (self.by_click, clicks, 2.0 * variance)] {
            for (place, calibration) in groups.into_iter().enumerate() {
                calibration.report_as(board, Group::Calibration, variance, |group| Self::label(self.law, place, group));
            }
            for calibration in effects {
                calibration.report(board, Group::Calibration, variance);
            }
        }
    }
}
