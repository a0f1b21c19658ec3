//! URLs of sinks.

use super::SinkError;
use crate::percent::decode;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A URL: `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…][/PATH][?NAME=VALUE[&…]]`, with `%XX` for what has a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What kind of sink, in lower case.
    pub scheme: String,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// Host and port, as given; several with commas between.
    pub hosts: String,
    /// The path, without the slashes at its ends.
    pub path: String,
    /// What follows the question mark.
    pub options: BTreeMap<String, String>,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is none; the message does not repeat a password.
    pub fn parse(url: &str) -> Result<Self, SinkError> {
        let wrong = |what: &str| SinkError::Refused(format!("--to: {what}; a URL such as kafka://localhost:9092/email-events is expected"));
        let Some((scheme, rest)) = url.split_once("://") else { return Err(wrong("no URL: there is no `://`")) };
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(wrong("no URL: what is before `://` is not a scheme"));
        }
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        if hosts.is_empty() {
            return Err(wrong("the URL names no host"));
        }
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[') {
                Some(v6) => {
                    v6.split_once(']').map(|(name, rest)| (name, rest.strip_prefix(':'))).ok_or_else(|| wrong("`[` without `]`"))?
                }
                None => host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
            };
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
            if name.is_empty() || !name.bytes().all(sound) {
                return Err(wrong("the URL names no host"));
            }
            if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
                return Err(wrong("the URL's port is not a number from 1 to 65535"));
            }
        }
        let decoded = |text: &str| decode(text).ok_or_else(|| wrong("the URL has a `%` without two hexadecimal digits"));
        let (user, password) =
            match login.map(|login| login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)))) {
                Some((user, password)) => (Some(decoded(user)?), password.map(decoded).transpose()?),
                None => (None, None),
            };
        let mut options = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.insert(decoded(name)?, decoded(value)?);
        }
        let path = decoded(path.trim_matches('/'))?;
        Ok(Self { scheme: scheme.to_ascii_lowercase(), user, password, hosts: hosts.to_owned(), path, options })
    }

    /// The URL for people: without the password and the options.
    pub fn shown(&self) -> String {
        let mut shown = format!("{}://", self.scheme);
        if let Some(user) = &self.user {
            let _ = write!(shown, "{user}@");
        }
        shown += &self.hosts;
        if !self.path.is_empty() {
            shown.push('/');
            shown += &self.path;
        }
        shown
    }

    /// Refuses options that the sink does not know.
    ///
    /// # Errors
    /// There is one.
    pub fn only(&self, known: &[&str]) -> Result<(), SinkError> {
        match self.options.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if known.is_empty() => Err(SinkError::Refused(format!("{}: takes no options, and `{name}` is given", self.shown()))),
            Some(name) => Err(SinkError::Refused(format!("{}: there is no option `{name}`; there are {}", self.shown(), known.join(", ")))),
        }
    }

    /// An option that is a number.
    ///
    /// # Errors
    /// It is none, or 0.
    pub fn number(&self, name: &str) -> Result<Option<u32>, SinkError> {
        let wrong = || SinkError::Refused(format!("{}: {name} must be a whole number from 1", self.shown()));
        self.options.get(name).map(|text| text.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url() {
        let target = Target::parse("ClickHouse://send%40flowr:p%3Aa%2Fs@127.0.0.1:8123/db/?a=1&b=x%20y&c").unwrap();
        assert_eq!(target.scheme, "clickhouse");
        assert_eq!((target.user.as_deref(), target.password.as_deref()), (Some("send@flowr"), Some("p:a/s")));
        assert_eq!((target.hosts.as_str(), target.path.as_str()), ("127.0.0.1:8123", "db"));
        assert_eq!(target.options.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(), ["a=1", "b=x y", "c="]);
        assert_eq!(target.shown(), "clickhouse://send@flowr@127.0.0.1:8123/db");
        let target = Target::parse("kafka://one:9092,[::1]:9093/email-events").unwrap();
        assert_eq!((target.hosts.as_str(), target.path.as_str(), target.user), ("one:9092,[::1]:9093", "email-events", None));
        assert_eq!(Target::parse("http://[::1]:5215").unwrap().hosts, "[::1]:5215");
    }

    #[test]
    fn what_is_no_url_is_told_without_its_password() {
        let wrong = [
            "",
            "localhost",
            "://x",
            "a b://x",
            "kafka://",
            "kafka://u:secret@/t",
            "kafka://u:secret@h:0/t",
            "kafka://u:secret@h:99999",
            "kafka://h:x",
            "kafka://u:%zz@h",
            "kafka://u:%e4@h",
            "kafka://[::1",
            "kafka://a,,b",
            "http://h/?a=%",
        ];
        for url in wrong {
            let Err(SinkError::Refused(told)) = Target::parse(url) else { panic!("{url} was taken") };
            assert!(told.starts_with("--to: ") && !told.contains("secret"), "{url}: {told}");
        }
    }
}
