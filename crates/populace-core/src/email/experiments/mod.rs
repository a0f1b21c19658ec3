//! Experiments: messages that come in variants, what these do to opens and clicks, and what each variant would have done.

mod config;
mod outcomes;
mod worth;

pub use config::{ExperimentConfig, ExperimentUnit, NoveltyConfig, VariantEffectConfig};
pub(super) use outcomes::Prospect;
pub use worth::VariantWorth;

use super::config::EmailConfig;
use super::decisions::{ASSIGN, ordinal_of};
use super::effects::occasion::Names;
use crate::dist::{Categorical, StandardNormal, fewer_nodes};
use crate::math;
use crate::scenario::Checker;
use crate::stream::{ActorKey, Purpose};
use config::CONTROL;
use std::collections::{BTreeMap, BTreeSet};

/// Ordinal 0: how far the content of variants moves a person.
const CONTENT: Purpose = Purpose::new(16);

/// The most experiments.
const MOST: usize = 32;
/// The most sets of variants that a message may have.
const MOST_EXPOSURES: usize = 1_024;
/// The most that mail may say of itself: each set of variants with each trigger and blast.
const MOST_METADATA: usize = 16_384;

/// What a message shows of experiments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exposed {
    /// An index into [`Experiments::exposures`]; 0 of a message that is in none.
    pub exposure: u16,
    /// Days from the window's begin to the sending, on the clock by which days are counted.
    pub day: f64,
}

/// The experiments of a document.
#[derive(Clone, Debug)]
pub struct Experiments {
    list: Vec<Experiment>,
    exposures: Vec<Exposure>,
    /// By set of experiments, the first of its exposures.
    first: BTreeMap<u32, u16>,
    /// By exposure and what mail says without one: what it says. `u16::MAX` of what mail never says.
    metadata: Vec<u16>,
    /// How many metadata there are without experiments.
    plain: usize,
    /// The share of each campaign in scheduled mail.
    shares: Vec<f64>,
    /// The campaign of triggered mail.
    pub(super) triggered: Option<usize>,
}

/// An experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What variants are dealt to.
    pub unit: ExperimentUnit,
    /// Its variants, in the order of their names.
    pub variants: Vec<Variant>,
    /// Its days: the first, and the first after them.
    pub days: core::ops::Range<u32>,
    /// The standard deviation of the logarithm of what a variant does to people's opens.
    pub heterogeneity: f64,
    /// What is added at the begin, and days after which half of it is left.
    pub novelty: Option<(f64, f64)>,
    campaigns: Vec<bool>,
    ordinal: u64,
    choice: Categorical,
}

/// A variant.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its probability.
    pub weight: f64,
    /// The factors of the open rate and of P(click | open); `None` of one that does nothing.
    pub effect: Option<[f64; 2]>,
}

/// A set of variants that a message may have.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// Experiments and variants, by their places.
    pub variants: Vec<(u8, u8)>,
    /// The same as text: `subject_test=emoji`, separated by commas; empty where there are none.
    pub label: String,
    /// The probability of the variants.
    pub propensity: f64,
    /// Σ of the heterogeneities of variants that do something: opens of a person go with exp(spread · responsiveness).
    pub spread: f64,
}

impl Experiment {
    fn new(name: &str, own: &ExperimentConfig, config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        own.check(name, config, checker);
        let weights: Vec<f64> = own.variants.values().copied().collect();
        let choice = checker.take(format!("experiments.{name}.variants"), Categorical::new(&weights))?;
        let variant = |(variant, weight): (&String, &f64)| Variant {
            name: variant.clone(),
            weight: *weight,
            effect: own.effect.get(variant).map(|effect| [effect.open, effect.click]),
        };
        Some(Self {
            name: name.to_owned(),
            unit: own.unit,
            variants: own.variants.iter().map(variant).collect(),
            days: own.from_day..own.from_day.saturating_add(own.days),
            heterogeneity: own.heterogeneity_sd,
            novelty: own.novelty.as_ref().map(|novelty| (novelty.extra, novelty.half_life_days)),
            campaigns: config.campaigns.keys().map(|id| own.campaigns.as_ref().is_none_or(|own| own.contains(id))).collect(),
            ordinal: ordinal_of(name),
            choice,
        })
    }

    /// The place of the variant that the others are compared with.
    pub fn control(&self) -> usize {
        self.variants.iter().position(|variant| variant.name == CONTROL).unwrap_or(0)
    }

    /// Whether messages of a campaign, by its place, are in it.
    pub fn has_campaign(&self, campaign: usize) -> bool {
        self.campaigns.get(campaign).copied().unwrap_or(false)
    }

