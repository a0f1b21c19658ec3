//! When opens and clicks fall.

use super::latency::minutes;
use super::volumes::day;
use super::{Recipient, window};
use crate::email::Law;
use crate::email::delay::{Delay, microseconds};
use crate::email::history::History;
use crate::stats::{Pit, merge_fields};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Found};
use crate::verify::kit::{self, Independence, Series};
use populace_core::email::{DelaysConfig, HOURS_OF_WEEK, hour_of_week};
use populace_core::time::{HOUR, Instant, MINUTE, SECOND};

/// Delays of opens by persona, of clicks, and the hours into which opens fall.
pub(super) struct Delays<'a> {
    law: &'a Law<'a>,
    opens: Vec<Pit>,
    clicks: Series,
    open_series: Series,
    open_parts: Independence,
    click_parts: Independence,
    /// Opens and clicks at whole seconds.
    whole: [u64; 2],
    /// By habit.
    attention: Vec<[f64; HOURS_OF_WEEK]>,
    /// What mixes in open delays, with its probability.
    components: Vec<(f64, DelaysConfig)>,
    /// Hours, and days, of each persona.
    own_hours: Calibration<(usize, &'static str)>,
    open_seconds: Pit,
    click_seconds: Pit,
}

merge_fields!(Delays<'_> { opens, clicks, open_series, open_parts, click_parts, whole, own_hours, open_seconds, click_seconds } same { law, attention, components });

impl<'a> Delays<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let config = law.config();
        let by = [("hour", 24), ("day of the week", 7), ("persona", law.personas().len()), ("day", kit::days(config.window.days as usize))];
        Self {
            law,
            opens: vec![Pit::default(); law.personas().len()],
            clicks: Series::default(),
            open_series: Series::default(),
            open_parts: Independence::equal(kit::PARTS, &by),
            click_parts: Independence::equal(kit::PARTS, &by),
            whole: [0; 2],
            attention: law.model().habits().iter().map(|habit| config.attention.of(config.open_delay, &habit.own)).collect(),
            components: law.config().open_components(),
            own_hours: Calibration::new("opens fall into a persona's own hours and days as its attention says"),
            open_seconds: Pit::default(),
            click_seconds: Pit::default(),
        }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        let config = self.law.config();
        for message in &recipient.history.messages {
            let (Some(delivered), Some(opened)) = (message.delivered, message.opened) else { continue };
            self.open_seconds.add(opened.0.rem_euclid(MINUTE) as f64 / MINUTE as f64);
            let delay = self.law.open_delay_of(&recipient.person, delivered);
            let position = place(&delay, recipient.person.habit.into(), opened, recipient.history);
            self.opens[recipient.persona].add(position);
            self.open_series.add(position);
            let of_day = |moment| kit::day_of(day(window(config).begin(), recipient.on_days(moment)), config.window.days as usize);
            let by = |moment: Instant| [usize::from(moment.hour()), usize::from(moment.weekday()), recipient.persona, of_day(moment)];
            self.open_parts.add(kit::part(position), &by(delivered));
            self.whole[usize::from(opened.0 % SECOND == 0)] += 1;
            if delay.silenced(recipient.person.habit.into(), delay.end(), recipient.history) == 0.0 {
                self.hours(recipient, delivered, opened);
            }
            if let Some(clicked) = message.clicked {
                self.click_seconds.add(clicked.0.rem_euclid(MINUTE) as f64 / MINUTE as f64);
                let position = place(&self.law.click_delay(opened), 0, clicked, recipient.history);
                self.clicks.add(position);
                self.click_parts.add(kit::part(position), &by(opened));
                self.whole[usize::from(clicked.0 % SECOND == 0)] += 1;
            }
        }
        self.open_series.end_actor(recipient.id());
        self.clicks.end_actor(recipient.id());
    }

    /// Whether an open falls into the persona's peak hours, and its active days, against the mass of attention there.
    fn hours(&mut self, recipient: &Recipient<'_>, delivered: Instant, opened: Instant) {
        let persona = &self.law.model().habits()[usize::from(recipient.person.habit)].own;
        if persona.is_flat() {
            return;
        }
        let attention = &self.attention[usize::from(recipient.person.habit)];
        let local = recipient.local(delivered);
        let (mut at_peak, mut active) = (0.0, 0.0);
        for (weight, law) in &self.components {
            let (begin, end) = (local.plus(microseconds(law.min_minutes)), local.plus(microseconds(law.max_minutes)));
            let (mut at, mut left, mut total, mut own) = (begin, 1.0, 0.0, [0.0; 2]);
            while at < end {
                let next = Instant((at.0.div_euclid(HOUR) + 1) * HOUR).min(end);
                let after = (-minutes(next, begin) / law.mean_minutes).exp();
                let hour = hour_of_week(at);
                let (peak, day) = persona.own(hour);
                let mass = (left - after) * attention[hour];
                total += mass;
                own[0] += if peak { mass } else { 0.0 };
                own[1] += if day { mass } else { 0.0 };
                (left, at) = (after, next);
            }
            at_peak += weight * (own[0] / total);
            active += weight * (own[1] / total);
        }
        let (peak, day) = persona.own(hour_of_week(local.plus(opened.since(delivered))));
        if !persona.peak_hours.is_empty() {
            self.own_hours.add_to((recipient.persona, "peak hours"), at_peak, peak);
        }
        if persona.active_days.len() < 7 {
            self.own_hours.add_to((recipient.persona, "active days"), active.min(1.0), day);
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Distribution;
        let personas = self.opens.iter().zip(self.law.personas()).filter(|(sample, _)| sample.n() > 0);
        let found = Found::worst(personas.map(|(sample, persona)| (&persona.name, Found::places(sample))));
        board.try_test(group, "delays of opens by persona", found);
        if self.clicks.sample().n() > 0 {
            board.test(group, "delays of clicks", Found::places(self.clicks.sample()));
        } else {
            board.skip(group, "delays of clicks", "there are no clicks");
        }
        let seconds = [("opens", self.open_seconds), ("clicks", self.click_seconds)];
        let seconds = seconds.into_iter().filter(|(_, sample)| sample.n() > 0).map(|(what, sample)| (what, Found::places(&sample)));
        board.try_test(group, "the second within the minute of opens and clicks", Found::worst(seconds));
        let found = [
            self.open_parts.found("opens"),
            self.click_parts.found("clicks"),
            self.open_series.found("opens"),
            self.clicks.found("clicks"),
        ];
        kit::report(board, "delays do not depend on anything else", found.concat());
        let own = [("opens", self.open_series.of_actors()), ("clicks", self.clicks.of_actors())];
        kit::report_actors(board, "no recipient opens or clicks sooner or later than others", own);
        let [others, whole] = self.whole;
        let name = "opens and clicks have millisecond resolution: one in a thousand is at a whole second";
        board.test(group, name, Found::share(whole, whole + others, 1e-3));
        let label = |(persona, what): (usize, &str)| format!("{}, {what}", self.law.personas()[persona].name);
        self.own_hours.report_as(board, Group::Calibration, 0.0, label);
    }
}

/// The place of a moment within its law, given that no circuit breaker's window holds it.
fn place(delay: &Delay<'_>, kind: usize, moment: Instant, history: &History) -> f64 {
    delay.unsuppressed(kind, moment, history) / delay.unsuppressed(kind, delay.end(), history)
}
