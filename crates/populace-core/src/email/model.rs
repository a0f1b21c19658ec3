//! A checked document and everything that does not depend on the recipient.

use super::actor;
use super::attention::{Attention, OpenDelays, WEEK};
use super::check;
use super::config::{CampaignType, DecidedAt, EmailConfig, OpenDelayLaw, PersonaConfig, SendsConfig};
use super::rows::{Event, EventType, Truth};
use crate::dist::{Bernoulli, Categorical, LogNormal, Tabulated, TruncatedExponential, UniformF64, UniformI64};
use crate::math;
use crate::plan::Population;
use crate::scenario::{ConfigError, Observer, Scenario};
use crate::stream::{ActorId, StreamKey, below, unit};
use crate::time::{DAY, Date, HOUR, Instant, MINUTE, MINUTES_PER_WEEK, SECOND, UtcOffset, Window};
use std::net::Ipv4Addr;

/// The `esp` of rows that no provider brought forth.
pub(super) const INTERNAL_ESP: &str = "internal";
/// The campaigns of circuit breakers and hot paths: id and name.
pub(super) const INTERNAL_CAMPAIGNS: [(&str, &str); 2] = [("circuit_breaker", "Circuit breaker"), ("hot_path", "Hot path")];
/// No message takes longer; what is clipped to it is counted. A lognormal of the default document reaches it with probability 1e-100.
pub(super) const MAX_LATENCY: i64 = DAY;
const BYTES_PER_KB: f64 = 1_024.0;
/// Hosts of a /24 network: .1 to .254.
const HOSTS: u32 = 254;

const MILLISECOND: i64 = SECOND / 1_000;

/// A population of recipients.
#[derive(Clone, Debug)]
pub struct EmailModel {
    pub(super) config: EmailConfig,
    pub(super) window: Window,
    /// The persona of each slot.
    slots: Box<[u8]>,
    pub(super) personas: Box<[Persona]>,
    pub(super) sends: Tabulated,
    pub(super) time_of_day: TimeOfDay,
    pub(super) campaign: Categorical,
    pub(super) campaigns: Box<[Campaign]>,
    infos: Vec<CampaignInfo>,
    subjects: Vec<String>,
    click_urls: Vec<String>,
    pub(super) esp: Categorical,
    esps: Vec<String>,
    sources: Vec<String>,
    metadata: Vec<String>,
    pub(super) size_factor: UniformF64,
    pub(super) delivered: Bernoulli,
    pub(super) latency: Latency,
    pub(super) decided_at: DecidedAt,
    pub(super) fatigue: Option<Fatigue>,
    pub(super) drift: Option<UniformF64>,
    /// The first instant of every month in which something may be delivered; for the first, the window's.
    pub(super) months: Box<[Instant]>,
    pub(super) open_delays: OpenDelays,
    pub(super) click_delay: TruncatedExponential,
    pub(super) breakers: Option<Breakers>,
    pub(super) hot_paths: Option<HotPaths>,
    pub(super) addresses: Box<[Ipv4Addr]>,
}

/// A kind of recipient.
#[derive(Clone, Debug)]
pub(super) struct Persona {
    pub(super) name: String,
    pub(super) open_rate: f64,
    pub(super) click_rate: f64,
    /// By the hour of the week.
    pub(super) timing: [f64; WEEK],
    /// By the minute of the hour.
    pub(super) minute: [f64; 60],
    pub(super) attention: Attention,
}

/// The law of the moment of the day: weight 1 within some hours of the local clock, less outside.
#[derive(Clone, Debug)]
pub(super) struct TimeOfDay {
    first: f64,
    after_last: f64,
    night_weight: f64,
    /// Day of the local clock minus day of UTC.
    offset: i64,
}

impl TimeOfDay {
    fn new(config: &SendsConfig, timezone: UtcOffset) -> Self {
        Self {
            first: f64::from(config.first_hour),
            after_last: f64::from(config.last_hour) + 1.0,
            night_weight: config.night_weight,
            offset: timezone.local(Instant(0)).0,
        }
    }

    /// The weight of an hour of the local clock.
    pub(super) fn weight(&self, hour: usize) -> f64 {
        if (self.first..self.after_last).contains(&(hour as f64)) { 1.0 } else { self.night_weight }
    }

