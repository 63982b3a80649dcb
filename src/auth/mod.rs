//! Who is calling, and may they pass.
//!
//! [`authorize()`] is the only maker of a [`Permit`], and everything that answers a request takes one by value: to forward without
//! authorization does not compile.

mod authenticate;
mod authorize;

pub use authenticate::{
    API_KEY, ApiKeyRules, Authenticator, Caller, TokenCache, bearer_token, token_or_api_key,
};
pub use authorize::{Permit, authorize};
