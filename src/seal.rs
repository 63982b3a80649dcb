//! Encryption at rest: secrets that the store keeps, sealed with a key that it does not hold.
//!
//! AES-256-GCM with a random nonce. Each secret is bound to the place where it lies (the context), so that one cannot be put
//! in the place of another. What is sealed says by which key, so that a wrong key is told from damage. Without a key the
//! same form holds the secret in clear: what reads it need not care, and learns whether to write it anew.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::id::{NoRandomness, fill_random};
use crate::secret::{Secret, SecretBytes};

/// Bytes of a key.
const KEY: usize = 32;
/// Bytes that tell which key sealed something.
const MARK: usize = 8;
/// What a key is hashed with for its mark, so that the digest serves for nothing else.
const MARK_DOMAIN: &[u8] = b"portcullis mark of an encryption key\0";

/// First byte of what lies there in clear.
const CLEAR: u8 = 0;
/// First byte of AES-256-GCM: then the key's mark, the nonce, the sealed bytes and their tag.
const AES_GCM: u8 = 1;

/// A key that seals. Its `Debug` shows the mark only.
pub struct SealKey {
    key: LessSafeKey,
    mark: [u8; MARK],
}

/// Seals with one key, or not at all, and opens what that key or the one before has sealed.
#[derive(Debug, Default)]
pub struct Seal {
    key: Option<SealKey>,
    old: Option<SealKey>,
}

/// What was sealed.
#[derive(Debug)]
pub struct Opened {
    /// The secret.
    pub secret: SecretBytes,
    /// It was not sealed as [`Seal::seal`] would do it now: whoever reads it should write it anew.
    pub outdated: bool,
}

/// Why a text is not a key. Nothing of the text is in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// Neither 64 hexadecimal digits nor 32 bytes in base64.
    #[error(
        "must be 32 bytes, as 64 hexadecimal digits or as 44 characters of base64 (`openssl rand -base64 32` makes \
         one); it has {0} characters"
    )]
    Form(usize),
    /// It has so few different bytes that nobody has drawn it at random.
    #[error("is not random: make one with `openssl rand -base64 32`")]
    NotRandom,
}

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is encrypted, and there is no key.
    #[error("it is encrypted, and no key is configured: set store.encryption_key")]
    NoKey,
    /// It is encrypted with a key that is not here.
    #[error(
        "it is encrypted with another key than store.encryption_key; if that was changed, name the former one in \
         store.encryption_key_old"
    )]
    OtherKey,
    /// It is not what was sealed here, or it was not sealed for this place.
    #[error("it is damaged, or was moved here from another place")]
    Damaged,
    /// Sealed by a later version of this program.
    #[error("it was sealed by a later version of Portcullis (form {0})")]
    Later(u8),
    /// The cipher or the generator of random numbers failed.
    #[error("it could not be encrypted")]
    Failed,
}

impl From<NoRandomness> for SealError {
    fn from(_: NoRandomness) -> Self {
        Self::Failed
    }
}

impl SealKey {
    /// The key in a text: 32 random bytes in hexadecimal, or in either alphabet of base64 with or without padding.
    ///
    /// # Errors
    /// [`SealKeyError`].
    pub fn parse(text: &Secret) -> Result<Self, SealKeyError> {
        let form = || SealKeyError::Form(text.expose().chars().count());
        let bytes = decode(text.expose()).ok_or_else(form)?;
        // Of 32 random bytes fewer than 16 are different in one of 10^15 cases.
        let mut sorted = bytes.clone();
        sorted.sort_unstable();
        if sorted.chunk_by(|a, b| a == b).count() < KEY / 2 {
            return Err(SealKeyError::NotRandom);
        }
        let mut digest = digest::Context::new(&SHA256);
        digest.update(MARK_DOMAIN);
        digest.update(&*bytes);
        let mut mark = [0; MARK];
        for (to, from) in mark.iter_mut().zip(digest.finish().as_ref()) {
            *to = *from;
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| form())?);
        Ok(Self { key, mark })
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").field("mark", &self.mark).finish_non_exhaustive()
    }
}

impl Seal {
    /// Seals with `key`; without one, what it "seals" stays in clear. Opens what `key` and `old` have sealed, and what is in clear.
    #[must_use]
    pub fn new(key: Option<SealKey>, old: Option<SealKey>) -> Self {
        Self { key, old }
    }

