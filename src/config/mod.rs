//! The configuration file: text → values, each with its place → [`Config`]. Knows no runtime type.
//!
//! [`load`] reads a file, [`parse`] a text; both give a [`Config`], which cannot be wrong, or [`Diagnostics`] with every
//! error of the file. The text is read in three steps: `toml` gives a tree in which everything has its place (and goes on
//! behind syntax errors); `reader` and `rule` turn keys into checked values; `sections`, `token`, `login`, `registration`,
//! `limits`, `issuers`, `upstreams`, `route`, `routes` and `local` say which keys there are and what must hold between them. `Display` of [`Config`] is the way back.

mod diagnostics;
mod endpoint;
mod find;
mod issuers;
mod limits;
mod local;
mod login;
mod reader;
mod registration;
mod route;
mod routes;
mod rule;
mod sections;
mod settings;
mod text;
mod token;
mod unit;
mod upstreams;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use diagnostics::{Kind, Problem, Problems, did_you_mean};
use reader::{Fields, bare};

pub use diagnostics::Diagnostics;
pub use endpoint::Endpoint;
pub use find::{NotFound, find_file};
pub use issuers::{ClaimPath, FetchUrl, ForeignAlgorithm, ForeignIssuer, InvalidUrl, KeySource};
pub use limits::{Limit, NamedLimits, Per, Rate};
pub use login::{Login, Throttle};
pub use registration::{ADMIN_ROLE, Registration, RegistrationMode};
pub use settings::{
    AccessLog, Audit, Config, IdentityHeaders, Log, LogFormat, Metrics, Route, Server, Store, Target,
    Upstream,
};
pub use token::{Algorithm, Token};

/// A configuration of a megabyte has thousands of routes; a greater file is not one.
const MAX_FILE: u64 = 4 << 20;

/// The tables of this version.
const TABLES: [&str; 13] = [
    "server",
    "store",
    "token",
    "login",
    "registration",
    "identity_headers",
    "log",
    "audit",
    "metrics",
    "limit",
    "upstream",
    "route",
    "issuer",
];

/// Tables that the design has and this version does not.
const LATER: [&str; 3] = ["tls", "admin", "trace"];

/// Reads and checks a file.
///
/// # Errors
/// [`Diagnostics`] has every error of the file, or the one why it cannot be read.
pub fn load(path: &Path) -> Result<Config, Diagnostics> {
    let unreadable = |message: String| Diagnostics::unreadable(path.display().to_string(), message);
    let metadata = fs::metadata(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(unreadable("is not a file".into()));
    }
    if metadata.len() > MAX_FILE {
        return Err(unreadable(format!("is greater than {}", unit::Bytes(MAX_FILE))));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(
            error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default(),
        );
        let (line, column) = diagnostics::position(&valid, valid.len());
        unreadable(format!("is not UTF-8 at line {line}, column {column}"))
    })?;
    parse(&text, path)
}

/// Checks a text. `path` names it in messages, and its directory is where relative paths in the text start.
///
/// # Errors
/// [`Diagnostics`] has every error of the text.
pub fn parse(text: &str, path: &Path) -> Result<Config, Diagnostics> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = absolute.parent().unwrap_or_else(|| Path::new("/"));
    parse_for(text, &path.display().to_string(), &Machine { base: base.to_owned(), cores })
}

/// Reads a duration as the file has it, for the command line.
///
/// # Errors
/// What is expected, and what was probably meant.
pub fn duration(text: &str) -> Result<Duration, String> {
    let explain = |fault: reader::Fault| match fault.help {
        Some(help) => format!("{}; {help}", fault.message),
        None => fault.message,
    };
    rule::span(text).map(|span| span.0).map_err(explain)
}

/// What the file's meaning depends on besides its text.
#[derive(Debug, Clone)]
struct Machine {
    /// Where relative paths start.
    base: PathBuf,
    /// What a number of threads is made from when the file leaves it open.
    cores: usize,
}

fn parse_for(text: &str, file: &str, machine: &Machine) -> Result<Config, Diagnostics> {
    let mut problems = Problems::default();
    let config = read(text, machine, &mut problems);
    problems.finish(config, file, text)
}

/// `None` only with an error recorded.
fn read(text: &str, machine: &Machine, problems: &mut Problems) -> Option<Config> {
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in syntax {
        let problem = Problem::new(Kind::Syntax, "", error.message()).at(error.span().or(Some(0..0)));
        problems.error(problem);
    }
    let root = root.get_ref();
    check_tables(root, problems);
    let table = |name: &str| -> Option<&Spanned<DeValue<'_>>> { root.get(name) };
    macro_rules! fields {
        ($name:literal) => {
            Fields::of($name, $name.into(), table($name), problems)
        };
    }
    let limits = limits::read(table("limit"), problems);
    let (server, mut local) = sections::server(fields!("server"), machine.cores, &limits);
    let store = sections::store(fields!("store"), &machine.base);
    let token = token::read(fields!("token"), &server.listen);
    let issuers = issuers::read(table("issuer"), &machine.base, &token.issuer, problems);
    let login = login::read(fields!("login"), machine.cores);
    let registration = registration::read(fields!("registration"));
    let identity_headers = sections::identity_headers(fields!("identity_headers"));
    let log = sections::log(fields!("log"), &machine.base);
    let audit = sections::audit(fields!("audit"), &machine.base, &store.path);
    let metrics = sections::metrics(fields!("metrics"));
    local.issuer = token.issuer_path().to_owned();
    local.check(problems);
    let upstreams = upstreams::read(table("upstream"), problems);
    let around = routes::Surroundings {
        upstreams: &upstreams,
        limits: &limits,
        local: &local,
        server: &server,
        registration: &registration,
    };
    let routes = routes::read(table("route"), &around, problems)?;
    let (limits, upstreams, warnings) = (limits.list, upstreams.list, Vec::new());
    Some(Config {
        server,
        store,
        token,
        issuers,
        login,
        registration,
        identity_headers,
        log,
        audit,
        metrics,
        limits,
        upstreams,
        routes,
        warnings,
    })
}

/// Reports tables, and keys outside of any, that no section reads.
fn check_tables(root: &DeTable<'_>, problems: &mut Problems) {
    for key in root.keys() {
        let name = key.get_ref().as_ref();
        if TABLES.contains(&name) {
            continue;
        }
        let problem = if LATER.contains(&name) {
            Problem::new(Kind::Value, name, "not supported by this version")
        } else {
            let help = did_you_mean(name, TABLES).unwrap_or_else(|| format!("known: {}", TABLES.join(", ")));
            Problem::new(Kind::Value, bare(name), "unknown table").help(Some(help))
        };
        problems.error(problem.at(Some(key.span())));
    }
}

#[cfg(test)]
mod tests;
