//! What an effect is: a factor of the open rate, and all that is said of it.

use super::super::world::Circumstances;
use super::Effects;
use crate::time::Instant;
use core::ops::Range;

/// What is said of an effect, whatever its settings.
#[derive(Debug)]
pub struct About {
    /// Its name: a column of the table `messages`, and what `plan --detect` takes.
    pub name: &'static str,
    /// What that column holds.
    pub meaning: &'static str,
    /// Whether it depends on the person and the time of the week alone.
    pub by_clock: bool,
    /// Whether its columns are there only where it is on.
    pub optional: bool,
    /// The column of its factor of P(click | open) and what it holds, where it has such a factor.
    pub clicks: Option<(&'static str, &'static str)>,
    /// What a study of it detects, and the parameters that `recover` estimates for it.
    pub detects: (&'static str, fn(&str) -> bool),
    /// The keys of its constants that raise or lower opens.
    pub constants: &'static [&'static str],
    /// By what `verify` groups opens and clicks.
    pub grouping: Option<Grouping>,
    /// What it depends on, where that is a column of its own.
    pub evidence: Option<Evidence>,
}

/// A grouping of messages.
#[derive(Debug)]
pub struct Grouping {
    /// What it is called of opens.
    pub opens: &'static str,
    /// What it is called of clicks.
    pub clicks: &'static str,
    /// The group of a message.
    pub label: fn(&Effects, &Circumstances) -> String,
}

/// A factor of messages of certain states, which `recover` estimates.
#[derive(Debug)]
pub struct Level {
    /// The parameter.
    pub path: String,
    /// Its value; `None` where it is the mean factor of the messages of the one state it applies to.
    pub truth: Option<f64>,
}

/// A chart of open rates.
#[derive(Debug)]
pub struct Chart {
    /// Its id.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What its horizontal axis shows.
    pub axis: String,
    /// What stands on that axis.
    pub points: Points,
    /// Text in which each `{}` is the open rate of some points.
    pub caption: String,
    /// Those points.
    pub shares: [Range<usize>; 2],
}

/// The points of a chart.
#[derive(Debug)]
pub enum Points {
    /// Names in order.
    Named(Vec<String>),
    /// Steps along a number.
    Steps {
        /// The length of a step.
        width: f64,
        /// The number's unit.
        unit: &'static str,
        /// The number at the end of the last step.
        end: f64,
        /// What the messages are that lie in no step, whose point comes after the steps.
        others: &'static str,
    },
}

/// A column of the truth: what an effect depends on.
#[derive(Debug)]
pub struct Evidence {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub meaning: &'static str,
    /// Its value.
    pub value: Value,
}

/// Where a column's values come from.
#[derive(Debug)]
pub enum Value {
    /// Whole numbers.
    Count(fn(&Circumstances) -> u32),
    /// Numbers, or null.
    Float(fn(&Circumstances) -> Option<f64>),
}

/// A discrete distribution: values with their probabilities.
pub type Nodes = Vec<(f64, f64)>;

/// What is to be expected of the circumstances of a message.
pub trait Outlook {
    /// P(0), P(1), … sends in so many hours before, the last standing for `most` or more.
    fn recent_sends(&self, hours: u32, most: usize) -> Vec<f64>;
    /// Minutes since the latest hot path with their probabilities, where that is less than a window.
    fn since_interest(&self, window_minutes: f64) -> Nodes;
    /// The moment on the recipients' clock.
    fn clock(&self) -> Instant;
    /// Days from the window's begin to the sending, on the clock by which days are counted.
    fn day(&self) -> f64;
    /// The campaign that all of it is of; `None` of scheduled mail.
    fn campaign(&self) -> Option<usize>;
}

/// An effect: a factor of the open rate.
pub trait Effect {
    /// The factor.
    fn factor(&self, at: &Circumstances) -> f64;

    /// The factor of P(click | open).
    fn click_factor(&self, _: &Circumstances) -> f64 {
        1.0
    }

    /// Whether the document has it.
    fn is_on(&self) -> bool {
        true
    }

    /// The distribution of the factor, of one that does not depend on the time of the week alone.
    fn expected(&self, _: &dyn Outlook) -> Nodes {
        vec![(1.0, 1.0)]
    }

    /// The state of a message, where the [`levels`](Self::levels) of a state are the same for all its messages.
    fn state(&self, _: &Circumstances) -> u16 {
        0
    }

    /// The factors that `recover` estimates, over the [`neutral`](Self::neutral) one.
    fn levels(&self) -> Vec<Level> {
        Vec::new()
    }

    /// Whether a level applies to messages of a state.
    fn applies(&self, _level: usize, _state: u16) -> bool {
        false
    }

    /// The factor of messages to which no level applies.
    fn neutral(&self) -> f64 {
        1.0
    }

    /// The chart that a report has of it.
    fn chart(&self) -> Option<Chart> {
        None
    }

    /// The point of a message in that chart.
    fn point(&self, _: &Circumstances) -> usize {
        0
    }
}

/// An effect that may be off.
impl<E: Effect> Effect for Option<E> {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.as_ref().map_or(1.0, |effect| effect.factor(at))
    }

    #[inline]
    fn click_factor(&self, at: &Circumstances) -> f64 {
        self.as_ref().map_or(1.0, |effect| effect.click_factor(at))
    }

    fn is_on(&self) -> bool {
        self.is_some()
    }

    fn expected(&self, outlook: &dyn Outlook) -> Nodes {
        self.as_ref().map_or_else(|| vec![(1.0, 1.0)], |effect| effect.expected(outlook))
    }

    fn state(&self, at: &Circumstances) -> u16 {
        self.as_ref().map_or(0, |effect| effect.state(at))
    }

    fn levels(&self) -> Vec<Level> {
        self.as_ref().map_or_else(Vec::new, Effect::levels)
    }

    fn applies(&self, level: usize, state: u16) -> bool {
        self.as_ref().is_some_and(|effect| effect.applies(level, state))
    }

    fn neutral(&self) -> f64 {
        self.as_ref().map_or(1.0, Effect::neutral)
    }

    fn chart(&self) -> Option<Chart> {
        self.as_ref().and_then(Effect::chart)
    }

    fn point(&self, at: &Circumstances) -> usize {
        self.as_ref().map_or(0, |effect| effect.point(at))
    }
}
