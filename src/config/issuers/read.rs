//! From the tables `[[issuer]]` to checked values, and what must hold between them.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{ClaimPath, FetchUrl, ForeignAlgorithm, ForeignIssuer, KeySource};
use crate::config::diagnostics::{Kind, Problem, Problems, quote};
use crate::config::reader::{Fault, Fields, Given, List, describe};
use crate::config::rule::{off_or, one_of, parsed, time};
use crate::config::sections::{HOUR, TENTH, distinct, secs};
use crate::config::text;
use crate::name::{CallerName, IssuerName, Role, Roles};

/// Keys are fetched anew at least once in this time.
const WEEK: Duration = secs(7 * 86_400);
/// Names within each other in a claim path. Claims are not nested more deeply.
const MAX_PATH: usize = 6;
/// Bytes of one name in a claim path, or of a foreign role.
const MAX_CLAIM: usize = 256;

/// What must differ between issuers, and where it stands.
type Mark = (&'static str, Given<String>);

/// Reads all issuers. A relative path starts at `base`; `own` is the `iss` of this gateway.
pub(in crate::config) fn read(
    value: Option<&Spanned<DeValue<'_>>>,
    base: &Path,
    own: &str,
    problems: &mut Problems,
) -> Vec<ForeignIssuer> {
    let Some(value) = value else { return Vec::new() };
    let Some(array) = value.get_ref().as_array() else {
        let message = format!("expected tables [[issuer]], found {}", describe(value.get_ref()));
        let problem = Problem::new(Kind::Value, "issuer", message).at(Some(value.span()));
        problems.error(problem.help(Some("write [[issuer]], in double brackets, before each issuer".into())));
        return Vec::new();
    };
    let mut marks: Vec<Mark> = Vec::new();
    let mut issuers = Vec::new();
    for (index, value) in array.iter().enumerate() {
        let path = format!("issuer[{index}]");
        let mut fields = Fields::of("issuer", path, Some(value), problems);
        let (read, own_marks) = issuer(&mut fields, base, own);
        for (key, given) in own_marks {
            let is_same = |first: &Given<String>| match key {
                // RFC 7519 §4.1.1.
                "issuer" => first.value == given.value,
                // As with usernames: a backend that looks up names without regard to case must not take one issuer's user for another's.
                _ => first.value.eq_ignore_ascii_case(&given.value),
            };
            let first = marks.iter().find(|(known, first)| *known == key && is_same(first));
            if let Some((_, first)) = first {
                let problem = Problem::new(Kind::Whole, fields.key(key), "another issuer has the same");
                let problem = problem.at(given.span.clone().or(fields.header()));
                fields.problems.error(problem.also(first.span.clone(), "the other one"));
            }
            marks.push((key, given));
        }
        fields.finish();
        issuers.extend(read);
    }
    issuers
}

fn issuer(f: &mut Fields<'_, '_, '_>, base: &Path, own: &str) -> (Option<ForeignIssuer>, Vec<Mark>) {
    let name =
        f.get("name", parsed("a name", |text| IssuerName::new(text).map_err(|e| e.to_string().into())));
    let issuer = f.get("issuer", parsed("a string", foreign_issuer));
    for (key, missing) in [("name", name.is_none()), ("issuer", issuer.is_none())] {
        if missing {
            f.missing(key, None);
        }
    }
    if let Some(own) = issuer.as_ref().filter(|issuer| issuer.value == own) {
        let message = "is token.issuer, the issuer of this gateway's own tokens";
        f.problems.error(Problem::new(Kind::Whole, f.key("issuer"), message).at(own.span.clone()));
    }
    let keys = keys(f, base, issuer.as_ref());
    let ca_file = ca_file(f, base, keys.as_ref());
    let audience = several(f, "audience", parsed("a string", text::audience));
    if audience.is_none() {
        f.missing(
            "audience",
            Some("write audience = \"NAME\", by which its tokens say that they are meant for here".into()),
        );
    }
    let words = ForeignAlgorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let algorithms = several(f, "algorithms", one_of(&words)).unwrap_or(ForeignAlgorithm::USUAL.into());
    let user_claim = f.or("user_claim", claim_path, ClaimPath(vec!["sub".into()]));
    let usual = name.as_ref().map_or_else(String::new, |name| format!("{}:", name.value));
    let prefix = f.given("user_prefix", parsed("a string", user_prefix), usual);
    let roles_claim = f.given("roles_claim", off_or(claim_path), None);
    let roles = f.given("roles", role_map, BTreeMap::new());
    roles_and_claim_fit(f, &roles_claim, &roles);
    let refresh = f.or("refresh", time(secs(1)..=WEEK), HOUR);
    let unknown_kid_interval = f.or("unknown_kid_interval", time(TENTH..=HOUR), secs(30));
    let timeout = f.or("timeout", time(TENTH..=secs(60)), secs(10));
    let mut marks = vec![("user_prefix", prefix.clone())];
    marks.extend(issuer.clone().map(|issuer| ("issuer", issuer)));
    marks.extend(
        name.as_ref().map(|it| ("name", Given { value: it.value.to_string(), span: it.span.clone() })),
    );
    let read =
        name.zip(issuer).zip(keys).zip(audience).map(|(((name, issuer), keys), audience)| ForeignIssuer {
            name: name.value,
            issuer: issuer.value,
            keys,
            audience,
            algorithms,
            user_claim,
            user_prefix: prefix.value,
            roles_claim: roles_claim.value,
            roles: roles.value,
            refresh,
            unknown_kid_interval,
            timeout,
            ca_file,
        });
    (read, marks)
}

/// Where the keys are; `None` only with an error recorded.
fn keys(f: &mut Fields<'_, '_, '_>, base: &Path, issuer: Option<&Given<String>>) -> Option<KeySource> {
    let url = |text: &str| FetchUrl::parse(text).map_err(|error| error.to_string().into());
    let url = f.get("jwks_url", off_or(parsed("a URL", url)));
    let file = f.get("jwks_file", off_or(parsed("a file", text::file_path)));
    if (f.has("jwks_url") && url.is_none()) || (f.has("jwks_file") && file.is_none()) {
        return None;
    }
    let file_span = file.as_ref().and_then(|file| file.span.clone());
    match (url.and_then(|url| url.value), file.and_then(|file| file.value)) {
        (Some(_), Some(_)) => {
            let problem = Problem::new(Kind::Whole, f.key("jwks_file"), "stands beside jwks_url");
            f.problems.error(problem.at(file_span).help(Some("keep one of the two".into())));
            None
        }
        (Some(url), None) => Some(KeySource::Url(url)),
        (None, Some(file)) => Some(KeySource::File(text::below(base, &file))),
        (None, None) => discovery(f, issuer?),
    }
}

fn discovery(f: &mut Fields<'_, '_, '_>, issuer: &Given<String>) -> Option<KeySource> {
    let url = FetchUrl::parse(&issuer.value).ok().filter(|url| !url.path_and_query().contains('?'));
    if url.is_none() {
        let message =
            "is no https URL (http for a loopback address only), so its keys cannot be found by discovery";
        let problem = Problem::new(Kind::Whole, f.key("issuer"), message).at(issuer.span.clone());
        f.problems.error(problem.help(Some("add jwks_url or jwks_file".into())));
    }
    url.map(KeySource::Discovery)
}

fn ca_file(f: &mut Fields<'_, '_, '_>, base: &Path, keys: Option<&KeySource>) -> Option<PathBuf> {
    let file = f.given("ca_file", off_or(parsed("a file", text::file_path)), None);
    let idle = match keys {
        Some(KeySource::File(_)) => Some("has no meaning beside jwks_file: nothing is fetched"),
        Some(KeySource::Url(url) | KeySource::Discovery(url)) if !url.is_https() => {
            Some("has no meaning without https")
        }
        _ => None,
    };
    if let Some(message) = idle.filter(|_| file.value.is_some()) {
        f.problems.error(Problem::new(Kind::Whole, f.key("ca_file"), message).at(file.span));
    }
    file.value.map(|file| text::below(base, &file))
}

/// One value or several; at least one, none of them twice.
fn several<T: Eq + Hash>(
    f: &mut Fields<'_, '_, '_>,
    name: &'static str,
    rule: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
) -> Option<Vec<T>> {
    let list = f.list(name, List::OneOrMore, rule)?;
    if list.elements == 0 {
        f.problems.error(Problem::new(Kind::Value, f.key(name), "expected at least one").at(list.span));
    }
    distinct(f, name, &list.items);
    Some(list.items.into_iter().map(|item| item.value).collect())
}

/// A claim without a map grants nothing, and a map without a claim is never looked into.
fn roles_and_claim_fit(
    f: &mut Fields<'_, '_, '_>,
    claim: &Given<Option<ClaimPath>>,
    roles: &Given<BTreeMap<String, Roles>>,
) {
    match (&claim.value, roles.value.is_empty()) {
        (None, false) => {
            let problem = Problem::new(
                Kind::Whole,
                f.key("roles"),
                "needs roles_claim, the claim with the roles there",
            );
            let help = "write roles_claim = \"realm_access.roles\", or what the issuer calls it";
            f.problems.error(problem.at(roles.span.clone()).help(Some(help.into())));
        }
        (Some(_), true) if !f.has("roles") => {
            let problem = Problem::new(Kind::Value, f.key("roles_claim"), "grants nothing without roles");
            let help = "write roles = { \"their role\" = \"our role\" }: only what stands there is granted";
            f.problems.warn(problem.at(claim.span.clone()).help(Some(help.into())));
        }
        _ => {}
    }
}

/// RFC 7519 §4.1.1 allows any string; ours is one that needs no quoting anywhere.
fn foreign_issuer(text: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if (1..=1024).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    Err("expected 1 to 1024 visible ASCII characters without space, quote and backslash".into())
}

/// A name of an issuer, and a colon. With one colon, at the end, no prefix is the beginning of another, so that a caller's name says which
/// issuer it is from.
fn user_prefix(text: &str) -> Result<String, Fault> {
    let name = text.strip_suffix(':').filter(|name| IssuerName::new(name).is_ok());
    if name.is_some() && CallerName::new(text).is_ok() {
        return Ok(text.into());
    }
    let refuse = || {
        format!(
            "expected letters, digits, dots, underscores and hyphens, then one colon, not {}",
            quote(text)
        )
    };
    let help = IssuerName::new(text).ok().map(|name| format!("write \"{name}:\""));
    Err(Fault { message: refuse(), help })
}

/// `"realm_access.roles"`, or `["https://example.com/roles"]` where a name has dots of its own.
fn claim_path(value: &DeValue<'_>) -> Result<ClaimPath, Fault> {
    const FORM: &str = "expected names of claims: \"a.b\", or [\"a\", \"b\"] for names with dots";
    if let Some(text) = value.as_str() {
        return path_of(text.split('.').map(str::to_owned).collect());
    }
    let array = value.as_array().ok_or_else(|| format!("{FORM}, found {}", describe(value)))?;
    let names = array.iter().map(|name| name.get_ref().as_str().map(str::to_owned));
    path_of(names.collect::<Option<_>>().ok_or(FORM)?)
}

fn path_of(names: Vec<String>) -> Result<ClaimPath, Fault> {
    let is_name = |name: &String| (1..=MAX_CLAIM).contains(&name.len()) && !name.contains(char::is_control);
    if (1..=MAX_PATH).contains(&names.len()) && names.iter().all(is_name) {
        return Ok(ClaimPath(names));
    }
    Err(format!("expected 1 to {MAX_PATH} names of claims, none of them empty").into())
}

/// `{ "kc-admins" = "admin", "staff" = ["reader", "writer"] }`
fn role_map(value: &DeValue<'_>) -> Result<BTreeMap<String, Roles>, Fault> {
    let table = value
        .as_table()
        .ok_or_else(|| format!("expected {{ \"their role\" = \"our role\" }}, found {}", describe(value)))?;
    let mut map = BTreeMap::new();
    for (key, value) in table {
        let foreign = key.get_ref().as_ref();
        if !(1..=MAX_CLAIM).contains(&foreign.len()) {
            return Err(
                format!("a role there must have 1 to {MAX_CLAIM} bytes, not {}", foreign.len()).into()
            );
        }
        let role = |value: &DeValue<'_>| -> Result<Role, Fault> {
            let text = value.as_str().ok_or_else(|| {
                format!(
                    "expected a role or an array of roles for {}, found {}",
                    quote(foreign),
                    describe(value)
                )
            })?;
            Role::new(text).map_err(|error| error.to_string().into())
        };
        let roles: Roles = match value.get_ref().as_array() {
            Some(array) => array.iter().map(|item| role(item.get_ref())).collect::<Result<_, _>>()?,
            None => std::iter::once(role(value.get_ref())).collect::<Result<_, _>>()?,
        };
        map.insert(foreign.to_owned(), roles);
    }
    // One token may have all of them.
    let all: Roles = map.values().flat_map(Roles::iter).cloned().collect();
    if !all.fit() {
        let max = Roles::MAX_BYTES;
        return Err(format!("the roles here have more than {max} bytes together, with three for each").into());
    }
    Ok(map)
}
