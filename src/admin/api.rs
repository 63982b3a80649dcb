//! Admin requests → answers. Blocks: the server runs it off its event loop.

use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TokenView;
use super::wire::{Change, KEYS, NewUser, ROTATE, Rotate, USERS, VERIFY, VerifyToken, status_of};
use crate::identity::{AdminError, KeyAdmin, UserAdmin};
use crate::name::Username;
use crate::secret::Secret;

/// Checks a token as the gateway does for requests; the text says why it is not valid.
pub(super) type VerifyFn = dyn Fn(&str) -> Result<TokenView, String> + Send + Sync;

/// Answers one request.
pub(super) fn answer(
    users: &dyn UserAdmin,
    keys: &dyn KeyAdmin,
    verify: &VerifyFn,
    method: &Method,
    path: &str,
    body: &[u8],
) -> (StatusCode, Vec<u8>) {
    let outcome = match (method, path, path.strip_prefix(USERS).and_then(|rest| rest.strip_prefix('/'))) {
        (&Method::GET, USERS, _) => users.list().and_then(|list| json(&list)),
        (&Method::POST, USERS, _) => add(users, body),
        (&Method::GET, KEYS, _) => keys.keys().and_then(|list| json(&list)),
        (&Method::POST, ROTATE, _) => {
            parse(body).and_then(|Rotate { rotation }| json(&keys.rotate(rotation)?))
        }
        (&Method::POST, VERIFY, _) => check_token(verify, body),
        (method, _, Some(name)) => {
            Username::new(name).map_err(invalid).and_then(|name| one(users, method, &name, body))
        }
        _ => Err(AdminError::Invalid {
            reason: format!("{method} {path} is not part of this version's admin API"),
        }),
    };
    match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (status_of(&error), serde_json::to_vec(&error).unwrap_or_default()),
    }
}

fn add(users: &dyn UserAdmin, body: &[u8]) -> Result<Vec<u8>, AdminError> {
    let new: NewUser = parse(body)?;
    let view = users.add(&new.username, new.roles, Secret::new(new.password))?;
    tracing::info!(user = %view.username, roles = %view.roles, "a user was added");
    json(&view)
}

fn one(users: &dyn UserAdmin, method: &Method, name: &Username, body: &[u8]) -> Result<Vec<u8>, AdminError> {
    match *method {
        Method::GET => json(&users.show(name)?),
        Method::PATCH => change(users, name, parse(body)?),
        Method::DELETE => {
            users.remove(name)?;
            tracing::info!(user = %name, "a user was removed");
            json(&())
        }
        _ => Err(AdminError::Invalid { reason: format!("{method} is not known for a user") }),
    }
}

fn change(users: &dyn UserAdmin, name: &Username, change: Change) -> Result<Vec<u8>, AdminError> {
    let (what, view) = match change {
        Change::Username(to) => ("username", users.rename(name, &to)?),
        Change::Roles(roles) => ("roles", users.set_roles(name, roles)?),
        Change::Password(password) => ("password", users.set_password(name, Secret::new(password))?),
        Change::Enabled(enabled) => ("enabled", users.set_enabled(name, enabled)?),
    };
    tracing::info!(user = %name, changed = what, now.user = %view.username, now.roles = %view.roles, now.enabled = view.enabled, "a user was changed");
    json(&view)
}

fn check_token(verify: &VerifyFn, body: &[u8]) -> Result<Vec<u8>, AdminError> {
    let request: VerifyToken = parse(body)?;
    json(&verify(&request.token).map_err(|reason| AdminError::Invalid { reason })?)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    // serde's message may quote the input, which may hold a password: only the place is told.
    serde_json::from_slice(body).map_err(|error| AdminError::Invalid {
        reason: format!("the body is not what this request expects, at column {}", error.column()),
    })
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, AdminError> {
    serde_json::to_vec(value).map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> AdminError {
    AdminError::Invalid { reason: error.to_string() }
}
