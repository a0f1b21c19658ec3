//! Whether a webhook is its provider's: signed over its raw body and the time, or with a user and a password.

use crate::connector::fingerprint;
use crate::connector::webhooks::PROVIDERS;
use crate::error::FlowError;
use crate::time;
use axum::http::{HeaderMap, HeaderName, header};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use subtle::{Choice, ConstantTimeEq};

/// How far the time of a signature may be from now: SendGrid and Klaviyo sign when they send.
pub const MAX_AGE: Duration = Duration::from_mins(10);
/// The shortest secret and password, characters: Klaviyo takes no shorter one.
const SHORTEST: usize = 16;

const SENDGRID: [HeaderName; 2] =
    [HeaderName::from_static("x-twilio-email-event-webhook-signature"), HeaderName::from_static("x-twilio-email-event-webhook-timestamp")];
const KLAVIYO: [HeaderName; 2] = [HeaderName::from_static("klaviyo-signature"), HeaderName::from_static("klaviyo-timestamp")];

/// The keys of the providers' webhooks. A provider that has one is taken by it alone, or by a bearer token.
#[derive(Clone)]
pub struct WebhookKeys {
    keys: BTreeMap<String, Vec<Key>>,
    max_age: Duration,
}

#[derive(Clone)]
enum Key {
    /// SendGrid's public key.
    Ecdsa(Box<VerifyingKey>),
    /// Klaviyo's or Mailgun's secret.
    Hmac(Box<Hmac<Sha256>>),
    /// SHA-256 of user and password.
    Basic([u8; 32]),
}

/// Why a webhook is not taken, or what of it is still to be checked.
#[derive(Debug)]
pub(super) enum Checked {
    /// It has the password.
    Done,
    /// Its signature, and the time that is signed with the body.
    Signed(Vec<u8>, String),
    /// Its signature is in the body.
    InBody,
}

impl Default for WebhookKeys {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), max_age: MAX_AGE }
    }
}

impl WebhookKeys {
    /// With another age that signatures may have.
    #[must_use]
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    /// Adds a key of a provider: `ecdsa` and a public key (SendGrid), `hmac` and a secret (Klaviyo, Mailgun), `basic` and `USER:PASSWORD`.
    ///
    /// # Errors
    /// The provider does not sign so, or it is no such key.
    pub fn with(mut self, provider: &str, scheme: &str, secret: &str) -> Result<Self, FlowError> {
        if !PROVIDERS.contains(&provider) {
            return Err(FlowError::Refused(format!("there are no webhooks of this provider; there are {}", PROVIDERS.join(", "))));
        }
        let short = secret.chars().count() < SHORTEST;
        let key = match (scheme, provider) {
            ("ecdsa", "sendgrid") => {
                let der = BASE64.decode(secret.as_bytes()).ok().and_then(|der| VerifyingKey::from_public_key_der(&der).ok());
                let reason = "ecdsa: must be the verification key as SendGrid shows it, in base64 (it begins with MFkw)";
                Key::Ecdsa(Box::new(der.ok_or_else(|| FlowError::Refused(reason.to_owned()))?))
            }
            ("hmac", "klaviyo" | "mailgun") if !short => {
                let mac = Hmac::new_from_slice(secret.as_bytes()).map_err(|error| FlowError::Refused(format!("hmac: {error}")))?;
                Key::Hmac(Box::new(mac))
            }
            ("basic", _) if !short && secret.contains(':') => Key::Basic(fingerprint(&[secret.as_bytes()])),
            ("hmac", "klaviyo" | "mailgun") => {
                return Err(FlowError::Refused(format!("hmac: the secret must have at least {SHORTEST} characters")));
            }
            ("basic", _) => {
                return Err(FlowError::Refused(format!("basic: must be USER:PASSWORD, of at least {SHORTEST} characters together")));
            }
            _ => {
                let reason = "the schemes are ecdsa for sendgrid, hmac for klaviyo and mailgun, and basic for every provider";
                return Err(FlowError::Refused(reason.to_owned()));
            }
        };
        self.keys.entry(provider.to_owned()).or_default().push(key);
        Ok(self)
    }

