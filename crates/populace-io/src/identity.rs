//! Who an email address is, without saying the address.
//!
//! An address is [normalised](normalise), then hashed (`recipient_email_hash`) and, under a key, turned into an id (`universal_id`). No
//! address leaves this module, neither in an [`Identity`] nor in an error.
//!
//! Everybody can hash every likely address and compare, so a plain hash hides nothing of a real person. It is kept to domains that
//! nobody can own ([`is_reserved`]); every other address takes [`EmailHash::Hmac`] and a key that is nobody else's.
//!
//! ```
//! use populace_io::identity::{EmailHash, Identities, IdentityError};
//!
//! // Synthetic recipients: the same ids everywhere.
//! let synthetic = Identities::synthetic();
//! let identity = synthetic.identify("user1000@example.com")?;
//! assert_eq!(identity.email_hash, "65cde7384a64328f348e60ee1922b56d85cace6aa35efda7c879307c9cf862a3");
//! assert_eq!(identity, synthetic.identify("  User1000@Example.COM ")?);
//!
//! // People: a secret key, and the hash is keyed too.
//! assert_eq!(synthetic.identify("ada@lovelace.org"), Err(IdentityError::Unprotected));
//! let own = Identities::new(b"at least thirty-two secret bytes", EmailHash::Hmac)?;
//! assert_eq!(own.identify("ada@lovelace.org")?.universal_id.len(), 29);
//! # Ok::<(), IdentityError>(())
//! ```

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// The key of synthetic recipients. It is public, so that their ids are the same everywhere, and therefore protects nobody.
pub const SYNTHETIC_KEY: &[u8] = b"populace: a public key for people who do not exist";

/// The fewest bytes of a key: as many as the hash has.
pub const MIN_KEY_BYTES: usize = 32;

const PREFIX: &str = "sf_";
/// 130 bits: two of a billion addresses are alike with probability 4e-22.
const ID_DIGITS: usize = 26;
/// The bytes that hold those bits.
const ID_BYTES: usize = (ID_DIGITS * 5).div_ceil(8);

/// What `recipient_email_hash` is of a normalised address; in lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailHash {
    /// SHA-256; of addresses at [reserved](is_reserved) domains only.
    Sha256,
    /// HMAC-SHA256 with the key of the ids.
    Hmac,
}

/// What stands for an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// `sf_` and the first 26 digits of HMAC-SHA256(key, address) in lower-case base32 (RFC 4648).
    pub universal_id: String,
    /// 64 lower-case hexadecimal digits; see [`EmailHash`].
    pub email_hash: String,
}

/// Why there is no identity. Says nothing of the address or the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The key is too short.
    #[error("the identity key must have at least {MIN_KEY_BYTES} bytes, got {0}")]
    ShortKey(usize),
    /// The key is [`SYNTHETIC_KEY`], which protects nobody.
    #[error("the key of synthetic recipients is public: keyed hashes need a key of their own")]
    PublicKey,
    /// Not of the form `name@domain`.
    #[error("not an email address: it must have the form name@domain")]
    NoAddress,
    /// A plain hash was asked for of an address that may be somebody's.
    #[error("an address outside the reserved example domains needs `email_hash: hmac` and a key of {MIN_KEY_BYTES} bytes or more")]
    Unprotected,
}

/// Turns addresses into identities, under one key. About a microsecond for each.
#[derive(Clone)]
pub struct Identities {
    /// Has taken in the key: a copy of it is ready for a message.
    keyed: Hmac<Sha256>,
    hash: EmailHash,
}

/// Without the key.
impl fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identities").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Identities {
    /// The identities of synthetic recipients: [`SYNTHETIC_KEY`] and plain hashes.
    pub fn synthetic() -> Self {
        Self::with(SYNTHETIC_KEY, EmailHash::Sha256)
    }

    /// Identities under a key.
    ///
    /// # Errors
    /// The key has fewer than [`MIN_KEY_BYTES`] bytes, or is public and asked to protect.
    pub fn new(key: &[u8], hash: EmailHash) -> Result<Self, IdentityError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(IdentityError::ShortKey(key.len()));
        }
        if key == SYNTHETIC_KEY && hash == EmailHash::Hmac {
            return Err(IdentityError::PublicKey);
        }
        Ok(Self::with(key, hash))
    }

    fn with(key: &[u8], hash: EmailHash) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("HMAC takes keys of every length"), hash }
    }

    /// The identity of an address.
    ///
    /// # Errors
    /// It is not an address, or one that a plain hash would not hide.
    pub fn identify(&self, address: &str) -> Result<Identity, IdentityError> {
        let address = normalise(address);
        let domain = domain(&address).ok_or(IdentityError::NoAddress)?;
        if self.hash == EmailHash::Sha256 && !is_reserved(domain) {
            return Err(IdentityError::Unprotected);
        }
        let mac = self.keyed.clone().chain_update(address.as_bytes()).finalize().into_bytes();
        let email_hash = match self.hash {
            EmailHash::Sha256 => HEXLOWER.encode(&Sha256::digest(address.as_bytes())),
            EmailHash::Hmac => HEXLOWER.encode(&mac),
        };
        let mut universal_id = String::with_capacity(PREFIX.len() + BASE32_NOPAD.encode_len(ID_BYTES));
        universal_id.push_str(PREFIX);
        BASE32_NOPAD.encode_append(&mac[..ID_BYTES], &mut universal_id);
        universal_id.truncate(PREFIX.len() + ID_DIGITS);
        universal_id.make_ascii_lowercase();
        Ok(Identity { universal_id, email_hash })
    }
}

