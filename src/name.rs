//! Names that people choose: users, roles, routes, upstreams. Each type can only hold what cannot break a header.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be 1 to {max} characters of {alphabet}; this one {fault}")]
pub struct InvalidName {
    kind: &'static str,
    max: usize,
    alphabet: &'static str,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    Empty,
    TooLong(usize),
    Character(char),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong(length) => write!(f, "has {length}"),
            Self::Character(character) => write!(f, "has {character:?}"),
        }
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $punctuation:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest name of this kind, in bytes.
            pub const MAX: usize = $max;

            /// Checks length and alphabet.
            ///
            /// # Errors
            /// [`InvalidName`] says what is wrong with the text.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let allowed = |c: char| c.is_ascii_alphanumeric() || $punctuation.contains(c);
                let fault = if text.is_empty() {
                    Some(Fault::Empty)
                } else if text.len() > $max {
                    Some(Fault::TooLong(text.len()))
                } else {
                    text.chars().find(|&c| !allowed(c)).map(Fault::Character)
                };
                match fault {
                    None => Ok(Self(text.into())),
                    Some(fault) => {
                        let alphabet = concat!("A-Z a-z 0-9 ", $punctuation);
                        Err(InvalidName { kind: $kind, max: $max, alphabet, fault })
                    }
                }
            }

            /// The name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type! {
    /// What a user logs in with. Two usernames that differ only in case are the same: compare with [`Username::folded`].
    Username, "a username", 128, "._@+-"
}

name_type! {
    /// A role, as rules and tokens name it. Case matters.
    Role, "a role", 64, "._:-"
}

name_type! {
    /// The name of a route in logs and metrics.
    RouteName, "a route name", 64, "._:/*-"
}

name_type! {
    /// The name of an upstream: `[upstream.NAME]`.
    UpstreamName, "an upstream name", 64, "._-"
}

name_type! {
    /// The name of a limit: `[limit.NAME]`.
    LimitName, "a limit name", 64, "._-"
}

name_type! {
    /// The name of a foreign issuer: `name` of `[[issuer]]`.
    IssuerName, "an issuer name", 64, "._-"
}

name_type! {
    /// Who is calling, as backends and logs are told: a user of ours by the username, one of a foreign issuer by its prefix and the name
    /// there. A prefix has a colon, which no username can have. What else is allowed beyond usernames is what identities of real
    /// issuers need (`auth0|5f7c`, `spiffe://a/b`, `o'neil@example.com`, `x#EXT#@example.com`) and no list, header or quoted string can
    /// be broken with.
    CallerName, "a caller's name", 320, "._@+-|:/=~#'"
}

impl From<Username> for CallerName {
    fn from(name: Username) -> Self {
        Self(name.0)
    }
}

impl Username {
    /// The form in which usernames compare: ASCII lower case. The alphabet is ASCII, so that is all the folding there is.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// A set of roles, sorted and without repetition.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "Vec<Role>")]
pub struct Roles(Arc<[Role]>);

impl Roles {
    /// The most that the names of one user's roles may have together, with three bytes more for each: as a list in a token, where there
    /// is room for twice as much, and joined in a header, of which most backends take 8 KiB.
    pub const MAX_BYTES: usize = 4096;

    /// Whether somebody may have all of these: see [`Self::MAX_BYTES`].
    #[must_use]
    pub fn fit(&self) -> bool {
        self.iter().map(|role| role.as_str().len() + 3).sum::<usize>() <= Self::MAX_BYTES
    }

    /// The roles, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Role> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the two sets share a role. Both are short and sorted, so this is one merge.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            match a.cmp(b) {
                std::cmp::Ordering::Less => ours.next(),
                std::cmp::Ordering::Greater => theirs.next(),
                std::cmp::Ordering::Equal => return true,
            };
        }
        false
    }
}

/// Joined by commas, as the role header carries them.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, role) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{role}")?;
        }
        Ok(())
    }
}

impl Serialize for Roles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl From<Vec<Role>> for Roles {
    fn from(mut roles: Vec<Role>) -> Self {
        roles.sort();
        roles.dedup();
        Self(roles.into())
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().collect::<Vec<_>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{CallerName, Role, Roles, Username};

    fn roles(names: &[&str]) -> Roles {
        names.iter().map(|name| Role::new(name).unwrap()).collect()
    }

    #[test]
    fn names_that_could_break_a_header_are_refused() {
        let long = "x".repeat(129);
        for text in ["", "a b", "a,b", "a;b", "a\r\nX-Role: admin", "a\0", "ä", "a\"b", long.as_str()] {
            assert!(Username::new(text).is_err(), "{text:?}");
            assert!(Role::new(text).is_err(), "{text:?}");
        }
        let message = Username::new("a b").unwrap_err().to_string();
        assert_eq!(message, "a username must be 1 to 128 characters of A-Z a-z 0-9 ._@+-; this one has ' '");
    }

    #[test]
    fn a_caller_has_any_username_and_the_names_that_issuers_give() {
        for text in ["alice", "kc:alice", "a:auth0|5f7c", "s:spiffe://a.b/c", "e:o'neil@x.org", "g:x#EXT#@y"]
        {
            assert_eq!(CallerName::new(text).unwrap().as_str(), text);
        }
        assert_eq!(CallerName::from(Username::new("a._@+-Z9").unwrap()).as_str(), "a._@+-Z9");
        for text in
            ["", "a b", "a,b", "a;b", "a\"b", "a\\b", "a<b", "a`b", "a\r\nX-Role: admin", "\u{e4}", "a\0"]
        {
            assert!(CallerName::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn roles_are_sorted_and_joined() {
        assert_eq!(roles(&["reader", "admin", "reader"]).to_string(), "admin,reader");
        assert_eq!(Roles::default().to_string(), "");
    }

    #[test]
    fn roles_fit_as_long_as_a_token_has_room_for_them() {
        let many =
            |count: usize| -> Roles { (0..count).map(|n| Role::new(&format!("{n:05}")).unwrap()).collect() };
        assert!(Roles::default().fit() && many(512).fit() && !many(513).fit());
        let list = serde_json::to_string(&many(512)).unwrap();
        assert!(list.len() <= Roles::MAX_BYTES + 1, "{}", list.len());
    }

    #[test]
    fn roles_intersect_when_they_share_one() {
        assert!(roles(&["a", "c", "e"]).intersects(&roles(&["b", "e"])));
        assert!(!roles(&["a", "c"]).intersects(&roles(&["b", "d"])));
        assert!(!roles(&[]).intersects(&roles(&["a"])));
    }
}
