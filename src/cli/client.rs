//! `portcullis client`: programs that log in by themselves.

use std::io::Write;

use super::administration::Administration;
use super::arguments::{Client, Form};
use super::confirm::confirm;
use super::failure::{Failure, Status};
use super::user::{day, shown, state, with_roles};
use super::{print_json, table};
use crate::config::Config;
use crate::identity::{ClientView, NewSecret};
use crate::name::Username;

/// Does it, and says what that means.
///
/// # Errors
/// [`Failure`]; nothing was changed.
pub(super) fn run(
    command: &Client,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    match command {
        Client::Add { name, roles, form } => {
            let new = open(config)?.clients().add_client(name, roles.iter().cloned().collect())?;
            let meaning = format!("{name} was added with {} and can log in", with_roles(&new.client.roles));
            show_secret(&new, &meaning, *form, out)?;
        }
        Client::List { form } => list(*form, config, out, err)?,
        Client::Show { name, form } => show(&open(config)?.clients().client(name)?, *form, out)?,
        Client::Rotate { name, end_old, form } => {
            let new = open(config)?.clients().rotate_secret(name, !end_old)?;
            let meaning = if *end_old {
                format!(
                    "{name} has a new secret; no other one is good any more, and tokens that it has go on until they expire"
                )
            } else {
                format!("{name} has a new secret; the one before stays good until the next rotation")
            };
            show_secret(&new, &meaning, *form, out)?;
        }
        Client::Disable { name, form } => {
            let client = open(config)?.clients().set_client_enabled(name, false)?;
            report(&client, "is disabled; its tokens are refused from now on", *form, out)?;
        }
        Client::Enable { name, form } => {
            let client = open(config)?.clients().set_client_enabled(name, true)?;
            report(&client, "is enabled and can log in", *form, out)?;
        }
        Client::Remove { name, yes, form } => return remove(name, *yes, *form, config, out, err),
    }
    Ok(Status::Done)
}

fn open(config: &Config) -> Result<Administration, Failure> {
    Administration::open(config)
}

fn show_secret(new: &NewSecret, meaning: &str, form: Form, out: &mut dyn Write) -> Result<(), Failure> {
    if form.json {
        return print_json(out, new);
    }
    writeln!(out, "{meaning}. The secret is shown this once:\n")?;
    writeln!(out, "client_id      {}\nclient_secret  {}", new.client.client_id, new.client_secret)?;
    Ok(())
}

fn report(client: &ClientView, meaning: &str, form: Form, out: &mut dyn Write) -> Result<(), Failure> {
    if form.json {
        return print_json(out, client);
    }
    writeln!(out, "{} {meaning}", client.client_id)?;
    Ok(())
}

fn list(form: Form, config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    let clients = match Administration::open_existing(config)? {
        Some(administration) => administration.clients().clients()?,
        None => Vec::new(),
    };
    if form.json {
        print_json(out, &clients)?;
    } else if clients.is_empty() {
        writeln!(err, "There are no clients yet. Add one: portcullis client add NAME --role ROLE")?;
    } else {
        let head = ["CLIENT", "ROLES", "STATE", "SECRETS", "ADDED"].map(str::to_owned);
        let rows = clients.iter().map(|client| {
            [
                client.client_id.to_string(),
                shown(&client.roles),
                state(client.enabled).to_owned(),
                client.secrets.len().to_string(),
                day(&client.created).to_owned(),
            ]
        });
        table::print(out, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn show(client: &ClientView, form: Form, out: &mut dyn Write) -> Result<(), Failure> {
    if form.json {
        return print_json(out, client);
    }
    let rows = [
        ["client_id", client.client_id.as_str()],
        ["id", &client.id.to_string()],
        ["roles", &shown(&client.roles)],
        ["state", state(client.enabled)],
        ["secrets made", &client.secrets.join(", ")],
        ["added", &client.created],
    ];
    Ok(table::print(out, &rows.map(|row| row.map(str::to_owned)))?)
}

fn remove(
    name: &Username,
    yes: bool,
    form: Form,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    let administration = open(config)?;
    let client = administration.clients().client(name)?;
    if !confirm(&format!("Remove the client {name} for good?"), yes, err)? {
        return Err(Failure::failed("nothing was removed"));
    }
    administration.clients().remove_client(name)?;
    report(&client, "was removed; its tokens are refused from now on", form, out)?;
    Ok(Status::Done)
}
