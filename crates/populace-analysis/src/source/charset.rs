//! In which charset text is, where nobody says it.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use std::io::{self, BufRead, Read};

/// Bytes of a line that are looked at in one go.
const LINE: u64 = 64 << 10;

/// The charset of text by its first bytes: that of a mark, or UTF-16 where every other byte is zero.
pub(super) fn charset(start: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return Some(encoding);
    }
    let zeros = |from: usize| start.len() >= 4 && start.iter().skip(from).step_by(2).take(64).all(|byte| *byte == 0);
    match (zeros(0), zeros(1)) {
        (false, true) => Some(UTF_16LE),
        (true, false) => Some(UTF_16BE),
        _ => None,
    }
}

/// What the bytes beyond ASCII are of text that is not all UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    /// Some are UTF-8, or none are letters of any charset of one byte each.
    Mixed,
    /// None are UTF-8, and all may be letters and signs of Western Europe.
    Western,
    /// None are UTF-8, and they stand as letters of other alphabets do.
    Other,
}

/// Looks at the bytes of text beyond ASCII. In Western Europe few letters have them, two in a row are rare and three rarer, and of the
/// signs at 0x80 to 0x9f few but quotes, dashes and the euro are written; in other alphabets whole words have them.
pub(super) fn letters(text: impl Read) -> io::Result<Letters> {
    const SIGNS: &[u8] = b"\x80\x85\x8a\x8c\x8e\x91\x92\x93\x94\x95\x96\x97\x99\x9a\x9c\x9e\x9f";
    let mut text = io::BufReader::new(text);
    let (mut line, mut all, mut odd) = (Vec::new(), 0_u64, 0_u64);
    while text.by_ref().take(LINE).read_until(b'\n', &mut line)? > 0 {
        if !line.is_ascii() {
            if std::str::from_utf8(&line).is_ok() || line.contains(&0xff) {
                return Ok(Letters::Mixed);
            }
            for word in line.split(u8::is_ascii) {
                all += word.len() as u64;
                odd += if word.len() > 2 {
                    word.len() as u64
                } else {
                    word.iter().filter(|byte| **byte < 0xa0 && !SIGNS.contains(byte)).count() as u64
                };
            }
        }
        line.clear();
    }
    Ok(match all {
        0 => Letters::Mixed,
        _ if 2 * odd > all => Letters::Other,
        _ => Letters::Western,
    })
}
