//! Which endpoints the gateway has itself.

/// The local endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /token`
    Token,
    /// `GET /.well-known/jwks.json`
    Jwks,
    /// `GET /.well-known/oauth-authorization-server`
    Metadata,
    /// `GET /.well-known/oauth-protected-resource`
    Resource,
    /// `GET /auth/me`
    Me,
    /// `POST /auth/revoke`
    Revoke,
    /// `POST /auth/introspect`
    Introspect,
    /// `POST /auth/logout`
    Logout,
    /// `POST /auth/password`
    Password,
    /// `POST /auth/register`, unless nobody may
    Register,
    /// `GET /healthz`
    Health,
    /// `GET /readyz`
    Ready,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Token,
        Self::Jwks,
        Self::Metadata,
        Self::Resource,
        Self::Me,
        Self::Revoke,
        Self::Introspect,
        Self::Logout,
        Self::Password,
        Self::Register,
        Self::Health,
        Self::Ready,
    ];

    /// Whether its errors have the form of RFC 6749 §5.2.
    #[must_use]
    pub const fn is_oauth(self) -> bool {
        match self {
            Self::Token | Self::Revoke | Self::Introspect | Self::Password | Self::Register => true,
            Self::Jwks
            | Self::Metadata
            | Self::Resource
            | Self::Me
            | Self::Logout
            | Self::Health
            | Self::Ready => false,
        }
    }

    /// Its name in logs, behind `local:`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
            Self::Resource => "resource",
            Self::Me => "me",
            Self::Revoke => "revoke",
            Self::Introspect => "introspect",
            Self::Logout => "logout",
            Self::Password => "password",
            Self::Register => "register",
            Self::Health => "health",
            Self::Ready => "ready",
        }
    }
}
