//! What was found out, for people and for programs.

use std::io::{self, Write};

use http::header;
use serde::Serialize;

use super::arguments::Question;
use crate::auth::{Caller, Permit};
use crate::cli::check::{rule, with_duration};
use crate::cli::table;
use crate::config::{IdentityHeaders, Limit, Route, Upstream};
use crate::inbound::Inbound;
use crate::name::{CallerName, Role, Roles};
use crate::reject::Reject;
use crate::route::{Access, NearMiss};

/// The decision for one request. `--json` prints this.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    method: String,
    url: String,
    /// Normalised; `None` for a request that is refused before.
    path: Option<String>,
    host: Option<String>,
    pub(super) route: Option<RouteView>,
    pub(super) nearly: Vec<NearRoute>,
    caller: Option<CallerView>,
    allowed: bool,
    /// The status of a refusal, or 200 for what the backend may answer as it likes.
    status: u16,
    /// One word for the refusal.
    code: Option<&'static str>,
    reason: String,
    passed: Option<Passed>,
    #[serde(skip)]
    note: Option<&'static str>,
}

/// A route.
#[derive(Debug, Serialize)]
pub(super) struct RouteView {
    name: String,
    pattern: String,
    access: String,
    outlive_token: bool,
    /// With what they allow.
    limits: Vec<String>,
}

/// A route that is not the one, and why.
#[derive(Debug, Serialize)]
pub(super) struct NearRoute {
    #[serde(flatten)]
    route: RouteView,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct CallerView {
    username: CallerName,
    roles: Roles,
}

/// What happens behind the decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Passed {
    /// The gateway answers by itself.
    Local {
        /// Which of its endpoints.
        endpoint: &'static str,
    },
    /// It is forwarded.
    Upstream {
        /// Its name.
        name: String,
        servers: Vec<String>,
        /// The request target that the backend gets.
        target: String,
        /// The header fields that the backend gets, ours first.
        headers: Vec<Field>,
    },
}

/// A header field.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    name: String,
    value: String,
}

impl Explanation {
    /// Nothing is known yet.
    pub(super) fn new(question: &Question) -> Self {
        let is_odd = question.method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
        Self {
            method: question.method.to_string(),
            url: question.url.clone(),
            path: None,
            host: None,
            route: None,
            nearly: Vec::new(),
            caller: None,
            allowed: false,
            status: 0,
            code: None,
            reason: String::new(),
            passed: None,
            note: is_odd.then_some("methods are case-sensitive: get is not GET"),
        }
    }

    /// The request is well-formed.
    pub(super) fn note_inbound(&mut self, inbound: &Inbound) {
        self.path = Some(inbound.path().as_str().to_owned());
        self.host = Some(inbound.host().to_owned());
    }

    /// Somebody has logged in.
    pub(super) fn note_caller(&mut self, caller: Option<&Caller>) {
        self.caller = caller
            .map(|caller| CallerView { username: caller.name().clone(), roles: caller.roles().clone() });
    }

    /// The answer is no.
    pub(super) fn refused(mut self, reject: &Reject) -> Self {
        self.status = reject.status().as_u16();
        self.code = Some(reject.code());
        self.reason = match reject {
            Reject::MethodNotAllowed(allow) => {
                let allow: Vec<&str> = allow.iter().map(http::Method::as_str).collect();
                format!("{reject}; it takes {}", allow.join(", "))
            }
            Reject::MissingRole { wanted } => {
                format!("{reject}; it wants one of: {}", wanted.replace(' ', ", "))
            }
            _ => reject.to_string(),
        };
        self
    }

    /// The answer is yes, to the caller of the permit.
    pub(super) fn passed(mut self, permit: &Permit<'_>, passed: Passed) -> Self {
        (self.allowed, self.status) = (true, 200);
        self.reason = match (&permit.route().access, permit.caller()) {
            (Access::Roles(roles), Some(caller)) => {
                let common: Vec<&str> = roles
                    .iter()
                    .filter(|role| caller.roles().iter().any(|own| own == *role))
                    .map(Role::as_str)
                    .collect();
                format!("{} has the role {}", caller.name(), common.join(" and "))
            }
            (_, Some(caller)) => format!("{} is logged in", caller.name()),
            (_, None) => "anybody may; no token is looked at".to_owned(),
        };
        self.passed = Some(passed);
        self
    }

