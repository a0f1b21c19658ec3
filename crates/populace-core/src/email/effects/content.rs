//! The variants of experiments.

use super::super::experiments::Experiments;
use super::super::world::Circumstances;
use super::effect::{About, Chart, Effect, Grouping, Level, Nodes, Outlook, Points};

pub(super) const ABOUT: About = About {
    name: "content",
    meaning: "Factor of p_open like those before: by the variants of experiments; 1 with `control`, and outside of experiments",
    by_clock: false,
    optional: true,
    clicks: Some(("content_click", "Factor of P(click | open): by the variants of experiments")),
    detects: ("what variants of experiments do", |path| path.starts_with("experiments.")),
    constants: &[],
    grouping: Some(Grouping {
        opens: "opens by variant",
        clicks: "clicks of opens by variant",
        label: |effects, at| effects.experiments().map_or_else(String::new, |own| label(own, at).to_owned()),
    }),
    evidence: None,
};

fn label<'a>(experiments: &'a Experiments, at: &Circumstances) -> &'a str {
    let label = &experiments.exposures()[usize::from(at.exposed.exposure)].label;
    if label.is_empty() { OUTSIDE } else { label }
}

const OUTSIDE: &str = "no experiment";

/// The factor of a message's variants.
#[derive(Clone, Debug)]
pub(in super::super) struct Content {
    pub(super) experiments: Experiments,
    /// Variants that do something: experiment, variant.
    treated: Vec<(u8, u8)>,
    /// The points of the chart: every variant of every experiment.
    points: Vec<(u8, u8)>,
}

impl Content {
    pub(super) fn new(experiments: Experiments) -> Self {
        let each = |(place, of): (usize, &super::super::experiments::Experiment)| {
            (0..of.variants.len()).map(|variant| (place as u8, variant as u8)).collect::<Vec<_>>()
        };
        let points: Vec<(u8, u8)> = experiments.list().iter().enumerate().flat_map(each).collect();
        let has_effect =
            |&(place, variant): &(u8, u8)| experiments.list()[usize::from(place)].variants[usize::from(variant)].effect.is_some();
        Self { treated: points.iter().copied().filter(has_effect).collect(), points, experiments }
    }
}

impl Effect for Content {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        if at.exposed.exposure == 0 { 1.0 } else { self.experiments.open_factor(at.exposed, at.person.responsiveness) }
    }

    #[inline]
    fn click_factor(&self, at: &Circumstances) -> f64 {
        if at.exposed.exposure == 0 { 1.0 } else { self.experiments.click_factor(at.exposed) }
    }

    fn expected(&self, outlook: &dyn Outlook) -> Nodes {
        let nodes = self.experiments.expected(outlook.day(), outlook.campaign());
        nodes.into_iter().map(|([open, _], weight)| (open, weight)).collect()
    }

    fn state(&self, at: &Circumstances) -> u16 {
        at.exposed.exposure
    }

    fn levels(&self) -> Vec<Level> {
        let level = |&(place, variant): &(u8, u8)| {
            let of = &self.experiments.list()[usize::from(place)];
            let path = format!("experiments.{}.effect.{}.open", of.name, of.variants[usize::from(variant)].name);
            Level { path, truth: Some(of.mean_effect(variant.into())) }
        };
        self.treated.iter().map(level).collect()
    }

    fn applies(&self, level: usize, state: u16) -> bool {
        self.experiments.exposures()[usize::from(state)].variants.contains(&self.treated[level])
    }

    /// Of experiments that overlap, the chart shows a message at its variant of the first.
    fn chart(&self) -> Option<Chart> {
        let name = |&(place, variant): &(u8, u8)| {
            let of = &self.experiments.list()[usize::from(place)];
            format!("{}: {}", of.name, of.variants[usize::from(variant)].name)
        };
        let names: Vec<String> = self.points.iter().map(name).chain([OUTSIDE.to_owned()]).collect();
        let last = names.len() - 1;
        (last > 0).then(|| Chart {
            id: "content",
            title: "By variant",
            axis: "Experiments with their variants".into(),
            points: Points::Named(names),
            caption: "Opened in experiments: {}, outside of them: {}.".into(),
            shares: [0..last, last..last + 1],
        })
    }

    fn point(&self, at: &Circumstances) -> usize {
        let first = self.experiments.exposures()[usize::from(at.exposed.exposure)].variants.first();
        first.and_then(|own| self.points.iter().position(|point| point == own)).unwrap_or(self.points.len())
    }
}
