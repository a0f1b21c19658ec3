//! From messages to events and dead letters.

use super::bots::{Suspicions, mark};
use crate::address::bytes_hold_address;
use crate::event::{Event, reasons};
use crate::log::Message;
use crate::table::DeadLetter;

/// The reason of a message whose value was erased.
const ERASED: &str = "has no value";

/// The messages of a batch.
pub(super) struct Prepared<'a> {
    pub(super) events: Vec<Event<'a>>,
    pub(super) letters: Vec<DeadLetter>,
    pub(super) suspected: u64,
}

/// Checks messages, in order.
pub(super) fn prepare<'a>(topic: &str, messages: &'a [Message], suspicions: &mut Suspicions) -> Prepared<'a> {
    let mut prepared = Prepared { events: Vec::with_capacity(messages.len()), letters: Vec::new(), suspected: 0 };
    for Message { position, key, value } in messages {
        let checked = value
            .as_deref()
            .map_or_else(|| Err(ERASED.to_owned()), |value| Event::from_slice(value).map_err(|problems| reasons(&problems)));
        match checked {
            Ok(mut event) => {
                let found = suspicions.of(&event);
                prepared.suspected += u64::from(mark(&mut event, &found));
                prepared.events.push(event);
            }
            Err(reason) => {
                let (key, value, reason) = without_address(key.clone(), value.clone().unwrap_or_default(), reason);
                prepared.letters.push(DeadLetter { topic: topic.to_owned(), position: *position, key, value, reason });
            }
        }
    }
    prepared
}

/// What is kept of a message: nothing where an address is in it, but what it takes to find it.
fn without_address(key: Option<Vec<u8>>, value: Vec<u8>, reason: String) -> (Option<Vec<u8>>, Vec<u8>, String) {
    let holds = |bytes: &[u8]| bytes_hold_address(bytes);
    if !holds(&value) && !key.as_deref().is_some_and(holds) {
        return (key, value, reason);
    }
    let reason = format!("{reason}; holds an address: neither key nor value ({} bytes) is kept", value.len());
    (None, Vec::new(), reason)
}
