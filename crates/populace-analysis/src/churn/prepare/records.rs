//! The records of a CSV file that may be broken.
//!
//! A reader that takes RFC 4180 at its word loses the rest of the file where a quote is never closed. This one gives up on such a
//! quote after [`MOST_LINES`] lines, reports the line that it stands in, and goes on with the line after it.

use std::io::{self, Read};
use std::ops::Range;

/// Lines that a record may take, with line breaks in quoted fields.
const MOST_LINES: usize = 64;
/// Bytes that a record may take.
const MOST_BYTES: usize = 1 << 20;
/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// It has fields.
    Fields,
    /// A quote is never closed, or the line is too long: it has no fields.
    Broken,
}

/// Reads records one after another.
pub(super) struct Records {
    input: Box<dyn Read + Send>,
    delimiter: u8,
    bytes: Vec<u8>,
    /// Where the next record starts within `bytes`.
    start: usize,
    ended: bool,
    /// Lines before the next record.
    lines: u64,
    /// Line of the current record, from 1.
    line: u64,
    /// Fields of a record with quotes, without them.
    unquoted: Vec<u8>,
    quoted: bool,
    fields: Vec<Range<usize>>,
}

/// Where a record ends.
struct End {
    /// Its last byte, without the line break.
    content: usize,
    /// Where the next one starts.
    next: usize,
    /// Whether it holds a quote.
    quotes: bool,
}

