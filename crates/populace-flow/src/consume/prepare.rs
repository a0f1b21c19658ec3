//! From messages to events and dead letters.

use super::bots::{Suspicions, mark};
use crate::event::{Event, reasons};
use crate::log::Message;
use crate::table::DeadLetter;

/// The reason of a message whose value was erased.
const ERASED: &str = "has no value";

/// The messages of a batch.
pub(super) struct Prepared {
    pub(super) events: Vec<Event>,
    pub(super) letters: Vec<DeadLetter>,
    pub(super) suspected: u64,
}

/// Checks messages, in order.
pub(super) fn prepare(topic: &str, messages: Vec<Message>, suspicions: &mut Suspicions) -> Prepared {
    let mut prepared = Prepared { events: Vec::with_capacity(messages.len()), letters: Vec::new(), suspected: 0 };
    for Message { position, key, value } in messages {
        let checked = value
            .as_deref()
            .map_or_else(|| Err(ERASED.to_owned()), |value| Event::from_slice(value).map_err(|problems| reasons(&problems)));
        match checked {
            Ok(mut event) => {
                let found = suspicions.of(&event);
                prepared.suspected += u64::from(!found.is_empty());
                mark(&mut event, &found);
                prepared.events.push(event);
            }
            Err(reason) => {
                let value = value.unwrap_or_default();
                prepared.letters.push(DeadLetter { topic: topic.to_owned(), position, key, value, reason });
            }
        }
    }
    prepared
}
