//! From identifiers to tokens, under the keys of a ring.

use super::{ClaimError, Identifier, Kind};
use crate::error::FlowError;
use crate::event::is_universal_id;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use populace_io::identity::{EmailHash, Identities, IdentityError, SYNTHETIC_KEY, normalise};
use sha2::Sha256;
use std::fmt;
use std::path::Path;

/// The id of the public key of synthetic recipients.
pub(super) const SYNTHETIC: &str = "synthetic";
/// The longest identifier, bytes.
const LONGEST: usize = 256;

/// An identifier, hashed under every key of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its base id under the current key: what it is called if it was not known before.
    pub base_id: String,
    /// What an event shows as `recipient_email_hash`; of a universal id nothing.
    pub hash: String,
    /// Its hash under each key, the current one first; of a universal id none.
    pub hashes: Vec<KeyedHash>,
}

/// The hash of an identifier under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedHash {
    /// The key.
    pub key_id: String,
    /// 32 bytes.
    pub hash: Vec<u8>,
}

#[derive(Clone)]
struct Key {
    id: String,
    identities: Identities,
    mac: Hmac<Sha256>,
}

/// The keys that identifiers are hashed under: the current one, and those before it, under which people may be known.
///
/// A new key is put in front of the others. Who is known under an older key is found under it, keeps the `universal_id`, and is from then on
/// known under the new key too. A key that is taken out of the ring can be forgotten: people who were not seen since are not recognised again.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
    /// Whether the key is public, so that only what can be nobody's may be hashed.
    public: bool,
}

