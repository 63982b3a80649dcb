//! `portcullis client`: programs that log in by themselves.

mod arguments;

use std::io::Write;

pub(super) use self::arguments::Client;
use super::administration::Administration;
use super::arguments::Form;
use super::confirm::confirm;
use super::failure::{Failure, Status};
use super::user::{day, shown, state, with_roles};
use super::{print_json, table};
use crate::config::Config;
use crate::identity::{ClientCredential, ClientView, NewSecret, Shown};
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
        Client::Add { name, roles, api_key, expires, form } => {
            let credential = match api_key {
                true => ClientCredential::ApiKey { lifetime: *expires },
                false => ClientCredential::Secret,
            };
            let new =
                open(config)?.clients().add_client(name, roles.iter().cloned().collect(), credential)?;
            let meaning = format!("{name} was added with {}", with_roles(&new.client.roles));
            show_new(&new, &meaning, *form, out)?;
            hint_at_api_keys(&new, config, err)?;
        }
        Client::List { form } => list(*form, config, out, err)?,
        Client::Show { name, form } => show(&open(config)?.clients().client(name)?, *form, out)?,
        Client::Rotate { name, secret, api_key, expires, end_old, form } => {
            let credential = match (secret, *api_key || expires.is_some()) {
                (true, _) => Some(ClientCredential::Secret),
                (false, true) => Some(ClientCredential::ApiKey { lifetime: *expires }),
                (false, false) => None,
            };
            let new = open(config)?.clients().rotate_secret(name, credential, !end_old)?;
            show_new(&new, &rotated(&new, *end_old), *form, out)?;
            hint_at_api_keys(&new, config, err)?;
        }
        Client::Roles { name, roles, form } => {
            let client = open(config)?.clients().set_client_roles(name, roles.set())?;
            let roles = with_roles(&client.roles);
            let meaning = format!("now has {roles}; tokens with other roles are refused from now on");
            report(&client, &meaning, *form, out)?;
        }
        Client::Disable { name, form } => {
            let client = open(config)?.clients().set_client_enabled(name, false)?;
            report(
                &client,
                "is disabled; its tokens and API keys are refused from now on, and users that it has logged in have to log in again",
                *form,
                out,
            )?;
        }
        Client::Enable { name, form } => {
            let client = open(config)?.clients().set_client_enabled(name, true)?;
            report(&client, "is enabled", *form, out)?;
        }
        Client::Remove { name, yes, form } => return remove(name, *yes, *form, config, out, err),
    }
    Ok(Status::Done)
}

fn open(config: &Config) -> Result<Administration, Failure> {
    Administration::open(config)
}

/// What a rotation means.
fn rotated(new: &NewSecret, end_old: bool) -> String {
    let name = &new.client.client_id;
    match (&new.shown, end_old) {
        (Shown::ClientSecret(_), false) => {
            format!("{name} has a new secret; the one before stays good until the next rotation")
        }
        (Shown::ClientSecret(_), true) => format!(
            "{name} has a new secret; no other one is good any more, and tokens that it has go on until they expire"
        ),
        (Shown::ApiKey(_), false) => {
            format!("{name} has a new API key; one before stays good until the next rotation, or its own end")
        }
        (Shown::ApiKey(_), true) => {
            format!("{name} has a new API key; any other one is refused from now on")
        }
    }
}

fn show_new(new: &NewSecret, meaning: &str, form: Form, out: &mut dyn Write) -> Result<(), Failure> {
    if form.json {
        return print_json(out, new);
    }
    let name = &new.client.client_id;
    match &new.shown {
        Shown::ClientSecret(secret) => {
            writeln!(out, "{meaning}. The secret is shown this once:\n")?;
            writeln!(out, "client_id      {name}\nclient_secret  {secret}")?;
        }
        Shown::ApiKey(key) => {
            let expires = new.client.api_keys.first().map_or("", |newest| &newest.expires);
            writeln!(out, "{meaning}. The API key is shown this once:\n")?;
            writeln!(out, "client_id  {name}\napi_key    {key}\nexpires    {expires}")?;
        }
    }
    Ok(())
}

/// Nobody should have to find out why a key that was just made is refused.
fn hint_at_api_keys(new: &NewSecret, config: &Config, err: &mut dyn Write) -> Result<(), Failure> {
    if matches!(new.shown, Shown::ApiKey(_)) && !config.login.api_keys {
        writeln!(err, "API keys are off in this configuration: it is refused until login.api_keys = true")?;
    }
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
        let head = ["CLIENT", "ROLES", "STATE", "SECRETS", "API KEY UNTIL", "ADDED"].map(str::to_owned);
        let rows = clients.iter().map(|client| {
            [
                client.client_id.to_string(),
                shown(&client.roles),
                state(client.enabled).to_owned(),
                client.secrets.len().to_string(),
                client.api_keys.first().map_or("-", |newest| day(&newest.expires)).to_owned(),
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
    let ends = client.api_keys.iter().map(|key| format!("{} (made {})", key.expires, day(&key.created)));
    let ends = ends.collect::<Vec<_>>().join(", ");
    let made = client.secrets.join(", ");
    let rows = [
        ["client_id", client.client_id.as_str()],
        ["id", &client.id.to_string()],
        ["roles", &shown(&client.roles)],
        ["state", state(client.enabled)],
        ["secrets made", or_none(&made)],
        ["API keys until", or_none(&ends)],
        ["added", &client.created],
    ];
    Ok(table::print(out, &rows.map(|row| row.map(str::to_owned)))?)
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
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
    report(
        &client,
        "was removed; its tokens and API keys are refused from now on, and users that it has logged in have to log in again",
        form,
        out,
    )?;
    Ok(Status::Done)
}
