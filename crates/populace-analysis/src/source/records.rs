//! The records of a CSV file that may be broken.
//!
//! A reader that takes RFC 4180 at its word loses rows where a quote is never closed, up to the next quote. This one asks whether a
//! quote that closes a text of several lines is plausible: a delimiter or the end of the line follows it, and the lines within are not
//! rows of the table themselves. Where it is not, the line with the open quote is broken, and reading goes on with the line after it.

use encoding_rs::WINDOWS_1252;
use memchr::{memchr, memchr_iter, memchr2};
use std::io::{self, Read};
use std::ops::Range;

/// Bytes that a record may take.
const MOST_BYTES: usize = 1 << 20;
/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// It has fields.
    Fields,
    /// A quote is never closed, or the line is too long: it has no fields.
    Broken,
}

/// Why a record is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// Every field is blank.
    BlankRow,
    /// A quote is never closed.
    UnclosedQuote,
    /// More or fewer fields than the header.
    FieldCount,
    /// A byte that no text has, as cut-off and overwritten files have them.
    ZeroByte,
}

impl Flaw {
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::BlankRow => "every field is blank",
            Self::UnclosedQuote => "a field begins with a quote that is never closed; the lines after it are read on their own",
            Self::FieldCount => "the row has more or fewer fields than the header",
            Self::ZeroByte => "the row holds bytes of zero, which no text has",
        }
    }
}

/// Reads records one after another.
pub(crate) struct Records {
    input: Box<dyn Read + Send>,
    delimiter: u8,
    /// Fields of a row, once the header has been read.
    width: usize,
    /// Whether a backslash before a quote makes it one of the text, as databases and Spark write it.
    slashes: bool,
    /// Whether blank fields may follow the last: said by the header or the first row.
    surplus: Option<bool>,
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
    /// How many records are not UTF-8, and the line of the first.
    recoded: (u64, u64),
}

/// Where a line ends.
struct End {
    /// Its last byte, without the line break.
    content: usize,
    /// Where the next one starts.
    next: usize,
    /// Whether it holds a quote.
    quotes: bool,
}

impl Records {
    /// The records of `input`, UTF-8 without a byte order mark; `lines` come before it in the file.
    pub(crate) fn new(input: Box<dyn Read + Send>, delimiter: u8, lines: u64) -> Self {
        Self {
            input,
            delimiter,
            width: 0,
            slashes: false,
            surplus: None,
            bytes: Vec::new(),
            start: 0,
            ended: false,
            lines,
            line: 0,
            unquoted: Vec::new(),
            quoted: false,
            fields: Vec::new(),
            recoded: (0, 0),
        }
    }

    /// The same, of a file whose quotes in text have a backslash before them.
    pub(crate) fn slashed(mut self, slashes: bool) -> Self {
        self.slashes = slashes;
        self
    }

    /// Reads the header: the names of the columns, without the blank ones at its end; `None` if a quote in it is never closed, no names
    /// if there is nothing to read.
    pub(crate) fn header(&mut self) -> io::Result<Option<Vec<String>>> {
        let names: Vec<String> = match self.advance()? {
            None => Vec::new(),
            Some(Shape::Broken) => return Ok(None),
            Some(Shape::Fields) => (0..self.len()).map(|index| String::from_utf8_lossy(self.field(index)).trim().to_owned()).collect(),
        };
        self.width = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        self.surplus = (names.len() > self.width).then_some(true);
        Ok(Some(names[..self.width].to_vec()))
    }

