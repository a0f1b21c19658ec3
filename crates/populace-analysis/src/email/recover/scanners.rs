//! Clicks by scanners: who is behind one, how often it visits, and when.

use super::tally::Tally;
use crate::email::{History, Law};
use crate::recover::numbers::Moments;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::stats::merge_fields;
use populace_core::email::EmailConfig;
use populace_core::time::SECOND;

/// The share of fast scans that must be over before slow ones begin, for the two to be told apart.
const TOLD_APART: f64 = 0.999;

/// After so many messages a scanner has shown.
const SURE: usize = 1_000;

/// What is counted of scans.
#[derive(Default)]
pub(super) struct Scans {
    /// Recipients with a scan, and all by how many messages were delivered to them.
    recipients: u64,
    by_delivered: Vec<u64>,
    /// Messages delivered after a recipient's first scan, and those of them that were scanned.
    known: [u64; 2],
    seen: u64,
    with_images: u64,
    /// Recipients whom their first scan may unsubscribe, and those whom it does.
    first: [u64; 2],
    /// Logarithms of the seconds to those that begin before slow ones may.
    fast: Moments,
}

merge_fields!(Scans { recipients, by_delivered, known, seen, with_images, first, fast });

impl Scans {
    pub(super) fn add(&mut self, config: &EmailConfig, history: &History) {
        let is_out = history.messages.iter().any(|message| message.scanned_out().is_some());
        let delivered = || history.messages.iter().filter_map(|message| Some((message.delivered?, message.scan)));
        // Whom a scan made leave would have been shown by what was not sent any more.
        let count = if is_out { SURE } else { delivered().count() };
        if self.by_delivered.len() <= count {
            self.by_delivered.resize(count + 1, 0);
        }
        self.by_delivered[count] += 1;
        let slow = slow_from(config);
        let (mut is_known, mut may_leave) = (false, true);
        for message in &history.messages {
            if message.scan.is_some() && may_leave {
                self.first[0] += 1;
                self.first[1] += u64::from(message.scanned_out().is_some());
                break;
            }
            may_leave &= message.unsubscribed.or(message.reported).is_none();
        }
        for (delivered, scan) in delivered() {
            self.known[0] += u64::from(is_known);
            let Some(scan) = scan else { continue };
            self.known[1] += u64::from(is_known);
            is_known = true;
            self.seen += 1;
            self.with_images += u64::from(scan.opened.is_some());
            let seconds = scan.clicked.map(|clicked| clicked.since(delivered) as f64 / SECOND as f64);
            if let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0 && *seconds < slow) {
                self.fast.add(seconds.ln());
            }
        }
        self.recipients += u64::from(is_known);
    }
}

/// The earliest begin of a slow scan, seconds.
fn slow_from(config: &EmailConfig) -> f64 {
    config.scanners.as_ref().map_or(0.0, |own| 60.0 * own.slow_minutes.low)
}

/// What the scans tell.
pub(super) fn report(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let (Some(scanners), Some(own)) = (law.model().scanners(), &law.config().scanners) else { return };
    let scans = &tally.scans;
    let path = |key: &str| format!("scanners.{key}");
    let [delivered, scanned] = scans.known;
    if delivered == 0 || scanned == 0 {
        for key in ["user_share", "probability", "fast_share", "fast_median_seconds", "fast_sigma", "pixel_share"] {
            sheet.skip(path(key), "no recipient has scans to tell it by");
        }
        return;
    }
    let probability = scanned as f64 / delivered as f64;
    let parameter = Parameter::level(path("probability"), "share", own.probability, "messages after a recipient's first scan");
    sheet.share(parameter, scanned, delivered);
    // Of those with few messages, some were not found out.
    let shows = |(count, users): (i32, &u64)| *users as f64 * (1.0 - (1.0 - probability).powi(count));
    let shows: f64 = (0..).zip(&scans.by_delivered).map(shows).sum();
    let estimate = scans.recipients as f64 / shows;
    let error = (estimate * (1.0 - estimate).max(0.0) / shows).sqrt();
    let parameter = Parameter::level(path("user_share"), "share", own.user_share, "recipients with a scan");
    sheet.normal(parameter, Scale::Linear, estimate, error, shows as u64);
    let parameter = Parameter::level(path("pixel_share"), "share", own.pixel_share, "scans with an open");
    sheet.share(parameter, scans.with_images, scans.seen);
    if own.unsubscribe_on_get > 0.0 && scans.first[0] > 0 {
        let parameter = Parameter::level(path("unsubscribe_on_get"), "share", own.unsubscribe_on_get, "first scans that unsubscribe");
        sheet.share(parameter, scans.first[1], scans.first[0]);
    }
    let over = scanners.start_cdf(slow_from(law.config())) / own.fast_share;
    if !(TOLD_APART..=1.0 + 1e-9).contains(&over) || scans.fast.n < 2 {
        for key in ["fast_share", "fast_median_seconds", "fast_sigma"] {
            sheet.skip(path(key), "fast scans are not over, or are too few, before slow ones begin");
        }
        return;
    }
    let parameter = Parameter::level(path("fast_share"), "share", own.fast_share, "scans that begin before slow ones may");
    sheet.share(parameter, scans.fast.n, scans.seen);
    let (n, sigma) = (scans.fast.n as f64, scans.fast.variance().sqrt());
    let method = "mean logarithm of the seconds to such scans";
    let parameter = Parameter::level(path("fast_median_seconds"), "seconds", own.fast_median_seconds, method);
    sheet.normal(parameter, Scale::Log, scans.fast.mean.exp(), sigma / n.sqrt(), scans.fast.n);
    let parameter = Parameter::level(path("fast_sigma"), "logarithm", own.fast_sigma, "deviation of those logarithms");
    sheet.normal(parameter, Scale::Log, sigma, 1.0 / (2.0 * n).sqrt(), scans.fast.n);
}
