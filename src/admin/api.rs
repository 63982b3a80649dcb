//! Admin requests → answers. Blocks: the server runs it off its event loop.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TokenView;
use super::wire::{
    CLIENTS, Change, ChangeClient, IMPORT, INVITATIONS, Import, Invite, KEYS, NewClient, NewUser, ROTATE,
    Rotate, RotateSecret, SESSIONS, USERS, VERIFY, VerifyToken, status_of,
};
use crate::id::SessionId;
use crate::identity::{
    AdminError, Administered, ClientAdmin, InvitationAdmin, Outcome, SessionAdmin, Shown, UserAdmin,
};
use crate::name::Username;
use crate::secret::Secret;

/// Checks a token as the gateway does for requests; the text says why it is not valid.
pub(super) type VerifyFn = dyn Fn(&str) -> Result<TokenView, AdminError> + Send + Sync;

/// Answers one request.
pub(super) fn answer(
    administered: &Administered,
    verify: &VerifyFn,
    method: &Method,
    path: &str,
    body: &[u8],
) -> (StatusCode, Vec<u8>) {
    let Administered { users, sessions, clients, invitations, keys } = administered;
    let (users, sessions, clients, keys) = (&**users, &**sessions, &**clients, &**keys);
    let user = path.strip_prefix(USERS).and_then(|rest| rest.strip_prefix('/'));
    let client = path.strip_prefix(CLIENTS).and_then(|rest| rest.strip_prefix('/'));
    let session = path.strip_prefix(SESSIONS).and_then(|rest| rest.strip_prefix('/'));
    let outcome = match (method, path, user) {
        (&Method::GET, CLIENTS, _) => clients.clients().and_then(|list| json(&list)),
        (&Method::POST, CLIENTS, _) => add_client(clients, body),
        (method, _, _) if let Some(name) = client => one_client(clients, method, name, body),
        (method, path, _) if let Some(rest) = path.strip_prefix(INVITATIONS) => {
            invited(&**invitations, method, rest, body)
        }
        (&Method::GET, SESSIONS, _) => sessions.sessions(None).and_then(|list| json(&list)),
        (&Method::DELETE, _, _) if let Some(id) = session => end_session(sessions, id),
        (method, _, Some(name)) if let Some(name) = name.strip_suffix("/sessions") => {
            Username::new(name).map_err(invalid).and_then(|name| sessions_of(sessions, method, &name))
        }
        (&Method::GET, USERS, _) => users.list().and_then(|list| json(&list)),
        (&Method::POST, USERS, _) => add(users, body),
        (&Method::POST, IMPORT, _) => import(users, body),
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

fn add_client(clients: &dyn ClientAdmin, body: &[u8]) -> Result<Vec<u8>, AdminError> {
    let new: NewClient = parse(body)?;
    let added = clients.add_client(&new.client_id, new.roles, new.credential)?;
    tracing::info!(client = %added.client.client_id, roles = %added.client.roles, "a client was added");
    json(&added)
}

fn one_client(
    clients: &dyn ClientAdmin,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Vec<u8>, AdminError> {
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let name = Username::new(name).map_err(invalid)?;
    let (what, answer) = match (method, rest) {
        (&Method::GET, "") => return json(&clients.client(&name)?),
        (&Method::PATCH, "") => {
            let (what, client) = match parse(body)? {
                ChangeClient::Roles(roles) => ("given other roles", clients.set_client_roles(&name, roles)?),
                ChangeClient::Enabled(true) => ("enabled", clients.set_client_enabled(&name, true)?),
                ChangeClient::Enabled(false) => ("disabled", clients.set_client_enabled(&name, false)?),
            };
            (what, json(&client)?)
        }
        (&Method::DELETE, "") => {
            clients.remove_client(&name)?;
            ("removed", json(&())?)
        }
        (&Method::POST, "secrets") => {
            let RotateSecret { credential, keeps_old } = parse(body)?;
            let new = clients.rotate_secret(&name, credential, keeps_old)?;
            let what = match new.shown {
                Shown::ClientSecret(_) => "given a new secret",
                Shown::ApiKey(_) => "given a new API key",
            };
            (what, json(&new)?)
        }
        _ => {
            return Err(AdminError::Invalid {
                reason: format!("{method} is not known for this of a client"),
            });
        }
    };
    tracing::info!(client = %name, what, "a client was changed");
    Ok(answer)
}

fn invited(
    invitations: &dyn InvitationAdmin,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Vec<u8>, AdminError> {
    match (method, path.strip_prefix('/')) {
        (&Method::GET, None) => json(&invitations.invitations()?),
        (&Method::POST, None) => {
            let Invite { username, roles, good_for } = parse(body)?;
            let good_for = Duration::from_secs(good_for);
            let new = match roles {
                Some(roles) => invitations.invite(&username, roles, good_for)?,
                None => invitations.invite_again(&username, good_for)?,
            };
            let view = &new.view;
            tracing::info!(user = %view.username, roles = %view.roles, expires = view.expires, "a user was invited");
            json(&new)
        }
        (&Method::DELETE, Some(name)) => {
            let name = Username::new(name).map_err(invalid)?;
            invitations.uninvite(&name)?;
            tracing::info!(user = %name, "an invitation was taken back");
            json(&())
        }
        _ => Err(AdminError::Invalid { reason: format!("{method} is not known for this of invitations") }),
    }
}

fn end_session(sessions: &dyn SessionAdmin, id: &str) -> Result<Vec<u8>, AdminError> {
    let id: SessionId = id.parse().map_err(invalid)?;
    let ended = sessions.end_session(id)?;
    tracing::info!(session = %id, "a session was revoked");
    json(&ended)
}

fn sessions_of(sessions: &dyn SessionAdmin, method: &Method, name: &Username) -> Result<Vec<u8>, AdminError> {
    match *method {
        Method::GET => json(&sessions.sessions(Some(name))?),
        Method::DELETE => {
            sessions.end_sessions(name)?;
            tracing::info!(user = %name, "all sessions of a user were revoked");
            json(&())
        }
        _ => Err(AdminError::Invalid { reason: format!("{method} is not known for the sessions of a user") }),
    }
}

fn add(users: &dyn UserAdmin, body: &[u8]) -> Result<Vec<u8>, AdminError> {
    let new: NewUser = parse(body)?;
    let view = users.add(&new.username, new.roles, Secret::new(new.password))?;
    tracing::info!(user = %view.username, roles = %view.roles, "a user was added");
    json(&view)
}

fn import(users: &dyn UserAdmin, body: &[u8]) -> Result<Vec<u8>, AdminError> {
    let Import { rules, users: imported } = parse(body)?;
    let outcomes = users.import(&imported, &rules)?;
    let count = |wanted: &Outcome| outcomes.iter().filter(|outcome| *outcome == wanted).count();
    let (added, updated) = (count(&Outcome::Added), count(&Outcome::Updated));
    if !rules.dry_run {
        tracing::info!(added, updated, others = outcomes.len() - added - updated, "users were imported");
    }
    json(&outcomes)
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
    json(&verify(&request.token)?)
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
