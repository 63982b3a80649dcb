//! Identifiers made by the gateway. All are UUIDs of version 7 (RFC 9562 §5.7): they sort by the time of their making.

use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::clock::UnixTime;

/// The system's random generator gave nothing, so no identifier or key can be made.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;

/// Fills `bytes` from the operating system's cryptographic generator. Not from that of aws-lc, which measures the jitter of the CPU
/// before its first byte: 50 of the 60 ms that a start took.
///
/// # Errors
/// [`NoRandomness`], which no healthy system shows.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => return Err(NoRandomness),
        }
    }
    Ok(())
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier: the time in milliseconds, then 74 random bits.
            ///
            /// # Errors
            /// [`NoRandomness`] when the system's generator fails.
            pub fn generate(now: UnixTime) -> Result<Self, NoRandomness> {
                let mut random = [0; 10];
                fill_random(&mut random)?;
                Ok(Self(Builder::from_unix_timestamp_millis(now.as_millis(), &random).into_uuid()))
            }

            /// The sixteen bytes, in the order that sorts by time.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The identifier with these sixteen bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        /// Only the form that we print: 36 characters, lower case, with hyphens.
        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
                let uuid = (text.len() == 36 && lower).then(|| Uuid::try_parse(text).ok()).flatten();
                uuid.map(Self).ok_or(InvalidId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The text is not an identifier in our form.
#[derive(Debug, thiserror::Error)]
#[error("not an identifier of the form 01234567-89ab-7cde-8f01-23456789abcd")]
pub struct InvalidId;

uuid_type! {
    /// The stable name of a user: it survives a rename and is never used again. The `sub` of its tokens.
    UserId
}

uuid_type! {
    /// One login and everything that was refreshed from it. The `sid` of its tokens.
    SessionId
}

uuid_type! {
    /// One token. Its `jti` (RFC 7519 §4.1.7).
    TokenId
}

#[cfg(test)]
mod tests {
    use super::UserId;
    use crate::clock::UnixTime;

    #[test]
    fn a_later_identifier_sorts_after_an_earlier_one() {
        let early = UserId::generate(UnixTime::from_millis(1_000)).unwrap();
        let late = UserId::generate(UnixTime::from_millis(2_000)).unwrap();
        assert!(early < late && early.as_bytes() < late.as_bytes());
    }

    #[test]
    fn only_the_printed_form_is_read() {
        let id = UserId::generate(UnixTime::from_millis(1_000)).unwrap();
        assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
        for text in
            ["", "x", &id.to_string().to_uppercase(), &id.to_string().replace('-', ""), &format!("{{{id}}}")]
        {
            assert!(text.parse::<UserId>().is_err(), "{text}");
        }
    }
}