    /// The factor of novelty of what is sent so many days after the window's begin.
    fn novelty_at(&self, day: f64) -> f64 {
        self.novelty.map_or(1.0, |(extra, half_life)| {
            let since = (day - f64::from(self.days.start)).max(0.0);
            1.0 + extra * math::exp(-since * core::f64::consts::LN_2 / half_life)
        })
    }

    /// The mean factor of opens of a variant, over recipients and the experiment's days.
    pub fn mean_effect(&self, variant: usize) -> f64 {
        let Some([open, _]) = self.variants[variant].effect else { return 1.0 };
        let days = f64::from(self.days.end - self.days.start);
        let novelty = self.novelty.map_or(1.0, |(extra, half_life)| {
            let rate = core::f64::consts::LN_2 / half_life;
            1.0 + extra * (1.0 - math::exp(-rate * days)) / (rate * days)
        });
        open * novelty
    }

    /// The variant of a recipient, by the experiment's own word.
    fn of_user(&self, key: &ActorKey) -> usize {
        self.choice.pick(key.purpose(ASSIGN).ordinal(self.ordinal).words().word::<0>())
    }

    /// The variant of a message. Its ordinal goes on with the hash of the experiment's name.
    fn of_message(&self, key: &ActorKey, ordinal: u64) -> usize {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let ordinal = ordinal.to_le_bytes().into_iter().fold(self.ordinal, step);
        self.choice.pick(key.purpose(ASSIGN).ordinal(ordinal).words().word::<0>())
    }
}

/// Standard normal places with their weights.
pub fn normal_nodes(count: usize) -> Vec<(f64, f64)> {
    // Beyond eight deviations there is nothing.
    let place = |step: i32| f64::from(step) / 64.0;
    let weight = |x: f64| math::exp(-0.5 * x * x);
    let all: Vec<(f64, f64)> = (-512..=512).map(place).map(|x| (x, weight(x))).collect();
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    fewer_nodes(&all, count).into_iter().map(|(x, weight)| (x, weight / sum)).collect()
}

impl Experiments {
    pub(super) fn new(
        own: &BTreeMap<String, ExperimentConfig>,
        config: &EmailConfig,
        names: &mut Names,
        checker: &mut Checker,
    ) -> Option<Self> {
        let list: Vec<_> = own.iter().map(|(name, own)| Experiment::new(name, own, config, checker)).collect();
        let list: Vec<Experiment> = list.into_iter().collect::<Option<_>>()?;
        // A document with problems may say too much to be prepared.
        if !checker.is_clean() || list.len() > MOST {
            return None;
        }
        let weights: f64 = config.campaigns.values().map(|campaign| campaign.weight).sum();
        let mut experiments = Self {
            shares: config.campaigns.values().map(|campaign| campaign.weight / weights).collect(),
            triggered: config.trigger().and_then(|trigger| config.campaigns.keys().position(|id| *id == trigger.campaign)),
            list,
            exposures: vec![Exposure { propensity: 1.0, ..Exposure::default() }],
            first: BTreeMap::new(),
            metadata: Vec::new(),
            plain: names.metadata.len(),
        };
        for set in experiments.sets() {
            let more = experiments.of_set(set);
            if experiments.exposures.len() + more.len() > MOST_EXPOSURES {
                let problem = format!("a message may have one of more than {MOST_EXPOSURES} sets of variants");
                checker.problem("experiments", problem, "let fewer of them overlap, or merge variants");
                return None;
            }
            experiments.first.insert(set, experiments.exposures.len() as u16);
            experiments.exposures.extend(more);
        }
        if experiments.exposures.len() * names.metadata.iter().filter(|text| is_of_mail(text)).count() > MOST_METADATA {
            let problem = format!("mail may say more than {MOST_METADATA} things of its variants, triggers and blasts");
            checker.problem("experiments", problem, "let fewer of them overlap, or leave blasts out");
            return None;
        }
        experiments.metadata = experiments.say(names);
        Some(experiments)
    }

    /// The sets of experiments that a message may be in, as bits.
    fn sets(&self) -> BTreeSet<u32> {
        let begins: BTreeSet<u32> = self.list.iter().map(|of| of.days.start).collect();
        let sets = (0..self.shares.len()).flat_map(|campaign| begins.iter().map(move |day| self.set(campaign, *day)));
        let mut found: BTreeSet<u32> = sets.collect();
        // Where one ends, others may go on.
        let ends = self.list.iter().map(|of| of.days.end);
        found.extend(ends.flat_map(|day| (0..self.shares.len()).map(move |campaign| self.set(campaign, day))));
        found.remove(&0);
        found
    }

