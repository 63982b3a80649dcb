//! Random files: what is given is in the `Config`, what is written reads back the same, and nothing panics.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::unit::{Bytes, Span};
use super::{Config, assert_same, cases, parse};
use crate::config::{Route, Target};
use crate::secret::SecretSource;

const KIB: u64 = 1 << 10;
const EXAMPLE: &str = include_str!("../../../config.toml.example");

/// Asks a `Config` whether a value that was given is there.
type Check = Box<dyn Fn(&Config) -> bool>;

/// One key that may be in the file: its section, its line, and how it shows in the result.
struct Line {
    section: &'static str,
    text: String,
    check: Check,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.section, self.text)
    }
}

macro_rules! line {
    ($section:ident, $key:literal, $values:expr, $text:expr, $field:expr) => {
        of($values)
            .prop_map(|value| {
                value.map(|value| Line {
                    section: stringify!($section),
                    text: format!("{} = {}", $key, $text(&value)),
                    check: Box::new(move |config: &Config| $field(&config.$section) == value),
                })
            })
            .boxed()
    };
}

fn quoted(value: &impl ToString) -> String {
    format!("{:?}", value.to_string())
}

fn time(value: &Duration) -> String {
    quoted(&Span(*value))
}

fn off_or_time(value: &Option<Duration>) -> String {
    value.as_ref().map_or_else(|| quoted(&"off"), time)
}

fn variable(name: &Option<String>) -> String {
    name.as_ref().map_or_else(|| quoted(&"off"), |name| format!("{{ env = {name:?} }}"))
}

fn size(value: &u64) -> String {
    quoted(&Bytes(*value))
}

