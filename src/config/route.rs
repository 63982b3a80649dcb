//! One `[[route]]`, key by key.

use std::ops::Range;

use http::Method;

use crate::name::{Role, Roles, RouteName};
use crate::route::{Access, Host, Methods, PathPattern, Pattern};

use super::diagnostics::{Kind, Problem, did_you_mean, quote};
use super::limits::NamedLimits;
use super::local::NAME_PREFIX;
use super::reader::{Fault, Fields, Given, List};
use super::routes::Surroundings;
use super::rule::{flag, parsed, size};
use super::sections::{MAX_BODY, distinct};
use super::settings::{Route, Target};
use super::upstreams::Upstreams;

/// The methods that a route can name: those of RFC 9110 and RFC 5789 that are forwarded, and the common extensions.
/// A method that is missing here is more likely misspelt than new.
const METHODS: [&str; 22] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "MKCALENDAR",
    "ACL",
    "BIND",
    "UNBIND",
    "PURGE",
];

/// A route that can be placed in the table: its pattern is right, the rest may not be.
#[derive(Debug)]
pub(super) struct Draft {
    /// `route[2]`
    pub(super) key: String,
    /// Where its path stands.
    pub(super) path: Option<Range<usize>>,
    pub(super) name: Option<Given<RouteName>>,
    pub(super) pattern: Pattern,
    access: Access,
    pub(super) upstream: usize,
    strip_prefix: bool,
    forward_authorization: bool,
    max_body: u64,
    allow_encoded_slash: bool,
    outlive_token: bool,
    pub(super) limits: NamedLimits,
}

impl Draft {
    /// The finished route.
    pub(super) fn route(&self, name: RouteName) -> Route {
        Route {
            // The table knows.
            index: 0,
            name,
            pattern: self.pattern.clone(),
            access: self.access.clone(),
            target: Target::Upstream(self.upstream),
            strip_prefix: self.strip_prefix,
            forward_authorization: self.forward_authorization,
            max_body: self.max_body,
            allow_encoded_slash: self.allow_encoded_slash,
            outlive_token: self.outlive_token,
            limits: self.limits.clone(),
        }
    }
}

/// Reads one route. Whatever is wrong is recorded; what stands in for it never gets out, since no `Config` is made.
pub(super) fn draft(mut fields: Fields<'_, '_, '_>, around: &Surroundings<'_>) -> Option<Draft> {
    let f = &mut fields;
    let name = f.get("name", parsed("a string", route_name));
    let path = f.get("path", parsed("a path", path_pattern));
    if path.is_none() {
        f.missing("path", Some("write path = \"/*\" for every path".into()));
    }
    let host = f.get("host", parsed("a host name", host));
    let methods = methods(f);
    let access = access(f);
    let upstream = upstream(f, around.upstreams);
    let strip_prefix = strip_prefix(f, path.as_ref());
    let forward_authorization = f.or("forward_authorization", flag, false);
    let max_body = f.or("max_body", size(0..=MAX_BODY), around.server.max_body);
    let allow_encoded_slash = f.or("allow_encoded_slash", flag, false);
    let outlive_token = f.or("outlive_token", flag, false);
    let access = access.unwrap_or(Access::Authenticated);
    let limits = around.limits.of_route(f, &access, &around.server.limits);
    let host_is_wrong = host.is_none() && f.has("host");
    let key = f.path().to_owned();
    fields.finish();
    if host_is_wrong {
        return None;
    }
    let path = path?;
    Some(Draft {
        key,
        path: path.span,
        name,
        pattern: Pattern::new(host.map(|host| host.value), path.value, methods?),
        access,
        upstream: upstream.unwrap_or_default(),
        strip_prefix,
        forward_authorization,
        max_body,
        allow_encoded_slash,
        outlive_token,
        limits,
    })
}

/// `None` when the list is wrong; a route without the key takes any method.
fn methods(fields: &mut Fields<'_, '_, '_>) -> Option<Methods> {
    let Some(list) = fields.list("methods", List::Array, parsed("a method", method)) else {
        return (!fields.has("methods")).then(Methods::any);
    };
    distinct(fields, "methods", &list.items);
    if list.items.len() < list.elements {
        return None;
    }
    match Methods::of(list.items.into_iter().map(|method| method.value).collect()) {
        Ok(methods) => Some(methods),
        Err(error) => {
            let problem = Problem::new(Kind::Value, fields.key("methods"), error.to_string());
            fields.problems.error(problem.at(list.span));
            None
        }
    }
}