    /// Whether it encrypts.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.key.is_some()
    }

    /// The secret as it may be stored in the place that `context` names: table and key, for example.
    ///
    /// # Errors
    /// [`SealError::Failed`].
    pub fn seal(&self, context: &str, secret: &SecretBytes) -> Result<Vec<u8>, SealError> {
        let Some(key) = &self.key else {
            return Ok([&[CLEAR], secret.expose()].concat());
        };
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let head = [&[AES_GCM][..], &key.mark, &nonce].concat();
        // Encrypted in place, so the buffer has room for the tag: one that grows would leave a copy of the secret behind.
        let mut body = Zeroizing::new(Vec::with_capacity(secret.expose().len() + AES_256_GCM.tag_len()));
        body.extend_from_slice(secret.expose());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = key.key.seal_in_place_append_tag(nonce, Aad::from(context), &mut *body);
        sealed.map_err(|_| SealError::Failed)?;
        Ok([&*head, &**body].concat())
    }

    /// What was sealed for this place.
    ///
    /// # Errors
    /// [`SealError`] says what is wrong, and nothing of the secret.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Opened, SealError> {
        match sealed.split_first().ok_or(SealError::Damaged)? {
            (&CLEAR, rest) => {
                Ok(Opened { secret: SecretBytes::new(rest.to_vec()), outdated: self.encrypts() })
            }
            (&AES_GCM, rest) => self.decrypt(context, rest),
            (&later, _) => Err(SealError::Later(later)),
        }
    }

    fn decrypt(&self, context: &str, sealed: &[u8]) -> Result<Opened, SealError> {
        let (mark, rest) = sealed.split_at_checked(MARK).ok_or(SealError::Damaged)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let is_by = |key: &&SealKey| key.mark == mark;
        let current = self.key.as_ref().filter(is_by);
        let key = current.or_else(|| self.old.as_ref().filter(is_by)).ok_or(
            if self.key.is_none() && self.old.is_none() { SealError::NoKey } else { SealError::OtherKey },
        )?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut body = Zeroizing::new(body.to_vec());
        let secret = key.key.open_in_place(nonce, Aad::from(context), &mut body);
        let secret = SecretBytes::new(secret.map_err(|_| SealError::Damaged)?.to_vec());
        Ok(Opened { secret, outdated: current.is_none() })
    }
}

/// 32 bytes in hexadecimal or base64; the lengths of the two do not overlap.
fn decode(text: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let mut bytes = Zeroizing::new([0; KEY]);
    if text.len() == 2 * KEY {
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = *digits else { return None };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        return Some(bytes);
    }
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(alphabet, padding).decode_slice(text, &mut *bytes);
    (decoded == Ok(KEY)).then_some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Seal, SealError, SealKey, SealKeyError};
    use crate::secret::{Secret, SecretBytes};

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F";

    fn key(text: &str) -> SealKey {
        SealKey::parse(&Secret::new(text.to_owned())).unwrap()
    }

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_key_is_read_in_all_its_forms() {
        let mark = key(HEX).mark;
        for text in [
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            &HEX.to_uppercase(),
        ] {
            assert_eq!(key(text).mark, mark, "{text}");
        }
        assert_eq!(
            key("-_v6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eDf3t0").mark,
            key("+/v6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eDf3t0=").mark
        );
        assert_ne!(key(OTHER).mark, mark);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in
            ["", "secret", &HEX[1..], &format!("{HEX}0"), &HEX.replace('a', "x"), "AAECAwQFBgcICQoLDA0ODxAR"]
        {
            let error = SealKey::parse(&Secret::new(text.to_owned())).unwrap_err();
            assert_eq!(error, SealKeyError::Form(text.len()), "{text}");
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
        for text in ["0".repeat(64), "ab".repeat(32), "deadbeef".repeat(8)] {
            assert_eq!(SealKey::parse(&Secret::new(text)).unwrap_err(), SealKeyError::NotRandom);
        }
    }

    #[test]
    fn the_key_may_be_introduced_changed_and_given_up() {
        let none = Seal::default();
        let first = Seal::new(Some(key(HEX)), None);
        let second = Seal::new(Some(key(OTHER)), Some(key(HEX)));
        let given_up = Seal::new(None, Some(key(OTHER)));
        let stages = [none, first, second, given_up];
        for (index, before) in stages.iter().enumerate() {
            let sealed = before.seal("here", &secret("hunter2")).unwrap();
            assert_eq!(
                sealed.windows(7).any(|window| window == b"hunter2"),
                !before.encrypts(),
                "stage {index}"
            );
            assert!(!before.open("here", &sealed).unwrap().outdated);
            if let Some(after) = stages.get(index + 1) {
                let opened = after.open("here", &sealed).unwrap();
                assert_eq!(opened.secret.expose(), b"hunter2");
                assert!(opened.outdated, "stage {index}");
            }
        }
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let seal = Seal::new(Some(key(HEX)), None);
        let sealed = seal.seal("here", &secret("hunter2")).unwrap();
        let open = |seal: &Seal, context: &str, sealed: &[u8]| seal.open(context, sealed).unwrap_err();
        assert!(matches!(open(&Seal::default(), "here", &sealed), SealError::NoKey));
        assert!(matches!(open(&Seal::new(Some(key(OTHER)), None), "here", &sealed), SealError::OtherKey));
        assert!(matches!(open(&Seal::new(None, Some(key(OTHER))), "here", &sealed), SealError::OtherKey));
        assert!(matches!(open(&seal, "there", &sealed), SealError::Damaged));
        assert!(matches!(open(&seal, "here", &[9, 9]), SealError::Later(9)));
        for end in 0..sealed.len() {
            assert!(matches!(open(&seal, "here", &sealed[..end]), SealError::Damaged), "{end}");
        }
        for at in 9..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(open(&seal, "here", &changed), SealError::Damaged), "{at}");
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let seal = Seal::new(Some(key(HEX)), None);
        assert_ne!(seal.seal("a", &secret("x")).unwrap(), seal.seal("a", &secret("x")).unwrap());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let seal = Seal::new(Some(key(HEX)), None);
            let _ = seal.open("here", &bytes);
        }
    }
}
