//! A checked document and everything that does not depend on the recipient.

use super::address::Address;
use super::attempts::Attempts;
use super::blast::{self, Blast};
use super::calendar::{Calendar, MONDAY};
use super::campaigns::{CampaignInfo, Campaigns};
use super::config::{DecidedAt, EmailConfig};
use super::decisions::Decider;
use super::delivery::{Cell, Latency, MAX_LATENCY};
use super::effects::breaker::Breaker;
use super::effects::occasion::{Names, Occasion};
use super::effects::{Effects, INTERNAL_CAMPAIGNS};
use super::events::{EventType, Group};
use super::frame::{INTERNAL_ESP, check_frame, networks, user_agents};
use super::leaving::Leaving;
use super::machine::MachineOpens;
use super::mailbox::{Mailbox, mailbox};
use super::opening::{ClickDelay, Opening};
use super::people::{Habit, People, Person};
use super::personas::{self, Persona, Personas};
use super::policy::Policy;
use super::scanner::Scanners;
use super::world::above_0;
use super::zones::{Clock, Days, OwnZone, SendClock, Zones, furthest};
use crate::dist::{Bernoulli, UniformF64};
use crate::scenario::{Checker, ConfigError};
use crate::section;
use crate::stream::{ActorId, StreamKey};
use crate::time::{DAY, Date, Instant, MINUTE, MINUTES_PER_WEEK, SECOND, Window};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Hosts of a /24 network: .1 to .254.
const HOSTS: u32 = 254;

/// A population of recipients.
#[derive(Clone, Debug)]
pub struct EmailModel {
    pub(super) config: EmailConfig,
    pub(super) window: Window,
    pub(super) personas: Personas,
    habits: Box<[Habit]>,
    pub(super) people: Option<People>,
    zones: Option<Zones>,
    pub(super) policy: Policy,
    esps: Vec<String>,
    names: Names,
    pub(super) size_factor: UniformF64,
    pub(super) delivered: Bernoulli,
    pub(super) attempts: Option<Attempts>,
    pub(super) latency: Latency,
    pub(super) decided_at: DecidedAt,
    pub(super) effects: Effects,
    pub(super) breaker: Option<Breaker>,
    pub(super) drift: Option<UniformF64>,
    /// The first instant of every month in which something may be delivered; for the first, the window's.
    pub(super) months: Box<[Instant]>,
    pub(super) opening: Opening,
    pub(super) click_delay: ClickDelay,
    pub(super) addresses: Box<[Ipv4Addr]>,
    pub(super) machine: Option<MachineOpens>,
    pub(super) decider: Option<Box<Decider>>,
    pub(super) leaving: Option<Leaving>,
    pub(super) scanners: Option<Scanners>,
    user_agents: Vec<String>,
}

/// A row of the truth table `timing`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimingRow {
    /// Index into [`EmailModel::personas`].
    pub persona: u8,
    /// Minutes that the recipients' clock is ahead of UTC, where the factor depends on it: with `timezones`, if sends are by UTC.
    pub ahead: Option<i16>,
    /// Minute of the week in UTC, with `timezones` on the recipients' clock, 0 (Monday 00:00) to 10,079.
    pub minute_of_week: u16,
    /// The product of the factors that depend on the clock alone.
    pub factor: f64,
    /// The first minute of the week at which this persona's factor is greatest.
    pub best_minute: u16,
}

impl EmailModel {
    /// Checks a document and prepares it.
    pub(super) fn new(config: &EmailConfig) -> Result<Self, ConfigError> {
        let mut checker = section::check(config);
        let model = Self::prepared(config, &mut checker);
        checker.finish()?;
        Ok(model.expect("what could not be prepared was reported"))
    }

