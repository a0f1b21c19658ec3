//! What is sent.

use super::world::above_0;
use crate::dist::Categorical;
use crate::scenario::Checker;
use crate::section::{choice, section};
use crate::stream::below;
use std::collections::BTreeMap;

const BYTES_PER_KB: f64 = 1_024.0;

choice! {
    /// What kind of mail a campaign sends.
    pub enum CampaignType {
        /// Mail that something the user did calls for.
        Transactional,
        /// Mail that the sender wishes to send.
        Promotional,
    }
}

section! {
    /// A campaign.
    pub struct CampaignConfig {
        /// Its name.
        name: String,
        /// How often it is chosen for a scheduled send, over the sum of the weights.
        weight: f64 [0.0 ..],
        /// What kind of mail it is.
        r#type: CampaignType,
        /// Mean size of a message in units of 1,024 bytes; above 0.
        mean_size_kb: f64 [0.0 ..= 100_000.0],
        /// Where a click leads below `click_base_url`; starts with `/`.
        click_path: String,
        /// Subject lines, equally likely.
        subjects: Vec<String> [len 1 ..= 100],
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

/// All campaigns.
#[derive(Clone, Debug)]
pub(super) struct Campaigns {
    pub(super) choice: Categorical,
    pub(super) list: Box<[Campaign]>,
    pub(super) infos: Vec<CampaignInfo>,
    pub(super) subjects: Vec<String>,
    pub(super) click_urls: Vec<String>,
}

impl Campaigns {
    /// The campaigns of a document, and those of `internal` ids and names.
    pub(super) fn new(
        config: &BTreeMap<String, CampaignConfig>,
        click_base_url: &str,
        internal: &[(&'static str, &'static str)],
        checker: &mut Checker,
    ) -> Option<Self> {
        check(config, internal, checker);
        let weights: Vec<f64> = config.values().map(|campaign| campaign.weight).collect();
        let choice = checker.take("campaigns", Categorical::new(&weights))?;
        let mut subjects = Vec::new();
        let mut list = Vec::new();
        for campaign in config.values() {
            list.push(Campaign {
                first_subject: subjects.len() as u16,
                subjects: campaign.subjects.len() as u16,
                mean_bytes: campaign.mean_size_kb * BYTES_PER_KB,
            });
            subjects.extend(campaign.subjects.iter().cloned());
        }
        let configured =
            config.iter().map(|(id, campaign)| CampaignInfo { id: id.clone(), name: campaign.name.clone(), kind: Some(campaign.r#type) });
        let internal = internal.iter().map(|&(id, name)| CampaignInfo { id: id.into(), name: name.into(), kind: None });
        Some(Self {
            choice,
            list: list.into(),
            infos: configured.chain(internal).collect(),
            subjects,
            click_urls: config.values().map(|campaign| format!("{click_base_url}{}", campaign.click_path)).collect(),
        })
    }
}

fn check(config: &BTreeMap<String, CampaignConfig>, internal: &[(&str, &str)], checker: &mut Checker) {
    for (id, campaign) in config {
        let path = |key: &str| format!("campaigns.{id}.{key}");
        if internal.iter().any(|(internal, _)| internal == id) {
            checker.problem(format!("campaigns.{id}"), "is the campaign of non-mail rows", "choose another id");
        }
        above_0(&path("mean_size_kb"), campaign.mean_size_kb, checker);
        checker.require(campaign.click_path.starts_with('/'), path("click_path"), || {
            format!("must start with `/`, got `{}`", campaign.click_path)
        });
    }
}