/// Exactly one of `roles` and `access`: a route that says nothing must not be open by accident, nor closed by surprise.
fn access(fields: &mut Fields<'_, '_, '_>) -> Option<Access> {
    let words = [("public", Access::Public), ("authenticated", Access::Authenticated)];
    let word = fields.get("access", parsed("a string", |text| access_word(text, &words)));
    let roles = fields.list("roles", List::Array, parsed("a role", role));
    if let (Some(word), Some(roles)) = (&word, &roles) {
        let message = "a route has either access or roles, not both";
        let problem = Problem::new(Kind::Value, fields.key("access"), message).at(word.span.clone());
        fields.problems.error(problem.also(roles.span.clone(), "the roles"));
        return None;
    }
    if !fields.has("access") && !fields.has("roles") {
        let problem =
            Problem::new(Kind::Whole, fields.path(), "says nothing about who may pass").at(fields.header());
        let help = "write roles = [\"reader\"], access = \"authenticated\" or access = \"public\"";
        fields.problems.error(problem.label("needs `roles` or `access`").help(Some(help.into())));
    }
    let Some(roles) = roles else {
        return word.map(|word| word.value);
    };
    if roles.elements == 0 {
        let problem = Problem::new(Kind::Value, fields.key("roles"), "nobody could pass: the list is empty");
        let help = "write access = \"authenticated\" for everybody who is logged in, or name a role";
        fields.problems.error(problem.at(roles.span).help(Some(help.into())));
        return None;
    }
    distinct(fields, "roles", &roles.items);
    Some(Access::Roles(roles.items.into_iter().map(|role| role.value).collect::<Roles>()))
}

fn upstream(fields: &mut Fields<'_, '_, '_>, upstreams: &Upstreams) -> Option<usize> {
    let Some(name) = fields.get("upstream", parsed("the name of an upstream", |text| Ok(text.to_owned())))
    else {
        fields.missing("upstream", Some("name one of the [upstream.NAME] tables".into()));
        return None;
    };
    let known = || upstreams.names.iter().map(|(name, _)| name.as_str());
    let index = upstreams.find(&name.value);
    if index.is_none() {
        let message = format!("there is no upstream {}", quote(&name.value));
        let help = did_you_mean(&name.value, known()).unwrap_or_else(|| match known().next() {
            None => "add a table [upstream.NAME]".into(),
            Some(_) => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
        });
        let problem = Problem::new(Kind::Whole, fields.key("upstream"), message).at(name.span);
        fields.problems.error(problem.help(Some(help)));
    }
    index
}

fn strip_prefix(fields: &mut Fields<'_, '_, '_>, path: Option<&Given<PathPattern>>) -> bool {
    let strip = fields.given("strip_prefix", flag, false);
    if let (true, Some(Given { value: PathPattern::Exact(_), span })) = (strip.value, path) {
        let message = "there is no prefix to strip: the path does not end in /*";
        let problem = Problem::new(Kind::Value, fields.key("strip_prefix"), message).at(strip.span);
        fields.problems.error(problem.also(span.clone(), "the path"));
    }
    strip.value
}

fn route_name(text: &str) -> Result<RouteName, Fault> {
    let name = RouteName::new(text).map_err(|error| error.to_string())?;
    if text.starts_with(NAME_PREFIX) {
        return Err(format!("names that begin with {NAME_PREFIX} are the gateway's own").into());
    }
    Ok(name)
}

fn path_pattern(text: &str) -> Result<PathPattern, Fault> {
    PathPattern::parse(text).map_err(|error| error.to_string().into())
}

fn host(text: &str) -> Result<Host, Fault> {
    Host::parse(text).map_err(|error| error.to_string().into())
}

fn role(text: &str) -> Result<Role, Fault> {
    Role::new(text).map_err(|error| error.to_string().into())
}

fn access_word(text: &str, words: &[(&'static str, Access)]) -> Result<Access, Fault> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, access)| access.clone()).ok_or_else(|| Fault {
        message: format!("expected \"public\" or \"authenticated\", not {}", quote(text)),
        help: did_you_mean(text, words.iter().map(|(word, _)| *word)),
    })
}

fn method(text: &str) -> Result<Method, Fault> {
    let method = METHODS.iter().find(|method| **method == text).and_then(|method| method.parse().ok());
    method.ok_or_else(|| match text {
        "TRACE" | "CONNECT" => format!("{text} is never forwarded, so no route can name it").into(),
        _ => Fault {
            message: format!("{} is no method that is known here", quote(text)),
            help: did_you_mean(text, METHODS),
        },
    })
}
