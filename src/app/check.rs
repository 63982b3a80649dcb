//! What a token says: for administrators, who ask by `explain`.

use std::sync::Arc;

use crate::admin::TokenView;
use crate::clock;
use crate::gateway::Shared;
use crate::identity::AdminError;
use crate::token::{Accepted, ApiKeys, Revocations, TokenError, Verifier, is_api_key};

/// Checks a token exactly as requests are checked, without the cache.
pub(super) fn verify_with(
    shared: Arc<Shared>,
) -> impl Fn(&str) -> Result<TokenView, AdminError> + Send + Sync + 'static {
    move |token| {
        let snapshot = shared.snapshot.load_full();
        let api_keys = snapshot.config.login.api_keys.then_some(&*shared.api_keys);
        check_token(&snapshot.verifier, api_keys, &shared.revocations, token)
    }
}

/// What a token says, or an API key if they are taken, if it is valid now.
///
/// # Errors
/// [`AdminError::Invalid`] with the reason why it is not, and [`AdminError::Busy`] while nobody knows.
pub fn check_token(
    verifier: &Verifier,
    api_keys: Option<&ApiKeys>,
    revocations: &Revocations,
    token: &str,
) -> Result<TokenView, AdminError> {
    let accepted = match api_keys {
        Some(keys) if is_api_key(token.as_bytes()) => {
            keys.find(token.as_bytes(), clock::now()).map(|key| Accepted::Own(Arc::unwrap_or_clone(key)))
        }
        _ => verifier.accept(token, clock::now()),
    };
    let accepted = accepted.map_err(|error| match error {
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
