//! Hot paths: events after which a user engages more.

use super::super::campaigns::CampaignConfig;
use super::super::events::{EventType, Group};
use super::super::policy::{TriggerConfig, Triggered};
use super::super::world::Circumstances;
use super::effect::{About, Chart, Effect, Evidence, Grouping, Level, Nodes, Outlook, Points, Value};
use super::occasion::{Happening, Names, Occasion};
use crate::math;
use crate::scenario::Checker;
use crate::section::{choice, section};
use crate::time::MINUTE;
use std::collections::BTreeMap;

/// Id and name of the campaign of hot paths.
pub(super) const CAMPAIGN: (&str, &str) = ("hot_path", "Hot path");

pub(super) const ABOUT: About = About {
    name: "hot_path",
    meaning: "Factor: by minutes_since_hot_path",
    by_clock: false,
    optional: false,
    clicks: None,
    detects: ("opens right after a hot path", |path| path.starts_with("hot_paths.boost (minutes 0 to ")),
    constants: &["hot_paths.boost", "hot_paths.decay_minutes"],
    grouping: Some(Grouping {
        opens: "opens by minutes since a hot path",
        clicks: "clicks of opens by minutes since a hot path",
        label: |_, at| {
            at.since_interest.map_or_else(|| "none near".to_owned(), |minutes| format!("{} minutes", (minutes / 2.5).floor() * 2.5))
        },
    }),
    evidence: Some(Evidence {
        name: "minutes_since_hot_path",
        meaning: "Minutes since the latest hot path, within its window",
        value: Value::Float(|at| at.since_interest),
    }),
};

section! {
    /// Events after which a user engages more: at most one a user and day. An open m minutes after the latest, 0 ≤ m < `window_minutes`,
    /// has the factor max(`floor`, `boost` · exp(−m / `decay_minutes`)).
    pub struct HotPathsConfig {
        /// Probability of one on a user's day.
        probability: f64 [0.0 ..= 1.0],
        /// What happens.
        kinds: BTreeMap<HotPathKind, HotPathConfig>,
        /// The factor at m = 0.
        boost: f64 [0.0 ..= 10.0],
        /// Minutes in which the factor falls to 1/e.
        decay_minutes: f64 [0.1 ..= 10_080.0],
        /// The least factor within the window. With 0 the factor becomes a penalty once it has decayed below 1.
        floor: f64 [0.0 ..= 10.0],
        /// How long the factor holds, minutes.
        window_minutes: f64 [0.0 ..= 1_440.0],
        /// Mail that a hot path calls forth.
        trigger: Option<TriggerConfig>,
    }
}

choice! {
    /// What a hot path is.
    pub enum HotPathKind {
        /// A visit to the shop.
        SiteVisit,
        /// A click in a text message.
        SmsClick,
        /// A look at a product.
        ProductView,
    }
}

section! {
    /// One kind of hot path.
    pub struct HotPathConfig {
        /// How often it is this kind, over the sum of the weights.
        weight: f64 [0.0 ..],
        /// The `source` of the row.
        source: String,
    }
}

/// Parts of the window, which end at these shares of it. They are estimated one by one: a curve through them with a floor has a kink,
/// and the few messages of a small study leave its intervals too narrow.
const PARTS: [f64; 4] = [1.0 / 12.0, 1.0 / 6.0, 1.0 / 3.0, 1.0];
/// Minutes of a step of the chart.
const STEP: f64 = 2.0;
/// Steps of the chart that its text calls early: ten minutes.
const EARLY: usize = 5;

impl From<HotPathKind> for EventType {
    fn from(kind: HotPathKind) -> Self {
        match kind {
            HotPathKind::SiteVisit => Self::SiteVisit,
            HotPathKind::SmsClick => Self::SmsClick,
            HotPathKind::ProductView => Self::ProductView,
        }
    }
}

/// The columns that features of recipients have of hot paths: whether one is active, when the latest was, and its factor.
pub const INTEREST_FEATURES: [&str; 3] = ["hot_path_active", "last_hot_path_at", "hot_path_factor"];

/// How a hot path raises the open rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interest {
    boost: f64,
    decay_minutes: f64,
    floor: f64,
    window_minutes: f64,
    /// How long it holds, microseconds.
    pub lasts: i64,
}

/// That of `email.yaml`.
impl Default for Interest {
    fn default() -> Self {
        Self { boost: 2.0, decay_minutes: 15.0, floor: 1.0, window_minutes: 30.0, lasts: 30 * MINUTE }
    }
}

