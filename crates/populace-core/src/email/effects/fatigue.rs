//! Fatigue: recent mail lowers the open rate.

use super::super::world::Circumstances;
use super::effect::{About, Chart, Effect, Evidence, Grouping, Level, Nodes, Outlook, Points, Value};
use crate::section::section;
use crate::time::HOUR;

pub(super) const ABOUT: About = About {
    name: "fatigue",
    meaning: "Factor: by recent_sends",
    by_clock: false,
    optional: false,
    clicks: None,
    detects: ("recent mail lowers opens", |path| path.starts_with("fatigue.factors.")),
    constants: &[],
    grouping: Some(Grouping {
        opens: "opens by recent sends",
        clicks: "clicks of opens by recent sends",
        label: |_, at| at.recent_sends.min(6).to_string(),
    }),
    evidence: Some(Evidence {
        name: "recent_sends",
        meaning: "Sends to the recipient in the time that fatigue looks back on, this one excluded",
        value: Value::Count(|at| at.recent_sends),
    }),
};

section! {
    /// The open rate's factor by the number of the user's sends in the time before this one.
    pub struct FatigueConfig {
        /// How long a send counts as recent, hours.
        hours: u32 [1 ..= 720],
        /// The factor after 0, 1, 2, … recent sends; the last is for that many or more.
        factors: Vec<f64> [len 1 ..= 100, each 0.0 ..= 10.0],
    }
}

/// The factor of recent sends.
#[derive(Clone, Debug)]
pub(in super::super) struct Fatigue {
    hours: u32,
    factors: Box<[f64]>,
}

impl Fatigue {
    pub(super) fn new(config: &FatigueConfig) -> Self {
        Self { hours: config.hours, factors: config.factors.clone().into() }
    }

    /// How long a send counts as recent, microseconds.
    #[inline]
    pub(super) fn looks_back(&self) -> i64 {
        i64::from(self.hours) * HOUR
    }
}

impl Effect for Fatigue {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.factors[self.point(at)]
    }

    fn expected(&self, outlook: &dyn Outlook) -> Nodes {
        self.factors.iter().copied().zip(outlook.recent_sends(self.hours, self.factors.len() - 1)).collect()
    }

    fn state(&self, at: &Circumstances) -> u16 {
        self.point(at) as u16
    }

    fn levels(&self) -> Vec<Level> {
        let level =
            |(index, factor): (usize, &f64)| Level { path: format!("fatigue.factors.{index}"), truth: Some(factor / self.factors[0]) };
        self.factors.iter().enumerate().skip(1).map(level).collect()
    }

    fn applies(&self, level: usize, state: u16) -> bool {
        usize::from(state) == level + 1
    }

    fn neutral(&self) -> f64 {
        self.factors[0]
    }

    fn chart(&self) -> Option<Chart> {
        let (hours, last) = (self.hours, self.factors.len() - 1);
        let name = |sends: usize| if sends == last { format!("{sends} or more") } else { sends.to_string() };
        (last > 0).then(|| Chart {
            id: "recent-sends",
            title: "After recent sends",
            axis: format!("Sends to the same recipient in the {hours} hours before"),
            points: Points::Named((0..=last).map(name).collect()),
            caption: format!("Opened by how many sends came in the {hours} hours before: {{}} after none, {{}} after {last} or more."),
            shares: [0..1, last..last + 1],
        })
    }

    #[inline]
    fn point(&self, at: &Circumstances) -> usize {
        (at.recent_sends as usize).min(self.factors.len() - 1)
    }
}
