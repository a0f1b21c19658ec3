//! What a policy may say.

use super::super::config::EmailConfig;
use crate::scenario::Checker;
use crate::section::{choice, section};

section! {
    /// A policy: of every scheduled message, in which slot of its window it goes out, or that it does not. It moves times and never
    /// people: circuit breakers, hot paths and the mean of timing stay on `sends`, and every other draw of a message is what it was.
    #[serde(default)]
    pub struct PolicyConfig {
        /// From when to when a message may go out.
        window: DecisionWindow,
        /// Length of a slot, minutes: 15, 30, 60, 120 or 360; with `window: week` 60 or more. Within a slot all moments are alike.
        slot_minutes: u32 [15 ..= 360],
        /// Whose clock slots are on.
        clock: PolicyClock,
        /// Which slot, but for exploration.
        base: BaseConfig,
        /// Slots at random, so that what was not done can be estimated.
        #[serde(skip_serializing_if = "Option::is_none")]
        explore: Option<ExploreConfig>,
        /// The probability that a message is not sent.
        skip: f64 [0.0 ..= 1.0],
        /// Recipients whom the policy never mails.
        #[serde(skip_serializing_if = "Option::is_none")]
        holdout: Option<HoldoutConfig>,
        /// Slots that are not allowed.
        #[serde(skip_serializing_if = "Option::is_none")]
        caps: Option<CapsConfig>,
    }

    /// Which slot: the distribution over those that are allowed. Where it has none of them, all that are allowed are alike.
    #[serde(default)]
    pub struct BaseConfig {
        /// Which distribution.
        r#type: BaseKind,
        /// Of `fixed`: the slot, from 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        slot: Option<u32> [0 ..= 167],
        /// Of `fixed`, in place of `slot`: a minute of the week of the slot, from Monday 00:00.
        #[serde(skip_serializing_if = "Option::is_none")]
        minute_of_week: Option<u32> [0 ..= 10_079],
        /// Of `softmax`: weights are exp(value / temperature), the value being that of `oracle`.
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f64> [0.0 ..= 10.0],
        /// Of `table`: a CSV file of `recipient_id` and `slot`. Recipients that are not in it are mailed as `scheduled`.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Of `schedule`: the SHA-256 of the file, 64 hexadecimal digits. The file itself is given with `--schedule`.
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    }

    /// Slots at random: all that are allowed are alike.
    pub struct ExploreConfig {
        /// How often.
        share: f64 [0.0 ..= 1.0],
        /// Of what that is a share.
        #[serde(default)]
        unit: ExploreUnit,
    }

    /// Recipients whom the policy never mails. Triggered mail reaches them.
    pub struct HoldoutConfig {
        /// The share of recipients.
        share: f64 [0.0 ..= 1.0],
    }

    /// What limits a policy. Triggered mail counts, and is not limited.
    #[serde(default)]
    pub struct CapsConfig {
        /// Messages to a recipient on a day of its clock, at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        per_day: Option<u32> [1 ..= 500],
        /// Messages to a recipient in any seven days up to a message, at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        per_week: Option<u32> [1 ..= 3_500],
        /// Hours of the clock in which nothing goes out: the first, and the first after them.
        #[serde(skip_serializing_if = "Option::is_none")]
        quiet_hours: Option<QuietHours>,
        /// Hours between two messages to a recipient, at least.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_gap_hours: Option<f64> [0.0 ..= 168.0],
    }

    /// Hours of a clock, over midnight where `until` is not after `from`.
    pub struct QuietHours {
        /// The first quiet hour.
        from: u8 [0 ..= 23],
        /// The first hour that is not quiet any more.
        until: u8 [0 ..= 23],
    }
}

choice! {
    /// From when to when a message may go out that is due on a day.
    pub enum DecisionWindow {
        /// That day.
        Day,
        /// The week of that day, Monday to Sunday, as far as it lies in the scenario's days.
        Week,
        /// The 24 hours from the moment at which it would go out by `sends`.
        #[serde(rename = "next_24h")]
        Next24h,
    }
}

choice! {
    /// Whose clock slots are on.
    pub enum PolicyClock {
        /// The recipient's.
        Recipient,
        /// UTC.
        Utc,
    }
}

choice! {
    /// A distribution over slots.
    pub enum BaseKind {
        /// By the weights of `sends`.
        Scheduled,
        /// All alike.
        Uniform,
        /// One for everybody.
        Fixed,
        /// The one that is best for everybody together, as who knows the truth would choose it.
        GlobalBest,
        /// The recipient's best, as who knows the truth would choose it: greatest E open rate × timing × minute over the slot's
        /// minutes and the latency.
        Oracle,
        /// By the value of each to the recipient.
        Softmax,
        /// By recipient, from a file.
        Table,
        /// When a schedule of your own says, as `policy replay --schedule` writes it.
        Schedule,
    }
}

choice! {
    /// Of what exploration is a share.
    pub enum ExploreUnit {
        /// Of decisions.
        Decision,
        /// Of recipients.
        User,
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            window: DecisionWindow::Day,
            slot_minutes: 60,
            clock: PolicyClock::Recipient,
            base: BaseConfig::default(),
            explore: None,
            skip: 0.0,
            holdout: None,
            caps: None,
        }
    }
}

