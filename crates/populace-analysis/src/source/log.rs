//! Access logs of web servers, as CSV.

use std::io::{self, BufRead, Read};

/// The columns of an access log. A client is an address with its browser.
const COLUMNS: &str = "client,host,user,time,method,path,status,bytes,referer,user_agent\n";

/// Of these, that of the path.
const PATH: usize = 5;

/// Whether a line is one of an access log, in the common or the combined form.
pub(super) fn is_log(line: &str) -> bool {
    fields(line).is_some()
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
    line: Vec<u8>,
    given: usize,
}

impl<R: BufRead> LogText<R> {
    pub(super) fn new(lines: R) -> Self {
        Self { lines, line: COLUMNS.into(), given: 0 }
    }

    fn next_line(&mut self) -> io::Result<()> {
        let mut raw = Vec::new();
        self.lines.read_until(b'\n', &mut raw)?;
        self.line.clear();
        self.given = 0;
        let text = String::from_utf8_lossy(&raw);
        let text = text.trim();
        // Of who asked for nothing, or not in HTTP, servers write `-` or what came.
        if let Some(fields) = fields(text).filter(|fields| !fields[PATH].is_empty()) {
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
}
