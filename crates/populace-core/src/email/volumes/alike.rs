//! What a day's mail depends on: days are alike where it is the same.

use super::super::effects::Season;
use super::{Calendar, DAY, Mail};
use core::ops::Range;

impl Calendar<'_> {
    /// The seasons of some days, as bits; empty where there are none.
    pub(super) fn seasons(&self, days: Range<u32>) -> Vec<[u64; 3]> {
        let of = |season: &Season| {
            let day = |day: u32| {
                let of = season.day(self.config.window.start.plus(day as i32));
                [of.volume, of.open, of.click].map(f64::to_bits)
            };
            days.map(day).collect()
        };
        self.model.effects.season().map_or_else(Vec::new, of)
    }

    /// What distinguishes the experiments of some days; empty where there are none.
    pub(super) fn experiments(&self, days: Range<u32>) -> Vec<u64> {
        let own = self.model.effects.experiments();
        own.map_or_else(Vec::new, |own| days.flat_map(|day| own.signature(day)).collect())
    }

    /// The campaign of triggered mail, where experiments ask for it.
    pub(super) fn campaign_of_triggered(&self) -> Option<usize> {
        self.model.effects.experiments()?.triggered
    }

    /// The mean factor of P(click | open) by the variants of an hour's mail, each with its campaign, over its opens.
    pub(super) fn clicked_for_content(&self, moment: f64, mails: &[(&Mail, Option<usize>)]) -> f64 {
        let Some(own) = self.model.effects.experiments() else { return 1.0 };
        let (mut opens, mut clicks) = (0.0, 0.0);
        for (mail, campaign) in mails.iter().filter(|(mail, _)| mail.mass > 0.0) {
            for ([open, click], weight) in own.expected(moment / DAY, *campaign) {
                opens += mail.mass * weight * open;
                clicks += mail.mass * weight * open * click;
            }
        }
        if opens > 0.0 { clicks / opens } else { 1.0 }
    }
}
