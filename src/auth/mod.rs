//! Who is calling, and may they pass.
//!
//! [`authorize()`] is the only maker of a [`Permit`], and everything that answers a request takes one by value: to forward without
//! authorization does not compile.

mod authenticate;
mod authorize;

pub use authenticate::{Authenticator, Caller, TokenCache, bearer_token};
pub use authorize::{Permit, authorize};
