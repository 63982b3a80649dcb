//! What a token says: for administrators, who ask by `explain`.

use std::sync::Arc;

use crate::admin::TokenView;
use crate::clock;
use crate::gateway::Shared;
use crate::identity::AdminError;
use crate::token::{Accepted, Revocations, TokenError, Verifier};

/// Checks a token exactly as requests are checked, without the cache.
pub(super) fn verify_with(
    shared: Arc<Shared>,
) -> impl Fn(&str) -> Result<TokenView, AdminError> + Send + Sync + 'static {
    move |token| {
        let snapshot = shared.snapshot.load_full();
        check_token(&snapshot.verifier, &shared.revocations, token)
    }
}

/// What a token says, if it is valid now.
///
/// # Errors
/// [`AdminError::Invalid`] with the reason why it is not, and [`AdminError::Busy`] while nobody knows.
pub fn check_token(
    verifier: &Verifier,
    revocations: &Revocations,
    token: &str,
) -> Result<TokenView, AdminError> {
    let accepted = verifier.accept(token, clock::now()).map_err(|error| match error {
        TokenError::NoKeys => AdminError::Busy { reason: error.to_string() },
        _ => AdminError::Invalid { reason: error.to_string() },
    })?;
    let expires_at = accepted.expires().as_secs();
    match accepted {
        Accepted::Own(token) if revocations.refuses(&token) => {
            Err(AdminError::Invalid { reason: format!("the tokens of user {} were revoked", token.username) })
        }
        Accepted::Own(token) => {
            Ok(TokenView { username: token.username.into(), roles: token.roles, expires_at })
        }
        Accepted::Foreign(token) => Ok(TokenView { username: token.caller, roles: token.roles, expires_at }),
    }
}
