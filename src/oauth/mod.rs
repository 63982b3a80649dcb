//! The OAuth 2.0 endpoints: the token endpoint (RFC 6749) and what clients discover us by (RFC 8414, RFC 9728, RFC 7517).

mod client_auth;
mod discovery;
mod error;
mod form;
mod introspect;
mod logout;
mod password;
mod provider;
mod recorded;
mod register;
mod request;
mod revoke;
mod token;
mod tokens;

pub use discovery::{jwks, metadata, resource};
pub use error::{ClientAuth, OAuthError};
pub use form::Parameters;
pub use introspect::introspect;
pub use logout::logout;
pub use password::password;
pub use provider::{Provider, Services};
pub use register::register;
pub use revoke::revoke;
pub use token::token;