    fn prepared(config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        check_frame(config, checker);
        personas::check(&config.personas, checker);
        let calendar = Calendar::new(&config.sends, config.timezone);
        let zones = config.timezones.as_ref().map(|own| Zones::new(own, config, checker));
        let zones_or_none = zones.as_ref().and_then(Option::as_ref);
        let campaigns = Campaigns::new(&config.campaigns, &config.click_base_url, &INTERNAL_CAMPAIGNS, checker);
        let esps: Vec<f64> = config.esps.values().copied().collect();
        let policy = Policy::new(calendar.clone(), config.sends.per_day, &esps, campaigns, checker);
        let size_factor = config.size_factor.uniform("size_factor", checker);
        let (delivered, attempts) = config.delivery.laws(config.esp_timezone, checker);
        let attempts = attempts.map(|law| law.sent_by(config.minute_of_sends()));
        let latency = Latency::new(&config.latency, config.esp_timezone, checker);
        above_0("engagement.max_probability", config.engagement.max_probability, checker);
        let mut names = Names { sources: vec![config.chain_source.clone()], metadata: vec!["{}".to_owned()] };
        let breaker = config.circuit_breakers.as_ref().map(|breakers| Breaker::new(breakers, &mut names, checker));
        let habits = config.habits();
        // What mail says without experiments is known before them.
        let blasts = blast::new(config, &mut names, checker);
        let effects = Effects::new(config, &calendar, &habits, zones_or_none, &mut names, checker);
        let policy = policy.and_then(|policy| policy.with_seasons(&config.sends, config.window, effects.as_ref()?.season(), checker));
        let policy = policy.map(|policy| policy.with_blasts(config.minute_of_sends(), blasts));
        let drift = config.drift.as_ref().map(|drift| drift.step(checker));
        let opening = Opening::new(config, &habits, checker);
        config.click_delays.check("click_delays", 0.0, checker);
        let click_delay = ClickDelay::new(&config.click_delays, checker);
        let networks = networks(config, checker);
        let machine = config.machine_opens.as_ref().map(|own| MachineOpens::new(own, config, checker));
        let people = config.people.as_ref().map(|own| People::new(own, config, checker));
        let personas = Personas::new(&config.personas);
        if let Some(own) = &config.policy {
            own.check(config, checker);
        }
        let leaving = config.leaving.as_ref().map(|own| Leaving::new(own, config, checker));
        let scanners = config.scanners.as_ref().map(|own| Scanners::new(own, config, checker));
        if !checker.is_clean() {
            return None;
        }
        let (effects, latency) = (effects?, latency?);
        let zones = zones.flatten();
        let decider = Decider::new(config, &calendar, &effects, &latency, &habits, (&personas, zones.as_ref()));
        let policy = policy?;
        let longest = longest_delivery(attempts.as_ref(), &policy.blasts);
        let window = Window { start: config.window.start, days: config.window.days };
        Some(Self {
            window,
            months: months(window, longest + furthest(zones.as_ref())),
            zones,
            personas,
            habits: habits.into(),
            people: people.flatten(),
            policy,
            esps: config.esps.keys().cloned().chain([INTERNAL_ESP.to_owned()]).collect(),
            names,
            size_factor: size_factor?,
            delivered: delivered?,
            attempts,
            latency,
            decided_at: config.engagement.decided_at,
            effects,
            breaker: breaker.flatten(),
            drift: drift.flatten(),
            opening: opening?,
            click_delay: click_delay?,
            addresses: networks.iter().flat_map(|&network| (1..=HOSTS).map(move |host| (network + host).into())).collect(),
            machine: machine.flatten(),
            decider: decider.map(Box::new),
            leaving: leaving.flatten(),
            scanners: scanners.flatten(),
            user_agents: user_agents(config),
            config: config.clone(),
        })
    }

    /// The document.
    pub fn config(&self) -> &EmailConfig {
        &self.config
    }

    /// The personas.
    pub fn personas(&self) -> &[Persona] {
        &self.personas.list
    }

    /// The persona of an actor under the seed of `key`: an index into [`personas`](Self::personas).
    pub fn persona_of(&self, key: StreamKey, actor: ActorId) -> usize {
        self.personas.of(key, actor)
    }

