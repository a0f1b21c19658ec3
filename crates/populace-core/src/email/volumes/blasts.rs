//! The rows of messages, and what blasts bring forth.

use super::super::arrivals::Outcome;
use super::super::blast::{Blast, BlastClock};
use super::super::config::DecidedAt;
use super::super::events::EventType;
use super::super::leaving::Leaving;
use super::super::people::Person;
use super::{Calendar, DAY, HabitHour, Hour, Mail, NODES, Volumes, interpolated, put, spread};
use crate::time::{Instant, MINUTE};
use std::ops::Range;

/// Places in a queue that stand for all.
const PLACES: usize = 32;

impl Calendar<'_> {
    /// Minutes from the window's start to a blast.
    fn moment_of(&self, blast: &Blast) -> f64 {
        let shift = if blast.clock == BlastClock::Utc { self.to_utc } else { self.to_local };
        blast.wall.plus(-shift).since(self.model.window.begin()) as f64 / MINUTE as f64
    }

    /// Adds the blasts within some minutes to the distribution of a number of sends; `sent` is the share of sends that nothing stops.
    pub(super) fn add_blasts(&self, counts: &mut [f64], within: Range<f64>, sent: f64) {
        for blast in self.model.blasts().iter().filter(|blast| within.contains(&self.moment_of(blast))) {
            let chance = sent * blast.share;
            for count in (0..counts.len() - 1).rev() {
                counts[count + 1] += counts[count] * chance;
                counts[count] *= 1.0 - chance;
            }
        }
    }

    /// Messages of the blasts of a day, and those with the factors of their campaigns on unsubscribes.
    pub(super) fn blasted_on(&self, day: u32, leaving: &Leaving) -> [f64; 2] {
        let of_day = self.model.blasts().iter().filter(|blast| (self.moment_of(blast) / DAY) as u32 == day);
        of_day.fold([0.0; 2], |[all, weighed], blast| {
            [all + blast.share, weighed + blast.share * leaving.campaign(usize::from(blast.campaign))]
        })
    }

    /// The blasts of some days, each with its place among the days.
    pub(super) fn blasts_near(&self, days: Range<u32>) -> Vec<(u32, u64)> {
        let placed = self.model.blasts().iter().map(|blast| ((self.moment_of(blast) / DAY) as u32, blast.ordinal()));
        placed.filter(|(day, _)| days.contains(day)).map(|(day, ordinal)| (day - days.start, ordinal)).collect()
    }

    /// Adds what blasts bring forth.
    pub(super) fn blasts(&self, people: &[Vec<(Person, f64)>], volumes: &mut [Volumes]) {
        for blast in self.model.blasts() {
            let moment = self.moment_of(blast);
            let day = (moment / DAY) as u32;
            let due = if self.suppresses { self.not_suppressed(&[moment]) } else { 1.0 };
            let present = self.survival.as_ref().map_or(1.0, |of| of.present(day));
            let scanned = self.survival.as_ref().map_or(1.0, |of| of.scanned(&[day]));
            let [alive, bounced] = self.arrivals.living(day as usize..day as usize + 1);
            let sent_at = self.utc(moment);
            let mean = self.arrivals.outcome;
            let outcome = self.model.attempts().map_or(mean, |law| law.outcome_by(f64::from(u8::from(law.is_busy(sent_at)))));
            let arriving = if mean.delivered > 0.0 { alive * outcome.delivered / mean.delivered } else { 0.0 };
            let minute = moment.rem_euclid(DAY);
            let of_minute = interpolated(&self.occasions, minute + 0.5) - interpolated(&self.occasions, minute - 0.5);
            let campaign = Some(usize::from(blast.campaign));
            let outlook = Hour { calendar: self, moment, triggered: None, of_minute, campaign };
            let mails = [Mail::new(blast.share, &self.model.effects.expected(&outlook)), Mail::NONE];
            let content = self.clicked_for_content(moment, &[(&mails[0], campaign)]);
            let middle = moment + 0.5 * blast.seconds / 60.0;
            let of_habit = |habit: usize| self.engaged(&people[habit], &self.hour_of(blast, habit), (middle, content), &mails);
            let of_habit: Vec<[f64; 2]> = (0..people.len()).map(of_habit).collect();
            for (of_habit, sum) in of_habit.chunks(self.model.shifts()).zip(volumes.iter_mut()) {
                let engaged = [0, 1].map(|step: usize| of_habit.iter().map(|engaged| engaged[step]).sum::<f64>() * arriving);
                let all = blast.share * due;
                let events = self.events(all, [alive, bounced], outcome, engaged, scanned);
                sum.add(&Volumes { blasted: events[EventType::Sent as usize], events, ..Volumes::default() }, present);
                sum.events[EventType::Dropped as usize] += (1.0 - present) * all;
            }
        }
    }

    /// A moment, in UTC.
    fn utc(&self, moment: f64) -> Instant {
        self.model.window.begin().plus((moment * MINUTE as f64) as i64).plus(self.to_utc)
    }

    /// Recipients of a habit when a blast comes.
    fn hour_of(&self, blast: &Blast, habit: usize) -> HabitHour {
        let moment = self.moment_of(blast);
        let latencies = self.latencies(self.model.latency_cell(self.utc(moment)));
        let queue = spread(0.0, blast.seconds / 60.0, PLACES);
        let waits: Vec<f64> = queue.flat_map(|queue| latencies.iter().map(move |late| queue + late)).collect();
        let person = self.model.person(habit, 1.0, 1.0);
        let people = [0.0, 1.0].map(|timing_k| Person { timing_k, ..person });
        let mut factors = Vec::new();
        for minutes in &waits {
            let late = if self.model.decided_at == DecidedAt::Send { 0.0 } else { *minutes };
            let local = self.local(moment + late);
            let at = people.each_ref().map(|person| self.model.effects.by_clock(1.0, person, local, self.ahead));
            put(&mut factors, at, 1.0 / waits.len() as f64);
        }
        let middle = self.local(moment + 0.5 * blast.seconds / 60.0);
        HabitHour { factors: [factors, Vec::new()], delays: self.model.opening.nodes(habit, middle, NODES) }
    }

    /// The rows of so many messages that are due, given P(an address exists), P(a message bounces because it does not), what becomes of
    /// messages, those that people open and click, and how much more often than others those behind a scanner are still there.
    pub(super) fn events(
        &self,
        all: f64,
        [alive, bounced]: [f64; 2],
        outcome: Outcome,
        engaged: [f64; 2],
        scanned: f64,
    ) -> [f64; EventType::SIMULATED.len()] {
        let mut events = [0.0; EventType::SIMULATED.len()];
        let delivered = outcome.delivered * alive * all;
        events[EventType::Sent as usize] = all * (alive + bounced);
        events[EventType::Delivered as usize] = delivered;
        events[EventType::Deferred as usize] = outcome.deferrals * alive * all;
        events[EventType::Bounced as usize] = (outcome.given_up * alive + bounced) * all;
        events[EventType::Dropped as usize] = (1.0 - alive - bounced) * all;
        [events[EventType::Opened as usize], events[EventType::Clicked as usize]] = engaged;
        if let Some(machine) = self.model.machine_opens() {
            events[EventType::Opened as usize] = machine.rows(delivered, engaged[0]);
        }
        if let Some(scanners) = self.model.scanners() {
            let [opened, clicked] = scanners.rows(scanned * delivered);
            events[EventType::Opened as usize] += opened;
            events[EventType::Clicked as usize] += clicked;
        }
        events
    }
}