    /// Microseconds since midnight UTC, to the millisecond, of a word.
    #[inline]
    pub(super) fn at(&self, word: u64) -> i64 {
        let night = self.night_weight;
        let day_begins = self.first * night;
        let day_ends = day_begins + (self.after_last - self.first);
        let mass = unit(word) * (day_ends + (24.0 - self.after_last) * night);
        let hours = if mass < day_begins {
            mass / night
        } else if mass < day_ends {
            self.first + (mass - day_begins)
        } else {
            // A word at the very end may round up to the midnight that is no longer this day's, or divide by a weight of 0.
            (self.after_last + (mass - day_ends) / night).min(24.0)
        };
        let local = ((hours * (HOUR / MILLISECOND) as f64) as i64).min(DAY / MILLISECOND - 1) * MILLISECOND;
        (local - self.offset).rem_euclid(DAY)
    }
}

/// A campaign as drawn from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Campaign {
    /// Where its subjects lie in the table of all.
    first_subject: u16,
    subjects: u16,
    pub(super) mean_bytes: f64,
}

impl Campaign {
    /// The subject of a word.
    #[inline]
    pub(super) fn subject(&self, word: u64) -> u16 {
        self.first_subject + below(word, u64::from(self.subjects)) as u16
    }
}

/// A campaign as written: the configured ones in the alphabet's order, then those of circuit breakers and hot paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignInfo {
    /// `campaign_id`.
    pub id: String,
    /// `campaign_name`.
    pub name: String,
    /// `campaign_type`; of the configured ones.
    pub kind: Option<CampaignType>,
}

/// The law of latencies.
#[derive(Clone, Debug)]
pub(super) enum Latency {
    /// Whole seconds.
    Uniform(UniformI64),
    /// By congestion.
    Lognormal(Box<Congestion>),
}

/// A lognormal base and the factors by the moment of sending, on the provider's clock.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    pub(super) base: LogNormal,
    pub(super) median_seconds: f64,
    pub(super) sigma: f64,
    pub(super) timezone: UtcOffset,
    pub(super) top_minutes: [bool; 60],
    pub(super) top: UniformF64,
    pub(super) batch_hours: [bool; 24],
    pub(super) batch: UniformF64,
    pub(super) days: [f64; 7],
}

/// The factor of recent sends.
#[derive(Clone, Debug)]
pub(super) struct Fatigue {
    pub(super) within: i64,
    factors: Box<[f64]>,
}

impl Fatigue {
    /// The factor after so many recent sends.
    #[inline]
    pub(super) fn factor(&self, recent: usize) -> f64 {
        self.factors[recent.min(self.factors.len() - 1)]
    }
}

/// What a circuit breaker or hot path is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) event_type: EventType,
    pub(super) source: u8,
    /// How long engagement stops; of circuit breakers.
    pub(super) within: i64,
    pub(super) metadata: u8,
}

/// The law of circuit breakers.
#[derive(Clone, Debug)]
pub(super) struct Breakers {
    pub(super) occurs: Bernoulli,
    pub(super) kind: Categorical,
    pub(super) kinds: Box<[Kind]>,
    pub(super) suppress_sends: bool,
}

/// The law of hot paths.
#[derive(Clone, Debug)]
pub(super) struct HotPaths {
    pub(super) occurs: Bernoulli,
    pub(super) kind: Categorical,
    pub(super) kinds: Box<[Kind]>,
    boost: f64,
    decay_minutes: f64,
    floor: f64,
    /// How long the factor holds, microseconds.
    pub(super) within: i64,
    pub(super) trigger: Option<Trigger>,
}

impl HotPaths {
    /// The factor so many minutes after a hot path, within the window.
    #[inline]
    pub(super) fn factor(&self, minutes: f64) -> f64 {
        (self.boost * math::exp(-minutes / self.decay_minutes)).max(self.floor)
    }
}

/// The law of triggered sends.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    pub(super) occurs: Bernoulli,
    pub(super) delay_minutes: UniformF64,
    pub(super) campaign: u8,
    pub(super) metadata: [u8; EventType::NAMES.len()],
}

/// A row of the truth table `timing`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimingRow {
    /// Index into [`EmailModel::personas`].
    pub persona: u8,
    /// Minute of the week in UTC, 0 (Monday 00:00) to 10,079.
    pub minute_of_week: u16,
    /// Timing × minute.
    pub factor: f64,
    /// The first minute of the week at which this persona's factor is greatest.
    pub best_minute: u16,
}

impl EmailModel {
    /// The document.
    pub fn config(&self) -> &EmailConfig {
        &self.config
    }

    /// Names of the personas.
    pub fn personas(&self) -> impl ExactSizeIterator<Item = &str> {
        self.personas.iter().map(|persona| persona.name.as_str())
    }