    /// The experiments in which a message of a campaign is that is sent on a day, as bits.
    fn set(&self, campaign: usize, day: u32) -> u32 {
        let is_in = |of: &Experiment| of.has_campaign(campaign) && of.days.contains(&day);
        self.list.iter().enumerate().filter(|(_, of)| is_in(of)).fold(0, |set, (place, _)| set | 1 << place)
    }

    fn members(&self, set: u32) -> impl Iterator<Item = (usize, &Experiment)> {
        self.list.iter().enumerate().filter(move |(place, _)| set >> place & 1 > 0)
    }

    /// Every set of variants of some experiments: the last experiment's change first.
    fn of_set(&self, set: u32) -> Vec<Exposure> {
        let mut found = vec![Exposure { propensity: 1.0, ..Exposure::default() }];
        for (place, of) in self.members(set) {
            let with = |before: &Exposure| {
                let with = |(index, variant): (usize, &Variant)| {
                    let mut more = before.clone();
                    more.variants.push((place as u8, index as u8));
                    more.propensity *= variant.weight;
                    more.spread += variant.effect.map_or(0.0, |_| of.heterogeneity);
                    let comma = if more.label.is_empty() { "" } else { "," };
                    more.label = format!("{}{comma}{}={}", more.label, of.name, variant.name);
                    more
                };
                of.variants.iter().enumerate().map(with).collect::<Vec<_>>()
            };
            found = found.iter().flat_map(with).collect();
        }
        found
    }

