//! The tables of a policy's decisions.

use super::columns::RECIPIENT;
use crate::table::{
    Column, InstantText, Kind, Table, booleans_or_null, codes, dates, dictionary, floats, floats_or_null, instants, ints_or_null, shorts,
    shorts_or_null, uuids, uuids_or_null,
};
use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use populace_core::email::{Arm, Decision, NotSent};

/// The paths of the tables.
pub(super) const DECISIONS: [&str; 2] = ["decisions", "truth/decisions"];

const MILLIS: Kind = Kind::Instant(InstantText::Millis);
const ID: Column = Column::new("decision_id", Kind::Uuid, "Id of the decision: a UUID of version 7, whose time is the window's begin");

/// The tables; `rows_per_actor` is how many decisions are expected on one recipient, `has_experiments` whether messages have variants.
pub(super) fn tables(rows_per_actor: f64, has_experiments: bool) -> [Table; 2] {
    let mut data = vec![
        ID,
        RECIPIENT,
        Column::new("due_date", Kind::Date, "The day on which the message is due"),
        Column::new("window_start", MILLIS, "The first moment at which it may go out, UTC"),
        Column::new("window_end", MILLIS, "The first moment after the last, UTC"),
        Column::new("arm", Kind::Text, "What decided: `base`, `explore`, `holdout`, `skip`"),
        Column::new(
            "arm_propensity",
            Kind::Float,
            "Probability of what depends on the recipient alone: of being held out or not, and of exploring where that is by recipient",
        ),
        Column::nullable("action", Kind::Int16, "The slot of the window, from 0; null where it was not to be sent"),
        Column::new("n_allowed", Kind::Int16, "How many slots were allowed"),
        Column::new("allowed", Kind::Text, "Which slots were allowed: a set of bits, hexadecimal, slot 0 the lowest"),
        Column::new("propensity", Kind::Float, "P(action | all before, what depends on the recipient alone); of a skip that of skipping"),
        Column::new("campaign_id", Kind::Text, "Campaign of the message"),
        Column::nullable("message_id", Kind::Uuid, "The message; null where none was sent"),
        Column::nullable(
            "reason",
            Kind::Text,
            "Why none was sent: `holdout`, `skip`, `cap`, `no_slot`, `suppressed`, `bounced`, `unsubscribed`",
        ),
    ];
    if has_experiments {
        data.extend(super::experiments::of_decisions());
    }
    let truth = vec![
        ID,
        RECIPIENT,
        Column::nullable(
            "recent_sends",
            Kind::Int32,
            "The recipient's sends before it, as far as fatigue looks back; null where none was sent",
        ),
        Column::nullable(
            "suppressed",
            Kind::Bool,
            "Whether inside a circuit breaker's window when its open was decided; null where none was sent",
        ),
        Column::nullable(
            "q_logged",
            Kind::Float,
            "Value of the slot that was taken: E open rate × timing × minute over its minutes and the latency; null without one",
        ),
        Column::nullable("q_best", Kind::Float, "The greatest value among the allowed slots"),
        Column::nullable("best_action", Kind::Int16, "The first slot that has it"),
        Column::nullable("q_random", Kind::Float, "The mean value of the allowed slots"),
        Column::nullable("regret", Kind::Float, "q_best − q_logged"),
    ];
    let meanings = ["One decision of the policy on a message that was due", "What was at stake in one decision"];
    [("decisions", false, meanings[0], data), ("decisions", true, meanings[1], truth)].map(|(name, is_truth, meaning, columns)| {
        Table::new(name, is_truth, meaning, columns, rows_per_actor).keyed_by(&["recipient_id", "decision_id"]).of_actor("recipient_id")
    })
}

fn valid(rows: &[(i32, Decision)], is: impl Fn(&Decision) -> bool) -> NullBuffer {
    NullBuffer::new(BooleanBuffer::collect_bool(rows.len(), |row| is(&rows[row].1)))
}

