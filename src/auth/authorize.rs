//! The rule of the route, applied.

use std::sync::Arc;

use super::Caller;
use crate::config::{Route, Target};
use crate::name::Roles;
use crate::reject::Reject;
use crate::route::{Access, CleanPath, Found};

/// The proof that a request may pass a route. Nobody else can make one.
#[derive(Debug)]
pub struct Permit<'r> {
    route: &'r Route,
    caller: Option<Arc<Caller>>,
}

impl<'r> Permit<'r> {
    /// The route that was passed.
    #[must_use]
    pub fn route(&self) -> &'r Route {
        self.route
    }

    /// Who answers.
    #[must_use]
    pub fn target(&self) -> Target {
        self.route.target
    }

    /// Who passed it. `None` on a public route, where no token is looked at.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }
}

/// Decides. `authenticate` is called unless anybody may know the answer, so that without a valid token every path that is not
/// public looks the same, whether or not a route exists.
///
/// # Errors
/// What `authenticate` says; then [`Reject::NoRoute`], [`Reject::MethodNotAllowed`] or [`Reject::MissingRole`]; and
/// [`Reject::AmbiguousPath`] or [`Reject::EncodedSlash`] for a path that the rule cannot be applied to.
pub fn authorize<'r>(
    found: Found<'r, Arc<Route>>,
    path: &CleanPath,
    authenticate: impl FnOnce() -> Result<Arc<Caller>, Reject>,
) -> Result<Permit<'r>, Reject> {
    // Before anything else, and on paths without a route too: a backend could read it as a path that another rule guards.
    let allowed = matches!(&found, Found::Route(route) if route.allow_encoded_slash);
    if path.has_encoded_slash() && !allowed {
        return Err(Reject::EncodedSlash);
    }
    let route: &Route = match found {
        Found::Route(route) => route,
        Found::Ambiguous => return Err(Reject::AmbiguousPath),
        Found::NotFound => return Err(authenticate().err().unwrap_or(Reject::NoRoute)),
        Found::MethodNotAllowed { allow, routes } => {
            let known_to_all = routes.iter().any(|route| route.access == Access::Public);
            let refusal = if known_to_all { None } else { authenticate().err() };
            return Err(refusal.unwrap_or(Reject::MethodNotAllowed(allow)));
        }
    };
    let caller = match &route.access {
        Access::Public => None,
        Access::Authenticated => Some(authenticate()?),
        Access::Roles(wanted) => {
            let caller = authenticate()?;
            if !wanted.intersects(caller.roles()) {
                return Err(Reject::MissingRole { wanted: scope(wanted) });
            }
            Some(caller)
        }
    };
    Ok(Permit { route, caller })
}

/// Roles as RFC 6749 §3.3 writes a scope.
fn scope(roles: &Roles) -> String {
    roles.to_string().replace(',', " ")
}
