//! What makes recipients leave: P(unsubscribes | delivered) by the deliveries before and the type of the campaign, and how long it takes.

use crate::email::{History, Law};
use crate::recover::loglinear::{self, Count, Predictor};
use crate::recover::numbers::Moments;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::source::Columns;
use crate::stats::merge_fields;
use arrow_array::RecordBatch;
use populace_core::email::{CampaignType, Leaving, LeavingConfig, Mailbox};
use populace_core::time::SECOND;
use std::collections::BTreeMap;

/// What is counted of messages that may make their recipient leave.
#[derive(Default)]
pub(super) struct Leavers {
    /// Unsubscribes by the deliveries before and whether the campaign is transactional.
    cells: BTreeMap<(u32, bool), Count>,
    /// Complaints of recipients whose complaints the sender is told of, and Σ m² of the messages delivered to them.
    complaints: u64,
    exposure: f64,
    /// Logarithms of the seconds from an open, and from a delivery without one.
    waits: [Moments; 2],
}

merge_fields!(Leavers { cells, complaints, exposure, waits });

impl Leavers {
    pub(super) fn add(&mut self, law: &Law<'_>, leaving: &Leaving, history: &History, events: &RecordBatch) {
        let campaigns = events.text("campaign_id");
        let reports = law.mailbox_of(&history.recipient_id).is_some_and(|Mailbox { reports, .. }| reports);
        let shows_opens = !history.is_opened_ahead();
        for message in history.messages.iter().filter(|message| message.may_leave) {
            let row = message.sent_row;
            let campaign = if campaigns.is_valid(row) { law.config().campaigns.get(campaigns.value(row)) } else { None };
            if let Some(campaign) = campaign {
                let count = self.cells.entry((message.recent_deliveries, campaign.r#type == CampaignType::Transactional)).or_default();
                count.trials += 1;
                count.successes += u64::from(message.unsubscribed.is_some());
            }
            if reports {
                self.exposure += leaving.frequency(message.recent_deliveries).powi(2);
                self.complaints += u64::from(message.reported.is_some());
            }
            let Some(delivered) = message.delivered.filter(|_| shows_opens) else { continue };
            let from = message.opened.unwrap_or(delivered);
            for act in [message.unsubscribed, message.reported].into_iter().flatten() {
                let seconds = act.since(from) as f64 / SECOND as f64;
                if seconds > 0.0 {
                    self.waits[usize::from(message.opened.is_none())].add(seconds.ln());
                }
            }
        }
    }
}

/// ln p = ln unsubscribe + ln min(most, 1 + slope · x) + ln transactional, if it is; x are the deliveries beyond those tolerated.
struct Model<'a> {
    config: &'a LeavingConfig,
    cells: Vec<(u32, bool)>,
}

/// Places of the coefficients, all of them logarithms; the last is there only where both types of campaign are.
const BASE: usize = 0;
const SLOPE: usize = 1;
const TRANSACTIONAL: usize = 2;

impl Predictor for Model<'_> {
    fn predict(&self, cell: usize, coefficients: &[f64], derivatives: &mut Vec<(usize, f64)>) -> f64 {
        let (deliveries, transactional) = self.cells[cell];
        derivatives.clear();
        derivatives.push((BASE, 1.0));
        let rise = coefficients[SLOPE].exp() * f64::from(deliveries.saturating_sub(self.config.tolerated));
        let factor = (1.0 + rise).min(self.config.max_factor);
        if rise > 0.0 && factor < self.config.max_factor {
            derivatives.push((SLOPE, rise / factor));
        }
        let mut ln = coefficients[BASE] + factor.ln();
        if transactional && coefficients.len() > TRANSACTIONAL {
            derivatives.push((TRANSACTIONAL, 1.0));
            ln += coefficients[TRANSACTIONAL];
        }
        ln
    }
}

