//! Opens by machines: whose client opens ahead, how often, and when.

use super::Recipient;
use super::events::MACHINE_OPEN;
use super::latency::minutes;
use crate::email::Law;
use crate::source::Columns;
use crate::stats::{Pit, merge_fields};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Exact, Found};
use crate::verify::uuid;
use arrow_array::Array;
use populace_core::email::{Agent, EventType, MachineOpens};
use populace_core::time::{Instant, MINUTE};

/// Where fetches that come soon are not lost among opens.
const SOON: i64 = 20 * MINUTE;

/// Recipients whose client opens ahead, and the `opened` rows of their messages.
pub(super) struct Machines<'a> {
    law: &'a Law<'a>,
    machine: &'a MachineOpens,
    whose: Exact,
    flags: Exact,
    recipients: Calibration<()>,
    /// By persona.
    rows: Calibration<usize>,
    places: Pit,
    soon: Pit,
}

merge_fields!(Machines<'_> { whose, flags, recipients, rows, places, soon } same { law, machine });

impl<'a> Machines<'a> {
    pub(super) fn new(law: &'a Law<'a>, machine: &'a MachineOpens) -> Self {
        Self {
            law,
            machine,
            whose: Exact::new("opens are by the user agent of machines where the recipient's client opens ahead, and nowhere else"),
            flags: Exact::new("machine_open says whether an open is a machine's, of providers that say so, and is null elsewhere"),
            recipients: Calibration::new("recipients whose client opens ahead"),
            rows: Calibration::new("messages of theirs with an open, by a machine or the recipient"),
            places: Pit::default(),
            soon: Pit::default(),
        }
    }

    /// Adds a recipient; says whether its client opens ahead.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>) -> bool {
        let (history, machine) = (recipient.history, self.machine);
        let is_ahead = self.law.is_opened_ahead(recipient.id());
        self.rows(recipient);
        let mut none_shows = 1.0;
        for message in &history.messages {
            let strange = if is_ahead { message.opened } else { message.machine_opened };
            self.whose.hold(strange.is_none(), || format!("message {} of {}", uuid(message.id), recipient.id()));
            let Some(delivered) = message.delivered else { continue };
            let Some((p_open, _)) = self.law.drifted(&recipient.person, message) else { continue };
            let p_human = p_open * (1.0 - self.law.p_open_dropped(&recipient.person, message, history));
            let p_row = 1.0 - (1.0 - machine.probability) * (1.0 - p_human);
            none_shows *= 1.0 - p_row;
            if !is_ahead {
                continue;
            }
            self.rows.add_to(recipient.persona, p_row, message.machine_opened.is_some());
            let Some(shown) = message.machine_opened else { continue };
            let delay = self.law.open_delay_of(&recipient.person, delivered);
            let local = recipient.local(delivered);
            // P(a row by then).
            let by = |time: Instant| {
                let human = p_open * delay.unsuppressed(recipient.person.habit.into(), time, history);
                1.0 - (1.0 - machine.probability * machine.cdf(local, minutes(time, delivered))) * (1.0 - human)
            };
            self.places.add(by(shown) / p_row);
            let soon = delivered.plus(SOON);
            if shown < soon {
                self.soon.add(by(shown) / by(soon));
            }
        }
        self.recipients.add_to((), machine.user_share * (1.0 - none_shows), history.is_opened_ahead());
        self.rows.end_actor();
        self.recipients.end_actor();
        is_ahead
    }

    /// What every `opened` row says of machines.
    fn rows(&mut self, recipient: &Recipient<'_>) {
        let events = recipient.events;
        let flags = events.batch.bool(MACHINE_OPEN.name);
        for (row, kind) in events.kinds.iter().enumerate() {
            let is_flagged = *kind == Some(EventType::Opened) && self.machine.is_flagged(recipient.providers[row] as u8);
            let expected = is_flagged.then(|| events.agent(row) == Agent::AppleMpp);
            let found = flags.is_valid(row).then(|| flags.value(row));
            self.flags.hold(found == expected, || format!("{} of {}", events.types.value(row), recipient.id()));
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        board.exact(self.whose);
        board.exact(self.flags);
        // Drift moves the recipient's share of these rows alone.
        self.recipients.report_as(board, Group::Calibration, 0.0, |()| "all".to_owned());
        let personas = self.law.personas();
        let variance = (1.0 - self.machine.probability).powi(2) * self.law.drift().variance();
        self.rows.report_as(board, Group::Calibration, variance, |persona| personas[persona].name.clone());
        for (name, places) in [
            ("delays of opens that may be a machine's", self.places),
            ("delays of opens within 20 minutes that may be a machine's", self.soon),
        ] {
            if places.n() > 0 {
                board.test(Group::Distribution, name, Found::places(&places));
            } else {
                board.skip(Group::Distribution, name, "there are none");
            }
        }
    }
}
