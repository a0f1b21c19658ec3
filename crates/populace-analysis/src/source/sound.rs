//! Whether a CSV file can be given to the fast reader as it stands.

use memchr::{memchr, memchr_iter, memchr3, memmem};
use populace_io::untrusted::MAX_RECORD;
use std::io::{self, BufRead, Read};

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// What was seen of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether every record has the fields of the first, and quotes that close on their own line.
    pub(super) is_sound: bool,
    /// Whether a field is quoted.
    pub(super) quotes: bool,
}

/// Looks at every byte of a file, up to the first that is not sound.
pub(super) fn look(mut input: impl Read, delimiter: u8, columns: usize) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let (mut bytes, mut start, mut ended) = (Vec::new(), 0, false);
    loop {
        let mut at = start;
        while let Some(next) = record(&bytes[at..], delimiter, columns, ended, &mut seen.quotes) {
            let Some(next) = next else { return Ok(seen) };
            at += next;
            if at == bytes.len() {
                break;
            }
        }
        if std::str::from_utf8(&bytes[start..at]).is_err() || memchr(0, &bytes[start..at]).is_some() || bytes.len() - at > MAX_RECORD {
            return Ok(seen);
        }
        if ended {
            seen.is_sound = at == bytes.len();
            return Ok(seen);
        }
        bytes.drain(..at);
        start = 0;
        ended = input.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)? == 0;
    }
}

/// Where the next record starts: `None` if this one is not complete, `Some(None)` if it is not sound.
#[expect(clippy::option_option, reason = "incomplete is not unsound")]
fn record(bytes: &[u8], delimiter: u8, columns: usize, ended: bool, quotes: &mut bool) -> Option<Option<usize>> {
    let Some(end) = memchr3(b'\n', b'\r', b'"', bytes) else {
        return (ended && !bytes.is_empty()).then(|| line(bytes, delimiter, columns).then_some(bytes.len()));
    };
    match bytes[end] {
        b'\n' => Some(line(&bytes[..end], delimiter, columns).then_some(end + 1)),
        b'\r' => match bytes.get(end + 1) {
            Some(b'\n') => Some(line(&bytes[..end], delimiter, columns).then_some(end + 2)),
            Some(_) => Some(None),
            None => ended.then_some(None),
        },
        _ => {
            *quotes = true;
            // The record must end on this line.
            let length = match memchr(b'\n', &bytes[end..]) {
                Some(length) => end + length + 1,
                None if ended => bytes.len(),
                None => return None,
            };
            let content = bytes[..length].strip_suffix(b"\n").unwrap_or(&bytes[..length]);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            Some((memchr(b'\r', content).is_none() && quoted(content, delimiter) == Some(columns)).then_some(length))
        }
    }
}

/// Whether a line without quotes has so many fields, one of which is not blank; an empty line is no record.
fn line(line: &[u8], delimiter: u8, columns: usize) -> bool {
    if line.is_empty() {
        return true;
    }
    let is_blank = || line.iter().all(|byte| *byte == delimiter || byte.is_ascii_whitespace());
    memchr_iter(delimiter, line).count() + 1 == columns && !(line.len() < 2 * columns && is_blank())
}

/// The fields of a line with quotes; `None` if one does not close, or something follows a closing one.
fn quoted(line: &[u8], delimiter: u8) -> Option<usize> {
    let (mut at, mut fields) = (0, 1);
    loop {
        if line.get(at) == Some(&b'"') {
            at += 1;
            loop {
                at += memchr(b'"', line.get(at..)?)? + 1;
                match line.get(at) {
                    Some(b'"') => at += 1,
                    None => return Some(fields),
                    Some(byte) if *byte == delimiter => break,
                    Some(_) => return None,
                }
            }
        } else {
            at += memchr(delimiter, &line[at..]).unwrap_or(line.len() - at);
        }
        if at >= line.len() {
            return Some(fields);
        }
        (at, fields) = (at + 1, fields + 1);
    }
}

/// Whether a backslash stands before the quotes in quoted text: whether more lines have all columns when it does than without.
pub(super) fn has_slashes(text: impl Read, delimiter: u8, columns: usize) -> io::Result<bool> {
    let mut text = io::BufReader::new(text);
    let (mut line, mut with, mut without) = (Vec::new(), 0_u64, 0_u64);
    while text.by_ref().take(MAX_RECORD as u64).read_until(b'\n', &mut line)? > 0 {
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if memmem::find(content, b"\\\"").is_some() {
            // As a quote is written twice, `""` in the place of `\"` is what it would be.
            let doubled = replaced(content);
            let fits = |line: &[u8]| quoted(line, delimiter) == Some(columns);
            match (fits(content), fits(&doubled)) {
                (false, true) => with += 1,
                (true, false) => without += 1,
                _ => {}
            }
        }
        line.clear();
    }
    Ok(with > without)
}

/// A line with `""` in the place of `\"`, unless the backslash has one before it.
fn replaced(line: &[u8]) -> Vec<u8> {
    let mut doubled = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'"')) => doubled.push(b'"'),
            (b'\\', Some(b'\\')) => {
                doubled.extend_from_slice(b"\\\\");
                bytes.next();
                continue;
            }
            _ => {
                doubled.push(byte);
                continue;
            }
        }
        doubled.extend(bytes.next());
    }
    doubled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sound_is_seen() {
        let look = |text: &str| look(text.as_bytes(), b',', 3).unwrap();
        let sound = |quotes| Seen { is_sound: true, quotes };
        assert_eq!(look("a,b,c\n1,2,3\r\n\n4,,\n5,6,7"), sound(false));
        assert_eq!(look("a,b,c\n1,\"x, \"\"y\"\"\",\"\"\n5\" disk,2,3\n"), sound(true));
        for text in [
            "a,b,c\n1,2\n",
            "a,b,c\n1,2,3,\n",
            "a,b,c\n,,\n",
            "a,b,c\n1,\"2\n3\",4\n",
            "a,b,c\n1,\"2\"x,3\n",
            "a,b,c\n1,2,\"3",
            "a,b,c\r1,2,3",
        ] {
            assert!(!look(text).is_sound, "{text}");
        }
        let wrong = super::look(&b"a,b,c\n1,\xff,3\n"[..], b',', 3).unwrap();
        assert!(!wrong.is_sound);
        assert!(!look("a,b,c\n1,\0,3\n").is_sound);
        let many = "a,b,c\n".to_owned() + &"12345,\"abc\",\u{e9}\u{e9}\n".repeat(40_000);
        assert_eq!(look(&many), sound(true));
    }

    #[test]
    fn quotes_behind_backslashes_are_known_by_the_fields_of_their_lines() {
        let slashes = |text: &str| has_slashes(text.as_bytes(), b',', 3).unwrap();
        for text in ["1,\"say \\\"hi\\\", bob\",2\n", "1,2,\"5\\\"\"\n", "\"a \\\"b\\\"\",2,3\n1,\"C:\\\",3\n\"\\\"\",2,3\n"] {
            assert!(slashes(text), "{text}");
        }
        for text in ["1,\"C:\\\",3\n", "1,5\\\" disk,3\n", "1,\"C:\\\"\"x\"\"\",3\n", "1,2,3\n", ""] {
            assert!(!slashes(text), "{text}");
        }
    }
}
