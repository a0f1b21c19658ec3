//! What is written of replies: a column of text for each part of them.

use crate::table::{codes, dictionary, shorts_or_null};
use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use populace_core::email::Reply;

/// What a row without a reply has in place of its number.
pub(super) const NONE: i32 = -1;

/// A text of replies.
struct Part {
    texts: ArrayRef,
    /// By number of the reply, the text's place.
    places: Vec<i32>,
}

/// The texts of all replies, each once.
pub(super) struct Replies {
    parts: [Part; 4],
}

impl Replies {
    pub(super) const BOUNCE_TYPE: usize = 0;
    pub(super) const ENHANCED: usize = 1;
    pub(super) const RESPONSE: usize = 2;
    pub(super) const CLASS: usize = 3;

    pub(super) fn new() -> Self {
        let response = |reply: Reply| Some(reply.response());
        Self { parts: [Reply::bounce_type, Reply::enhanced_code, response, Reply::class].map(Part::new) }
    }

    /// A part of the replies of rows.
    pub(super) fn text(&self, part: usize, replies: &[i32]) -> ArrayRef {
        let Part { texts, places } = &self.parts[part];
        codes(replies.iter().map(|reply| usize::try_from(*reply).map_or(NONE, |reply| places[reply])).collect(), texts)
    }

    /// The codes of SMTP of the replies of rows.
    pub(super) fn smtp(replies: &[i32]) -> ArrayRef {
        let of = |row: usize| usize::try_from(replies[row]).ok().and_then(|reply| Reply::ALL[reply].smtp_code());
        let valid = NullBuffer::new(BooleanBuffer::collect_bool(replies.len(), |row| of(row).is_some()));
        shorts_or_null((0..replies.len()).map(|row| of(row).unwrap_or(0) as i16).collect(), &valid)
    }
}

impl Part {
    fn new(of: fn(Reply) -> Option<&'static str>) -> Self {
        let mut texts: Vec<&str> = Vec::new();
        let mut place = |text: &'static str| {
            let known = texts.iter().position(|known| *known == text);
            known.unwrap_or_else(|| {
                texts.push(text);
                texts.len() - 1
            }) as i32
        };
        let places = Reply::ALL.iter().map(|reply| of(*reply).map_or(NONE, &mut place)).collect();
        Self { texts: dictionary(&texts), places }
    }
}
