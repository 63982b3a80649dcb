//! `portcullis user`: who may log in, and as what.

mod arguments;

use std::io::Write;

use serde::Serialize;

pub(super) use self::arguments::User;
use super::administration::Administration;
use super::arguments::Form;
use super::confirm::confirm;
use super::failure::{Failure, Status};
use super::{import, invite, password, print_json, table};
use crate::config::Config;
use crate::identity::UserView;
use crate::name::{Roles, Username};

/// Does it, and says what that means.
///
/// # Errors
/// [`Failure`]; nothing was changed.
pub(super) fn run(
    command: &User,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    match command {
        User::Import(command) => import::run(command, config, out, err),
        User::Invite(command) => invite::run(command, config, out),
        User::Invitations { form } => invite::list(*form, config, out, err),
        User::Uninvite { name, form } => invite::revoke(name, *form, config, out),
        User::List { form } => list(*form, config, out, err),
        User::Show { name, form } => show(name, *form, config, out),
        User::Remove { name, yes, form } => remove(name, *yes, *form, config, out, err),
        User::Add { form, .. }
        | User::Roles { form, .. }
        | User::Passwd { form, .. }
        | User::Disable { form, .. }
        | User::Enable { form, .. }
        | User::Rename { form, .. } => {
            if let Some((user, meaning)) = change(command, config)? {
                report(out, *form, &user, &meaning)?;
            }
            Ok(Status::Done)
        }
    }
}

/// Changes one user. Returns the user as it is now, and what was done; `None` for a command that changes none.
fn change(command: &User, config: &Config) -> Result<Option<(UserView, String)>, Failure> {
    let changed = match command {
        User::Import(_)
        | User::Invite(_)
        | User::Invitations { .. }
        | User::Uninvite { .. }
        | User::List { .. }
        | User::Show { .. }
        | User::Remove { .. } => return Ok(None),
        User::Add { name, roles, password, .. } => {
            let (roles, password) = (roles.iter().cloned().collect(), password::read(*password, name)?);
            let user = Administration::open(config)?.users().add(name, roles, password)?;
            let meaning =
                format!("{} was added with {} and can log in", user.username, with_roles(&user.roles));
            (user, meaning)
        }
        User::Roles { name, roles, .. } => {
            let user = existing(config, name)?.users().set_roles(name, roles.set())?;
            let roles = with_roles(&user.roles);
            let meaning =
                format!("{} now has {roles}; tokens with other roles are refused from now on", user.username);
            (user, meaning)
        }
        User::Passwd { name, password, .. } => {
            let password = password::read(*password, name)?;
            let user = existing(config, name)?.users().set_password(name, password)?;
            let meaning =
                format!("{} has a new password; older tokens are refused from now on", user.username);
            (user, meaning)
        }
        User::Disable { name, .. } => {
            let user = existing(config, name)?.users().set_enabled(name, false)?;
            let meaning = format!(
                "{} is disabled and cannot log in; older tokens are refused from now on",
                user.username
            );
            (user, meaning)
        }
        User::Enable { name, .. } => {
            let user = existing(config, name)?.users().set_enabled(name, true)?;
            let meaning = format!(
                "{} is enabled and can log in; tokens from before the lock-out stay refused",
                user.username
            );
            (user, meaning)
        }
        User::Rename { old, new, .. } => {
            let user = existing(config, old)?.users().rename(old, new)?;
            let meaning =
                format!("{old} is now {}; tokens with the old name are refused from now on", user.username);
            (user, meaning)
        }
    };
    Ok(Some(changed))
}

/// The administration, for a command about a user who has to be there.
pub(super) fn existing(config: &Config, name: &Username) -> Result<Administration, Failure> {
    let path = config.store.path.display();
    Administration::open_existing(config)?.ok_or_else(|| {
        Failure::failed(format!("there is no user \"{name}\": the data directory {path} is empty or missing"))
    })
}

fn list(form: Form, config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> Result<Status, Failure> {
    let users = match Administration::open_existing(config)? {
        Some(administration) => administration.users().list()?,
        None => Vec::new(),
    };
    if form.json {
        print_json(out, &users)?;
    } else if users.is_empty() {
        writeln!(err, "There are no users yet. Add one: portcullis user add NAME --role ROLE")?;
    } else {
        let head = ["USERNAME", "ROLES", "STATE", "PASSWORD", "ADDED"].map(str::to_owned);
        let rows = users.into_iter().map(|user| {
            let roles = shown(&user.roles);
            let (state, added) = (state(user.enabled).to_owned(), day(&user.created).to_owned());
            [user.username.to_string(), roles, state, user.password_form, added]
        });
        table::print(out, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    }
    Ok(Status::Done)
}

fn show(name: &Username, form: Form, config: &Config, out: &mut dyn Write) -> Result<Status, Failure> {
    let user = existing(config, name)?.users().show(name)?;
    if form.json {
        print_json(out, &user)?;
        return Ok(Status::Done);
    }
    let rows = [
        ["username", user.username.as_str()],
        ["roles", &user.roles.to_string()],
        ["state", state(user.enabled)],
        ["password", &user.password_form],
        ["id", &user.id.to_string()],
        ["added", &user.created],
        ["changed", &user.updated],
    ];
    table::print(out, &rows.map(|row| row.map(str::to_owned)))?;
    Ok(Status::Done)
}

/// What `user remove --json` prints: of the user nothing is left to show.
#[derive(Serialize)]
struct Removed<'n> {
    removed: &'n Username,
}

fn remove(
    name: &Username,
    yes: bool,
    form: Form,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    if !confirm(&format!("Remove the user {name} for good?"), yes, err)? {
        return Err(Failure::failed(format!("{name} was not removed")));
    }
    existing(config, name)?.users().remove(name)?;
    if form.json {
        print_json(out, &Removed { removed: name })?;
    } else {
        writeln!(out, "{name} was removed; every token of that user is refused from now on")?;
    }
    Ok(Status::Done)
}

fn report(out: &mut dyn Write, form: Form, user: &UserView, meaning: &str) -> Result<(), Failure> {
    if form.json {
        return print_json(out, user);
    }
    writeln!(out, "{meaning}")?;
    Ok(())
}

/// The roles in a table.
pub(super) fn shown(roles: &Roles) -> String {
    if roles.is_empty() { "-".to_owned() } else { roles.to_string() }
}

pub(super) fn with_roles(roles: &Roles) -> String {
    match roles.iter().count() {
        0 => "no role".to_owned(),
        1 => format!("the role {roles}"),
        _ => format!("the roles {roles}"),
    }
}

pub(super) fn state(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// `2026-01-31` of an RFC 3339 time.
pub(super) fn day(time: &str) -> &str {
    time.split_once('T').map_or(time, |(day, _)| day)
}

#[cfg(test)]
mod tests {
    use super::with_roles;
    use crate::name::{Role, Roles};

    #[test]
    fn roles_are_told_in_the_right_number() {
        let roles = |names: &[&str]| names.iter().map(|name| Role::new(name).unwrap()).collect::<Roles>();
        assert_eq!(with_roles(&roles(&[])), "no role");
        assert_eq!(with_roles(&roles(&["a"])), "the role a");
        assert_eq!(with_roles(&roles(&["b", "a"])), "the roles a,b");
    }
}