fn ids(rows: &[(i32, Decision)]) -> ArrayRef {
    uuids(rows.iter().flat_map(|(_, row)| row.id.to_u128().to_be_bytes()).collect())
}

fn users(rows: &[(i32, Decision)], recipients: &ArrayRef) -> ArrayRef {
    codes(rows.iter().map(|(user, _)| *user).collect(), recipients)
}

/// The columns of the data.
pub(super) fn data(rows: &[(i32, Decision)], recipients: &ArrayRef, campaigns: &ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let sets: Vec<String> = rows.iter().map(|(_, row)| row.allowed.hex()).collect();
    let mut known = sets.clone();
    known.sort_unstable();
    known.dedup();
    let set = |of: &String| known.binary_search(of).unwrap_or(0) as i32;
    let sent = |row: &Decision| row.message_id.is_some();
    vec![
        ("decision_id", ids(rows)),
        ("recipient_id", users(rows, recipients)),
        ("due_date", dates(rows.iter().map(|(_, row)| row.due.0).collect())),
        ("window_start", instants(rows.iter().map(|(_, row)| row.window[0].0).collect())),
        ("window_end", instants(rows.iter().map(|(_, row)| row.window[1].0).collect())),
        ("arm", codes(rows.iter().map(|(_, row)| row.arm as i32).collect(), &dictionary(Arm::NAMES))),
        ("arm_propensity", floats(rows.iter().map(|(_, row)| row.arm_propensity).collect())),
        (
            "action",
            shorts_or_null(
                rows.iter().map(|(_, row)| row.action.map_or(0, |action| action as i16)).collect(),
                &valid(rows, |row| row.action.is_some()),
            ),
        ),
        ("n_allowed", shorts(rows.iter().map(|(_, row)| row.allowed.len() as i16).collect())),
        ("allowed", codes(sets.iter().map(set).collect(), &dictionary(&known))),
        ("propensity", floats(rows.iter().map(|(_, row)| row.propensity).collect())),
        ("campaign_id", codes(rows.iter().map(|(_, row)| i32::from(row.campaign)).collect(), campaigns)),
        (
            "message_id",
            uuids_or_null(
                rows.iter().flat_map(|(_, row)| row.message_id.map_or([0; 16], |id| id.to_u128().to_be_bytes())).collect(),
                &valid(rows, sent),
            ),
        ),
        ("reason", codes(rows.iter().map(|(_, row)| row.reason.map_or(-1, |reason| reason as i32)).collect(), &dictionary(NotSent::NAMES))),
    ]
}

/// The columns of the truth.
pub(super) fn truth(rows: &[(i32, Decision)], recipients: &ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let float = |of: &dyn Fn(&Decision) -> Option<f64>| {
        floats_or_null(rows.iter().map(|(_, row)| of(row).unwrap_or(0.0)).collect(), &valid(rows, |row| of(row).is_some()))
    };
    vec![
        ("decision_id", ids(rows)),
        ("recipient_id", users(rows, recipients)),
        (
            "recent_sends",
            ints_or_null(
                rows.iter().map(|(_, row)| row.recent_sends.unwrap_or(0) as i32).collect(),
                &valid(rows, |row| row.recent_sends.is_some()),
            ),
        ),
        ("suppressed", booleans_or_null(rows.iter().map(|(_, row)| row.suppressed))),
        ("q_logged", float(&|row| row.value)),
        ("q_best", float(&|row| row.best.map(|(_, value)| value))),
        (
            "best_action",
            shorts_or_null(
                rows.iter().map(|(_, row)| row.best.map_or(0, |(action, _)| action as i16)).collect(),
                &valid(rows, |row| row.best.is_some()),
            ),
        ),
        ("q_random", float(&|row| row.random)),
        ("regret", float(&|row| Some(row.best?.1 - row.value?))),
    ]
}
