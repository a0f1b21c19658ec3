//! A client of the services for one request at a time: what the demonstration and the tests send with.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    head: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// A field of the head, whatever the case of its name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.get(name).and_then(|value| value.to_str().ok())
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
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(TIMEOUT)).proxy(None);
    let agent = Agent::from(config.build());
    let request = Request::builder().method(method).uri(format!("http://{to}{path}")).header("Connection", "close");
    let request = head.iter().fold(request, |request, (field, value)| request.header(*field, *value));
    let answered = if body.is_empty() && method != "POST" {
        agent.run(request.body(()).map_err(io::Error::other)?)
    } else {
        agent.run(request.body(body).map_err(io::Error::other)?)
    };
    let (parts, mut body) = answered.map_err(ureq::Error::into_io)?.into_parts();
    let body = body.read_to_string().map_err(ureq::Error::into_io)?;
    Ok(Answer { status: parts.status.as_u16(), head: parts.headers, body })
}

/// Sends JSON.
///
/// # Errors
/// Those of [`send`].
pub fn post(to: SocketAddr, path: &str, body: &str) -> io::Result<Answer> {
    send(to, "POST", path, &[("Content-Type", "application/json")], body.as_bytes())
}
