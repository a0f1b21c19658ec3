//! Who may do what.

use crate::connector::fingerprint;
use crate::error::FlowError;
use std::net::IpAddr;
use std::path::Path;
use subtle::{Choice, ConstantTimeEq};

/// The fewest bytes of a token: 16 random bytes in base64 have 22.
const SHORTEST: usize = 22;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To send events and webhooks, and to read features.
    Ingest,
    /// To have events generated.
    Generate,
    /// Everything, also metrics, features and persons.
    Admin,
}

impl Scope {
    const ALL: [(&'static str, Self); 3] = [("ingest", Self::Ingest), ("generate", Self::Generate), ("admin", Self::Admin)];

    /// As written.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }
}

struct Token {
    /// What the client is called: the number of its token, from 1.
    client: String,
    /// SHA-256, so that all are compared in the same time whatever their length.
    hash: [u8; 32],
    scopes: Vec<Scope>,
}

/// The tokens there are. Where there is none, everybody on this machine may do everything.
#[derive(Default)]
pub struct Access {
    tokens: Vec<Token>,
}

/// Why a request may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token, or none that is known.
    Unknown,
    /// The token does not allow it.
    Scope(Scope),
}

impl Access {
    /// Access for everybody on this machine.
    pub fn open() -> Self {
        Self::default()
    }

    /// Adds a token.
    ///
    /// # Errors
    /// It is too short, or has characters that no header can carry.
    pub fn with(mut self, token: &str, scopes: Vec<Scope>) -> Result<Self, FlowError> {
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FlowError::Refused(format!(
                "a token must have at least {SHORTEST} characters, none of them a space; make one with `openssl rand -hex 32`"
            )));
        }
        let client = format!("token-{}", self.tokens.len() + 1);
        self.tokens.push(Token { client, hash: fingerprint(&[token.as_bytes()]), scopes });
        Ok(self)
    }

    /// The tokens of a file: on each line the scopes, with commas between, and a token. `#` begins a comment.
    ///
    /// # Errors
    /// The file cannot be read, has no token, or a line that is none.
    pub fn read(self, path: &Path) -> Result<Self, FlowError> {
        let text = std::fs::read_to_string(path).map_err(|error| FlowError::io(path, error))?;
        let mut access = self;
        let before = access.tokens.len();
        for (index, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = |reason: String| FlowError::Refused(format!("{}: line {index}: {reason}", path.display()));
            let Some((scopes, token)) = line.split_once(char::is_whitespace) else {
                return Err(place("must be SCOPES TOKEN, such as `ingest,generate` and a token".to_owned()));
            };
            let known = |name: &str| Scope::ALL.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope);
            let scopes: Option<Vec<Scope>> = scopes.split(',').map(known).collect();
            let scopes = scopes.ok_or_else(|| place("the scopes are ingest, generate and admin, with commas between".to_owned()))?;
            access = access.with(token.trim(), scopes).map_err(|error| place(error.to_string()))?;
        }
        if access.tokens.len() == before {
            return Err(FlowError::Refused(format!("{}: there is no token; a line is SCOPES TOKEN", path.display())));
        }
        Ok(access)
    }

    /// Whether anybody may do everything.
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Refuses to be open to other machines.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), FlowError> {
        if address.is_loopback() || !self.is_open() {
            return Ok(());
        }
        Err(FlowError::Refused(format!(
            "{address} can be reached by other machines, so a bearer token is needed: give one in the environment variable POPULACE_TOKEN, \
             or listen on 127.0.0.1"
        )))
    }

    /// Whose token this is, if it allows `scope`. Takes the same time whichever token it is and however much of one is right.
    pub(super) fn client(&self, authorization: Option<&str>, scope: Scope) -> Result<Option<&str>, Denied> {
        if self.is_open() {
            return Ok(None);
        }
        let given = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let hash = fingerprint(&[given.unwrap_or_default().as_bytes()]);
        let mut found = None;
        for token in &self.tokens {
            let same: Choice = token.hash.ct_eq(&hash);
            if bool::from(same) {
                found = Some(token);
            }
        }
        let token = found.filter(|_| given.is_some()).ok_or(Denied::Unknown)?;
        let allowed = token.scopes.iter().any(|known| *known == scope || *known == Scope::Admin);
        if allowed { Ok(Some(&token.client)) } else { Err(Denied::Scope(scope)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_allows_its_scopes_and_admin_allows_all() {
        let other = TOKEN.replace('0', "x");
        let access = Access::open().with(TOKEN, vec![Scope::Ingest]).unwrap().with(&other, vec![Scope::Admin]).unwrap();
        let with = |token: &str, scope| access.client(Some(&format!("Bearer {token}")), scope).map(Option::unwrap);
        assert_eq!(with(TOKEN, Scope::Ingest), Ok("token-1"));
        assert_eq!(with(TOKEN, Scope::Generate), Err(Denied::Scope(Scope::Generate)));
        assert_eq!(with(&other, Scope::Generate), Ok("token-2"));
        for wrong in ["", "0123456789abcdef", &format!("{TOKEN}0")] {
            assert_eq!(with(wrong, Scope::Ingest), Err(Denied::Unknown));
        }
        assert_eq!(access.client(None, Scope::Ingest), Err(Denied::Unknown));
        assert_eq!(access.client(Some(TOKEN), Scope::Ingest), Err(Denied::Unknown));
        assert_eq!(Access::open().client(None, Scope::Admin), Ok(None));
    }

    #[test]
    fn nobody_elses_machine_gets_in_without_a_token() {
        for address in ["0.0.0.0", "192.0.2.1", "::"] {
            let told = Access::open().check(address.parse().unwrap()).unwrap_err().to_string();
            assert!(told.contains("POPULACE_TOKEN, or listen on 127.0.0.1") && !told.contains("--token-file"), "{told}");
            assert!(Access::open().with(TOKEN, vec![Scope::Admin]).unwrap().check(address.parse().unwrap()).is_ok());
        }
        for address in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert!(Access::open().check(address.parse().unwrap()).is_ok());
        }
    }

    #[test]
    fn a_file_of_tokens_says_what_is_wrong_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Access::open().read(&path).map(|access| access.tokens.len()).map_err(|error| error.to_string())
        };
        assert_eq!(read(&format!("# who\n\ningest,generate {TOKEN}\nadmin\t{TOKEN}1\n")), Ok(2));
        assert!(read("# nobody").unwrap_err().contains("there is no token"));
        assert!(read(TOKEN).unwrap_err().contains("line 1: must be SCOPES TOKEN"));
        assert!(read(&format!("read {TOKEN}")).unwrap_err().contains("line 1: the scopes are ingest, generate and admin"));
        let told = read("admin short").unwrap_err();
        assert!(told.contains("line 1: a token must have at least 22 characters") && !told.contains("short"), "{told}");
    }
}
