//! The text of an invitation: whose it is, and 256 bits that nobody can guess.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::id::{NoRandomness, UserId, fill_random};
use crate::secret::Secret;

/// What every invitation begins with, so that a scanner for leaked secrets knows one when it sees it.
const PREFIX: &str = "pinv_";
/// Bytes of the secret, and of its digest.
const WIDTH: usize = 32;
/// Bytes of a token: the user, the secret.
const BYTES: usize = 16 + WIDTH;

/// SHA-256 of the secret. It cannot be guessed, so nothing slower is needed.
pub(super) type Digest = [u8; WIDTH];

/// A text that has the form of an invitation.
pub(super) struct Token {
    pub(super) user: UserId,
    secret: Zeroizing<[u8; WIDTH]>,
}

impl Token {
    pub(super) fn generate(user: UserId) -> Result<Self, NoRandomness> {
        let mut secret = Zeroizing::new([0; WIDTH]);
        fill_random(&mut *secret)?;
        Ok(Self { user, secret })
    }

    pub(super) fn digest(&self) -> Digest {
        let mut bytes = [0; WIDTH];
        bytes.iter_mut().zip(digest(&SHA256, &*self.secret).as_ref()).for_each(|(to, from)| *to = *from);
        bytes
    }

    pub(super) fn write(&self) -> Secret {
        let bytes = Zeroizing::new([self.user.as_bytes().as_slice(), &*self.secret].concat());
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        // 48 bytes are 64 characters, none of which has a bit too many: each token has one text.
        if text.len() != BYTES / 3 * 4 {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (user, secret) = bytes.split_first_chunk::<16>()?;
        let secret = Zeroizing::new(<[u8; WIDTH]>::try_from(secret).ok()?);
        Some(Self { user: UserId::from_bytes(*user), secret })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Token;
    use crate::id::UserId;

    #[test]
    fn a_token_comes_back_from_its_text_and_none_is_like_another() {
        let user = UserId::from_bytes([7; 16]);
        let token = Token::generate(user).unwrap();
        let back = Token::read(token.write().expose()).unwrap();
        assert_eq!((back.user, back.digest()), (user, token.digest()));
        assert_ne!(Token::generate(user).unwrap().digest(), token.digest());
        assert!(token.write().expose().starts_with("pinv_"));
    }

    proptest! {
        #[test]
        fn each_token_has_one_text(user: [u8; 16], secret: [u8; 32], at in 0_usize..69, byte in any::<u8>()) {
            let token = Token { user: UserId::from_bytes(user), secret: secret.into() };
            let text = token.write().expose().to_owned();
            let mut changed = text.clone().into_bytes();
            changed[at] = byte;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            let read = Token::read(&changed);
            let same = read.as_ref().is_some_and(|it| (it.user, it.digest()) == (token.user, token.digest()));
            prop_assert_eq!(same, changed == text);
            prop_assert!(read.is_none_or(|it| it.write().expose() == changed));
        }

        #[test]
        fn what_has_another_form_is_none(text in "(pinv_)?[A-Za-z0-9_=+/ -]{0,130}") {
            let well_formed = |rest: &str| rest.len() == 64 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            prop_assert_eq!(Token::read(&text).is_some(), text.strip_prefix("pinv_").is_some_and(well_formed));
        }
    }
}
