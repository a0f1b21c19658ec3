//! Who is mailed when. A message's ordinal says where it comes from, never its place among the others.

use super::blast::{Blast, SendMinute};
use super::calendar::{Calendar, SendsConfig};
use super::campaigns::{CampaignConfig, Campaigns};
use super::effects::Season;
use super::events::EventType;
use super::world::{Span, from_minutes};
use super::zones::Clock;
use crate::dist::{Bernoulli, Categorical, Tabulated, UniformF64};
use crate::plan::WindowConfig;
use crate::scenario::Checker;
use crate::section::section;
use crate::stream::{ActorKey, StreamKey, Words};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::ops::Range;

/// The ordinal of a message: a day and the place among its scheduled sends, …
pub(super) const fn scheduled(day: u64, place: u64) -> u64 {
    (day << 16) | place
}

/// … or the number of its blast, …
pub(super) const fn blasted(blast: u64) -> u64 {
    (1 << 49) | blast
}

/// … or the day of the event that triggered it.
pub(super) const fn triggered(day: u64) -> u64 {
    (1 << 48) | day
}

/// A message about to be sent.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    pub(super) time: Instant,
    pub(super) ordinal: u64,
    pub(super) esp: u8,
    pub(super) campaign: u8,
    pub(super) metadata: u16,
    pub(super) subject: u16,
    /// The place of the policy's decision on it.
    pub(super) decision: Option<u32>,
    /// How long it waits in the queue of a blast, microseconds.
    pub(super) queue: i64,
}

/// Who is mailed when: a Poisson number of messages a user and day, each at a moment of the calendar, and what is triggered.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) calendar: Calendar,
    minute: SendMinute,
    pub(super) blasts: Vec<Blast>,
    count: Tabulated,
    seasonal: Option<Seasonal>,
    esps: Categorical,
    pub(super) campaigns: Campaigns,
}

impl Policy {
    pub(super) fn new(calendar: Calendar, per_day: f64, esps: &[f64], campaigns: Option<Campaigns>, checker: &mut Checker) -> Option<Self> {
        let count = checker.take("sends.per_day", Tabulated::poisson(per_day));
        let esps = checker.take("esps", Categorical::new(esps));
        Some(Self {
            calendar,
            minute: SendMinute::Uniform,
            blasts: Vec::new(),
            count: count?,
            seasonal: None,
            esps: esps?,
            campaigns: campaigns?,
        })
    }

    /// With the volumes of the days.
    pub(super) fn with_seasons(
        mut self,
        sends: &SendsConfig,
        window: WindowConfig,
        season: Option<&Season>,
        checker: &mut Checker,
    ) -> Option<Self> {
        if let Some(season) = season {
            self.seasonal = Some(Seasonal::new(sends.per_day, window, season, checker)?);
        }
        Some(self)
    }

    /// With what goes to many at one moment, and scheduled sends that lie within their hours as `minute` says.
    pub(super) fn with_blasts(self, minute: SendMinute, blasts: Vec<Blast>) -> Self {
        Self { minute, blasts, ..self }
    }

    /// The messages of the blasts within a day to an actor with a clock; `all` is the key of all actors.
    pub(super) fn blasts_between<'a>(
        &'a self,
        day: Range<Instant>,
        clock: Clock<'a>,
        all: StreamKey,
        actor: &'a ActorKey,
    ) -> impl Iterator<Item = Draft> + 'a {
        let timed = self.blasts.iter().map(move |blast| (blast, blast.at(clock)));
        let of_day = timed.filter(move |(_, time)| day.contains(time));
        of_day.filter_map(move |(blast, time)| blast.draft(time, all, actor, (&self.esps, &self.campaigns)))
    }

    /// The microseconds since midnight of a scheduled send, by a word.
    #[inline]
    pub(super) fn of_day(&self, word: u64) -> i64 {
        match self.minute {
            SendMinute::Uniform => self.calendar.at(word),
            minute @ SendMinute::Clustered => self.calendar.at_by(word, minute),
        }
    }

    /// How many messages are scheduled for a day of the window.
    #[inline]
    pub(super) fn count(&self, day: u32, word: u64) -> usize {
        let law = match &self.seasonal {
            None => &self.count,
            Some(seasonal) => &seasonal.counts[usize::from(seasonal.of_day[day as usize])],
        };
        law.at(word)
    }

    /// A message scheduled for `time`; `words` are those of its sending.
    #[inline]
    pub(super) fn scheduled(&self, time: Instant, ordinal: u64, words: &Words) -> Draft {
        let campaign = self.campaigns.choice.pick(words.word::<2>());
        Draft {
            time,
            ordinal,
            esp: self.esps.pick(words.word::<1>()) as u8,
            campaign: campaign as u8,
            metadata: 0,
            subject: self.campaigns.list[campaign].subject(words.word::<3>()),
            decision: None,
            queue: 0,
        }
    }

    /// The message that an event of a type called for; `words` are those of its sending.
    #[inline]
    pub(super) fn triggered(&self, by: &Triggered, of: EventType, time: Instant, ordinal: u64, words: &Words) -> Draft {
        Draft {
            time,
            ordinal,
            esp: self.esps.pick(words.word::<1>()) as u8,
            campaign: by.campaign,
            metadata: by.metadata[of as usize],
            subject: self.campaigns.list[usize::from(by.campaign)].subject(words.word::<3>()),
            decision: None,
            queue: 0,
        }
    }
}