fn millis(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

/// A random subset of keys of the tables with a fixed name.
fn lines() -> impl Strategy<Value = Vec<Option<Line>>> {
    [server_and_log(), store_and_token(), registration()].concat()
}

fn store_and_token() -> Vec<BoxedStrategy<Option<Line>>> {
    vec![
        line!(
            store,
            "path",
            "/[ -~é]{0,12}[a-z]".prop_filter("kept as it is", |p| plain(p)),
            quoted,
            |s: &crate::config::Store| s.path.display().to_string()
        ),
        line!(
            token,
            "audience",
            "[!#-\\[\\]-~]{1,20}".prop_map(String::from),
            quoted,
            |t: &crate::config::Token| t.audience.clone()
        ),
        line!(token, "access_ttl", millis(1000..=604_800_000), time, |t: &crate::config::Token| t.access_ttl),
        line!(store, "encryption_key", of("[A-Z_][A-Z0-9_]{0,9}"), variable, |s: &crate::config::Store| {
            s.encryption_key.as_ref().map(|source| match source {
                SecretSource::Env(name) => name.clone(),
                SecretSource::File(_) => String::new(),
            })
        }),
        line!(
            token,
            "rotate_every",
            of(millis(604_800_000..=90_000_000_000)),
            off_or_time,
            |t: &crate::config::Token| t.rotate_every
        ),
        line!(token, "publish_ahead", millis(0..=604_800_000), time, |t: &crate::config::Token| t
            .publish_ahead),
        line!(token, "leeway", millis(0..=60_000), time, |t: &crate::config::Token| t.leeway),
        line!(
            token,
            "session_idle_ttl",
            millis(60_000..=31_536_000_000),
            time,
            |t: &crate::config::Token| t.session_idle_ttl
        ),
        line!(
            token,
            "session_max_ttl",
            millis(60_000..=315_360_000_000),
            time,
            |t: &crate::config::Token| t.session_max_ttl
        ),
        line!(
            token,
            "max_sessions_per_user",
            1..=10_000_usize,
            usize::to_string,
            |t: &crate::config::Token| t.max_sessions_per_user
        ),
        line!(token, "refresh_reuse_grace", millis(0..=60_000), time, |t: &crate::config::Token| t
            .refresh_reuse_grace),
    ]
}

fn registration() -> Vec<BoxedStrategy<Option<Line>>> {
    vec![
        line!(
            registration,
            "default_roles",
            vec("[b-z][A-Za-z0-9:-]{0,6}", 1),
            |roles: &Vec<String>| format!("{roles:?}"),
            |r: &crate::config::Registration| r
                .default_roles
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        ),
        line!(
            registration,
            "max_users",
            1..=1_000_000_usize,
            usize::to_string,
            |r: &crate::config::Registration| r.max_users
        ),
        line!(
            registration,
            "quick_tries",
            1..=1_000_000_u32,
            u32::to_string,
            |r: &crate::config::Registration| r.throttle.quick_tries
        ),
    ]
}

fn server_and_log() -> Vec<BoxedStrategy<Option<Line>>> {
    vec![
        line!(server, "workers", 1..=1024_usize, usize::to_string, |s: &crate::config::Server| s.workers),
        line!(server, "max_headers", 8..=1000_usize, usize::to_string, |s: &crate::config::Server| s
            .max_headers),
        line!(server, "max_streams", 1..=10_000_u32, u32::to_string, |s: &crate::config::Server| s
            .max_streams),
        line!(server, "max_header_size", 32 * KIB..=1024 * KIB, size, |s: &crate::config::Server| s
            .max_header_size
            as u64),
        line!(server, "max_uri_size", 256..=32 * KIB, size, |s: &crate::config::Server| s.max_uri_size
            as u64),
        line!(server, "max_body", 0..=1_u64 << 40, size, |s: &crate::config::Server| s.max_body),
        line!(server, "header_timeout", millis(100..=600_000), time, |s: &crate::config::Server| s
            .header_timeout),
        line!(server, "shutdown_grace", millis(100..=3_600_000), time, |s: &crate::config::Server| s
            .shutdown_grace),
        line!(
            server,
            "token_path",
            "/[a-m]{1,8}/t".prop_map(String::from),
            quoted,
            |s: &crate::config::Server| s.token_path.clone()
        ),
        line!(
            login,
            "passes",
            1..=crate::config::Login::MAX_PASSES,
            u32::to_string,
            |l: &crate::config::Login| l.argon2_passes
        ),
        line!(
            login,
            "lanes",
            1..=crate::config::Login::MAX_LANES,
            u32::to_string,
            |l: &crate::config::Login| l.argon2_lanes
        ),
        line!(login, "api_keys", any::<bool>(), bool::to_string, |l: &crate::config::Login| l.api_keys),
        line!(login, "permits", 1..=1024_usize, usize::to_string, |l: &crate::config::Login| l.permits),
        line!(
            identity_headers,
            "user",
            "Z[A-Za-z0-9-]{0,12}".prop_map(|t| t.to_lowercase()),
            quoted,
            |h: &crate::config::IdentityHeaders| h.user.to_string()
        ),
        line!(
            log,
            "level",
            select(vec!["error", "warn", "trace", "info,portcullis=debug"]).prop_map(String::from),
            quoted,
            |l: &crate::config::Log| l.level.clone()
        ),
        line!(audit, "max_size", 64 * KIB..=1 << 36, size, |a: &crate::config::Audit| a.max_size),
        line!(audit, "max_files", 2..=10_000_usize, usize::to_string, |a: &crate::config::Audit| a.max_files),
        line!(metrics, "enabled", any::<bool>(), bool::to_string, |m: &crate::config::Metrics| m.enabled),
    ]
}

/// A path of the file system that `Path::components` leaves alone.
fn plain(path: &str) -> bool {
    !path.contains("//") && !path.contains("/./")
}

#[derive(Debug, Clone)]
struct Row {
    host: Option<String>,
    path: String,
    methods: Vec<&'static str>,
    access: String,
    upstream: prop::sample::Index,
    forward: Option<bool>,
    max_body: Option<u64>,
    outlive: Option<bool>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let access = prop_oneof![
        Just("access = \"public\"".to_owned()),
        Just("access = \"authenticated\"".to_owned()),
        "[a-z]{1,6}".prop_map(|role| format!("roles = [{role:?}, \"admin\"]")),
    ];
    let methods = subsequence(vec!["GET", "PUT", "PURGE"], 0..=2);
    let flags = (of(any::<bool>()), of(any::<bool>()));
    let rest = (methods, access, any::<prop::sample::Index>(), flags, of(0..1_u64 << 40));
    // A map by host and path: routes of one file do not match alike.
    btree_map((of("[a-z]{1,5}\\.test"), "/r[a-z]{0,4}(/[a-z0-9]{1,3})?(/\\*)?"), rest, 0..5).prop_map(
        |rows| {
            let row = |((host, path), (methods, access, upstream, (forward, outlive), max_body))| Row {
                host,
                path,
                methods,
                access,
                upstream,
                forward,
                max_body,
                outlive,
            };
            rows.into_iter().map(row).collect()
        },
    )
}

fn upstreams() -> impl Strategy<Value = Vec<(String, Vec<u16>)>> {
    btree_map("[a-z][a-z0-9._-]{0,6}", vec(1_u16.., 1..3), 1..4).prop_map(|map| {
        let unique = |(name, mut ports): (String, Vec<u16>)| {
            ports.sort_unstable();
            ports.dedup();
            (name, ports)
        };
        map.into_iter().map(unique).collect()
    })
}

fn file(lines: &[Option<Line>], upstreams: &[(String, Vec<u16>)], rows: &[Row]) -> String {
    let mut text = String::new();
    for section in
        ["server", "store", "token", "login", "registration", "identity_headers", "log", "audit", "metrics"]
    {
        text.push_str(&format!("[{section}]\n"));
        for line in lines.iter().flatten().filter(|line| line.section == section) {
            text.push_str(&format!("{}\n", line.text));
        }
    }
    for (name, ports) in upstreams {
        let servers: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        text.push_str(&format!("[upstream.{name:?}]\nservers = {servers:?}\n"));
    }
    for row in rows {
        let upstream = &row.upstream.get(upstreams).0;
        text.push_str(&format!(
            "[[route]]\npath = {:?}\n{}\nupstream = {upstream:?}\n",
            row.path, row.access
        ));
        text.extend(row.host.iter().map(|host| format!("host = {host:?}\n")));
        text.extend(row.forward.iter().map(|forward| format!("forward_authorization = {forward}\n")));
        text.extend(row.outlive.iter().map(|outlive| format!("outlive_token = {outlive}\n")));
        text.extend(row.max_body.iter().map(|body| format!("max_body = \"{}\"\n", Bytes(*body))));
        if !row.methods.is_empty() {
            text.push_str(&format!("methods = {:?}\n", row.methods));
        }
    }
    text
}

/// Whether a route of the file is in the table as it was given.
fn has(config: &Config, row: &Row, upstreams: &[(String, Vec<u16>)]) -> bool {
    let same = |route: &Route| {
        let Target::Upstream(index) = route.target else { return false };
        let named: Vec<&str> = route.pattern.methods().named().iter().map(|method| method.as_str()).collect();
        let mut wanted = row.methods.clone();
        wanted.sort_unstable();
        route.pattern.path().to_string() == row.path
            && route.pattern.host().map(ToString::to_string) == row.host
            && named == wanted
            && config.upstreams[index].name.as_str() == row.upstream.get(upstreams).0
            && route.forward_authorization == row.forward.unwrap_or(false)
            && route.outlive_token == row.outlive.unwrap_or(false)
            && route.max_body == row.max_body.unwrap_or(config.server.max_body)
            && row.access.contains(&access(route))
    };
    config.routes.iter().any(|(_, route)| same(route))
}

/// The rule as the file has it; of roles one that is not `admin`, which every list of the generator has.
fn access(route: &Route) -> String {
    match &route.access {
        crate::route::Access::Public => "\"public\"".into(),
        crate::route::Access::Authenticated => "\"authenticated\"".into(),
        crate::route::Access::Roles(roles) => {
            format!(
                "{:?}",
                roles.iter().find(|role| role.as_str() != "admin").or(roles.iter().next()).unwrap()
            )
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_given_is_there_and_reads_back(lines in lines(), upstreams in upstreams(), rows in rows()) {
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.access != "roles = [\"admin\", \"admin\"]").collect();
        let text = file(&lines, &upstreams, &rows);
        let config = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        for line in lines.iter().flatten() {
            prop_assert!((line.check)(&config), "{:?}\n{}", line, text);
        }
        for row in &rows {
            prop_assert!(has(&config, row, &upstreams), "{:?}\n{}", row, text);
        }
        let written = config.to_string();
        let again = parse(&written).map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        assert_same(&config, &again);
    }

    #[test]
    fn no_text_makes_it_panic(text in "([\\[\\]=\".#{},\n\\\\ \t\r]|server|route|upstream|listen|path|[a-z0-9é\u{0}-\u{1f}😀]){0,40}") {
        show(&text);
    }

    #[test]
    fn no_mutation_makes_it_panic(start in any::<prop::sample::Index>(), edits in vec((0..400_usize, 0..3_usize, "[ -~\n\té]{0,2}"), 0..4)) {
        // A window of the example keeps a case cheap; over all cases every part is mutated.
        let lines: Vec<&str> = EXAMPLE.lines().filter(|line| !line.starts_with("# ")).collect();
        let start = start.index(lines.len());
        let mut text: Vec<char> = lines[start..lines.len().min(start + 12)].join("\n").replace('#', "").chars().collect();
        for (at, remove, insert) in edits {
            let at = at.min(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        show(&text.into_iter().collect::<String>());
    }
}

/// Parses and prints in every form: the renderer can panic, too.
fn show(text: &str) {
    if let Err(diagnostics) = parse(text) {
        assert!(diagnostics.iter().count() > 0);
        assert!(diagnostics.iter().all(|line| !line.contains(char::is_control)));
        assert!(diagnostics.to_string().starts_with("error: "));
    }
}
