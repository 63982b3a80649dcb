//! Refresh tokens: how they are made, and how one is known again that the store has forgotten.
//!
//! A token is the session, its place in the session's chain, 256 bits that nobody can guess, and a seal (HMAC-SHA256) over the three.
//! The store keeps the digest of the newest one only. By the seal an older one is still told from an invention: it was real, and
//! whoever uses it now may have stolen it. The secret of the next token is derived from that of the one before, with a key of this
//! store. So two clients that refresh with the same token at the same time get the same successor, and a session never has two.
//! Whoever reads the store learns no token from it: for that it takes the key and a token.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::id::{NoRandomness, SessionId, fill_random};
use crate::secret::{Secret, SecretBytes};

/// What every refresh token begins with, so that a scanner for leaked secrets knows one when it sees it.
const PREFIX: &str = "prt_";
/// Bytes of a secret, of a seal and of a digest.
const WIDTH: usize = 32;
/// Bytes before the seal: session, place, secret.
const SEALED: usize = 16 + 4 + WIDTH;

/// The digest of a refresh token's secret, as the store keeps it.
pub(super) type Digest = [u8; WIDTH];

/// A refresh token whose seal is good.
pub(super) struct RefreshToken {
    pub(super) session: SessionId,
    /// How many there were before it in the session.
    pub(super) place: u32,
    secret: Zeroizing<[u8; WIDTH]>,
}

impl RefreshToken {
    pub(super) fn digest(&self) -> Digest {
        first_bytes(digest(&SHA256, &*self.secret).as_ref())
    }

    fn sealed_part(&self) -> Zeroizing<Vec<u8>> {
        let place = self.place.to_be_bytes();
        Zeroizing::new([self.session.as_bytes().as_slice(), &place, &*self.secret].concat())
    }
}

/// Makes refresh tokens, and reads them.
pub(super) struct RefreshKey {
    seals: hmac::Key,
    derives: hmac::Key,
}

impl RefreshKey {
    /// The key of a store, from the 32 random bytes that it keeps.
    pub(super) fn new(secret: &SecretBytes) -> Self {
        let master = hmac::Key::new(HMAC_SHA256, secret.expose());
        let key = |purpose: &[u8]| hmac::Key::new(HMAC_SHA256, hmac::sign(&master, purpose).as_ref());
        Self { seals: key(b"portcullis refresh token seal"), derives: key(b"portcullis refresh token next") }
    }

    /// The first token of a session.
    pub(super) fn first(&self, session: SessionId) -> Result<RefreshToken, NoRandomness> {
        let mut secret = Zeroizing::new([0; WIDTH]);
        fill_random(&mut *secret)?;
        Ok(RefreshToken { session, place: 0, secret })
    }

    /// The token that follows; always the same one.
    pub(super) fn next(&self, token: &RefreshToken) -> RefreshToken {
        let derived = hmac::sign(&self.derives, &token.sealed_part());
        let secret = Zeroizing::new(first_bytes(derived.as_ref()));
        RefreshToken { session: token.session, place: token.place.saturating_add(1), secret }
    }

    /// The text for the client.
    pub(super) fn write(&self, token: &RefreshToken) -> Secret {
        let mut bytes = token.sealed_part();
        bytes.reserve_exact(WIDTH);
        let seal = hmac::sign(&self.seals, &bytes);
        bytes.extend_from_slice(seal.as_ref());
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }

    /// The token of a text; `None` if it is none of ours.
    pub(super) fn read(&self, text: &str) -> Option<RefreshToken> {
        let text = text.strip_prefix(PREFIX)?;
        // 84 bytes are 112 characters, none of which has a bit too many.
        if text.len() != (SEALED + WIDTH) / 3 * 4 {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (sealed, seal) = bytes.split_at_checked(SEALED)?;
        hmac::verify(&self.seals, sealed, seal).ok()?;
        let (session, rest) = sealed.split_first_chunk::<16>()?;
        let (place, secret) = rest.split_first_chunk::<4>()?;
        Some(RefreshToken {
            session: SessionId::from_bytes(*session),
            place: u32::from_be_bytes(*place),
            secret: Zeroizing::new(first_bytes(secret)),
        })
    }
}

fn first_bytes(bytes: &[u8]) -> [u8; WIDTH] {
    let mut first = [0; WIDTH];
    for (to, from) in first.iter_mut().zip(bytes) {
        *to = *from;
    }
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RefreshKey;
    use crate::id::SessionId;
    use crate::secret::SecretBytes;

    fn key(byte: u8) -> RefreshKey {
        RefreshKey::new(&SecretBytes::new(vec![byte; 32]))
    }

    #[test]
    fn a_token_comes_back_from_its_text_and_its_successor_is_always_the_same() {
        let (key, session) = (key(1), SessionId::from_bytes([7; 16]));
        let token = key.first(session).unwrap();
        let text = key.write(&token);
        let back = key.read(text.expose()).unwrap();
        assert_eq!((back.session, back.place, back.digest()), (session, 0, token.digest()));
        let (next, again) = (key.next(&token), key.next(&back));
        assert_eq!((next.place, next.digest()), (1, again.digest()));
        assert_ne!(next.digest(), token.digest());
        assert_eq!(key.write(&next).expose(), key.write(&again).expose());
        assert_ne!(key.first(session).unwrap().digest(), token.digest());
    }

    #[test]
    fn another_store_reads_and_derives_nothing_of_it() {
        let token = key(1).first(SessionId::from_bytes([7; 16])).unwrap();
        assert!(key(2).read(key(1).write(&token).expose()).is_none());
        assert_ne!(key(2).next(&token).digest(), key(1).next(&token).digest());
    }

    proptest! {
        #[test]
        fn a_changed_token_is_none(at in 0_usize..116, byte in any::<u8>(), other in "[ -~]{0,130}") {
            let key = key(1);
            let text = key.write(&key.first(SessionId::from_bytes([7; 16])).unwrap()).expose().to_owned();
            let mut changed = text.clone().into_bytes();
            changed[at] = byte;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            prop_assert_eq!(key.read(&changed).is_some(), changed == text);
            prop_assert!(key.read(&other).is_none());
        }
    }
}
