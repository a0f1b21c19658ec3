//! Clicks by the seconds after delivery, with scanners and without.

use crate::email::history::Agents;
use crate::email::{History, Message};
use crate::report::figure::{Axis, Chart, Draw, Figure, Plot, Role, Series};
use crate::source::Columns;
use crate::stats::merge_fields;
use arrow_array::RecordBatch;
use populace_core::email::{Agent, EmailConfig, EventType};
use populace_core::time::{Instant, SECOND};
use std::collections::HashMap;

/// Ends of the bins, seconds; the last bin has no end.
const ENDS: [i64; 12] = [1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 28_800, 86_400, 172_800];
const LABELS: [&str; ENDS.len() + 1] =
    ["1 s", "2 s", "5 s", "10 s", "30 s", "1 min", "5 min", "30 min", "2 h", "8 h", "1 d", "2 d", "later"];
/// Bins that end within five seconds.
const SOON: usize = 3;

/// Clicks by the time since delivery: of people, and of scanners.
#[derive(Default)]
pub(super) struct Clicks {
    people: [u64; ENDS.len() + 1],
    scanners: [u64; ENDS.len() + 1],
    pub(super) recipients: u64,
}

merge_fields!(Clicks { people, scanners, recipients });

impl Clicks {
    /// Adds a recipient of a document with scanners.
    pub(super) fn add(&mut self, config: &EmailConfig, history: &History, events: &RecordBatch) {
        if config.scanners.is_none() || events.column_by_name("user_agent").is_none() {
            return;
        }
        self.recipients += u64::from(history.is_scanned());
        let known = |message: &Message| Some((message.id, message.delivered?));
        let delivered: HashMap<u128, Instant> = history.messages.iter().filter_map(known).collect();
        let (times, types, ids) = (events.instant("timestamp"), events.text("event_type"), events.uuid("message_id"));
        let (agents, user_agents) = (Agents::new(config), events.text("user_agent"));
        for row in (0..events.num_rows()).filter(|row| types.value(*row) == EventType::Clicked.name()) {
            let Some(delivered) = ids.get(row).and_then(|id| delivered.get(&id)) else { continue };
            let since = times.value(row) - delivered.0;
            let bin = ENDS.partition_point(|end| end * SECOND <= since);
            let of = if agents.of(user_agents, row) == Agent::Scanner { &mut self.scanners } else { &mut self.people };
            of[bin] += 1;
        }
    }

    pub(super) fn figure(&self) -> Option<Figure> {
        let (scanners, people): (u64, u64) = (self.scanners.iter().sum(), self.people.iter().sum());
        if scanners == 0 {
            return None;
        }
        let of = |counts: &[u64]| counts.iter().map(|count| Some(*count as f64)).collect();
        let chart = Chart {
            x: Axis::categories("Time from delivery to the click, up to", LABELS.map(str::to_owned)),
            y: Axis::number("Clicks", "").from_zero(),
            series: vec![
                Series::new("by scanners", Role::Second, Draw::Bars, of(&self.scanners)),
                Series::new("by people", Role::Observed, Draw::Bars, of(&self.people)),
            ],
            ..Chart::default()
        };
        let soon = |counts: &[u64]| counts[..SOON].iter().sum::<u64>();
        let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let caption = format!(
            "{:.1}% of the clicks are by scanners, which visit every link of a message. {:.1}% of theirs come within five seconds of the \
             delivery, and {:.2}% of people's.",
            share(scanners, scanners + people),
            share(soon(&self.scanners), scanners),
            share(soon(&self.people), people),
        );
        Some(Figure::new("scanner-clicks", "Clicks by people and by scanners", caption, Plot::Chart(chart)))
    }
}
