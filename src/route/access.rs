//! Who may pass a route. Says the rule; `auth::authorize` applies it.

use crate::name::Roles;

/// Who may pass a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, with or without a token.
    Public,
    /// Anybody with a valid token.
    Authenticated,
    /// A valid token with any of these roles.
    Roles(Roles),
}