/// The form of an address that identities are made of: NFC, trimmed, in lower case. Lower case can undo NFC for a few letters (`J̌`), so
/// what has them is composed once more: what is normalised stays as it is.
///
/// ```
/// use populace_io::identity::normalise;
/// assert_eq!(normalise(" User1000@EXAMPLE.com\n"), "user1000@example.com");
/// assert_eq!(normalise("Rene\u{301}@example.com"), "ren\u{e9}@example.com");
/// ```
pub fn normalise(address: &str) -> Cow<'_, str> {
    if !address.is_ascii() {
        let composed: String = address.nfc().collect();
        return composed.trim().to_lowercase().nfc().collect::<String>().into();
    }
    let trimmed = address.trim();
    if trimmed.bytes().any(|byte| byte.is_ascii_uppercase()) { trimmed.to_ascii_lowercase().into() } else { trimmed.into() }
}

/// The domain of a normalised address: what follows its last `@`. What holds the signs between several addresses, or around one beside a
/// name, is none: two people would be one.
fn domain(address: &str) -> Option<&str> {
    let is_one = address.starts_with('"') || !address.contains([',', ';', '<', '>']);
    address.rsplit_once('@').filter(|_| is_one).filter(|(name, domain)| !name.is_empty() && !domain.is_empty()).map(|(_, domain)| domain)
}

/// Whether nobody can have an address at a lower-case domain: `example.com`, `example.net`, `example.org` and the top-level domains
/// `example`, `test`, `invalid` and `localhost` with all that is below them (RFC 2606, RFC 6761).
///
/// ```
/// use populace_io::identity::is_reserved;
/// assert!(is_reserved("mail.example.com") && is_reserved("shop.test"));
/// assert!(!is_reserved("notexample.com") && !is_reserved("example.com.au"));
/// ```
pub fn is_reserved(domain: &str) -> bool {
    const RESERVED: [&str; 7] = ["example.com", "example.net", "example.org", "example", "test", "invalid", "localhost"];
    RESERVED.iter().any(|reserved| domain.strip_suffix(reserved).is_some_and(|below| below.is_empty() || below.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn ids_are_those_of_independent_implementations() {
        // Python: base64.b32encode(hmac.digest(key, address, "sha256")).decode().lower()[:26]
        let synthetic = Identities::synthetic().identify("user1000@example.com").unwrap();
        assert_eq!(synthetic.universal_id, "sf_zibadpwptzraqjc5y2s24jmkdn");
        let keyed = Identities::new(KEY, EmailHash::Hmac).unwrap().identify("user1000@example.com").unwrap();
        assert_eq!(keyed.universal_id, "sf_pwqw6ieybtgzgx3467lwtpmkai");
        assert_eq!(keyed.email_hash, "7da16f20980ccd935f7cf7d769bd8a022090ecd78863d6a0f53cb2d533766a2a");
    }

    #[test]
    fn ids_under_two_keys_have_nothing_in_common_and_plain_hashes_are_the_same() {
        let [one, other] =
            [KEY, SYNTHETIC_KEY].map(|key| Identities::new(key, EmailHash::Sha256).unwrap().identify("a@example.org").unwrap());
        assert_ne!(one.universal_id, other.universal_id);
        assert_eq!(one.email_hash, other.email_hash);
    }

    #[test]
    fn a_key_must_be_long_enough_and_secret() {
        assert_eq!(Identities::new(&KEY[1..], EmailHash::Sha256).unwrap_err(), IdentityError::ShortKey(31));
        assert_eq!(Identities::new(SYNTHETIC_KEY, EmailHash::Hmac).unwrap_err(), IdentityError::PublicKey);
        let shown = format!("{:?}", Identities::new(KEY, EmailHash::Hmac).unwrap());
        assert_eq!(shown, "Identities { hash: Hmac, .. }");
    }

    #[test]
    fn what_may_be_somebodys_address_is_not_hashed_plainly() {
        let plain = Identities::new(KEY, EmailHash::Sha256).unwrap();
        for address in ["ada@lovelace.org", "a@example.com@lovelace.org", "a@example.com.", "a@myexample.com", "a@exämple.com"] {
            assert_eq!(plain.identify(address), Err(IdentityError::Unprotected), "{address}");
            assert!(Identities::new(KEY, EmailHash::Hmac).unwrap().identify(address).is_ok(), "{address}");
        }
        for address in ["", "@", "ada", "@example.com", "ada@", " ada@ ", "a@example.com,b@example.com", "a@x.test; b@x.test", "<a@x.test>"]
        {
            assert_eq!(plain.identify(address), Err(IdentityError::NoAddress), "{address}");
        }
    }

    proptest! {
        #[test]
        fn what_is_normalised_stays_as_it_is(address in "\\PC{0,12}@\\PC{0,8}") {
            let once = normalise(&address).into_owned();
            prop_assert_eq!(&normalise(&once), &once);
        }
    }

    #[test]
    fn a_letter_that_only_lower_case_composes_is_one_person() {
        assert_eq!(normalise("J\u{30c}@example.com"), normalise("\u{1f0}@example.com"));
    }
}
