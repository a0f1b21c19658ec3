//! A client of the services for one request at a time: what the demonstration and the tests send with.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head: each field as it came.
    pub head: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// A field of the head, whatever the case of its name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends a request over a connection of its own, with the given fields in its head, and returns the answer.
///
/// # Errors
/// Nobody answers, or not in HTTP/1.1.
pub fn send(to: SocketAddr, method: &str, path: &str, head: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    write!(request, "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len())?;
    for (field, value) in head {
        write!(request, "{field}: {value}\r\n")?;
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP/1.1, or broke off"))
}

/// Sends JSON.
///
/// # Errors
/// Those of [`send`].
pub fn post(to: SocketAddr, path: &str, body: &str) -> io::Result<Answer> {
    send(to, "POST", path, &[("Content-Type", "application/json")], body.as_bytes())
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let head: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(field, value)| (field.to_owned(), value.trim().to_owned())).collect();
    let mut answer = Answer { status, head, body: String::new() };
    let body = &bytes[end + 4..];
    let length: usize = answer.field("content-length").map_or(Ok(body.len()), str::parse).ok()?;
    answer.body = String::from_utf8_lossy(body.get(..length)?).into_owned();
    Some(answer)
}