    /// The persona of an actor: an index into [`personas`](Self::personas).
    #[inline]
    pub fn persona_of(&self, actor: ActorId) -> usize {
        usize::from(self.slots[(actor.0 % self.slots.len() as u64) as usize])
    }

    /// How many slots the table of personas has: personas repeat with this period.
    pub fn slots(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The campaigns.
    pub fn campaigns(&self) -> &[CampaignInfo] {
        &self.infos
    }

    /// Subject lines.
    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }

    /// What clicks lead to.
    pub fn click_urls(&self) -> &[String] {
        &self.click_urls
    }

    /// Names of the email service providers; the last is that of rows which none of them brought forth.
    pub fn esps(&self) -> &[String] {
        &self.esps
    }

    /// Sources.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// JSON objects.
    pub fn metadata(&self) -> &[String] {
        &self.metadata
    }

    /// User agents.
    pub fn user_agents(&self) -> &[String] {
        &self.config.user_agents
    }

    /// The truth table `timing`: 10,080 rows for each persona, in order.
    pub fn timing(&self) -> impl Iterator<Item = TimingRow> {
        self.personas.iter().enumerate().flat_map(move |(index, persona)| {
            // Monday 1970-01-05 is the start of a week.
            let minute = |minute: usize| self.config.timezone.local(Instant(4 * DAY + minute as i64 * MINUTE));
            let factor = move |of_week: usize| {
                let (timing, minute) = persona.factors_at(minute(of_week));
                timing * minute
            };
            let best = (0..MINUTES_PER_WEEK).fold(0, |best, minute| if factor(minute) > factor(best) { minute } else { best });
            (0..MINUTES_PER_WEEK).map(move |minute| TimingRow {
                persona: index as u8,
                minute_of_week: minute as u16,
                factor: factor(minute),
                best_minute: best as u16,
            })
        })
    }

    /// P(open delay ≤ `minutes`) of a message that a persona got at `delivered`.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn open_delay_cdf(&self, persona: usize, delivered: Instant, minutes: f64) -> f64 {
        self.open_delays.cdf(&self.personas[persona].attention, self.config.timezone.local(delivered), minutes)
    }

    /// The month of `instant`: an index into `months`, which is at least `from`.
    #[inline]
    pub(super) fn month_at(&self, instant: Instant, from: usize) -> usize {
        from + self.months[from + 1..].iter().take_while(|month| **month <= instant).count()
    }
}

impl Persona {
    /// The timing and the minute factor at a moment of the local clock.
    #[inline]
    pub(super) fn factors_at(&self, local: Instant) -> (f64, f64) {
        let minute_of_week = local.minute_of_week() as u32;
        (self.timing[(minute_of_week / 60) as usize], self.minute[(minute_of_week % 60) as usize])
    }

    fn new(name: &str, persona: &PersonaConfig, config: &EmailConfig, delays: &OpenDelays) -> Self {
        let time_of_day = TimeOfDay::new(&config.sends, config.timezone);
        let mut minute = [1.0; 60];
        if let Some(law) = &config.minute {
            for peak in persona.peak_minutes.as_ref().unwrap_or(&law.peak_minutes) {
                minute[usize::from(*peak)] *= law.peak_factor;
            }
            for slow in &law.slow_minutes {
                minute[usize::from(*slow)] *= law.slow_factor;
            }
        }
        let attention = match config.open_delay {
            OpenDelayLaw::Attention => shape(persona, config.attention.off_peak, config.attention.inactive_day),
            OpenDelayLaw::Exponential => [1.0; WEEK],
        };
        Self {
            name: name.into(),
            open_rate: persona.open_rate,
            click_rate: persona.click_rate,
            timing: timing(persona, config, &time_of_day),
            minute,
            attention: Attention::new(&attention, delays),
        }
    }
}

/// Hour term × day term by the hour of the week; `off_peak` and `inactive_day` are the terms outside the persona's own hours and days.
fn shape(persona: &PersonaConfig, off_peak: f64, inactive_day: f64) -> [f64; WEEK] {
    core::array::from_fn(|hour| {
        let at_peak = persona.peak_hours.is_empty() || persona.peak_hours.contains(&((hour % 24) as u8));
        let active = persona.active_days.iter().any(|day| *day as usize == hour / 24);
        (if at_peak { 1.0 } else { off_peak }) * (if active { 1.0 } else { inactive_day })
    })
}

