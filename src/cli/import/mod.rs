//! `portcullis user import`: users that come from elsewhere. The file is read and handed on in portions, so that a large one needs
//! no more memory than a small one; each portion is written with one wait for the disk.

mod arguments;
mod report;

use std::collections::HashSet;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

pub(super) use self::arguments::Import;
use self::arguments::ImportFormat;
use self::report::Report;
use super::administration::Administration;
use super::failure::{Failure, Status};
use crate::config::Config;
use crate::identity::{FileFormat, IfExists, ImportRules, ImportedUser, LineError, Lines, Outcome};

/// A portion is at most this many users...
const USERS: usize = 500;
/// ...and about this many bytes, which fits into a request on the admin socket.
const BYTES: usize = 40 * 1024;
/// What a line can grow by on its way into the request.
const ENVELOPE: usize = 64;

/// Imports the file.
///
/// # Errors
/// [`Failure`] when the file cannot be read or the store not be written; what was imported before stays.
pub(super) fn run(
    command: &Import,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Status, Failure> {
    let input = open(&command.file)?;
    // To try it makes no data directory.
    let administration = if command.dry_run {
        Administration::open_existing(config)?
    } else {
        Some(Administration::open(config)?)
    };
    let format = command.format.map(|format| match format {
        ImportFormat::Json => FileFormat::Json,
        ImportFormat::Htpasswd => FileFormat::Htpasswd,
    });
    let rules = ImportRules {
        if_exists: match (command.skip_existing, command.update) {
            (true, _) => IfExists::Skip,
            (_, true) => IfExists::Update,
            _ => IfExists::Refuse,
        },
        default_roles: command.roles.iter().cloned().collect(),
        dry_run: command.dry_run,
    };
    let report = Report::new(out, err, command.form.json, command.dry_run)?;
    let mut run =
        Run { administration, rules, report, portion: Vec::new(), bytes: 0, seen: Names::default() };
    run.all(Lines::new(input, format))
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let cannot = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    Ok(Box::new(BufReader::new(file)))
}

/// An import under way.
struct Run<'w> {
    /// `None` where nothing is stored yet, and nothing shall be.
    administration: Option<Administration>,
    rules: ImportRules,
    report: Report<'w>,
    /// Users with the numbers of their lines.
    portion: Vec<(u64, ImportedUser)>,
    bytes: usize,
    seen: Names,
}

impl Run<'_> {
    fn all(&mut self, lines: Lines<Box<dyn BufRead>>) -> Result<Status, Failure> {
        for line in lines {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    self.hand_on()?;
                    return Err(self.stopped(Failure::failed(format!("cannot read the file: {error}"))));
                }
            };
            match line.user {
                Ok(user) => {
                    let bytes = line.bytes.saturating_add(ENVELOPE);
                    if self.portion.len() >= USERS || self.bytes.saturating_add(bytes) > BYTES {
                        self.hand_on()?;
                    }
                    self.bytes = self.bytes.saturating_add(bytes);
                    self.portion.push((line.number, user));
                }
                Err(error) => self.report.failed(line.number, &error)?,
            }
        }
        self.hand_on()?;
        self.report.finish()
    }

    fn hand_on(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        let (numbers, users): (Vec<_>, Vec<_>) = std::mem::take(&mut self.portion).into_iter().unzip();
        let outcomes = match &self.administration {
            _ if users.is_empty() => return Ok(()),
            None => Ok(vec![Outcome::Added; users.len()]),
            Some(administration) => administration.users().import(&users, &self.rules),
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => return Err(self.stopped(error.into())),
        };
        for ((number, user), outcome) in numbers.into_iter().zip(users).zip(outcomes) {
            let outcome = if self.rules.dry_run { self.after_earlier_lines(&user, outcome) } else { outcome };
            let name = user.username.as_str();
            match outcome {
                Outcome::Refused { reason } => {
                    self.report.failed(number, &LineError { username: Some(name.to_owned()), reason })?;
                }
                done => self.report.done(&done),
            }
        }
        Ok(())
    }

    /// What an import would have made of a name that an earlier line added: nothing was, so the store cannot know.
    fn after_earlier_lines(&mut self, user: &ImportedUser, outcome: Outcome) -> Outcome {
        if outcome != Outcome::Added || self.seen.insert(user) {
            return outcome;
        }
        match self.rules.if_exists {
            IfExists::Skip => Outcome::Skipped,
            IfExists::Update => Outcome::Updated,
            IfExists::Refuse => Outcome::Refused { reason: "an earlier line has the same username".into() },
        }
    }

    /// The report so far, and how to go on.
    fn stopped(&mut self, failure: Failure) -> Failure {
        if let Err(error) = self.report.finish() {
            return error;
        }
        failure
            .with_help("what is counted above was imported; run it again with --skip-existing for the rest")
    }
}

/// The names of a file, in eight bytes each: a million of them takes some 20 MB, and only a trial keeps them.
#[derive(Default)]
struct Names {
    hasher: foldhash::fast::RandomState,
    names: HashSet<u64>,
}

impl Names {
    /// `false` if it was there.
    fn insert(&mut self, user: &ImportedUser) -> bool {
        self.names.insert(self.hasher.hash_one(user.username.folded()))
    }
}
