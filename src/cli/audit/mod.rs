//! `portcullis audit`: what the audit log says, and whether it is whole. Reads the files themselves, whoever writes them.

mod arguments;

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

pub(super) use self::arguments::Audit;
use self::arguments::{Records, Since};
use super::arguments::Form;
use super::failure::{Failure, Status};
use super::{print_json, table};
use crate::clock::{self, UnixTime};
use crate::config::Config;
use crate::observe::audit::{self, Link, Record};
use crate::observe::printable;

/// Does it.
///
/// # Errors
/// [`Failure`]: there is no log, it cannot be read, or its chain is broken.
pub(super) fn run(
    command: &Audit,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    let Some(log) = &config.audit.path else {
        return Err(Failure::failed("there is no audit log: audit.path = \"off\""));
    };
    match command {
        Audit::Show(records) => show(log, records, clock::now(), out, err),
        Audit::Verify { expect, form } => verify(log, expect.as_ref(), *form, out),
    }
}

fn show(
    log: &Path,
    wanted: &Records,
    now: UnixTime,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    let since = wanted.since.as_ref().map(|since| match since {
        Since::Ago(span) => now.before(*span).to_string(),
        Since::Time(time) => time.clone(),
    });
    let mut found = VecDeque::new();
    let others = audit::read(log, |record| {
        if is_wanted(&record, wanted, since.as_deref()) {
            found.push_back(record);
            if found.len() > wanted.limit {
                found.pop_front();
            }
        }
    });
    let others = others.map_err(|error| {
        Failure::failed(format!("the audit log {} cannot be read: {error}", log.display()))
    })?;
    if wanted.form.json {
        print_json(out, &found)?;
    } else if found.is_empty() {
        writeln!(err, "There is no such record in {}", log.display())?;
    } else {
        let head = ["TIME", "ACTION", "OUTCOME", "ACTOR", "TARGET", "CLIENT", "MORE"].map(str::to_owned);
        table::print(out, &std::iter::once(head).chain(found.iter().map(row)).collect::<Vec<_>>())?;
    }
    if others > 0 {
        writeln!(
            err,
            "Lines that are no records: {others}. A killed gateway may have left them; `portcullis audit verify` tells."
        )?;
    }
    Ok(Status::Done)
}

fn is_wanted(record: &Record, wanted: &Records, since: Option<&str>) -> bool {
    let is_user = |text: &str| {
        let name = text.strip_prefix("user:");
        wanted
            .user
            .as_ref()
            .is_none_or(|user| name.is_some_and(|name| name.eq_ignore_ascii_case(user.as_str())))
    };
    since.is_none_or(|since| record.time.as_str() >= since)
        && wanted.action.is_none_or(|action| action.name() == record.action)
        && (is_user(&record.actor) || record.target.as_deref().is_some_and(is_user))
}

/// What was written by hand into the file may hold anything.
fn row(record: &Record) -> [String; 7] {
    let count = (record.count != 1).then(|| format!("{} times", record.count));
    let more = [record.reason.clone(), record.detail.clone(), count];
    let more = more.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        record.time.clone(),
        record.action.clone(),
        record.outcome.clone(),
        record.actor.clone(),
        or_dash(&record.target),
        or_dash(&record.client),
        more,
    ]
    .map(|text| printable(&text))
}

/// What `verify --json` prints.
#[derive(Serialize)]
struct Report {
    intact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn verify(log: &Path, expect: Option<&Link>, form: Form, out: &mut dyn Write) -> Result<Status, Failure> {
    let summary = match audit::verify(log, expect) {
        Ok(summary) => summary,
        Err(error) if form.json => {
            let error = Some(error.to_string());
            print_json(out, &Report { intact: false, records: None, first: None, last: None, error })?;
            return Ok(Status::Failed);
        }
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    let last = format!("{}:{}", summary.last.seq, summary.last.hash);
    if form.json {
        let (records, first) = (Some(summary.records), Some(summary.first));
        print_json(out, &Report { intact: true, records, first, last: Some(last), error: None })?;
        return Ok(Status::Done);
    }
    writeln!(out, "{} records, chain intact", summary.records)?;
    if summary.first > 1 {
        writeln!(out, "records before number {} were removed, as audit.max_files wants it", summary.first)?;
    }
    if summary.unfinished {
        writeln!(out, "the last line is unfinished: it is being written, or the gateway was killed")?;
    }
    if summary.records > 0 {
        writeln!(out, "the last record: {last}")?;
    }
    Ok(Status::Done)
}
