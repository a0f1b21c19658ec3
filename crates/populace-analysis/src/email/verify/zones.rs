//! Time zones: where recipients are, and whose clock mail follows when clocks are turned.

use super::Recipient;
use crate::email::Law;
use crate::stats::{Pit, Test, merge_fields, normal_two_sided};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Found};
use populace_core::email::{SendClock, Zones as Known};
use populace_core::time::{DAY, Instant};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Fewer sends do not tell an hour.
const FEWEST: f64 = 100.0;
const HOURS: f64 = 24.0;

/// Moments of the day as points of a circle.
#[derive(Clone, Copy, Default)]
struct Circle {
    n: f64,
    cos: f64,
    sin: f64,
    /// Of twice the angle, from which the variance follows.
    cos_2: f64,
    sin_2: f64,
}

impl crate::stats::Merge for Circle {
    fn combine(&mut self, later: Self) {
        self.n += later.n;
        self.cos += later.cos;
        self.sin += later.sin;
        self.cos_2 += later.cos_2;
        self.sin_2 += later.sin_2;
    }
}

impl Circle {
    fn add(&mut self, moment: Instant) {
        let angle = TAU * moment.0.rem_euclid(DAY) as f64 / DAY as f64;
        self.n += 1.0;
        self.cos += angle.cos();
        self.sin += angle.sin();
        self.cos_2 += (2.0 * angle).cos();
        self.sin_2 += (2.0 * angle).sin();
    }

    /// The mean direction and the variance of its estimate (Mardia and Jupp, "Directional statistics", 2000, section 4.8):
    /// (1 − ρ₂) / (2 R² n), ρ₂ the mean cosine of twice the distance from the mean direction; radians.
    fn mean(&self) -> (f64, f64) {
        let angle = self.sin.atan2(self.cos);
        let length = self.cos.hypot(self.sin) / self.n;
        let rho = (self.cos_2 * (2.0 * angle).cos() + self.sin_2 * (2.0 * angle).sin()) / self.n;
        (angle, (1.0 - rho) / (2.0 * length * length * self.n))
    }
}

/// Recipients by zone.
pub(super) struct Zones<'a> {
    law: &'a Law<'a>,
    of: &'a Known,
    recipients: Vec<u64>,
    known: u64,
    /// By zone and the minutes that its clocks were ahead of UTC: scheduled sends, on the clock that sends are by, and in UTC.
    sends: BTreeMap<(u8, i16), (Pit, Circle)>,
    opens: Calibration<u8>,
    clicks: Calibration<u8>,
}

merge_fields!(Zones<'_> { recipients, known, sends, opens, clicks } same { law, of });

impl<'a> Zones<'a> {
    pub(super) fn new(law: &'a Law<'a>, zones: &'a Known) -> Self {
        Self {
            law,
            of: zones,
            recipients: vec![0; zones.list().len()],
            known: 0,
            sends: BTreeMap::new(),
            opens: Calibration::new("opens by time zone"),
            clicks: Calibration::new("clicks of opens by time zone"),
        }
    }

    /// Adds a recipient; `shows_opens` is whether its rows say when it opens.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>, shows_opens: bool) {
        let (own, model) = (recipient.person.zone, self.law.model());
        self.recipients[usize::from(own.zone)] += 1;
        self.known += u64::from(own.is_known);
        let clock = model.clock(own.zone);
        for (message, trigger) in recipient.sends() {
            if trigger.is_none() && message.blast.is_none() {
                let (places, utc) = self.sends.entry((own.zone, clock.ahead(message.sent))).or_default();
                places.add(model.calendar().before_by(recipient.on_days(message.sent), recipient.config().minute_of_sends()));
                utc.add(message.sent);
            }
            let Some((p_open, p_click)) = self.law.drifted(&recipient.person, message).filter(|_| shows_opens) else { continue };
            let dropped = self.law.p_open_dropped(&recipient.person, message, recipient.history);
            self.opens.add_to(own.zone, p_open * (1.0 - dropped), message.opened.is_some());
            if let Some(opened) = message.opened {
                let dropped = self.law.p_click_dropped(opened, recipient.history);
                self.clicks.add_to(own.zone, p_click * (1.0 - dropped), message.clicked.is_some());
            }
        }
        self.opens.end_actor();
        self.clicks.end_actor();
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Distribution;
        let list = self.of.list();
        let name = |zone: u8| list[usize::from(zone)].name;
        board.test(group, "time zones of recipients", Found::cells(&self.recipients, self.of.shares(), "the document's weights"));
        let all = self.recipients.iter().sum();
        board.test(group, "recipients whose time zone is known", Found::share(self.known, all, self.of.known_share));
        let label = |(zone, ahead): (u8, i16)| format!("{}, {ahead} minutes ahead of UTC", name(zone));
        let places =
            self.sends.iter().filter(|(_, (places, _))| places.n() > 0).map(|(at, (places, _))| (label(*at), Found::places(places)));
        board.try_test(group, "the moment of the day of scheduled sends by zone, before and after clocks are turned", Found::worst(places));
        let turned = self.sends.iter().zip(self.sends.iter().skip(1)).filter_map(|((at, (_, first)), (next, (_, second)))| {
            let enough = at.0 == next.0 && first.n.min(second.n) >= FEWEST;
            let by = f64::from(next.1 - at.1) / 60.0;
            let expected = if self.of.clock == SendClock::Recipient { -by } else { 0.0 };
            enough.then(|| (format!("{}, clocks turned by {by} h", name(at.0)), moved(first, second, expected)))
        });
        let claim = "scheduled sends move in UTC by as much as clocks are turned";
        match Found::worst(turned) {
            Ok(found) => board.test(group, claim, found),
            Err(_) => board.skip(group, claim, "no clock is turned within the window, or too little is sent before or after"),
        }
        let variance = self.law.drift().variance();
        self.opens.report_as(board, Group::Calibration, variance, |zone| name(zone).to_owned());
        self.clicks.report_as(board, Group::Calibration, 2.0 * variance, |zone| name(zone).to_owned());
    }
}

/// By how many hours the second of two means of moments of the day lies later than the first.
fn moved(first: &Circle, second: &Circle, expected: f64) -> Found {
    let ((from, from_variance), (to, to_variance)) = (first.mean(), second.mean());
    let hours = HOURS / TAU;
    // Within half a day of what is expected.
    let distance = (to - from) * hours - expected;
    let distance = distance - HOURS * (distance / HOURS).round();
    let error = (from_variance + to_variance).sqrt() * hours;
    let z = distance / error;
    Found {
        n: (first.n + second.n) as u64,
        observed: format!("{:+.2} h", expected + distance),
        expected: format!("{expected:+} h"),
        test: Test { statistic: z, p_value: normal_two_sided(z) },
    }
}