    /// For people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let none = || "-".to_owned();
        let route = self.route.as_ref();
        let caller = self.caller.as_ref().map_or_else(
            || "nobody with a valid token".to_owned(),
            |caller| {
                format!(
                    "{} ({})",
                    caller.username,
                    if caller.roles.is_empty() { "no roles".to_owned() } else { caller.roles.to_string() }
                )
            },
        );
        let rows = [
            ["request", &format!("{} {}", self.method, self.url)],
            ["host", self.host.as_deref().unwrap_or("-")],
            ["path", self.path.as_deref().unwrap_or("-")],
            ["route", &route.map_or_else(none, RouteView::title)],
            ["rule", &route.map_or_else(none, |route| with_duration(&route.access, route.outlive_token))],
            ["limits", &route.map_or_else(none, RouteView::limits)],
            ["caller", &caller],
            ["verdict", &format!("{}: {}", if self.allowed { "passes" } else { "refused" }, self.reason)],
            ["status", &self.status_text()],
        ];
        table::print(out, &rows.map(|row| row.map(str::to_owned)))?;
        if let Some(note) = self.note {
            writeln!(out, "\nnote: {note}")?;
        }
        if let Some(Passed::Upstream { name, servers, target, headers }) = &self.passed {
            writeln!(out, "\nUpstream {name} ({}) gets:\n  {} {target}", servers.join(", "), self.method)?;
            for field in headers {
                writeln!(out, "  {}: {}", field.name, field.value)?;
            }
        }
        if !self.nearly.is_empty() {
            writeln!(out, "\nRoutes that nearly matched:")?;
            let rows: Vec<_> = self
                .nearly
                .iter()
                .map(|near| [format!("  {}", near.route.title()), near.why.to_owned()])
                .collect();
            table::print(out, &rows)?;
        }
        Ok(())
    }

    fn status_text(&self) -> String {
        match &self.passed {
            None => self.status.to_string(),
            Some(Passed::Upstream { .. }) => format!("{}, or what the backend answers", self.status),
            Some(Passed::Local { endpoint }) => {
                format!("{}, or what the gateway's endpoint `{endpoint}` answers", self.status)
            }
        }
    }
}

impl RouteView {
    pub(super) fn new(route: &Route, limits: &[Limit]) -> Self {
        let limits = route.limits.iter().filter_map(|&limit| limits.get(limit)).map(words).collect();
        Self {
            name: route.name.to_string(),
            pattern: route.pattern.to_string(),
            access: rule(&route.access),
            outlive_token: route.outlive_token,
            limits,
        }
    }

    fn limits(&self) -> String {
        if self.limits.is_empty() { "none".to_owned() } else { self.limits.join(", ") }
    }

    /// The pattern, and the name if somebody has chosen one: a name that was made from the pattern differs in punctuation only.
    fn title(&self) -> String {
        let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        let is_made = letters(&self.name) == letters(&self.pattern);
        if is_made { self.pattern.clone() } else { format!("{} ({})", self.pattern, self.name) }
    }
}

/// A limit and what it allows.
fn words(limit: &Limit) -> String {
    format!("{} ({}, {} at once, per {})", limit.name, limit.rate, limit.burst, limit.per.name())
}

impl NearRoute {
    pub(super) fn new(route: &Route, limits: &[Limit], miss: NearMiss) -> Self {
        let why = match miss {
            NearMiss::LessSpecific => "matches too, but a more specific route decides",
            NearMiss::Method => "does not take this method",
            NearMiss::Host => "is for another host",
            NearMiss::LooserReading => "would match for a backend that decodes the path once more",
            NearMiss::TrailingSlash => "differs by a slash at the end",
            NearMiss::LetterCase => "differs in upper and lower case",
            NearMiss::Below => "matches this very path only; write /* behind it for what is below",
            NearMiss::SegmentBoundary => "matches whole segments only",
        };
        Self { route: RouteView::new(route, limits), why }
    }
}

impl Passed {
    /// The request as it is forwarded.
    pub(super) fn upstream(upstream: &Upstream, head: &[u8], names: &IdentityHeaders) -> Self {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let fields = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| {
            // What is pasted into a ticket must not log in whoever reads it.
            let is_secret = name == header::AUTHORIZATION;
            let scheme = value.split(' ').next().unwrap_or_default();
            let value = if is_secret { format!("{scheme} (not shown)") } else { value.to_owned() };
            Field { name: name.to_owned(), value }
        });
        let is_ours = |field: &Field| field.name == names.user.as_str() || field.name == names.role.as_str();
        let (mut sorted, others): (Vec<_>, Vec<_>) = fields.partition(is_ours);
        sorted.extend(others);
        Self::Upstream {
            name: upstream.name.to_string(),
            servers: upstream.servers.iter().map(ToString::to_string).collect(),
            target: target.to_string(),
            headers: sorted,
        }
    }
}
