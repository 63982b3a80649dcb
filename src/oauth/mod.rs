//! The OAuth 2.0 endpoints: the token endpoint (RFC 6749) and what clients discover us by (RFC 8414, RFC 7517).

mod discovery;
mod error;
mod form;
mod provider;
mod recorded;
mod token;

pub use discovery::{jwks, metadata};
pub use error::{ClientAuth, OAuthError};
pub use form::TokenRequest;
pub use provider::Provider;
pub use token::token;