/// The timing factor by the hour of the week; its mean over a uniform week × the weights of the hours is 1.
fn timing(persona: &PersonaConfig, config: &EmailConfig, time_of_day: &TimeOfDay) -> [f64; WEEK] {
    let shape = shape(persona, config.timing.off_peak, config.timing.inactive_day);
    let weight = |hour: usize| time_of_day.weight(hour % 24);
    let mean = (0..WEEK).map(|hour| weight(hour) * shape[hour]).sum::<f64>() / (0..WEEK).map(weight).sum::<f64>();
    let excess = shape.iter().fold(0.0, |most: f64, value| most.max(*value)) / mean - 1.0;
    let k = if excess > 1e-12 { (timing_room(persona, config) / excess).clamp(0.0, 1.0) } else { 0.0 };
    shape.map(|value| 1.0 + k * (value / mean - 1.0))
}

/// How far above 1 the timing factor may go.
pub(super) fn timing_room(persona: &PersonaConfig, config: &EmailConfig) -> f64 {
    config.timing.max_probability / (persona.open_rate * config.timing.minute_allowance) - 1.0
}

/// The personas in an order of which every prefix holds each of them within one of its share: of those whose next copy is not ahead of
/// its share, the one whose next copy is due first (Steiner and Yeomans, "Level schedules for mixed-model, just-in-time processes",
/// 1993).
fn interleave(counts: &[u64]) -> Box<[u8]> {
    let total: u64 = counts.iter().sum();
    let mut taken = vec![0_u64; counts.len()];
    let next = |place: u64| {
        let due = |index: usize, taken: &[u64]| (taken[index] + 1) as f64 / counts[index] as f64;
        let choice = (0..counts.len())
            .filter(|&index| taken[index] * total < place * counts[index])
            .min_by(|&a, &b| due(a, &taken).total_cmp(&due(b, &taken)))
            .expect("the shares of all the slots so far exceed those taken");
        taken[choice] += 1;
        choice as u8
    };
    (1..=total).map(next).collect()
}

impl Scenario for EmailModel {
    const NAME: &'static str = "email";
    type Config = EmailConfig;
    type Row = Event;
    type Truth = Truth;

