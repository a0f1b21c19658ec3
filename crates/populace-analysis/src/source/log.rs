//! Access logs of web servers, as CSV.

use std::io::{self, BufRead, Read};

/// The columns of an access log. A client is an address with its browser.
const COLUMNS: &str = "client,host,user,time,method,path,status,bytes,referer,user_agent\n";

/// Of these, that of the path.
const PATH: usize = 5;

/// The fields of W3C's extended form that are read, with the column of each; the first that there is counts. A path may be in two parts.
const EXTENDED: [(&str, usize); 11] = [
    ("c-ip", 1),
    ("cs-username", 2),
    ("cs-method", 4),
    ("cs-uri-stem", PATH),
    ("cs-uri", PATH),
    ("sc-status", 6),
    ("sc-bytes", 7),
    ("cs(Referer)", 8),
    ("cs(Referrer)", 8),
    ("cs(User-Agent)", 9),
    ("c-user-agent", 9),
];

/// Whether text begins as an access log, in the common, the combined or W3C's extended form.
pub(super) fn is_log(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty()).take(16);
    lines.next().is_some_and(|first| {
        fields(first).is_some()
            || is_names(first)
            || (first.starts_with('#') && lines.take_while(|line| line.starts_with('#')).any(is_names))
    })
}

/// Whether a line names the fields of W3C's extended form.
fn is_names(line: &str) -> bool {
    line.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("#Fields:"))
}

/// W3C's extended form: what lines that begin with # say of the others.
#[derive(Default)]
struct Extended {
    names: Vec<String>,
    delimiter: char,
    /// The day of lines that have none of their own.
    date: String,
}

impl Extended {
    /// Hears what a line says of those that follow.
    fn hear(&mut self, line: &str) {
        if is_names(line) {
            let named = line[8..].trim();
            self.names = named.split_whitespace().map(str::to_owned).collect();
            self.delimiter = if named.contains('\t') { '\t' } else { ' ' };
        } else if let Some(date) = line.strip_prefix("#Date:") {
            date.split_whitespace().next().unwrap_or_default().clone_into(&mut self.date);
        }
    }

    /// What a line says, whose times are in UTC.
    fn fields(&self, line: &str) -> Option<[String; 10]> {
        // Programs that write tabs name the fields with blanks between.
        let delimiter = if line.contains('\t') { '\t' } else { self.delimiter };
        let (mut values, mut rest) = (Vec::with_capacity(self.names.len()), line);
        while !rest.is_empty() {
            let (value, after) = match rest.strip_prefix('"').and_then(quoted) {
                Some((value, after)) => (value, after),
                None => rest.find(delimiter).map_or((rest.to_owned(), ""), |end| (rest[..end].to_owned(), &rest[end..])),
            };
            values.push(value);
            rest = after.strip_prefix(delimiter).unwrap_or(after);
        }
        if values.len() != self.names.len() {
            return None;
        }
        let value = |name: &str| {
            let place = self.names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
            Some(values[place].as_str()).filter(|value| *value != "-")
        };
        let mut found: [String; 10] = Default::default();
        for (name, column) in EXTENDED {
            if let Some(value) = value(name).filter(|_| found[column].is_empty()) {
                value.clone_into(&mut found[column]);
            }
        }
        if let Some(query) = value("cs-uri-query").filter(|_| !found[PATH].is_empty() && !found[PATH].contains('?')) {
            found[PATH] = format!("{}?{query}", found[PATH]);
        }
        let date = value("date").unwrap_or(&self.date);
        found[3] = value("time").filter(|_| !date.is_empty()).map(|time| format!("{date}T{time}Z"))?;
        let client = format!("{} {}", found[1], found[9]);
        client.trim().clone_into(&mut found[0]);
        Some(found)
    }
}

