//! `portcullis session`: who is logged in.

mod arguments;

use std::io::Write;

pub(super) use self::arguments::Session;
use super::administration::Administration;
use super::arguments::Form;
use super::failure::{Failure, Status};
use super::{print_json, table};
use crate::config::Config;
use crate::id::SessionId;
use crate::identity::{EndedSession, SessionView};
use crate::name::Username;

/// Columns that are left for what a client calls itself.
const MAX_AGENT: usize = 40;

/// Does it, and says what that means.
///
/// # Errors
/// [`Failure`]; nothing was changed.
pub(super) fn run(
    command: &Session,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    match command {
        Session::List { user, form } => list(user.as_ref(), *form, config, out, err),
        Session::Revoke { id, user } => revoke(*id, user.as_ref(), config, out),
    }
}

fn list(
    user: Option<&Username>,
    form: Form,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    let sessions = match Administration::open_existing(config)? {
        Some(administration) => administration.sessions().sessions(user)?,
        None => Vec::new(),
    };
    if form.json {
        print_json(out, &sessions)?;
    } else if sessions.is_empty() {
        match user {
            Some(user) => writeln!(err, "{user} is not logged in.")?,
            None => writeln!(err, "Nobody is logged in.")?,
        }
    } else {
        let head = ["SESSION", "USER", "SINCE", "LAST USED", "FROM", "CLIENT"].map(str::to_owned);
        table::print(out, &std::iter::once(head).chain(sessions.iter().map(row)).collect::<Vec<_>>())?;
    }
    Ok(Status::Done)
}

fn row(session: &SessionView) -> [String; 6] {
    [
        session.id.to_string(),
        session.username.to_string(),
        minute(&session.created),
        minute(&session.used),
        session.address.to_string(),
        shown(&session.agent),
    ]
}

/// A time of RFC 3339 without seconds.
fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// The client may call itself whatever it likes; a terminal gets printable ASCII.
fn shown(agent: &str) -> String {
    let plain = |character| if matches!(character, ' '..='~') { character } else { '?' };
    let text: String = agent.chars().map(plain).take(MAX_AGENT).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

fn revoke(
    id: Option<SessionId>,
    user: Option<&Username>,
    config: &Config,
    out: &mut dyn Write,
) -> Result<Status, Failure> {
    let administration = Administration::open(config)?;
    if let Some(id) = id {
        let meaning = match administration.sessions().end_session(id)? {
            EndedSession::Session => "has ended; its tokens are refused from now on",
            EndedSession::NoSession => {
                "is none that is alive; tokens with this sid, as clients have them, are refused from now on"
            }
        };
        writeln!(out, "session {id} {meaning}")?;
    }
    if let Some(user) = user {
        administration.sessions().end_sessions(user)?;
        writeln!(out, "all sessions of {user} have ended; older tokens are refused from now on")?;
    }
    Ok(Status::Done)
}