    /// What mail says in its metadata: what it says without experiments, and its variants.
    fn say(&self, names: &mut Names) -> Vec<u16> {
        let plain: Vec<String> = names.metadata.clone();
        let mut all: Vec<u16> = (0..plain.len() as u16).collect();
        for exposure in &self.exposures[1..] {
            let variants = self.json(exposure);
            for text in &plain {
                let before = text.strip_suffix('}').filter(|_| is_of_mail(text));
                all.push(before.map_or(u16::MAX, |before| {
                    let comma = if before.len() > 1 { "," } else { "" };
                    names.metadata(format!(r#"{before}{comma}"experiments":{variants}}}"#))
                }));
            }
        }
        all
    }

    /// The variants of an exposure: `{"subject_test":"emoji"}`.
    pub fn json(&self, exposure: &Exposure) -> String {
        let of = |&(experiment, variant): &(u8, u8)| {
            let of = &self.list[usize::from(experiment)];
            format!(r#""{}":"{}""#, of.name, of.variants[usize::from(variant)].name)
        };
        format!("{{{}}}", exposure.variants.iter().map(of).collect::<Vec<_>>().join(","))
    }

    /// What a message with some variants says in its metadata.
    #[inline]
    pub(super) fn metadata(&self, exposure: u16, plain: u16) -> u16 {
        self.metadata[usize::from(exposure) * self.plain + usize::from(plain)]
    }

    /// The experiments, in the order of their names.
    pub fn list(&self) -> &[Experiment] {
        &self.list
    }

    /// The sets of variants that a message may have; the first is none.
    pub fn exposures(&self) -> &[Exposure] {
        &self.exposures
    }

    /// The exposure of a message of a campaign that is sent on a day and has some variants.
    pub fn exposure(&self, campaign: usize, day: u32, variant: impl Fn(usize, &Experiment) -> usize) -> u16 {
        let set = self.set(campaign, day);
        let Some(first) = self.first.get(&set) else { return 0 };
        first + self.members(set).fold(0, |place, (index, of)| place * of.variants.len() as u16 + variant(index, of) as u16)
    }

    /// The exposure of experiments and variants by their names; `None` if no message may have these.
    pub fn named<'n>(&self, named: impl Iterator<Item = (&'n str, &'n str)>) -> Option<u16> {
        let place = |(name, variant): (&str, &str)| {
            let place = self.list.iter().position(|of| of.name == name)?;
            Some((place as u8, self.list[place].variants.iter().position(|of| of.name == variant)? as u8))
        };
        let mut own = named.map(place).collect::<Option<Vec<_>>>()?;
        own.sort_unstable();
        self.exposures.iter().position(|exposure| exposure.variants == own).map(|place| place as u16)
    }

    /// The exposure whose variant of one experiment is another.
    ///
    /// # Panics
    /// There are no such experiment, variant and exposure.
    pub fn with(&self, exposure: u16, experiment: u8, variant: u8) -> u16 {
        let own = &self.exposures[usize::from(exposure)].variants;
        let set = own.iter().fold(0, |set, (place, _)| set | 1 << place);
        let place = own.iter().fold(0, |sum, &(of, here)| {
            let here = if of == experiment { variant } else { here };
            sum * self.list[usize::from(of)].variants.len() as u16 + u16::from(here)
        });
        self.first[&set] + place
    }

    /// The variants that an actor has in experiments which deal them to recipients, by experiment; 0 in the others.
    pub fn dealt(&self, key: &ActorKey) -> Vec<u8> {
        let of = |of: &Experiment| if of.unit == ExperimentUnit::User { of.of_user(key) as u8 } else { 0 };
        self.list.iter().map(of).collect()
    }

    /// Whether people differ in what variants do to them.
    pub fn people_differ(&self) -> bool {
        self.list.iter().any(|of| of.heterogeneity > 0.0 && of.variants.iter().any(|variant| variant.effect.is_some()))
    }

    /// How far the content of variants moves an actor.
    pub(super) fn responsiveness(&self, key: &ActorKey) -> f64 {
        if !self.people_differ() {
            return 0.0;
        }
        StandardNormal::default().sample(&mut key.purpose(CONTENT).ordinal(0).draws())
    }

    /// The factor of the open rate of a person so responsive.
    #[inline]
    pub fn open_factor(&self, of: Exposed, responsiveness: f64) -> f64 {
        let factor = |&(experiment, variant): &(u8, u8)| {
            let own = &self.list[usize::from(experiment)];
            let Some([open, _]) = own.variants[usize::from(variant)].effect else { return 1.0 };
            let sd = own.heterogeneity;
            let own_share = if sd > 0.0 { math::exp(sd * responsiveness - 0.5 * sd * sd) } else { 1.0 };
            open * own.novelty_at(of.day) * own_share
        };
        self.exposures[usize::from(of.exposure)].variants.iter().map(factor).product()
    }

    /// The factor of P(click | open).
    #[inline]
    pub fn click_factor(&self, of: Exposed) -> f64 {
        let factor = |&(experiment, variant): &(u8, u8)| {
            self.list[usize::from(experiment)].variants[usize::from(variant)].effect.map_or(1.0, |[_, click]| click)
        };
        self.exposures[usize::from(of.exposure)].variants.iter().map(factor).product()
    }

    /// The distribution of the factors of opens and clicks of mail that is sent so many days after the window's begin: of a campaign or, if
    /// that is none, of scheduled mail.
    pub(super) fn expected(&self, day: f64, one: Option<usize>) -> Vec<([f64; 2], f64)> {
        let share = |campaign: usize| one.map_or(self.shares[campaign], |own| f64::from(u8::from(own == campaign)));
        let mut sets: BTreeMap<u32, f64> = BTreeMap::new();
        for campaign in 0..self.shares.len() {
            *sets.entry(self.set(campaign, day.max(0.0) as u32)).or_default() += share(campaign);
        }
        let people = if self.people_differ() { normal_nodes(NODES) } else { vec![(0.0, 1.0)] };
        let mut nodes: Vec<([f64; 2], f64)> = Vec::new();
        let mut put = |factors: [f64; 2], weight: f64| match nodes.iter_mut().find(|(known, _)| *known == factors) {
            Some((_, sum)) => *sum += weight,
            None => nodes.push((factors, weight)),
        };
        for (set, share) in sets.into_iter().filter(|(_, share)| *share > 0.0) {
            let Some(first) = self.first.get(&set).map(|first| usize::from(*first)) else {
                put([1.0; 2], share);
                continue;
            };
            let count: usize = self.members(set).map(|(_, of)| of.variants.len()).product();
            for (place, exposure) in self.exposures.iter().enumerate().skip(first).take(count) {
                let of = Exposed { exposure: place as u16, day };
                for (responsiveness, weight) in &people {
                    put([self.open_factor(of, *responsiveness), self.click_factor(of)], share * exposure.propensity * weight);
                }
            }
        }
        nodes
    }

    /// What distinguishes the experiments of a day from those of others, to a thousandth of a factor.
    pub(super) fn signature(&self, day: u32) -> Vec<u64> {
        let of = |of: &Experiment| {
            if of.days.contains(&day) { 1 + (1_000.0 * of.novelty_at(f64::from(day) + 0.5)) as u64 } else { 0 }
        };
        self.list.iter().map(of).collect()
    }
}

/// Whether metadata is that of a message.
fn is_of_mail(metadata: &str) -> bool {
    metadata == "{}" || [r#"{"trigger""#, r#"{"blast""#].iter().any(|begin| metadata.starts_with(begin))
}

/// Places of people among the factors that are expected.
const NODES: usize = 3;
