//! How many recipients are still there, in expectation.

use super::super::mailbox::MailboxProvider;
use super::super::model::EmailModel;
use super::super::scanner::Scanners;
use super::Leaving;
use crate::math;
use crate::time::DAY;

/// What becomes of a recipient by day. Numbers of deliveries are taken for Poisson, independent of who is still there, and a day's hazard
/// for that of its middle: within .2% of simulation by the rates of the built-in section.
#[derive(Clone, Debug)]
pub(in super::super) struct Survival {
    /// By day: the share of due messages that are still sent.
    present: Box<[f64]>,
    /// By day: how much more, or less, often than others those behind a scanner are still there. Empty where no scan unsubscribes.
    scanned: Box<[f64]>,
    /// Expected `unsubscribed` and `spam_reported` rows.
    pub(in super::super) rows: [f64; 2],
}

impl Survival {
    /// `arriving` are, of each day, the deliveries to a recipient that is still there of scheduled mail, of triggered, of blasts, and of blasts
    /// with the factors of their campaigns; `open_delay` is the mean time
    /// from delivery to open, minutes.
    pub(in super::super) fn new(model: &EmailModel, leaving: &Leaving, arriving: &[[f64; 4]], open_delay: f64) -> Self {
        let of_campaigns = by_campaign(model, leaving);
        let reporting: f64 = MailboxProvider::ALL.iter().map(|of| MailboxProvider::SHARES[*of as usize] * of.reporting()).sum();
        let delivered: Vec<f64> = arriving.iter().map(|of| of[..3].iter().sum()).collect();
        let by_scan = model.scanners().map_or(0.0, Scanners::unsubscribed_share);
        let scan = model.scanners().map_or(0.0, |scanners| scanners.probability);
        // Those whose complaints are told, the others, and those whom a scan unsubscribes: the share, of how many complaints are told, and
        // the hazard of a scan.
        let groups = [(reporting * (1.0 - by_scan), 1.0, 0.0), ((1.0 - reporting) * (1.0 - by_scan), 0.0, 0.0), (by_scan, reporting, scan)];
        // P(nothing has made a recipient leave by the begin of a day), of each.
        let mut staying = [vec![1.0], vec![1.0], vec![1.0]];
        let mut rows = [0.0; 2];
        for (day, kinds) in arriving.iter().enumerate() {
            let [first, second] = moments(leaving, recent(&delivered, day, f64::from(leaving.config.days)));
            let unsubscribe = leaving.config.unsubscribe * first * (kinds[0] * of_campaigns[0] + kinds[1] * of_campaigns[1] + kinds[3]);
            let complaint = leaving.config.complaint * second * delivered[day];
            for (of, (share, told, scan)) in staying.iter_mut().zip(groups) {
                let hazards = [unsubscribe + scan * delivered[day], told * complaint];
                let hazard = hazards[0] + hazards[1];
                let begin = of[day];
                let end = begin * math::exp(-hazard);
                if hazard > 0.0 {
                    let at_risk = share * (begin - end) / hazard;
                    rows.iter_mut().zip(hazards).for_each(|(rows, hazard)| *rows += at_risk * hazard);
                }
                of.push(end);
            }
        }
        let share_staying = |group: usize, moment: f64| {
            let of = &staying[group];
            let day = (moment.max(0.0) as usize).min(of.len() - 2);
            of[day] + (of[day + 1] - of[day]) * (moment - day as f64).clamp(0.0, 1.0)
        };
        let opened: f64 = model.personas().iter().map(|persona| persona.share * persona.open_rate).sum();
        let lag = leaving.takes_effect_after().map(|after| {
            let wait = opened * (open_delay + leaving.after_open.mean()) + (1.0 - opened) * leaving.after_delivery.mean();
            let days = |minutes: f64| after as f64 / DAY as f64 + minutes / 1_440.0;
            [days(wait), days(wait), days(model.scanners().map_or(0.0, Scanners::mean_minutes))]
        });
        // The last message is sent so long after the delivery of the one that made the recipient leave.
        let by_group =
            |day: usize| [0, 1, 2].map(|group: usize| lag.map_or(1.0, |lag| share_staying(group, day as f64 + 0.5 - lag[group])));
        let days: Vec<[f64; 3]> = (0..arriving.len()).map(by_group).collect();
        let present: Box<[f64]> = days.iter().map(|of| groups.iter().zip(of).map(|((share, ..), of)| share * of).sum()).collect();
        // Behind a scanner the share of those whom it unsubscribes is greater.
        let behind = model.scanners().map_or(0.0, |scanners| scanners.unsubscribe_on_get);
        let scanned = |(of, present): (&[f64; 3], &f64)| {
            let others = reporting * of[0] + (1.0 - reporting) * of[1];
            if *present > 0.0 { ((1.0 - behind) * others + behind * of[2]) / present } else { 1.0 }
        };
        let scanned = if by_scan > 0.0 { days.iter().zip(&present).map(scanned).collect() } else { Box::default() };
        Self { present, scanned, rows }
    }

    /// How much more, or less, often than others those behind a scanner are still there, over some days.
    pub(in super::super) fn scanned(&self, days: &[u32]) -> f64 {
        let present = |day: &u32| self.present[*day as usize];
        let all: f64 = days.iter().map(present).sum();
        if self.scanned.is_empty() || all <= 0.0 {
            1.0
        } else {
            days.iter().map(|day| present(day) * self.scanned[*day as usize]).sum::<f64>() / all
        }
    }

    /// The share of the messages due on a day that are sent.
    pub(in super::super) fn present(&self, day: u32) -> f64 {
        self.present[day as usize]
    }
}

/// The mean factors of the campaigns of scheduled and of triggered mail.
fn by_campaign(model: &EmailModel, leaving: &Leaving) -> [f64; 2] {
    let config = model.config();
    let weights: Vec<f64> = config.campaigns.values().map(|campaign| campaign.weight).collect();
    let weighted: f64 = weights.iter().enumerate().map(|(campaign, weight)| weight * leaving.campaign(campaign)).sum();
    let of_trigger = config.trigger().and_then(|trigger| config.campaigns.keys().position(|id| *id == trigger.campaign));
    [weighted / weights.iter().sum::<f64>(), of_trigger.map_or(0.0, |campaign| leaving.campaign(campaign))]
}

/// Expected deliveries in so many days before the middle of a day.
fn recent(delivered: &[f64], day: usize, days: f64) -> f64 {
    let begin = day as f64 + 0.5 - days;
    let first = begin.max(0.0) as usize;
    let share = |of: usize| (of as f64 + 1.0 - begin).min(1.0);
    (first..day).map(|of| share(of) * delivered[of]).sum::<f64>() + 0.5 * delivered[day]
}

/// E m and E m² where the number of deliveries is Poisson.
fn moments(leaving: &Leaving, mean: f64) -> [f64; 2] {
    if mean == 0.0 {
        return [1.0; 2];
    }
    let width = 12.0 * mean.sqrt() + 20.0;
    let mut sums = [0.0; 2];
    for count in (mean - width).max(0.0) as u32..=(mean + width) as u32 {
        let probability = math::exp(f64::from(count) * math::ln(mean) - mean - math::ln_gamma(f64::from(count) + 1.0));
        let factor = leaving.frequency(count);
        sums[0] += probability * factor;
        sums[1] += probability * factor * factor;
    }
    sums
}