    fn from_config(config: &EmailConfig) -> Result<Self, ConfigError> {
        let laws = check::check(config)?;
        let window = Window { start: config.window.start, days: config.window.days };
        let open_delays = OpenDelays::new(&config.open_delays);
        let mut sources = vec![config.chain_source.clone()];
        let mut metadata = vec!["{}".to_owned()];
        let counts: Vec<u64> = config.personas.values().map(|persona| u64::from(persona.count)).collect();
        let mut subjects = Vec::new();
        let mut campaigns = Vec::new();
        for campaign in config.campaigns.values() {
            campaigns.push(Campaign {
                first_subject: subjects.len() as u16,
                subjects: campaign.subjects.len() as u16,
                mean_bytes: campaign.mean_size_kb * BYTES_PER_KB,
            });
            subjects.extend(campaign.subjects.iter().cloned());
        }
        let configured = config.campaigns.iter().map(|(id, campaign)| CampaignInfo {
            id: id.clone(),
            name: campaign.name.clone(),
            kind: Some(campaign.r#type),
        });
        let internal = INTERNAL_CAMPAIGNS.iter().map(|&(id, name)| CampaignInfo { id: id.into(), name: name.into(), kind: None });
        Ok(Self {
            window,
            slots: interleave(&counts),
            personas: config.personas.iter().map(|(name, persona)| Persona::new(name, persona, config, &open_delays)).collect(),
            sends: laws.sends,
            time_of_day: TimeOfDay::new(&config.sends, config.timezone),
            campaign: laws.campaign,
            campaigns: campaigns.into(),
            infos: configured.chain(internal).collect(),
            subjects,
            click_urls: config.campaigns.values().map(|campaign| format!("{}{}", config.click_base_url, campaign.click_path)).collect(),
            esp: laws.esp,
            esps: config.esps.keys().cloned().chain([INTERNAL_ESP.to_owned()]).collect(),
            size_factor: laws.size_factor,
            delivered: laws.delivered,
            latency: laws.latency,
            decided_at: config.engagement.decided_at,
            fatigue: config
                .fatigue
                .as_ref()
                .map(|fatigue| Fatigue { within: i64::from(fatigue.hours) * HOUR, factors: fatigue.factors.clone().into() }),
            drift: laws.drift,
            months: months(window),
            open_delays,
            click_delay: laws.click_delay,
            breakers: laws.breakers.map(|law| breakers(law, config, &mut sources, &mut metadata)),
            hot_paths: laws.hot_paths.map(|law| hot_paths(law, config, &mut sources, &mut metadata)),
            addresses: laws.networks.iter().flat_map(|&network| (1..=HOSTS).map(move |host| (network + host).into())).collect(),
            sources,
            metadata,
            config: config.clone(),
        })
    }

    fn population(&self) -> Population {
        let config = &self.config;
        let hot_paths = config.hot_paths.as_ref().map_or(0.0, |law| law.probability);
        let triggered = config.hot_paths.as_ref().and_then(|law| law.trigger.as_ref()).map_or(0.0, |law| law.probability);
        let breakers = config.circuit_breakers.as_ref().map_or(0.0, |law| law.probability);
        let slots: f64 = config.personas.values().map(|persona| f64::from(persona.count)).sum();
        let engaged = config.personas.values().map(|p| f64::from(p.count) * (p.open_rate + p.click_rate)).sum::<f64>() / slots;
        let sends = config.sends.per_day + hot_paths * triggered;
        let per_day = sends * (1.0 + config.delivery.probability * (1.0 + engaged)) + hot_paths + breakers;
        Population { actors: config.population.users, rows_per_actor: per_day * f64::from(config.window.days) }
    }

    fn window(&self) -> Window {
        self.window
    }

    fn simulate(&self, actor: ActorId, key: StreamKey, out: &mut impl Observer<Event, Truth>) {
        actor::simulate(self, actor, key, out);
    }
}

/// The first instant of every month that may see a delivery.
fn months(window: Window) -> Box<[Instant]> {
    let last = window.end().plus(MAX_LATENCY).date();
    let mut months = vec![window.begin()];
    months.extend((1..=last.0 - window.start.0).map(|day| window.start.plus(day)).filter(|date| date.ymd().2 == 1).map(Date::midnight));
    months.into()
}

/// The place of `value` in a table, which it is added to if it is not there.
fn index_in(table: &mut Vec<String>, value: &str) -> u8 {
    let index = table.iter().position(|known| known == value).unwrap_or_else(|| {
        table.push(value.to_owned());
        table.len() - 1
    });
    index as u8
}

fn breakers(law: check::Occasional, config: &EmailConfig, sources: &mut Vec<String>, metadata: &mut Vec<String>) -> Breakers {
    let config = config.circuit_breakers.as_ref().expect("the law is that of a configured mechanism");
    let kinds = config.kinds.iter().map(|(kind, breaker)| Kind {
        event_type: (*kind).into(),
        source: index_in(sources, &breaker.source),
        within: i64::from(breaker.hours) * HOUR,
        metadata: index_in(metadata, &format!(r#"{{"circuit_breaker":true,"suppression_hours":{}}}"#, breaker.hours)),
    });
    Breakers { occurs: law.occurs, kind: law.kind, kinds: kinds.collect(), suppress_sends: config.suppress_sends }
}

fn hot_paths(law: check::Occasional, config: &EmailConfig, sources: &mut Vec<String>, metadata: &mut Vec<String>) -> HotPaths {
    let campaigns = &config.campaigns;
    let config = config.hot_paths.as_ref().expect("the law is that of a configured mechanism");
    let hot = index_in(metadata, r#"{"hot_path":true}"#);
    let kinds: Box<[Kind]> = config
        .kinds
        .iter()
        .map(|(kind, path)| Kind { event_type: (*kind).into(), source: index_in(sources, &path.source), within: 0, metadata: hot })
        .collect();
    let trigger = law.trigger.map(|(occurs, delay_minutes)| {
        let trigger = config.trigger.as_ref().expect("the law is that of a configured mechanism");
        let mut of_type = [0; EventType::NAMES.len()];
        for kind in &kinds {
            of_type[kind.event_type as usize] = index_in(metadata, &format!(r#"{{"trigger":"{}"}}"#, kind.event_type.name()));
        }
        let campaign = campaigns.keys().position(|id| *id == trigger.campaign).expect("the campaign was checked") as u8;
        Trigger { occurs, delay_minutes, campaign, metadata: of_type }
    });
    HotPaths {
        occurs: law.occurs,
        kind: law.kind,
        kinds,
        boost: config.boost,
        decay_minutes: config.decay_minutes,
        floor: config.floor,
        within: (config.window_minutes * MINUTE as f64) as i64,
        trigger,
    }
}