    /// Goes to the next row; `None` at the end. Blank fields after the last column are no flaw where the file has them throughout.
    pub(crate) fn row(&mut self) -> io::Result<Option<Result<(), Flaw>>> {
        let Some(shape) = self.advance()? else { return Ok(None) };
        self.recode();
        let blank = |mut fields: Range<usize>| fields.all(|index| self.field(index).trim_ascii().is_empty());
        if shape == Shape::Broken {
            return Ok(Some(Err(Flaw::UnclosedQuote)));
        }
        if (0..self.len()).any(|index| memchr(0, self.field(index)).is_some()) {
            return Ok(Some(Err(Flaw::ZeroByte)));
        }
        if blank(0..self.len()) {
            return Ok(Some(Err(Flaw::BlankRow)));
        }
        let more = self.len() > self.width && blank(self.width..self.len());
        let fits = self.len() == self.width || (more && *self.surplus.get_or_insert(true));
        self.surplus.get_or_insert(false);
        Ok(Some(if fits { Ok(()) } else { Err(Flaw::FieldCount) }))
    }

    /// Makes UTF-8 of fields that are not: text of several programs, put together, is half of it in the charset of Western Europe.
    fn recode(&mut self) {
        let of = |quoted| if quoted { &self.unquoted } else { &self.bytes };
        let is_utf8 = |field: &Range<usize>| std::str::from_utf8(&of(self.quoted)[field.clone()]).is_ok();
        if self.fields.iter().all(is_utf8) {
            return;
        }
        let mut text = Vec::new();
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let (from, bytes) = (text.len(), &of(self.quoted)[field.clone()]);
            match std::str::from_utf8(bytes) {
                Ok(_) => text.extend_from_slice(bytes),
                // No letter there has this byte, which is all ones: it stays for who reads the field.
                Err(_) if bytes.contains(&0xff) => text.extend_from_slice(bytes),
                Err(_) => text.extend_from_slice(WINDOWS_1252.decode_without_bom_handling(bytes).0.as_bytes()),
            }
            fields.push(from..text.len());
        }
        (self.unquoted, self.fields, self.quoted) = (text, fields, true);
        let first = if self.recoded.0 == 0 { self.line } else { self.recoded.1 };
        self.recoded = (self.recoded.0 + 1, first);
    }

    /// How many rows so far were not UTF-8, and the line of the first.
    pub(crate) fn recoded(&self) -> (u64, u64) {
        self.recoded
    }

    /// How many fields a row has.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The line that the current record begins in, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// How many fields the current record has.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field of the current record.
    #[inline]
    pub(crate) fn field(&self, index: usize) -> &[u8] {
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
    fn advance(&mut self) -> io::Result<Option<Shape>> {
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
                // Another program's line breaks, of which the line holds several.
                let returned = self.returned(&end);
                let content = returned.unwrap_or(end.content);
                let mut from = self.start;
                for (index, byte) in self.bytes[self.start..content].iter().enumerate() {
                    if *byte == self.delimiter {
                        self.fields.push(from..self.start + index);
                        from = self.start + index + 1;
                    }
                }
                self.fields.push(from..content);
                self.lines += u64::from(returned.is_none());
                self.start = returned.map_or(end.next, |end| end + 1);
                return Ok(Some(Shape::Fields));
            }
            let length = end.next - self.start;
            let shape = self.quoted(length, self.slashes)?;
            if shape == Shape::Broken && self.slashes {
                // Of this text the backslash is a part, as in the name of a directory.
                self.start -= length;
                self.lines -= 1;
                return self.quoted(length, false).map(Some);
            }
            return Ok(Some(shape));
        }
    }

    /// Where the first of several rows on a line ends, which only carriage returns part: each has the fields of the table.
    fn returned(&self, end: &End) -> Option<usize> {
        let line = &self.bytes[self.start..end.content];
        let first = memchr(b'\r', line)?;
        let fields = |row: &[u8]| memchr_iter(self.delimiter, row).count() + 1;
        let width = if self.width == 0 { fields(&line[..first]) } else { self.width };
        line.split(|byte| *byte == b'\r').all(|row| fields(row) == width).then_some(self.start + first)
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

    /// The byte so far after the start of the record; `None` at the end of the input, or where a record is too long.
    fn byte(&mut self, at: usize) -> io::Result<Option<u8>> {
        while self.start + at >= self.bytes.len() {
            if self.ended || at > MOST_BYTES || !self.fill()? {
                return Ok(None);
            }
        }
        Ok(Some(self.bytes[self.start + at]))
    }

    /// Splits a record with quotes, which may take several lines; the first has so many bytes.
    fn quoted(&mut self, after_first: usize, slashes: bool) -> io::Result<Shape> {
        self.unquoted.clear();
        let mut at = 0;
        loop {
            let from = self.unquoted.len();
            if self.byte(at)? == Some(b'"') {
                let Some(end) = self.quoted_field(at + 1, slashes)? else {
                    self.fields.clear();
                    self.lines += 1;
                    self.start += after_first;
                    return Ok(Shape::Broken);
                };
                at = end;
            }
            // The line break of another program, after the last field.
            if self.unquoted.len() > from
                && self.fields.len() + 1 == self.width
                && self.byte(at)? == Some(b'\r')
                && self.byte(at + 1)?.is_some_and(|next| next != b'\n')
            {
                self.fields.push(from..self.unquoted.len());
                self.lines += memchr_iter(b'\n', &self.bytes[self.start..self.start + at]).count() as u64;
                self.start += at + 1;
                self.quoted = true;
                return Ok(Shape::Fields);
            }
            // What stands after a closing quote belongs to the field too, as it does to other readers.
            let end = loop {
                let rest = &self.bytes[self.start + at..];
                let found = memchr2(self.delimiter, b'\n', rest);
                let text = &rest[..found.unwrap_or(rest.len())];
                self.unquoted.extend_from_slice(text);
                at += text.len();
                if let Some(end) = self.byte(at)? {
                    if found.is_some() {
                        break Some(end);
                    }
                } else {
                    break None;
                }
            };
            if end != Some(self.delimiter) && self.unquoted.len() > from && self.unquoted.ends_with(b"\r") {
                self.unquoted.pop();
            }
            self.fields.push(from..self.unquoted.len());
            if end == Some(self.delimiter) {
                at += 1;
                continue;
            }
            at += usize::from(end.is_some());
            let record = &self.bytes[self.start..self.start + at];
            self.lines += memchr_iter(b'\n', record).count() as u64 + u64::from(end.is_none());
            self.start += at;
            self.quoted = true;
            return Ok(Shape::Fields);
        }
    }

    /// Takes a quoted field, whose text begins so far after the start of the record: where it ends; `None` if its quote is not closed.
    fn quoted_field(&mut self, mut at: usize, slashes: bool) -> io::Result<Option<usize>> {
        let from = self.unquoted.len();
        loop {
            if self.byte(at)?.is_none() {
                return Ok(None);
            }
            let rest = &self.bytes[self.start + at..];
            let quote = memchr(b'"', rest);
            let text = &rest[..quote.unwrap_or(rest.len())];
            self.unquoted.extend_from_slice(text);
            at += text.len();
            if quote.is_none() {
                continue;
            }
            at += 1;
            if slashes && self.unquoted[from..].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1 {
                self.unquoted.pop();
                self.unquoted.push(b'"');
                continue;
            }
            let next = self.byte(at)?;
            if next == Some(b'"') {
                self.unquoted.push(b'"');
                at += 1;
                continue;
            }
            let closes = next.is_none_or(|byte| byte == self.delimiter || matches!(byte, b'\n' | b'\r'));
            let text = &self.unquoted[from..];
            let is_sound = !text.contains(&b'\n') || (closes && !self.holds_rows(text));
            return Ok(is_sound.then_some(at));
        }
    }

    /// Whether the lines of a quoted text are rows of the table, as far as can be seen: then its quote is a stray one.
    fn holds_rows(&self, text: &[u8]) -> bool {
        /// With fewer delimiters a line of prose looks like a row.
        const LEAST: usize = 2;
        let is_row = |line: &[u8], delimiters: usize| {
            let spaced = |at: usize| line.get(at + 1).is_some_and(u8::is_ascii_whitespace);
            let places = memchr_iter(self.delimiter, line);
            delimiters >= LEAST && places.clone().count() == delimiters && !places.into_iter().any(spaced)
        };
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.next();
        let Some(last) = lines.next_back() else { return false };
        let mut inner = lines.peekable();
        if inner.peek().is_none() {
            return is_row(last, self.fields.len());
        }
        inner.all(|line| is_row(line.strip_suffix(b"\r").unwrap_or(line), self.width.saturating_sub(1)))
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
        let first = text.split('\n').next().unwrap();
        let delimiter = [b',', b';', b'\t'].into_iter().find(|delimiter| first.as_bytes().contains(delimiter)).unwrap_or(b',');
        let mut records = Records::new(Box::new(Few(text.as_bytes().to_vec(), bytes)), delimiter, 0);
        records.width = first.split(char::from(delimiter)).count();
        let mut found = Vec::new();
        while let Some(shape) = records.advance().unwrap() {
            let fields = (0..records.len()).map(|index| String::from_utf8_lossy(records.field(index)).into_owned()).collect();
            found.push((records.line(), if shape == Shape::Broken { vec!["broken".to_owned()] } else { fields }));
        }
        found
    }

    #[test]
    fn quotes_line_breaks_and_blank_lines_are_read_as_rfc_4180_says() {
        let text = "a,b,c\r\n1,\"x, \"\"y\"\"\",\r\n\n2,\"two\nlines\",z\n\"\",,\"q\"r";
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
    fn a_stray_quote_is_told_from_a_text_of_many_lines() {
        let text = "id,type,course\n10,watch,\"intro\n11,watch,x\n12,login,\n13,watch,\"sql-101\"\n14,login,\n";
        let found: Vec<(u64, usize)> = records(text, 5).into_iter().map(|(line, fields)| (line, fields.len())).collect();
        assert_eq!(found, [(1, 3), (2, 1), (3, 3), (4, 3), (5, 3), (6, 3)], "the row of the stray quote alone is broken");
        // Closed by another stray quote, which a delimiter or the end of a line follows.
        let text = "id,type,course\n10,watch,\"intro\n11,watch,x\n12,login,y\"\n14,login,\n";
        assert_eq!(records(text, 7).iter().filter(|(_, fields)| fields.len() == 3).count(), 4);
        let text = "id,type,course\n10,watch,\"intro\n11,watch,y\"\n";
        assert_eq!(records(text, 7).iter().filter(|(_, fields)| fields.len() == 3).count(), 2);
        // What somebody wrote.
        let line = |line: u32| format!("line {line}, with \"\"quotes\"\",\nand, more, commas\n");
        let lines = (0..70).map(line).collect::<Vec<_>>().concat();
        let found = records(&format!("id,text,x\n1,\"{lines}\",a\n2,\"Main St 1,\nSpringfield, IL\",b\n"), 11);
        let shape: Vec<(u64, usize)> = found.iter().map(|(line, fields)| (*line, fields.len())).collect();
        assert_eq!(shape, [(1, 3), (2, 3), (143, 3)]);
        assert_eq!(found[1].1[1], lines.replace("\"\"", "\""));
    }

    #[test]
    fn rows_that_carriage_returns_part_are_rows() {
        let text = "a,b\n1,x\r2,y\n3,\"z\"\r4,v\r\n5,p\rq\r6,r\n\"7\rs\",t\n";
        for bytes in [1, 7, 1 << 16] {
            let rows: Vec<Vec<String>> = records(text, bytes).into_iter().map(|(_, fields)| fields).collect();
            let first = [["a", "b"], ["1", "x"], ["2", "y"], ["3", "z"], ["4", "v"]].map(|row| row.map(str::to_owned).to_vec());
            assert_eq!(rows[..5], first);
            assert_eq!(rows[5..], [vec!["5".into(), "p\rq\r6".into(), "r".to_owned()], vec!["7\rs".into(), "t".into()]]);
        }
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