    /// The keys of a file: on each line the provider, the scheme and the key. `#` begins a comment.
    ///
    /// # Errors
    /// The file cannot be read, has no key, or a line that is none.
    pub fn read(self, path: &Path) -> Result<Self, FlowError> {
        let text = std::fs::read_to_string(path).map_err(|error| FlowError::io(path, error))?;
        let mut keys = self;
        let before = keys.count();
        for (index, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = |reason: String| FlowError::Refused(format!("{}: line {index}: {reason}", path.display()));
            let mut words = line.split_whitespace();
            let (Some(provider), Some(scheme), Some(secret), None) = (words.next(), words.next(), words.next(), words.next()) else {
                return Err(place("must be PROVIDER SCHEME KEY, such as `klaviyo hmac` and a secret".to_owned()));
            };
            keys = keys.with(provider, scheme, secret).map_err(|error| place(error.to_string()))?;
        }
        if keys.count() == before {
            return Err(FlowError::Refused(format!("{}: there is no key; a line is PROVIDER SCHEME KEY", path.display())));
        }
        Ok(keys)
    }

    fn count(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// Whether webhooks of a provider must be its own.
    pub fn has(&self, provider: &str) -> bool {
        self.keys.contains_key(provider)
    }

    fn of(&self, provider: &str) -> &[Key] {
        self.keys.get(provider).map_or(&[], Vec::as_slice)
    }

    /// What the head of a webhook says, before its body is read.
    pub(super) fn check_head(&self, provider: &str, headers: &HeaderMap) -> Result<Checked, String> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let basic =
            text(&header::AUTHORIZATION).and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        if let Some((_, given)) = basic {
            let hash = fingerprint(&[&BASE64.decode(given.trim().as_bytes()).unwrap_or_default()]);
            let same = |same: Choice, key: &Key| if let Key::Basic(known) = key { same | known.ct_eq(&hash) } else { same };
            let right: bool = self.of(provider).iter().fold(Choice::from(0), same).into();
            return if right { Ok(Checked::Done) } else { Err("the user or the password is not known".to_owned()) };
        }
        let signs = self.of(provider).iter().any(|key| !matches!(key, Key::Basic(_)));
        let [signature, timestamp] = match provider {
            "sendgrid" if signs => SENDGRID,
            "klaviyo" if signs => KLAVIYO,
            "mailgun" if signs => return Ok(Checked::InBody),
            _ => return Err("send the user and the password in the URL of the webhook".to_owned()),
        };
        let (Some(signed), Some(at)) = (text(&signature), text(&timestamp)) else {
            return Err(format!("{signature} and {timestamp} must be given"));
        };
        self.check_age(at).map_err(|reason| format!("{timestamp}: {reason}"))?;
        let decoded = if provider == "sendgrid" { BASE64.decode(signed.as_bytes()) } else { HEXLOWER_PERMISSIVE.decode(signed.as_bytes()) };
        let decoded = decoded.map_err(|_| format!("{signature}: is no signature"))?;
        Ok(Checked::Signed(decoded, at.to_owned()))
    }

    fn check_age(&self, at: &str) -> Result<(), String> {
        let seconds = at.parse().ok().or_else(|| time::read(at).map(|read| read.at.0 as f64 / 1e6)).or_else(|| {
            let at = httpdate::parse_http_date(at).ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(at.as_secs_f64())
        });
        let Some(seconds) = seconds else { return Err("is no moment".to_owned()) };
        let age = (time::now().0 as f64 / 1e6 - seconds).abs();
        if age <= self.max_age.as_secs_f64() {
            return Ok(());
        }
        Err(format!(
            "is more than {} s from now: the clock of this machine is wrong, or the webhook is sent again by another",
            self.max_age.as_secs()
        ))
    }

    /// Whether the body is what was signed.
    pub(super) fn check_body(&self, provider: &str, checked: &Checked, body: &[u8]) -> Result<(), String> {
        let (signature, parts) = match checked {
            Checked::Done => return Ok(()),
            Checked::Signed(signature, at) => (signature.clone(), [body.to_vec(), at.clone().into_bytes()]),
            Checked::InBody => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                let text = |name: &str| body["signature"][name].as_str().unwrap_or_default();
                self.check_age(text("timestamp")).map_err(|reason| format!("signature.timestamp: {reason}"))?;
                let signature = HEXLOWER_PERMISSIVE.decode(text("signature").as_bytes()).unwrap_or_default();
                (signature, [text("timestamp").into(), text("token").into()])
            }
        };
        let is_right = |key: &Key| match key {
            Key::Ecdsa(key) => DerSignature::from_bytes(&signature)
                .is_ok_and(|signature| key.verify(&[parts[1].as_slice(), &parts[0]].concat(), &signature).is_ok()),
            // In constant time.
            Key::Hmac(mac) => {
                let mac = Hmac::clone(mac).chain_update(&parts[0]).chain_update(&parts[1]);
                mac.verify_slice(&signature).is_ok()
            }
            Key::Basic(_) => false,
        };
        if self.of(provider).iter().any(is_right) {
            Ok(())
        } else {
            Err("the signature is not of this body under any key there is".to_owned())
        }
    }
}