/// Without the keys.
impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyRing").field("keys", &self.ids()).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// The public key of synthetic recipients: their ids are those of the data files.
    ///
    /// # Panics
    /// Never: HMAC takes keys of every length.
    pub fn synthetic() -> Self {
        let mac = Hmac::new_from_slice(SYNTHETIC_KEY).expect("HMAC takes keys of every length");
        Self { keys: vec![Key { id: SYNTHETIC.to_owned(), identities: Identities::synthetic(), mac }], public: true }
    }

    /// Keys with their ids, the current one first.
    ///
    /// # Errors
    /// There is none, one is too short or public, or two have one id.
    ///
    /// # Panics
    /// Never: HMAC takes keys of every length.
    pub fn new(keys: &[(&str, &[u8])]) -> Result<Self, FlowError> {
        let mut ring = Self { keys: Vec::new(), public: false };
        for (id, secret) in keys {
            let identities = Identities::new(secret, EmailHash::Hmac).map_err(|error| FlowError::Refused(format!("key {id}: {error}")))?;
            if ring.keys.iter().any(|key| key.id == *id) {
                return Err(FlowError::Refused(format!("key {id}: there are two keys of this id")));
            }
            let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of every length");
            ring.keys.push(Key { id: (*id).to_owned(), identities, mac });
        }
        if ring.keys.is_empty() {
            return Err(FlowError::Refused("there is no key; a line is KEY_ID SECRET, the current key first".to_owned()));
        }
        Ok(ring)
    }

    /// The keys of a file: on each line the id of a key and its secret of 32 bytes or more, the current key first. `#` begins a comment.
    ///
    /// # Errors
    /// The file cannot be read, or [`new`](Self::new) refuses.
    pub fn read(path: &Path) -> Result<Self, FlowError> {
        let text = std::fs::read_to_string(path).map_err(|error| FlowError::io(path, error))?;
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let Some((id, secret)) = line.split_once(char::is_whitespace) else {
                return Err(FlowError::Refused(format!("{}: line {number}: must be KEY_ID SECRET", path.display())));
            };
            keys.push((id, secret.trim().as_bytes()));
        }
        Self::new(&keys).map_err(|error| FlowError::Refused(format!("{}: {error}", path.display())))
    }

    /// Whether the key is the public one of synthetic recipients.
    pub const fn is_public(&self) -> bool {
        self.public
    }

    /// The ids of the keys, the current one first.
    pub fn ids(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.id.as_str()).collect()
    }

    /// What stands for parts that are to be recognised and not to be read: their hash, under the oldest key, which is the last to change.
    pub(crate) fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
        let key = self.keys.last().expect("a ring has a key");
        key.mac.clone().chain_update([0, 0]).chain_update(crate::connector::fingerprint(parts)).finalize().into_bytes().into()
    }

    /// The token of an identifier.
    ///
    /// # Errors
    /// It is none, or this ring cannot protect it.
    pub fn token(&self, identifier: &Identifier) -> Result<Token, ClaimError> {
        let current = &self.keys[0];
        match identifier {
            Identifier::Email(address) => {
                if address.chars().count() > LONGEST
                    || address.chars().any(|character| character.is_control() && !character.is_whitespace())
                {
                    return Err(IdentityError::NoAddress.into());
                }
                let identity = current.identities.identify(address)?;
                let hashes = self.hashes(normalise(address).as_bytes());
                Ok(Token { kind: Kind::Email, base_id: identity.universal_id, hash: identity.email_hash, hashes })
            }
            Identifier::Phone(number) => {
                let number = phone(number).ok_or(ClaimError::Phone)?;
                if self.public && !is_fiction(&number) {
                    return Err(ClaimError::Unprotected);
                }
                Ok(self.named(Kind::Phone, &["phone", &number]))
            }
            Identifier::Provider(provider, id) => {
                if [provider, id].iter().any(|text| text.trim().is_empty() || text.chars().count() > LONGEST) {
                    return Err(ClaimError::Empty);
                }
                Ok(self.named(Kind::Provider, &["provider", provider.trim(), id.trim()]))
            }
            Identifier::Universal(id) if is_universal_id(id) => {
                Ok(Token { kind: Kind::Universal, base_id: id.clone(), hash: String::new(), hashes: Vec::new() })
            }
            Identifier::Universal(_) => Err(ClaimError::Universal),
        }
    }

    /// What is not an address is hashed with a zero byte before each part: no address has one.
    fn named(&self, kind: Kind, parts: &[&str]) -> Token {
        let message: Vec<u8> = parts.iter().flat_map(|part| [&[0], part.as_bytes()].concat()).collect();
        let hashes = self.hashes(&message);
        let hash = &hashes[0].hash;
        Token { kind, base_id: base_id(hash), hash: HEXLOWER.encode(hash), hashes }
    }

    fn hashes(&self, message: &[u8]) -> Vec<KeyedHash> {
        let hash = |key: &Key| key.mac.clone().chain_update(message).finalize().into_bytes().to_vec();
        self.keys.iter().map(|key| KeyedHash { key_id: key.id.clone(), hash: hash(key) }).collect()
    }
}

/// `sf_` and the first 26 digits of a hash in lower-case base32, as [`populace_io::identity`] makes it.
pub(super) fn base_id(hash: &[u8]) -> String {
    let digits = BASE32_NOPAD.encode(&hash[..17]).to_ascii_lowercase();
    format!("sf_{}", &digits[..26])
}

/// A telephone number in the form of E.164: `+` and 7 to 15 digits.
fn phone(text: &str) -> Option<String> {
    let mut digits = String::new();
    let text = text.trim();
    let text = text.strip_prefix('+').or_else(|| text.strip_prefix("00"))?;
    for character in text.chars() {
        match character {
            '0'..='9' => digits.push(character),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            _ => return None,
        }
    }
    ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
}

/// Whether a number is reserved for fiction: +1 AAA 555 0100 to 0199 (NANPA) and the ranges of Ofcom's numbers for drama.
fn is_fiction(number: &str) -> bool {
    let american = number.strip_prefix("+1").filter(|rest| rest.len() == 10).is_some_and(|rest| rest[3..].starts_with("55501"));
    let british = ["+447700900", "+441632960", "+442079460"];
    american || (number.len() == 13 && british.iter().any(|range| number.starts_with(range)))
}
