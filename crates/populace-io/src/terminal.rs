//! Text that a terminal may see: nothing in it does more than stand there.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Text with its control characters, and those that turn the direction of what follows, as JSON writes them: `\u001b`. Line feeds and
/// tabs stay.
///
/// ```
/// use populace_io::terminal::printable;
/// assert_eq!(printable("a\tb\n\u{1b}[2J\u{9b}\u{202e}é"), "a\tb\n\\u001b[2J\\u009b\\u202eé");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let acts = |character: char| {
        (character.is_control() && !matches!(character, '\n' | '\t'))
            || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            // Writing to memory cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Writes text as [`printable`].
#[derive(Debug)]
pub struct Printable<W>(pub W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