/// What a line says: `host ident user [time] "request" status bytes "referer" "user agent"`; more may follow.
fn fields(line: &str) -> Option<[String; 10]> {
    let (host, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once(' ')?;
    let (user, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once("] \"")?;
    let (request, rest) = quoted(rest)?;
    let mut words = rest.trim_start().splitn(3, ' ');
    let (status, bytes, rest) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    status.parse::<u16>().ok().filter(|_| !host.is_empty())?;
    let mut texts = [String::new(), String::new()];
    let mut rest = rest.trim_start();
    for text in &mut texts {
        let Some((found, after)) = rest.strip_prefix('"').and_then(quoted) else { break };
        (*text, rest) = (found, after.trim_start());
    }
    let [referer, agent] = texts;
    let mut request = request.split(' ');
    let (method, path) = (request.next().unwrap_or_default().to_owned(), request.next().unwrap_or_default().to_owned());
    let of_line = [host, user, time, status, bytes].map(str::to_owned);
    let [host, user, time, status, bytes] = of_line;
    Some([format!("{host} {agent}").trim_end().to_owned(), host, user, time, method, path, status, bytes, referer, agent])
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    let end = text.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    Some((text[..end].replace("\\\"", "\""), &text[end + 1..]))
}

/// The lines of a log as CSV; a line that is none becomes a row with one field.
pub(super) struct LogText<R> {
    lines: R,
    extended: Extended,
    line: Vec<u8>,
    given: usize,
}

impl<R: BufRead> LogText<R> {
    pub(super) fn new(lines: R) -> Self {
        Self { lines, extended: Extended::default(), line: COLUMNS.into(), given: 0 }
    }

    fn next_line(&mut self) -> io::Result<()> {
        let mut raw = Vec::new();
        self.lines.read_until(b'\n', &mut raw)?;
        self.line.clear();
        self.given = 0;
        let text = String::from_utf8_lossy(&raw);
        let text = text.trim();
        if text.starts_with('#') {
            self.extended.hear(text);
            self.line.push(b'\n');
            return Ok(());
        }
        let found = if self.extended.names.is_empty() { fields(text) } else { self.extended.fields(text) };
        // Of who asked for nothing, or not in HTTP, servers write `-` or what came.
        if let Some(fields) = found.filter(|fields| !fields[PATH].is_empty()) {
            for (place, field) in fields.iter().enumerate() {
                self.line.extend_from_slice(if place == 0 { &b"\""[..] } else { b",\"" });
                self.line.extend_from_slice(field.replace('"', "\"\"").as_bytes());
                self.line.push(b'"');
            }
            self.line.push(b'\n');
        } else if !raw.is_empty() {
            self.line.extend_from_slice(if text.is_empty() { b"\n" } else { b"no request\n" });
        }
        Ok(())
    }
}

impl<R: BufRead> Read for LogText<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() {
            self.next_line()?;
        }
        let count = into.len().min(self.line.len() - self.given);
        into[..count].copy_from_slice(&self.line[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_apache_and_nginx_are_rows() {
        let common = r#"127.0.0.1 - frank [10/Oct/2025:13:55:36 -0700] "GET /a%20b?x=1 HTTP/1.0" 200 2326"#;
        let combined = r#"::1 - - [10/Oct/2025:13:55:37 +0000] "POST /pet HTTP/1.1" 499 - "-" "curl \"8\"" 0.012"#;
        let timeout = r#"::1 - - [10/Oct/2025:13:55:38 +0000] "-" 408 0 "-" "-""#;
        let mut text = String::new();
        LogText::new(io::Cursor::new(format!("{common}\nnonsense\n{combined}\n{timeout}\n"))).read_to_string(&mut text).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[1], r#""127.0.0.1","127.0.0.1","frank","10/Oct/2025:13:55:36 -0700","GET","/a%20b?x=1","200","2326","","""#);
        assert_eq!(rows[2], "no request");
        assert!(
            rows[3].starts_with(r#""::1 curl ""8""","::1","-","10/Oct/2025:13:55:37 +0000","POST","/pet","499","-","-""#),
            "{}",
            rows[3]
        );
        assert_eq!(rows[4], "no request");
        assert!(is_log(timeout) && is_log(common) && is_log(combined) && !is_log("a,b,c") && !is_log(""));
    }
    fn rows(log: &str) -> Vec<String> {
        let mut text = String::new();
        LogText::new(io::Cursor::new(log)).read_to_string(&mut text).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn lines_of_the_extended_form_are_rows() {
        let iis = "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2025-10-10 13:00:00\n\
            #Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-bytes\n\
            2025-10-10 13:55:36 10.0.0.9 GET /pet/findByStatus status=sold 443 - 192.0.2.7 Mozilla/5.0+(X11) - 200 2326\n\
            2025-10-10 13:55:37 10.0.0.9 GET /pet - 443 CORP\\ann 192.0.2.7 Mozilla/5.0+(X11) - 404\n";
        assert!(is_log(iis));
        let found = rows(iis);
        assert_eq!(found[..4], ["", "", "", ""], "the lines of the file keep their numbers");
        let first = r#""192.0.2.7 Mozilla/5.0+(X11)","192.0.2.7","","2025-10-10T13:55:36Z","GET","/pet/findByStatus?status=sold","200","2326","","Mozilla/5.0+(X11)""#;
        assert_eq!(found[4..], [first, "no request"]);
        // Fields may change, stand in quotes, and leave out the day.
        let changed =
            "#Fields: time cs-uri\n#Date: 2025-10-10\n13:00:00 /a\n#Fields: time c-ip cs(User-Agent) cs-uri\n13:00:01 ::1 \"a b\" \"/b\"\n";
        let found = rows(changed);
        assert!(is_log(changed) && found[2] == r#""","","","2025-10-10T13:00:00Z","","/a","","","","""#, "{found:?}");
        assert!(found[4].starts_with(r#""::1 a b","::1","","2025-10-10T13:00:01Z","","/b""#), "{found:?}");
        let tabs = "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status\n2025-10-10\t13:00:01\t::1\tGET\t/a b\t200\n";
        assert!(is_log(tabs) && rows(tabs)[2].contains(r#""/a b""#));
        assert!(!is_log("# a comment\na,b\n1,2\n"));
    }
}