    /// Who an actor is under the seed of `key`.
    pub fn person_of(&self, key: StreamKey, actor: ActorId) -> Person {
        self.person_as(self.persona_of(key, actor), key, actor)
    }

    /// Who an actor would be as one of a persona, whatever slot it takes.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn person_as(&self, persona: usize, key: StreamKey, actor: ActorId) -> Person {
        let zone = self.zone_of(key, actor);
        let actor = key.actor(actor);
        let responsiveness = self.effects.experiments().map_or(0.0, |own| own.responsiveness(&actor));
        let Some(people) = &self.people else { return Person { responsiveness, zone, ..self.typical(persona) } };
        let (open_rate, click_rate) = people.rates_of(persona, &self.personas()[persona], &actor);
        Person { responsiveness, zone, ..self.person(persona * self.shifts() + people.shift_of(&actor), open_rate, click_rate) }
    }

    /// A person with a habit and rates, in the first zone.
    ///
    /// # Panics
    /// There is no such habit.
    pub fn person(&self, habit: usize, open_rate: f64, click_rate: f64) -> Person {
        let timing_k = self.effects.timing.k(habit, open_rate);
        let persona = self.habits[habit].persona;
        Person { persona, habit: habit as u16, open_rate, click_rate, timing_k, responsiveness: 0.0, zone: OwnZone::default() }
    }

    /// Somebody with the rates of a persona and, but where nobody has them, its hours: all of its people, where people do not differ.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn typical(&self, persona: usize) -> Person {
        let Persona { open_rate, click_rate, .. } = self.personas()[persona];
        let habits = persona * self.shifts()..(persona + 1) * self.shifts();
        let habit = habits.min_by_key(|habit| self.habits[*habit].shift.unsigned_abs()).expect("a persona has a habit");
        self.person(habit, open_rate, click_rate)
    }

    /// The habits of recipients: of each persona in turn, by the shift of its peak hours.
    pub fn habits(&self) -> &[Habit] {
        &self.habits
    }

    /// The open rates between 0 and 1 at which the k of timing bends: where it leaves 1, and where it reaches 0.
    ///
    /// # Panics
    /// There is no such habit.
    pub fn timing_bends(&self, habit: usize) -> Vec<f64> {
        self.effects.timing.bends(habit)
    }

    /// How many habits each persona has.
    pub(super) fn shifts(&self) -> usize {
        self.habits.len() / self.personas().len()
    }

    /// Whether the people of a persona differ.
    pub const fn people_differ(&self) -> bool {
        self.people.is_some()
    }

    /// The shapes a and b of the Beta distribution of a persona's open rates; `None` where all of its people have its rate.
    pub fn open_rates_of(&self, persona: usize) -> Option<[f64; 2]> {
        self.people.as_ref()?.open_rates(persona)
    }

    /// As [`open_rates_of`](Self::open_rates_of), of click rate over open rate, which does not depend on the open rate.
    pub fn ratios_of(&self, persona: usize) -> Option<[f64; 2]> {
        self.people.as_ref()?.ratios(persona)
    }

    /// The zones of the recipients; `None` where one clock is everybody's.
    pub fn zones(&self) -> Option<&Zones> {
        self.zones.as_ref()
    }

    /// The zone of an actor under the seed of `key`; the first, where one clock is everybody's.
    pub fn zone_of(&self, key: StreamKey, actor: ActorId) -> OwnZone {
        self.zones.as_ref().map_or_else(OwnZone::default, |zones| zones.of(&key.actor(actor)))
    }

    /// The clock of recipients in a zone.
    ///
    /// # Panics
    /// There is no such zone.
    #[inline]
    pub fn clock(&self, zone: u8) -> Clock<'_> {
        match &self.zones {
            None => Clock::Fixed(self.config.timezone),
            Some(zones) => Clock::Zone(&zones.list()[usize::from(zone)]),
        }
    }

    /// The minutes that recipients' clocks are ahead of UTC, each with its share of recipients and days. What differs within a day on which
    /// clocks are turned is left out.
    pub fn offsets(&self) -> Vec<(i16, f64)> {
        match &self.zones {
            None => vec![(self.config.timezone.minutes(), 1.0)],
            Some(zones) => zones.offsets(self.window.begin(), self.window.days).into_iter().collect(),
        }
    }

    /// The days of recipients in a zone.
    #[inline]
    pub(super) fn days(&self, zone: u8) -> Days<'_> {
        let begin = self.window.begin();
        match (self.clock(zone), &self.zones) {
            (Clock::Zone(zone), Some(Zones { clock: SendClock::Recipient, .. })) => Days { begin, of: Some(zone), within: None },
            (Clock::Zone(zone), _) => Days { begin, of: None, within: Some(zone) },
            (Clock::Fixed(_), _) => Days { begin, of: None, within: None },
        }
    }

    /// The day of the window on which a recipient in a zone is sent a message, or something befalls it: 0 is the first; `None` outside.
    pub fn day_of(&self, zone: u8, moment: Instant) -> Option<u32> {
        let shown = self.on_days(zone, moment);
        self.window.contains(shown).then(|| (shown.since(self.window.begin()) / DAY) as u32)
    }

    /// A moment on the clock by which days are counted: that of UTC, or with `timezones` that of the recipient.
    pub fn on_days(&self, zone: u8, moment: Instant) -> Instant {
        self.days(zone).of.map_or(moment, |zone| Clock::Zone(zone).local(moment))
    }

    /// How many slots the personas have: recipients take all of them once, so many at a time.
    pub fn slots(&self) -> u64 {
        self.personas.slots()
    }

    /// The effects.
    pub fn effects(&self) -> &Effects {
        &self.effects
    }

    /// What befalls a user at most once a day: circuit breakers, then hot paths.
    pub fn occasions(&self) -> impl Iterator<Item = &Occasion> {
        self.breaker.as_ref().map(|breaker| &breaker.occasion).into_iter().chain(self.effects.interests())
    }

    /// Probability of an occasion of a group on a user's day.
    pub fn per_day(&self, group: Group) -> f64 {
        self.occasion(group).map_or(0.0, |occasion| occasion.probability)
    }

    /// Triggered messages a user and day, where circuit breakers stop none.
    pub fn triggered_per_day(&self) -> f64 {
        self.effects.triggered().map_or(0.0, |trigger| trigger.probability) * self.per_day(Group::HotPath)
    }

    /// What befalls a user at most once a day and is of a group.
    pub fn occasion(&self, group: Group) -> Option<&Occasion> {
        self.occasions().find(|occasion| occasion.group == group)
    }

    /// The factor by which seasons raise or lower the scheduled sends of a day of the window.
    pub fn volume_of(&self, day: u32) -> f64 {
        self.effects.season().map_or(1.0, |season| season.day(self.window.start.plus(day as i32)).volume)
    }

    /// Its mean over the window.
    pub fn mean_volume(&self) -> f64 {
        let days = 0..self.window.days;
        if self.effects.season().is_none() { 1.0 } else { days.map(|day| self.volume_of(day)).sum::<f64>() / f64::from(self.window.days) }
    }

    /// Whether circuit breakers stop sends.
    pub fn suppresses_sends(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.suppress_sends)
    }

    /// The weights of the hours of a day.
    pub fn calendar(&self) -> &Calendar {
        &self.policy.calendar
    }

    /// What goes to many at one moment, in the order of the document.
    pub fn blasts(&self) -> &[Blast] {
        &self.policy.blasts
    }

    /// The campaigns.
    pub fn campaigns(&self) -> &[CampaignInfo] {
        &self.policy.campaigns.infos
    }

    /// Subject lines.
    pub fn subjects(&self) -> &[String] {
        &self.policy.campaigns.subjects
    }

    /// What clicks lead to.
    pub fn click_urls(&self) -> &[String] {
        &self.policy.campaigns.click_urls
    }

    /// Names of the email service providers; the last is that of rows which none of them brought forth.
    pub fn esps(&self) -> &[String] {
        &self.esps
    }

    /// Sources.
    pub fn sources(&self) -> &[String] {
        &self.names.sources
    }

    /// JSON objects.
    pub fn metadata(&self) -> &[String] {
        &self.names.metadata
    }

    /// User agents: those of the document, then that of clients which open ahead, then those of scanners, where there are any.
    pub fn user_agents(&self) -> &[String] {
        &self.user_agents
    }

    /// The names of the types of event that the document brings forth, by number.
    pub fn event_types(&self) -> &'static [&'static str] {
        const ALL: &[&str] = &EventType::SIMULATED;
        if self.has_more_event_types() { ALL } else { &ALL[..EventType::OF_EVERY_DOCUMENT] }
    }

    /// The same as the data names them.
    pub fn event_words(&self) -> Vec<&'static str> {
        EventType::ALL[..self.event_types().len()]
            .iter()
            .map(|kind| self.config.names.map_or(kind.name(), |names| names.of(*kind)))
            .collect()
    }

    /// Whether a mechanism brings forth types of event beside those of every document.
    fn has_more_event_types(&self) -> bool {
        self.attempts.is_some() || self.leaving.is_some()
    }

    /// Attempts at delivery; `None` where a message arrives at once or never.
    pub fn attempts(&self) -> Option<&Attempts> {
        self.attempts.as_ref()
    }

    /// P(delivered | sent to an address that exists).
    pub fn delivered_share(&self) -> f64 {
        self.attempts.as_ref().map_or(self.config.delivery.probability.unwrap_or(1.0), |law| law.mean_outcome().delivered)
    }

    /// The first moment of the window on any recipient's days.
    pub(super) fn first_moment(&self) -> Instant {
        self.window.begin().plus(-furthest(self.zones.as_ref()))
    }

    /// From the window's end, or a sending, to the last delivery, microseconds.
    pub fn longest_delivery(&self) -> i64 {
        longest_delivery(self.attempts.as_ref(), self.blasts()) + furthest(self.zones.as_ref())
    }

    /// The address of an actor, under the seed of `key`, and all times at which its mailbox is full while something may be delivered;
    /// `None` where addresses do not matter.
    pub fn address_of(&self, key: StreamKey, actor: ActorId) -> Option<Address> {
        let law = self.attempts.as_ref()?;
        let key = key.actor(actor);
        let mut address = Address::new(law, &key, self.first_moment());
        if let Some(full) = &law.full {
            address.fill(full, &key, self.window.end().plus(self.longest_delivery()));
        }
        Some(address)
    }

    /// How recipients leave; `None` where nobody does.
    pub fn leaving(&self) -> Option<&Leaving> {
        self.leaving.as_ref()
    }

    /// Clients that open ahead; `None` where there are none.
    pub fn machine_opens(&self) -> Option<&MachineOpens> {
        self.machine.as_ref()
    }

    /// The policy; `None` where mail goes out by `sends` alone.
    pub fn decider(&self) -> Option<&Decider> {
        self.decider.as_deref()
    }

    /// With the slots of a policy of `type: table`, by actor; [`NO_SLOT`](super::NO_SLOT) and whoever lies beyond have none.
    #[must_use]
    pub fn with_slots(mut self, table: Arc<[u16]>) -> Self {
        if let Some(decider) = &mut self.decider {
            decider.with_table(table);
        }
        self
    }

    /// With the rows of a policy of `type: schedule`.
    #[must_use]
    pub fn with_schedule(mut self, rows: Arc<dyn super::Schedule>) -> Self {
        if let Some(decider) = &mut self.decider {
            decider.with_schedule(rows);
        }
        self
    }

    /// Whether an actor's client opens ahead, under the seed of `key`.
    pub fn is_opened_ahead(&self, key: StreamKey, actor: ActorId) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.is_of(&key.actor(actor)))
    }

    /// The mailbox of an actor, under the seed of `key`: the same whatever the document says.
    pub fn mailbox_of(&self, key: StreamKey, actor: ActorId) -> Mailbox {
        mailbox(&key.actor(actor))
    }

    /// Gateways that visit links; `None` where there are none.
    pub fn scanners(&self) -> Option<&Scanners> {
        self.scanners.as_ref()
    }

    /// Whether a scanner stands before an actor's mailbox, under the seed of `key`.
    pub fn is_scanned(&self, key: StreamKey, actor: ActorId) -> bool {
        self.scanners.as_ref().is_some_and(|scanners| scanners.is_before(&key.actor(actor)))
    }

    /// Whether machines bring forth rows beside those of people.
    pub fn has_agents(&self) -> bool {
        self.machine.is_some() || self.scanners.is_some()
    }

    /// The truth table `timing`: 10,080 rows for each persona, where factors depend on it for each offset from UTC, in order.
    pub fn timing(&self) -> impl Iterator<Item = TimingRow> {
        let by_offset = self.zones.as_ref().filter(|zones| zones.clock == SendClock::Utc);
        let offsets: Vec<Option<i16>> = by_offset.map_or_else(|| vec![None], |zones| zones.all_offsets().into_iter().map(Some).collect());
        let of = move |persona: usize| offsets.clone().into_iter().map(move |ahead| (persona, ahead));
        (0..self.personas().len()).flat_map(of).flat_map(move |(persona, ahead)| {
            let clock = |minute: usize| self.config.timezone.local(MONDAY.plus(minute as i64 * MINUTE));
            let typical = self.typical(persona);
            let factor = move |minute: usize| self.effects.by_clock(1.0, &typical, clock(minute), ahead.unwrap_or(0));
            let best = (0..MINUTES_PER_WEEK).fold(0, |best, minute| if factor(minute) > factor(best) { minute } else { best });
            (0..MINUTES_PER_WEEK).map(move |minute| TimingRow {
                persona: persona as u8,
                ahead,
                minute_of_week: minute as u16,
                factor: factor(minute),
                best_minute: best as u16,
            })
        })
    }

    /// P(open delay ≤ `minutes`) of a message that somebody with a habit got at `delivered`, with `timezones` on the recipient's clock.
    ///
    /// # Panics
    /// There is no such habit.
    pub fn open_delay_cdf(&self, habit: usize, delivered: Instant, minutes: f64) -> f64 {
        self.opening.cdf(habit, self.config.timezone.local(delivered), minutes)
    }

    /// The cell of a message by the moment of its sending.
    pub fn latency_cell(&self, sent: Instant) -> Cell {
        self.latency.cell(sent)
    }

    /// P(latency ≤ `seconds`) in a cell.
    pub fn latency_cdf(&self, cell: Cell, seconds: f64) -> f64 {
        self.latency.cdf(cell, seconds)
    }

    /// The month of `instant`: an index into `months`, which is at least `from`.
    #[inline]
    pub(super) fn month_at(&self, instant: Instant, from: usize) -> usize {
        from + self.months[from + 1..].iter().take_while(|month| **month <= instant).count()
    }
}

/// From sending to delivery at the latest, microseconds.
fn longest_delivery(attempts: Option<&Attempts>, blasts: &[Blast]) -> i64 {
    let queue = blasts.iter().filter(|blast| blast.share > 0.0).map(|blast| blast.seconds).fold(0.0, f64::max);
    MAX_LATENCY + (queue * SECOND as f64) as i64 + attempts.map_or(0, Attempts::longest_deferral)
}

/// The first instant of every month that may see a delivery, so long after the window's end.
fn months(window: Window, longest: i64) -> Box<[Instant]> {
    let last = window.end().plus(longest).date();
    let mut months = vec![window.begin()];
    months.extend((1..=last.0 - window.start.0).map(|day| window.start.plus(day)).filter(|date| date.ymd().2 == 1).map(Date::midnight));
    months.into()
}