impl Default for BaseConfig {
    fn default() -> Self {
        Self { r#type: BaseKind::Scheduled, slot: None, minute_of_week: None, temperature: None, file: None, sha256: None }
    }
}

#[expect(clippy::derivable_impls, reason = "the derives of a section are those of its macro")]
impl Default for CapsConfig {
    fn default() -> Self {
        Self { per_day: None, per_week: None, quiet_hours: None, min_gap_hours: None }
    }
}

#[expect(clippy::derivable_impls, reason = "the derives of a choice are those of its macro")]
impl Default for ExploreUnit {
    fn default() -> Self {
        Self::Decision
    }
}

/// Minutes of slots.
const LENGTHS: [u32; 5] = [15, 30, 60, 120, 360];

impl PolicyConfig {
    /// How many slots a window has.
    pub fn slots(&self) -> usize {
        let minutes = if self.window == DecisionWindow::Week { 10_080 } else { 1_440 };
        (minutes / self.slot_minutes.max(1)) as usize
    }

    /// Whether nothing is changed: messages go out when they would by `sends`, and all is logged.
    pub(super) fn is_plain(&self) -> bool {
        self.window == DecisionWindow::Day
            && self.base.r#type == BaseKind::Scheduled
            && self.explore.as_ref().is_none_or(|explore| explore.share == 0.0)
            && self.skip == 0.0
            && self.holdout.as_ref().is_none_or(|holdout| holdout.share == 0.0)
            && self.caps.as_ref().is_none_or(|caps| *caps == CapsConfig::default())
    }

    pub(in super::super) fn check(&self, config: &EmailConfig, checker: &mut Checker) {
        checker.require(LENGTHS.contains(&self.slot_minutes), "policy.slot_minutes", || {
            format!("must be 15, 30, 60, 120 or 360, got {}", self.slot_minutes)
        });
        checker.require(self.window != DecisionWindow::Week || self.slot_minutes >= 60, "policy.slot_minutes", || {
            format!("must be at least 60 with `window: week`, got {}", self.slot_minutes)
        });
        let minutes = config.timezone.minutes();
        checker.require(
            self.clock == PolicyClock::Utc || i32::from(minutes) % (self.slot_minutes.min(60) as i32) == 0,
            "policy.slot_minutes",
            || "must divide the offset of `timezone` from UTC: choose 15 or 30, or `clock: utc`".to_owned(),
        );
        self.base.check_kind(self.slots(), checker);
        let is_free = self.explore.is_some() || self.skip > 0.0 || self.holdout.is_some() || self.caps.is_some();
        checker.require(self.base.r#type != BaseKind::Schedule || !is_free, "policy", || {
            "a schedule says when everything goes out: leave `explore`, `skip`, `holdout` and `caps` out".to_owned()
        });
        checker.require(self.base.r#type != BaseKind::Schedule || config.timezones.is_none(), "policy.base.type", || {
            "`schedule` has one clock for everybody: leave `timezones` out, or choose another type".to_owned()
        });
        if let Some(quiet) = self.caps.as_ref().and_then(|caps| caps.quiet_hours.as_ref()) {
            checker.require(quiet.from != quiet.until, "policy.caps.quiet_hours.until", || {
                "must not be the hour at which they begin: no hour would be left".to_owned()
            });
        }
    }
}

impl BaseConfig {
    fn check_kind(&self, slots: usize, checker: &mut Checker) {
        use BaseKind::{Fixed, Schedule, Softmax, Table};
        let own = [
            ("slot", self.slot.is_some(), Fixed),
            ("minute_of_week", self.minute_of_week.is_some(), Fixed),
            ("temperature", self.temperature.is_some(), Softmax),
            ("file", self.file.is_some(), Table),
            ("sha256", self.sha256.is_some(), Schedule),
        ];
        for (key, is_given, kind) in own {
            let name = format!("{kind:?}").to_lowercase();
            checker.require(!is_given || self.r#type == kind, format!("policy.base.{key}"), || {
                format!("is for `type: {name}`; leave it out, or choose that type")
            });
        }
        let is_one = self.slot.is_some() != self.minute_of_week.is_some();
        checker.require(self.r#type != Fixed || is_one, "policy.base", || {
            "`fixed` needs `slot` or `minute_of_week`, and one alone".to_owned()
        });
        checker.require(self.slot.is_none_or(|slot| (slot as usize) < slots), "policy.base.slot", || {
            format!("must be from 0 to {}, as there are {slots} slots", slots - 1)
        });
        checker.require(self.r#type != Softmax || self.temperature.is_some_and(|t| t > 0.0), "policy.base.temperature", || {
            "must be given, and above 0, with `type: softmax`".to_owned()
        });
        let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        checker.require(self.r#type != Schedule || self.sha256.as_ref().is_some_and(is_digest), "policy.base.sha256", || {
            "must be given with `type: schedule`: 64 hexadecimal digits, in lower case".to_owned()
        });
        checker.require(self.r#type != Table || self.file.is_some(), "policy.base.file", || "must be given with `type: table`".to_owned());
    }
}