impl Interest {
    /// The factor so many minutes after a hot path, while it holds.
    #[inline]
    pub fn factor(&self, minutes: f64) -> f64 {
        (self.boost * math::exp(-minutes / self.decay_minutes)).max(self.floor)
    }
}

/// Hot paths.
#[derive(Clone, Debug)]
pub(in super::super) struct HotPath {
    /// When they happen.
    pub(in super::super) occasion: Occasion,
    /// The mail that they call forth.
    pub(in super::super) triggered: Option<Triggered>,
    pub(in super::super) interest: Interest,
}

impl HotPath {
    pub(super) fn new(
        config: &HotPathsConfig,
        campaigns: &BTreeMap<String, CampaignConfig>,
        names: &mut Names,
        checker: &mut Checker,
    ) -> Option<Self> {
        let metadata = names.metadata(r#"{"hot_path":true}"#);
        let happenings: Box<[Happening]> = config
            .kinds
            .iter()
            .map(|(kind, path)| Happening {
                event_type: (*kind).into(),
                weight: path.weight,
                source: names.source(&path.source),
                metadata,
                within: 0,
            })
            .collect();
        let types = happenings.iter().map(|happening| happening.event_type).collect::<Vec<_>>();
        let occasion = Occasion::new(("hot_paths", "hot paths"), Group::HotPath, CAMPAIGN, config.probability, happenings, checker);
        let trigger = config.trigger.as_ref().map(|trigger| {
            let mut of_type = |kind: EventType| names.metadata(format!(r#"{{"trigger":"{}"}}"#, kind.name()));
            Triggered::new(trigger, "hot_paths.trigger", campaigns, types.into_iter().map(|kind| (kind, of_type(kind))), checker)
        });
        Some(Self {
            occasion: occasion?,
            triggered: match trigger {
                Some(trigger) => Some(trigger?),
                None => None,
            },
            interest: Interest {
                boost: config.boost,
                decay_minutes: config.decay_minutes,
                floor: config.floor,
                window_minutes: config.window_minutes,
                lasts: (config.window_minutes * MINUTE as f64) as i64,
            },
        })
    }
}

impl Effect for HotPath {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        at.since_interest.map_or(1.0, |minutes| self.interest.factor(minutes))
    }

    fn expected(&self, outlook: &dyn Outlook) -> Nodes {
        let mut nodes: Nodes = outlook.since_interest(self.interest.window_minutes);
        let near: f64 = nodes.iter().map(|(_, weight)| weight).sum();
        for (value, _) in &mut nodes {
            *value = self.interest.factor(*value);
        }
        nodes.push((1.0, 1.0 - near));
        nodes
    }

    /// 0 away from a hot path, else 1 + the part of its window.
    fn state(&self, at: &Circumstances) -> u16 {
        at.since_interest.map_or(0, |minutes| {
            1 + PARTS.iter().filter(|end| minutes / self.interest.window_minutes >= **end).count().min(PARTS.len() - 1) as u16
        })
    }

    fn levels(&self) -> Vec<Level> {
        let mut begin = 0.0;
        let level = |end: f64| {
            let end = (end * self.interest.window_minutes * 1e3).round() / 1e3;
            let path = format!("hot_paths.boost (minutes {begin} to {end})");
            begin = end;
            Level { path, truth: None }
        };
        PARTS.into_iter().map(level).collect()
    }

    fn applies(&self, level: usize, state: u16) -> bool {
        usize::from(state) == level + 1
    }

    fn chart(&self) -> Option<Chart> {
        let end = self.interest.window_minutes.ceil();
        let steps = (end / STEP).ceil() as usize;
        Some(Chart {
            id: "hot-path",
            title: "After a hot path",
            axis: "Minutes since the latest hot path".into(),
            points: Points::Steps { width: STEP, unit: "min", end, others: "without a hot path" },
            caption: "Opened by the minutes since a visit to the site or the like: {} within ten minutes, {} without a hot path.".into(),
            shares: [0..EARLY.min(steps), steps..steps + 1],
        })
    }

    fn point(&self, at: &Circumstances) -> usize {
        let steps = (self.interest.window_minutes.ceil() / STEP).ceil() as usize;
        at.since_interest.map_or(steps, |minutes| ((minutes / STEP) as usize).min(steps))
    }
}
