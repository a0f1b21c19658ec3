//! HTTP, as sinks need it: one agent that keeps its connections, and requests that are tried again.

use super::{FIRST_REACH, SinkError, Target};
use crate::retry::Retry;
use data_encoding::BASE64;
use std::time::Duration;
use ureq::Agent;

/// The first pause between two tries, and the longest, unless the server asks for a longer one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The most of an answer that is read.
const MOST_OF_AN_ANSWER: u64 = 64 << 20;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// After how many seconds the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first line of the body, for a message.
    pub fn first_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().next().unwrap_or_default().chars().take(400).collect()
    }
}

/// What to do with an answer.
pub enum Verdict {
    /// It is what was asked for.
    Done,
    /// It may be tomorrow.
    Again,
    /// It will never be.
    Never(SinkError),
}

/// A client of one server.
pub struct Client {
    agent: Agent,
    base: String,
    shown: String,
    headers: Vec<(&'static str, String)>,
    timeout: Duration,
}

impl Client {
    /// A client of the server at `scheme://HOSTS`, whose requests may take `timeout` together with all their tries.
    ///
    /// # Errors
    /// The target names more than one host, or TLS is asked for and not built in.
    pub fn new(scheme: &str, target: &Target, default_port: u16, timeout: Duration) -> Result<Self, SinkError> {
        if target.hosts.contains(',') {
            return Err(SinkError::Refused(format!("{}: takes one host", target.shown())));
        }
        if scheme == "https" && !cfg!(feature = "http-tls") {
            return Err(SinkError::Refused(format!(
                "{}: this program was built without TLS for HTTP; build it with --features http-tls",
                target.shown()
            )));
        }
        let has_port = target.hosts.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !target.hosts.ends_with(']');
        let port = if has_port { String::new() } else { format!(":{default_port}") };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(FIRST_REACH))
            .timeout_global(Some(timeout))
            .user_agent(concat!("populace/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.into(),
            base: format!("{scheme}://{}{port}", target.hosts),
            shown: target.shown(),
            headers: Vec::new(),
            timeout,
        })
    }

    /// Sends a header with every request.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Logs in with every request.
    #[must_use]
    pub fn with_basic(self, user: &str, password: &str) -> Self {
        let login = format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()));
        self.with_header("Authorization", login)
    }

    /// The URL, for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Sends one request; `path` begins with a slash.
    fn once(&self, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.base);
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let all = own.chain(headers.iter().copied());
        let mut response = match body {
            Some(body) => all.fold(self.agent.post(&url), |request, (name, value)| request.header(name, value)).send(body)?,
            None => all.fold(self.agent.get(&url), |request, (name, value)| request.header(name, value)).call()?,
        };
        let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            body: response.body_mut().with_config().limit(MOST_OF_AN_ANSWER).read_to_vec()?,
        })
    }

    /// Sends a request until its answer is what was asked for, with growing and scattered pauses, no longer than the time given.
    ///
    /// # Errors
    /// The server says that it never will be, or the time is over.
    pub fn request(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        judge: impl Fn(&Answer) -> Verdict,
    ) -> Result<Answer, SinkError> {
        self.request_within(self.timeout, path, (headers, body), judge)
    }

    /// As [`request`](Self::request), within a time of its own.
    ///
    /// # Errors
    /// As there.
    pub fn request_within(
        &self,
        timeout: Duration,
        path: &str,
        (headers, body): (&[(&str, &str)], Option<&[u8]>),
        judge: impl Fn(&Answer) -> Verdict,
    ) -> Result<Answer, SinkError> {
        let mut retry = Retry::new(timeout, FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let (why, asked) = match self.once(path, headers, body) {
                Ok(answer) => match judge(&answer) {
                    Verdict::Done => return Ok(answer),
                    Verdict::Never(error) => return Err(error),
                    Verdict::Again => (format!("status {}: {}", answer.status, answer.first_line()), answer.retry_after),
                },
                Err(error) => (error.to_string(), None),
            };
            if !retry.pause(asked) {
                let seconds = retry.lasted().as_secs_f64();
                return Err(SinkError::Unavailable(format!("{}: no success in {seconds:.0} s; last: {why}", self.shown)));
            }
        }
    }
}
