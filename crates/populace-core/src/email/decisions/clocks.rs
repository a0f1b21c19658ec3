//! On whose clock slots are, and whose days windows begin with.

use super::super::zones::{Clock, SendClock, Zone, Zones};
use super::{MINUTES_OF_DAY, PolicyClock, PolicyConfig};
use crate::time::{DAY, HOUR, Instant, MINUTE, UtcOffset};

/// The clock of the slots and that of the days.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clocks {
    /// The clock of the slots minus UTC, microseconds, where it is nobody's own.
    offset: i64,
    /// The recipients' zones; none where one clock is everybody's.
    zones: Box<[Zone]>,
    slots_by_zone: bool,
    days_by_zone: bool,
    /// Minutes that the recipients' clocks are ahead of UTC, in order.
    aheads: Box<[i16]>,
    /// P(time of day < minute) of scheduled sends, on the clock of the days, where recipients have zones.
    before: Box<[f64]>,
}

impl Clocks {
    pub(super) fn new(own: &PolicyConfig, timezone: UtcOffset, zones: Option<&Zones>, before: &[f64]) -> Self {
        let offset = if own.clock == PolicyClock::Utc { 0 } else { i64::from(timezone.minutes()) * MINUTE };
        Self {
            offset,
            zones: zones.map_or_else(Box::default, |zones| zones.list().into()),
            slots_by_zone: zones.is_some() && own.clock == PolicyClock::Recipient,
            days_by_zone: zones.is_some_and(|zones| zones.clock == SendClock::Recipient),
            aheads: zones.map_or_else(|| vec![timezone.minutes()], Zones::all_offsets).into(),
            before: if zones.is_some() { before.into() } else { Box::default() },
        }
    }

    /// The clock of the slots minus UTC for somebody whose clock is so many minutes ahead, microseconds.
    pub(super) fn offset_of_slots(&self, ahead: i16) -> i64 {
        if self.slots_by_zone { i64::from(ahead) * MINUTE } else { self.offset }
    }

    /// Minutes that recipients' clocks may be ahead of UTC.
    pub(super) fn aheads(&self) -> &[i16] {
        &self.aheads
    }

    /// Which of these a recipient's clock is at a moment.
    #[inline]
    pub(super) fn ahead(&self, zone: u8, at: Instant) -> usize {
        if self.aheads.len() == 1 {
            return 0;
        }
        let ahead = Clock::Zone(&self.zones[usize::from(zone)]).ahead(at);
        self.aheads.binary_search(&ahead).unwrap_or_else(|next| next.min(self.aheads.len() - 1))
    }

    /// Whether recipients have zones.
    #[inline]
    pub(super) fn has_zones(&self) -> bool {
        !self.zones.is_empty()
    }

    /// Whether the days are those of the clock of the slots.
    pub(super) fn is_one(&self) -> bool {
        self.slots_by_zone == self.days_by_zone
    }

    fn zone(&self, zone: u8, is_own: bool) -> Option<&Zone> {
        self.zones.get(usize::from(zone)).filter(|_| is_own)
    }

    /// What the clock of the slots shows, microseconds.
    #[inline]
    pub(super) fn wall(&self, zone: u8, at: Instant) -> i64 {
        self.zone(zone, self.slots_by_zone).map_or(at.0 + self.offset, |zone| Clock::Zone(zone).local(at).0)
    }

    /// When it first shows that.
    pub(super) fn instant(&self, zone: u8, wall: i64) -> Instant {
        self.zone(zone, self.slots_by_zone).map_or(Instant(wall - self.offset), |zone| zone.instant(Instant(wall)))
    }

    /// What the clock of the days shows.
    pub(super) fn of_days(&self, zone: u8, at: Instant) -> i64 {
        self.zone(zone, self.days_by_zone).map_or(at.0, |zone| Clock::Zone(zone).local(at).0)
    }

    /// When it first shows that.
    pub(super) fn instant_of_days(&self, zone: u8, wall: i64) -> Instant {
        self.zone(zone, self.days_by_zone).map_or(Instant(wall), |zone| zone.instant(Instant(wall)))
    }

    /// The share of a day's scheduled mail that goes out between two moments, whose distance is less than a day. What would go out in an
    /// hour that clocks pass over goes out an hour later.
    pub(super) fn scheduled(&self, zone: u8, from: Instant, until: Instant) -> f64 {
        if until <= from {
            return 0.0;
        }
        let share = |from: i64, until: i64| {
            let before = |wall: i64| self.before[(wall.rem_euclid(DAY) / MINUTE) as usize % MINUTES_OF_DAY];
            let days = until.div_euclid(DAY) - from.div_euclid(DAY);
            if until > from { days as f64 + before(until) - before(from) } else { 0.0 }
        };
        let (first, last) = (self.of_days(zone, from), self.of_days(zone, until.plus(-1)) + 1);
        let Some(own) = self.zone(zone, self.days_by_zone) else { return share(first, last) };
        let passed = own.changes().find_map(|(at, ahead)| {
            let over = i64::from(ahead - Clock::Zone(own).ahead(at.plus(-1))) * MINUTE;
            let shown = Clock::Zone(own).local(at).0;
            (over > 0 && at < until && from < at.plus(over)).then_some((shown - over, shown, over))
        });
        let moved = passed.map_or(0.0, |(begin, end, over)| share(begin.max(first - over), end.min(last - over)));
        // From before clocks are turned to after that, an hour of what they show is none.
        let gap = passed.map_or(0.0, |(begin, end, _)| if first < begin && last > end { share(begin, end) } else { 0.0 });
        share(first, last) - gap + moved
    }
}

/// By how much clocks are turned: a slot that is shorter may be passed over, or met twice.
pub(super) const TURN: i64 = HOUR;
