//! Who is supposed to be calling.

use std::sync::Arc;

use super::arguments::Question;
use crate::auth::{self, Caller};
use crate::cli::administration::Administration;
use crate::cli::failure::Failure;
use crate::clock::{self, UnixTime};
use crate::config::Config;
use crate::identity::AdminError;
use crate::message::Fields;
use crate::name::{CallerName, Roles, Username};
use crate::reject::Reject;

/// The name in the user header when only roles are supposed.
const SOMEBODY: &str = "somebody";

/// What authentication would say. Looks into the store only for a user or a token.
///
/// # Errors
/// [`Failure`] when the store cannot be asked.
pub(super) fn authenticate(
    question: &Question,
    headers: &Fields,
    config: &Config,
) -> Result<Result<Arc<Caller>, Reject>, Failure> {
    if let Some(name) = &question.user {
        return by_name(name, config);
    }
    if !question.role.is_empty() {
        let name = CallerName::new(SOMEBODY).map_err(|error| Failure::because(&error))?;
        return Ok(fresh(name, question.role.iter().cloned().collect(), config));
    }
    let credential = match config.login.api_keys {
        true => auth::token_or_api_key(headers),
        false => auth::bearer_token(headers),
    };
    match credential {
        Ok(token) => by_token(token, config),
        Err(reject) => Ok(Err(reject)),
    }
}

/// A user with a token that was issued just now. Nobody who is unknown or disabled has one that is still good.
fn by_name(name: &Username, config: &Config) -> Result<Result<Arc<Caller>, Reject>, Failure> {
    let Some(administration) = Administration::open_existing(config)? else {
        return Ok(invalid(format!("there is no user \"{name}\": there are no users yet")));
    };
    Ok(match administration.users().show(name) {
        Ok(user) if user.enabled => fresh(user.username, user.roles, config),
        Ok(user) => invalid(format!(
            "{} is disabled: older tokens are refused, and there are no new ones",
            user.username
        )),
        Err(error @ AdminError::NotFound { .. }) => invalid(error.to_string()),
        Err(error) => return Err(error.into()),
    })
}

fn by_token(token: &str, config: &Config) -> Result<Result<Arc<Caller>, Reject>, Failure> {
    let Some(administration) = Administration::open_existing(config)? else {
        return Ok(invalid(
            "the gateway has never run on this data directory, so it has issued no token".to_owned(),
        ));
    };
    Ok(match administration.check_token(config, token)? {
        Ok(token) => supposed(token.username, token.roles, UnixTime::from_secs(token.expires_at)),
        Err(reject) => Err(reject),
    })
}

fn fresh(name: impl Into<CallerName>, roles: Roles, config: &Config) -> Result<Arc<Caller>, Reject> {
    supposed(name.into(), roles, clock::now().after(config.token.access_ttl))
}

fn supposed(name: CallerName, roles: Roles, expires: UnixTime) -> Result<Arc<Caller>, Reject> {
    Caller::supposed(name, roles, expires).map(Arc::new)
}

fn invalid(reason: String) -> Result<Arc<Caller>, Reject> {
    Err(Reject::Revoked(reason))
}