/// Estimates of what the section `leaving` says.
pub(super) fn report(law: &Law<'_>, tally: &Leavers, sheet: &mut Sheet) {
    let Some(own) = &law.config().leaving else { return };
    unsubscribes(own, tally, sheet);
    if tally.exposure > 0.0 {
        let method = "complaints over the sum of m², where the sender is told of them";
        sheet.rate(Parameter::level("leaving.complaint", "probability", own.complaint, method), tally.complaints, tally.exposure);
    } else {
        sheet.skip("leaving.complaint", "of no recipient it is known that the sender would be told");
    }
    let hours = own.after_delivery_median_hours;
    for (sample, key, truth, unit, scale) in [
        (&tally.waits[0], "after_open", own.after_open_median_seconds, "seconds", 1.0),
        (&tally.waits[1], "after_delivery", hours, "hours", 3_600.0),
    ] {
        let sigma = if key == "after_open" { own.after_open_sigma } else { own.after_delivery_sigma };
        let mut logs = *sample;
        logs.mean -= f64::ln(scale);
        let method = "mean of logarithms of the waits";
        sheet.log_mean(Parameter::level(format!("leaving.{key}_median_{unit}"), unit, truth, method), &logs);
        let method = "deviation of logarithms of the waits";
        sheet.normal_deviation(Parameter::level(format!("leaving.{key}_sigma"), "of the logarithm", sigma, method), &logs);
    }
    for key in ["days", "tolerated", "max_factor", "effective_after_hours"] {
        sheet.skip(format!("leaving.{key}"), "taken from the document");
    }
}

fn unsubscribes(own: &LeavingConfig, tally: &Leavers, sheet: &mut Sheet) {
    const METHOD: &str = "joint model of unsubscribes";
    const TOO_FEW: &str = "the data does not identify it at this size";
    let total = |part: &dyn Fn(&(u32, bool)) -> bool| {
        let of = tally.cells.iter().filter(|(cell, _)| part(cell));
        of.fold(Count::default(), |sum, (_, count)| Count { trials: sum.trials + count.trials, successes: sum.successes + count.successes })
    };
    let of_type = [false, true].map(|transactional| total(&|cell| cell.1 == transactional));
    let raised = total(&|cell| cell.0 > own.tolerated);
    let all = total(&|_| true);
    let has_types = of_type.iter().all(|count| count.successes > 0);
    // A type of which nobody unsubscribes says nothing in a model of logarithms.
    let cells = tally.cells.iter().filter(|(cell, _)| has_types || of_type[usize::from(cell.1)].successes > 0);
    let (cells, counts): (Vec<_>, Vec<Count>) = cells.map(|(cell, count)| (*cell, *count)).unzip();
    let skip = |sheet: &mut Sheet| {
        for key in ["unsubscribe", "slope", "transactional"] {
            sheet.skip(format!("leaving.{key}"), TOO_FEW);
        }
    };
    if raised.successes == 0 || raised.successes == all.successes || of_type[0].successes == 0 {
        return skip(sheet);
    }
    let mut start = vec![(all.successes as f64 / all.trials as f64).ln() - 0.5, -1.5];
    start.extend(has_types.then_some(-1.0));
    let Some(fit) = loglinear::fit(&Model { config: own, cells }, &counts, 1.0, start) else { return skip(sheet) };
    let error = |place: usize| fit.covariance.quadratic(&[(place, 1.0)]).sqrt();
    let estimate = |place: usize| fit.coefficients[place].exp();
    let base = Parameter::level("leaving.unsubscribe", "probability", own.unsubscribe, METHOD);
    sheet.normal(base, Scale::Log, estimate(BASE), error(BASE), all.trials);
    let slope = Parameter::level("leaving.slope", "a delivery", own.slope, METHOD);
    sheet.normal(slope, Scale::Log, estimate(SLOPE), error(SLOPE), raised.trials);
    if has_types {
        let factor = Parameter::factor("leaving.transactional", own.transactional, METHOD);
        sheet.normal(factor, Scale::Log, estimate(TRANSACTIONAL), error(TRANSACTIONAL), of_type[1].trials);
    } else {
        sheet.skip("leaving.transactional", TOO_FEW);
    }
}