/// The number of scheduled messages by day, where seasons change it.
#[derive(Clone, Debug)]
struct Seasonal {
    counts: Vec<Tabulated>,
    /// Which of them, by day of the window.
    of_day: Box<[u16]>,
}

impl Seasonal {
    fn new(per_day: f64, window: WindowConfig, season: &Season, checker: &mut Checker) -> Option<Self> {
        let (mut counts, mut known) = (Vec::new(), BTreeMap::new());
        let mut of_day = Vec::new();
        for day in 0..window.days {
            let date = window.start.plus(day as i32);
            let volume = season.day(date).volume;
            if let Some(place) = known.get(&volume.to_bits()) {
                of_day.push(*place);
                continue;
            }
            let mean = per_day * volume;
            let count = Tabulated::poisson(mean)
                .map_err(|_| format!("the volumes of {date} give {mean} sends a user: must be at most {}", Tabulated::MAX_POISSON_MEAN));
            counts.push(checker.take("calendar", count)?);
            known.insert(volume.to_bits(), (counts.len() - 1) as u16);
            of_day.push((counts.len() - 1) as u16);
        }
        Some(Self { counts, of_day: of_day.into() })
    }
}

section! {
    /// Mail that a hot path calls forth: at most one, beside the scheduled.
    pub struct TriggerConfig {
        /// P(a send | a hot path).
        probability: f64 [0.0 ..= 1.0],
        /// Minutes from the hot path to the send, uniform; at most 1,440. A send past the window is not sent.
        delay_minutes: Span,
        /// Its campaign: one of `campaigns`.
        campaign: String,
    }
}

/// Triggered mail.
#[derive(Clone, Debug)]
pub(super) struct Triggered {
    occurs: Bernoulli,
    /// Triggered messages an event.
    pub(super) probability: f64,
    /// Minutes from the event to the message.
    pub(super) delay: Span,
    delay_minutes: UniformF64,
    campaign: u8,
    /// By the type of what calls for it.
    metadata: [u16; EventType::SIMULATED.len()],
}

impl Triggered {
    /// `metadata` is what a message says of each type of event that calls for it.
    pub(super) fn new(
        config: &TriggerConfig,
        path: &str,
        campaigns: &BTreeMap<String, CampaignConfig>,
        metadata: impl Iterator<Item = (EventType, u16)>,
        checker: &mut Checker,
    ) -> Option<Self> {
        let path = |key: &str| format!("{path}.{key}");
        let occurs = checker.take(path("probability"), Bernoulli::new(config.probability));
        let delay = config.delay_minutes.uniform(&path("delay_minutes"), checker);
        checker.range(path("delay_minutes.high"), config.delay_minutes.high, 0.0, 1_440.0);
        let campaign = campaigns.keys().position(|id| *id == config.campaign);
        if campaign.is_none() {
            let known: Vec<&str> = campaigns.keys().map(String::as_str).collect();
            checker.problem(
                path("campaign"),
                format!("`{}` is not a campaign", config.campaign),
                format!("choose from {}", known.join(", ")),
            );
        }
        let mut of_type = [0; EventType::SIMULATED.len()];
        metadata.for_each(|(kind, metadata)| of_type[kind as usize] = metadata);
        Some(Self {
            occurs: occurs?,
            probability: config.probability,
            delay: config.delay_minutes,
            delay_minutes: delay?,
            campaign: campaign? as u8,
            metadata: of_type,
        })
    }

    /// When mail goes out that an event at `time` calls for; `words` are the event's.
    #[inline]
    pub(super) fn at(&self, time: Instant, words: &Words) -> Option<Instant> {
        self.occurs.decide(words.word::<2>()).then(|| time.plus(from_minutes(self.delay_minutes.at(words.word::<3>()))))
    }
}