impl Records {
    /// The records of `input`, its header included; the delimiter is the comma, unless the first line has none and has semicolons or tabs.
    pub(super) fn new(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut records = Self {
            input,
            delimiter: b',',
            bytes: Vec::new(),
            start: 0,
            ended: false,
            lines: 0,
            line: 0,
            unquoted: Vec::new(),
            quoted: false,
            fields: Vec::new(),
        };
        records.fill()?;
        records.start = if records.bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let first = records.bytes[records.start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        records.delimiter = [b',', b';', b'\t'].into_iter().find(|delimiter| first.contains(delimiter)).unwrap_or(b',');
        Ok(records)
    }

    /// The line that the current record begins in, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// How many fields the current record has.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field of the current record.
    #[inline]
    pub(super) fn field(&self, index: usize) -> &[u8] {
        let from = if self.quoted { &self.unquoted } else { &self.bytes };
        &from[self.fields[index].clone()]
    }

    /// Reads on; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let length = self.bytes.len();
        self.bytes.resize(length + CHUNK, 0);
        let mut filled = length;
        while filled < self.bytes.len() && !self.ended {
            match self.input.read(&mut self.bytes[filled..]) {
                Ok(0) => self.ended = true,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.truncate(filled);
        Ok(filled > length)
    }

    /// Reads the next record; `None` at the end. Empty lines are no records.
    pub(super) fn advance(&mut self) -> io::Result<Option<Shape>> {
        loop {
            self.fields.clear();
            self.quoted = false;
            let Some(end) = self.line_end(self.start)? else { return Ok(None) };
            self.line = self.lines + 1;
            if end.content == self.start {
                self.lines += 1;
                self.start = end.next;
                continue;
            }
            if end.content - self.start > MOST_BYTES {
                self.skip_line(&end)?;
                return Ok(Some(Shape::Broken));
            }
            if !end.quotes {
                let line = &self.bytes[self.start..end.content];
                let mut from = self.start;
                for (index, byte) in line.iter().enumerate() {
                    if *byte == self.delimiter {
                        self.fields.push(from..self.start + index);
                        from = self.start + index + 1;
                    }
                }
                self.fields.push(from..end.content);
                self.lines += 1;
                self.start = end.next;
                return Ok(Some(Shape::Fields));
            }
            return self.quoted(end).map(Some);
        }
    }

    /// Where the line that starts at `from` ends; `None` if there is nothing after `from`. May move what is buffered to its beginning:
    /// `from` must not lie before `self.start`, and is as far after it afterwards.
    fn line_end(&mut self, from: usize) -> io::Result<Option<End>> {
        let offset = from - self.start;
        let (mut searched, mut quotes) = (offset, false);
        loop {
            let rest = &self.bytes[self.start + searched..];
            for (index, byte) in rest.iter().enumerate() {
                quotes |= *byte == b'"';
                if *byte == b'\n' {
                    let at = self.start + searched + index;
                    let carriage = at > self.start + offset && self.bytes[at - 1] == b'\r';
                    return Ok(Some(End { content: at - usize::from(carriage), next: at + 1, quotes }));
                }
            }
            searched = self.bytes.len() - self.start;
            if self.ended || searched > offset + MOST_BYTES {
                let end = self.bytes.len();
                return Ok((searched > offset).then_some(End { content: end, next: end, quotes }));
            }
            self.fill()?;
        }
    }

    /// Passes over a line that is longer than a record may be.
    fn skip_line(&mut self, end: &End) -> io::Result<()> {
        self.lines += 1;
        let mut at = end.next;
        let ended_by_break = |bytes: &[u8], at: usize| at > 0 && bytes.get(at - 1) == Some(&b'\n');
        while !ended_by_break(&self.bytes, at) {
            self.start = at;
            if let Some(found) = self.bytes[at..].iter().position(|byte| *byte == b'\n') {
                at += found + 1;
                break;
            }
            self.start = self.bytes.len();
            if self.ended {
                return Ok(());
            }
            self.fill()?;
            at = 0;
        }
        self.start = at;
        Ok(())
    }

    /// Splits a record with quotes, which may take several lines.
    fn quoted(&mut self, first: End) -> io::Result<Shape> {
        let after_first = first.next - self.start;
        let mut end = first;
        for lines in 1..=MOST_LINES {
            if self.split(end.content) {
                self.quoted = true;
                self.lines += lines as u64;
                self.start = end.next;
                return Ok(Shape::Fields);
            }
            let Some(next) = self.line_end(end.next)? else { break };
            if next.next - self.start > MOST_BYTES {
                break;
            }
            end = next;
        }
        self.fields.clear();
        self.lines += 1;
        self.start += after_first;
        Ok(Shape::Broken)
    }

    /// Splits the bytes from the record's start to `end`; false if a quote is still open there.
    fn split(&mut self, end: usize) -> bool {
        self.fields.clear();
        self.unquoted.clear();
        let mut at = self.start;
        loop {
            let from = self.unquoted.len();
            if at < end && self.bytes[at] == b'"' {
                at += 1;
                loop {
                    let Some(quote) = self.bytes[at..end].iter().position(|byte| *byte == b'"') else { return false };
                    self.unquoted.extend_from_slice(&self.bytes[at..at + quote]);
                    at += quote + 1;
                    if at >= end || self.bytes[at] != b'"' {
                        break;
                    }
                    self.unquoted.push(b'"');
                    at += 1;
                }
            }
            // What stands after a closing quote belongs to the field too, as it does to other readers.
            let length = self.bytes[at..end].iter().position(|byte| *byte == self.delimiter).unwrap_or(end - at);
            self.unquoted.extend_from_slice(&self.bytes[at..at + length]);
            at += length;
            self.fields.push(from..self.unquoted.len());
            if at >= end {
                return true;
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a text that is read so many bytes at a time, each with its line.
    fn records(text: &str, bytes: usize) -> Vec<(u64, Vec<String>)> {
        struct Few(Vec<u8>, usize);
        impl Read for Few {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let count = self.0.len().min(self.1).min(into.len());
                into[..count].copy_from_slice(&self.0[..count]);
                self.0.drain(..count);
                Ok(count)
            }
        }
        let mut records = Records::new(Box::new(Few(text.as_bytes().to_vec(), bytes))).unwrap();
        let mut found = Vec::new();
        while let Some(shape) = records.advance().unwrap() {
            let fields = (0..records.len()).map(|index| String::from_utf8_lossy(records.field(index)).into_owned()).collect();
            found.push((records.line(), if shape == Shape::Broken { vec!["broken".to_owned()] } else { fields }));
        }
        found
    }

    #[test]
    fn quotes_line_breaks_and_blank_lines_are_read_as_rfc_4180_says() {
        let text = "\u{feff}a,b,c\r\n1,\"x, \"\"y\"\"\",\r\n\n2,\"two\nlines\",z\n\"\",,\"q\"r";
        let expected =
            [(1, vec!["a", "b", "c"]), (2, vec!["1", "x, \"y\"", ""]), (4, vec!["2", "two\nlines", "z"]), (6, vec!["", "", "qr"])];
        for bytes in [1, 7, 1 << 16] {
            let found = records(text, bytes);
            assert_eq!(found, expected.clone().map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect())), "{bytes}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_line() {
        let many = "0,b\n".repeat(200);
        let found = records(&format!("a,b\n1,\"open\n{many}"), 1 << 16);
        assert_eq!(found.len(), 202);
        assert_eq!(found[1], (2, vec!["broken".to_owned()]));
        assert_eq!(found[2], (3, vec!["0".to_owned(), "b".to_owned()]));
        assert_eq!(records("a\n\"open\nx", 3), [(1, vec!["a".into()]), (2, vec!["broken".into()]), (3, vec!["x".into()])]);
    }

    #[test]
    fn a_line_without_end_costs_itself_and_no_memory() {
        let long = "x".repeat(3 * MOST_BYTES);
        let found = records(&format!("a\n{long}\nb\n\"{long}"), 1 << 16);
        let lines: Vec<(u64, &str)> = found.iter().map(|(line, fields)| (*line, fields[0].as_str())).collect();
        assert_eq!(lines, [(1, "a"), (2, "broken"), (3, "b"), (4, "broken")]);
    }

    #[test]
    fn semicolons_and_tabs_are_found() {
        assert_eq!(records("a;b\n1;2,5\n", 9)[1].1, ["1", "2,5"]);
        assert_eq!(records("a\tb\n1\t2\n", 9)[1].1, ["1", "2"]);
    }
}
