//! `portcullis user invite`, `invitations` and `uninvite`: users who choose their password themselves.

mod arguments;

use std::io::Write;

use serde::Serialize;

use super::administration::Administration;
use super::arguments::Form;
use super::failure::{Failure, Status};
use super::user::{existing, shown, with_roles};
use super::{print_json, table};
use crate::config::{Config, RegistrationMode};
use crate::identity::{AdminError, InvitationView, NewInvitation};
use crate::name::Username;

pub(super) use arguments::Invite;

/// What `user invite --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    new: &'a NewInvitation,
    /// Where it is used.
    url: &'a str,
}

/// Invites a user, and shows the invitation this once.
///
/// # Errors
/// [`Failure`]; nobody was invited.
pub(super) fn run(command: &Invite, config: &Config, out: &mut dyn Write) -> Result<Status, Failure> {
    let Invite { name, roles, reset, expires, form } = command;
    if config.registration.mode == RegistrationMode::Off {
        return Err(Failure::failed(
            "nobody could use an invitation: registration.mode is \"off\" in the configuration",
        )
        .with_help("set mode = \"invitation\" in [registration], and reload the gateway if it runs"));
    }
    let new = if *reset {
        existing(config, name)?.invitations().invite_again(name, *expires)?
    } else {
        let administration = Administration::open(config)?;
        let invited = administration.invitations().invite(name, roles.iter().cloned().collect(), *expires);
        invited.map_err(|error| match error {
            AdminError::Exists { .. } => Failure::from(error)
                .with_help("to let that user choose another password: portcullis user invite NAME --reset"),
            error => error.into(),
        })?
    };
    let url = format!("{}{}/register", config.token.issuer.trim_end_matches('/'), config.server.local_prefix);
    if form.json {
        print_json(out, &Shown { new: &new, url: &url })?;
        return Ok(Status::Done);
    }
    let InvitationView { username, roles, expires, .. } = &new.view;
    let meaning = match reset {
        true => format!("{username} can choose another password"),
        false => format!("{username} was added with {} and can choose a password", with_roles(roles)),
    };
    writeln!(out, "{meaning} until {expires}. The invitation is shown this once:\n")?;
    writeln!(out, "{}\n", new.invitation)?;
    writeln!(out, "It is used so:")?;
    writeln!(out, "curl {url} -d invitation={} --data-urlencode password=...", new.invitation)?;
    Ok(Status::Done)
}

/// Lists the invitations that are good.
///
/// # Errors
/// [`Failure`]
pub(super) fn list(
    form: Form,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    let invitations = match Administration::open_existing(config)? {
        Some(administration) => administration.invitations().invitations()?,
        None => Vec::new(),
    };
    if form.json {
        print_json(out, &invitations)?;
    } else if invitations.is_empty() {
        writeln!(err, "Nobody is invited. Invite somebody: portcullis user invite NAME --role ROLE")?;
    } else {
        let head = ["USERNAME", "ROLES", "FOR", "MADE", "GOOD UNTIL"].map(str::to_owned);
        let rows = invitations.into_iter().map(|it| {
            let purpose = if it.replaces { "another password" } else { "the first password" };
            [it.username.to_string(), shown(&it.roles), purpose.to_owned(), it.created, it.expires]
        });
        table::print(out, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    }
    Ok(Status::Done)
}

/// What `user uninvite --json` prints.
#[derive(Serialize)]
struct Uninvited<'n> {
    uninvited: &'n Username,
}

/// Takes the invitation of a user back.
///
/// # Errors
/// [`Failure`]; nothing was changed.
pub(super) fn revoke(
    name: &Username,
    form: Form,
    config: &Config,
    out: &mut dyn Write,
) -> Result<Status, Failure> {
    existing(config, name)?.invitations().uninvite(name)?;
    if form.json {
        print_json(out, &Uninvited { uninvited: name })?;
    } else {
        writeln!(out, "the invitation of {name} is good for nothing any more; the user stays")?;
    }
    Ok(Status::Done)
}
