//! `portcullis key`: what tokens are signed with.

mod arguments;

use std::io::Write;

pub(super) use self::arguments::Key;
use super::administration::{Administration, no_directory};
use super::arguments::Form;
use super::confirm::confirm;
use super::failure::{Failure, Status};
use super::{print_json, table};
use crate::config::Config;
use crate::identity::{KeyView, Rotation};

/// Does it, and says what that means.
///
/// # Errors
/// [`Failure`]; nothing was changed.
pub(super) fn run(
    command: &Key,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    match command {
        Key::List { form } => list(*form, config, out, err),
        Key::Rotate { now: false, form, .. } => rotate(Rotation::Graceful, *form, config, out),
        Key::Rotate { now: true, yes, form } => {
            let question = "Remove all signing keys at once? Every access token ends: programs need their refresh token, or a new login.";
            if !confirm(question, *yes, err)? {
                return Err(Failure::failed("no key was changed"));
            }
            rotate(Rotation::Now, *form, config, out)
        }
    }
}

fn list(form: Form, config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> Result<Status, Failure> {
    let keys = match Administration::open_existing(config)? {
        Some(administration) => administration.keys().keys()?,
        None => Vec::new(),
    };
    if form.json {
        print_json(out, &keys)?;
    } else if keys.is_empty() {
        writeln!(err, "There are no signing keys yet. The gateway makes one when it starts.")?;
    } else {
        print(&keys, out)?;
    }
    Ok(Status::Done)
}

fn rotate(rotation: Rotation, form: Form, config: &Config, out: &mut dyn Write) -> Result<Status, Failure> {
    let administration = Administration::open_existing(config)?.ok_or_else(|| no_directory(config))?;
    let keys = administration.keys().rotate(rotation)?;
    if form.json {
        print_json(out, &keys)?;
        return Ok(Status::Done);
    }
    let id_of = |state: &str| keys.iter().find(|key| key.state == state);
    match (rotation, id_of("next"), id_of("active")) {
        (Rotation::Graceful, Some(next), _) => {
            let when = next.signs_at.as_deref().map_or_else(
                || format!("{} s after the gateway has started", config.token.publish_ahead.as_secs()),
                |time| format!("from {time} on"),
            );
            writeln!(out, "{} is published and signs {when}; no token is refused because of it", next.id)?;
        }
        (Rotation::Graceful, None, Some(active)) => {
            writeln!(
                out,
                "{} signs from now on; tokens of the old key are good until they expire",
                active.id
            )?;
        }
        (Rotation::Now, _, Some(active)) => {
            writeln!(out, "{} signs from now on; every token from before is refused", active.id)?;
        }
        (_, _, None) => {}
    }
    print(&keys, out)?;
    Ok(Status::Done)
}

fn print(keys: &[KeyView], out: &mut dyn Write) -> Result<(), Failure> {
    let head = ["KEY", "ALGORITHM", "STATE", "SINCE", "AND THEN"].map(str::to_owned);
    let rows = keys.iter().map(|key| {
        let since = key.since.as_deref().unwrap_or(&key.created).to_owned();
        [key.id.clone(), key.algorithm.clone(), key.state.clone(), since, and_then(key)]
    });
    table::print(out, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    Ok(())
}

fn and_then(key: &KeyView) -> String {
    let each = [
        ("signs from", &key.signs_at),
        ("is replaced at", &key.replaced_at),
        ("is removed at", &key.expires),
    ];
    let known = each.into_iter().find_map(|(what, time)| Some(format!("{what} {}", time.as_ref()?)));
    known.unwrap_or_else(|| "-".to_owned())
}
