//! Dead letters of webhooks: what is no event, with the reason, and without what names a person.

use super::drafts::{Ignored, Webhook};
use super::tally::{Matter, Outcome, label};
use super::{Connector, ItemProblem, Moment};
use crate::address::{bytes_hold_address, holds_address};
use crate::error::FlowError;
use crate::event::{Problem, reasons};
use crate::identity::Identifier;
use populace_io::terminal::printable;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write;

/// The longest item that is kept, bytes.
const LONGEST: usize = 16 << 10;
/// Reasons that a line of the log lists.
const LOGGED: usize = 3;

/// Names whose values are kept as they are, unless they hold an address: they say what happened, not to whom.
const KEPT: [&str; 36] = [
    "asm_group_id",
    "attempt",
    "bounce_classification",
    "bounceSubType",
    "bounceType",
    "category",
    "code",
    "datetime",
    "Description",
    "event",
    "eventType",
    "external_id",
    "ip",
    "MessageStream",
    "notificationType",
    "reason",
    "RecordType",
    "response",
    "sg_event_id",
    "sg_machine_open",
    "sg_message_id",
    "severity",
    "status",
    "subject",
    "Subject",
    "timestamp",
    "topic",
    "Type",
    "type",
    "url",
    "URL",
    "useragent",
    "ReceivedAt",
    "DeliveredAt",
    "SubscribeURL",
    "TopicArn",
];

/// An item that is no event.
pub(super) struct Letter {
    /// Of provider and item, so that an item that comes again is one.
    pub(super) id: [u8; 32],
    pub(super) provider: &'static str,
    pub(super) event: &'static str,
    pub(super) item: usize,
    pub(super) reason: String,
    pub(super) value: String,
    /// Whose it would have been, if that is known.
    pub(super) universal_id: Option<String>,
}

impl Connector {
    /// Keeps the items that have problems as dead letters and says how many there are, in the counts and in a line of the log.
    pub(super) fn bury(
        &self,
        webhook: &Webhook,
        problems: &mut [ItemProblem],
        ignored: &[Ignored],
        moment: Moment,
    ) -> Result<u64, FlowError> {
        let Webhook { provider, items, events, fields } = webhook;
        for ignored in ignored {
            let about = Matter { from: provider, event: events[ignored.item], field: "event", what: "no event of mail" };
            self.counts.items.add(Outcome::Ignored, about, 1);
        }
        if problems.is_empty() {
            return Ok(0);
        }
        problems.sort_by_key(|problem| problem.item);
        let mut found: BTreeMap<Matter, u64> = BTreeMap::new();
        let mut letters = Vec::new();
        for of_item in problems.chunk_by(|one, next| one.item == next.item) {
            let item = of_item[0].item;
            for problem in of_item {
                let field = label(&problem.field, fields);
                *found.entry(Matter { from: provider, event: events[item], field, what: "no event" }).or_default() += 1;
            }
            let all: Vec<Problem> = of_item.iter().map(|problem| Problem::new(problem.field.clone(), problem.reason.clone())).collect();
            letters.push(self.letter(provider, events[item], (item, &items[item]), reasons(&all)));
        }
        self.ledger.bury(&letters, moment.at)?;
        let field = |problem: &ItemProblem| if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
        let listed = problems.iter().take(LOGGED).map(|problem| format!("item {}: {}{}", problem.item, field(problem), problem.reason));
        let line = format!(
            "webhook of {provider}: {} of {} items are dead letters ({}{})",
            letters.len(),
            items.len(),
            listed.collect::<Vec<_>>().join("; "),
            if problems.len() > LOGGED { "; …" } else { "" }
        );
        // Whoever does not read the log is not kept from being answered.
        let _ = writeln!(std::io::stderr(), "{}", printable(&line));
        self.counts.invalid.fetch_add(problems.len() as u64, std::sync::atomic::Ordering::Relaxed);
        for (about, count) in found {
            self.counts.items.add(Outcome::Dead, about, count);
        }
        Ok(letters.len() as u64)
    }

    fn letter(&self, provider: &'static str, event: &'static str, (item, value): (usize, &Value), reason: String) -> Letter {
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        let id = self.ring.seal(&[provider.as_bytes(), &bytes]);
        let clean = serde_json::to_string(&without_persons(value, false)).unwrap_or_default();
        let kept = clean.len() <= LONGEST && !bytes_hold_address(clean.as_bytes());
        let reason = if kept { reason } else { format!("{reason}; the item ({} bytes) is not kept", bytes.len()) };
        let universal_id = address(value).and_then(|address| Some(self.ring.token(&Identifier::Email(address)).ok()?.base_id));
        Letter { id, provider, event, item, reason, value: if kept { clean } else { String::new() }, universal_id }
    }

    /// How many dead letters of webhooks there are.
    ///
    /// # Errors
    /// The ledger is not to be read.
    pub fn letters(&self) -> Result<u64, FlowError> {
        self.ledger.letters()
    }

    /// Removes the dead letters of webhooks that are of a person, by all ids the person has had.
    ///
    /// # Errors
    /// The ledger is not to be written.
    pub fn erase_letters(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        self.ledger.erase_letters(universal_ids)
    }
}

/// The first address that stands alone anywhere in an item.
fn address(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (text.contains('@') && holds_address(text)).then(|| text.clone()),
        Value::Array(list) => list.iter().find_map(address),
        Value::Object(map) => map.values().find_map(address),
        _ => None,
    }
}

/// A value as it may be kept: of what may name a person, the form alone.
fn without_persons(value: &Value, kept: bool) -> Value {
    match value {
        Value::Object(map) => {
            let entry = |(name, value): (&String, &Value)| {
                let shown = if name.chars().count() > 64 || holds_address(name) { "(a name that is not shown)" } else { name };
                (shown.to_owned(), without_persons(value, KEPT.contains(&name.as_str())))
            };
            Value::Object(map.iter().map(entry).collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(|value| without_persons(value, kept)).collect(),
        Value::String(text) if !kept || holds_address(text) => format!("(text, {} characters)", text.chars().count()).into(),
        Value::Number(_) if !kept => "(number)".into(),
        other => other.clone(),
    }
}
