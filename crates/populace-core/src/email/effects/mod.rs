//! What moves the open rate: one file an effect, and the list of them.
//!
//! The probability of an open is a user's rate of the month × the factor of every effect, in the order of the list, at most
//! `engagement.max_probability`, and 0 inside a circuit breaker's window.

pub(super) mod breaker;
pub(super) mod content;
pub(super) mod drift;
pub(super) mod effect;
pub(super) mod fatigue;
pub(super) mod hot_path;
pub(super) mod minute;
pub(super) mod occasion;
pub(super) mod season;
pub(super) mod timing;

pub use hot_path::{INTEREST_FEATURES, Interest};
pub use season::{NthConfig, Season, SeasonConfig, SeasonDay, When};

use super::calendar::Calendar;
use super::config::EmailConfig;
use super::experiments::{Experiments, Exposed};
use super::people::{Habit, Person};
use super::policy::Triggered;
use super::world::Circumstances;
use super::zones::Zones;
use crate::scenario::Checker;
use crate::time::Instant;
use effect::{About, Effect, Nodes, Outlook};
use occasion::{Names, Occasion};

/// What effects are made of.
struct Parts<'a> {
    config: &'a EmailConfig,
    calendar: &'a Calendar,
    habits: &'a [Habit],
    zones: Option<&'a Zones>,
    names: &'a mut Names,
    checker: &'a mut Checker,
}

macro_rules! effects {
    ($(#[$doc:meta] $name:ident: $type:ty = $new:expr;)*) => {
        /// The effects of a document.
        #[derive(Clone, Debug)]
        pub struct Effects {
            $(#[$doc] pub(super) $name: $type,)*
        }

        /// Every effect, in the order in which their factors are multiplied.
        pub const EFFECTS: &[&About] = &[$(&$name::ABOUT),*];

        /// The factors of a message, as in [`EFFECTS`].
        pub type Factors = [f64; EFFECTS.len()];

        impl Effects {
            /// The effects of a document; `None` where it has problems.
            pub(super) fn new(
                config: &EmailConfig,
                calendar: &Calendar,
                habits: &[Habit],
                zones: Option<&Zones>,
                names: &mut Names,
                checker: &mut Checker,
            ) -> Option<Self> {
                let parts = &mut Parts { config, calendar, habits, zones, names, checker };
                $(let $name = { let new: fn(&mut Parts<'_>) -> Option<$type> = $new; new(parts) };)*
                Some(Self { $($name: $name?),* })
            }

            /// The factors of a message.
            #[inline]
            pub fn factors(&self, at: &Circumstances) -> Factors {
                [$(self.$name.factor(at)),*]
            }

            /// The factor of P(click | open).
            #[inline]
            pub fn click_factor(&self, at: &Circumstances) -> f64 {
                1.0 $(* self.$name.click_factor(at))*
            }

            /// The effects, as in [`EFFECTS`].
            pub fn each(&self) -> [&dyn Effect; EFFECTS.len()] {
                [$(&self.$name),*]
            }
        }
    };
}

effects! {
    /// By the hour of the week.
    timing: timing::Timing = |of| Some(timing::Timing::new(&of.config.timing, &of.config.personas, of.habits, of.calendar, of.zones, of.checker));
    /// By the minute of the hour.
    minute: Option<minute::Minute> =
        |of| Some(of.config.minute.as_ref().map(|own| minute::Minute::new(own, &of.config.personas, of.checker)));
    /// By recent mail.
    fatigue: Option<fatigue::Fatigue> = |of| Some(of.config.fatigue.as_ref().map(fatigue::Fatigue::new));
    /// By the time since a hot path.
    hot_path: Option<hot_path::HotPath> =
        |of| match &of.config.hot_paths {
            Some(own) => hot_path::HotPath::new(own, &of.config.campaigns, of.names, of.checker).map(Some),
            None => Some(None),
        };
    /// By the date.
    season: Option<season::Season> = |of| match &of.config.calendar {
        Some(own) => season::Season::new(own, of.config, of.zones, of.checker).map(Some),
        None => Some(None),
    };
    /// By the variants of experiments.
    content: Option<content::Content> = |of| match &of.config.experiments {
        Some(own) => Experiments::new(own, of.config, of.names, of.checker).map(|own| Some(content::Content::new(own))),
        None => Some(None),
    };
}

/// Campaigns of non-mail rows, id and name.
pub(super) const INTERNAL_CAMPAIGNS: [(&str, &str); 2] = [breaker::CAMPAIGN, hot_path::CAMPAIGN];

impl Effects {
    /// The product of an open rate and the factors.
    #[inline]
    pub fn product(open_rate: f64, factors: &Factors) -> f64 {
        factors.iter().fold(open_rate, |product, factor| product * factor)
    }

    /// The effects whose columns there are only where they are on, and which are: each with its place in [`EFFECTS`].
    pub fn optional(&self) -> impl Iterator<Item = (usize, &'static About)> {
        let on = self.each().map(Effect::is_on);
        EFFECTS.iter().copied().enumerate().filter(move |(place, about)| about.optional && on[*place])
    }

    /// The effects that have columns and groups: all but the optional ones that are off.
    pub fn present(&self) -> impl Iterator<Item = &'static About> {
        EFFECTS.iter().copied().filter(|about| !about.optional).chain(self.optional().map(|(_, about)| about))
    }

    /// An open rate × the factors that depend on person and time of the week alone, on a clock that is so many minutes ahead of UTC.
    pub fn by_clock(&self, open_rate: f64, person: &Person, clock: Instant, ahead: i16) -> f64 {
        let at = Circumstances {
            person: *person,
            clock,
            ahead,
            recent_sends: 0,
            since_interest: None,
            suppressed: false,
            exposed: Exposed::default(),
        };
        let of_clock = EFFECTS.iter().zip(self.each()).filter(|(about, _)| about.by_clock);
        of_clock.fold(open_rate, |product, (_, effect)| product * effect.factor(&at))
    }

    /// The timing factor alone.
    pub fn timing_at(&self, person: &Person, clock: Instant, ahead: i16) -> f64 {
        self.timing.at(person, clock, ahead)
    }

    /// The distributions of the factors that do not depend on the time of the week alone.
    pub(super) fn expected(&self, outlook: &dyn Outlook) -> Vec<Nodes> {
        let others = EFFECTS.iter().zip(self.each()).filter(|(about, _)| !about.by_clock);
        others.map(|(_, effect)| effect.expected(outlook)).collect()
    }

    /// How long a send counts as recent, microseconds; `None` where that matters to no effect.
    #[inline]
    pub fn looks_back(&self) -> Option<i64> {
        self.fatigue.as_ref().map(fatigue::Fatigue::looks_back)
    }

    /// What a hot path does; `None` where there are none.
    #[inline]
    pub fn interest(&self) -> Option<&Interest> {
        self.hot_path.as_ref().map(|effect| &effect.interest)
    }

    /// The seasons; `None` where there are none.
    #[inline]
    pub fn season(&self) -> Option<&Season> {
        self.season.as_ref()
    }

    /// The experiments; `None` where there are none.
    #[inline]
    pub fn experiments(&self) -> Option<&Experiments> {
        self.content.as_ref().map(|content| &content.experiments)
    }

    /// When hot paths happen.
    pub(super) fn interests(&self) -> Option<&Occasion> {
        self.hot_path.as_ref().map(|effect| &effect.occasion)
    }

    /// The mail that interest calls forth.
    pub(super) fn triggered(&self) -> Option<&Triggered> {
        self.hot_path.as_ref().and_then(|effect| effect.triggered.as_ref())
    }
}
