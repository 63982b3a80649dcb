//! All `[[route]]` tables together: which requests, who may pass, where they go.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use crate::name::RouteName;
use crate::route::{Host, Pattern, Table};

use super::diagnostics::{Kind, Problem, Problems};
use super::limits::Limits;
use super::local::LocalPaths;
use super::reader::{Fields, describe};
use super::registration::Registration;
use super::route::{Draft, draft};
use super::settings::{Route, Server};
use super::upstreams::Upstreams;

/// What the routes are checked against.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) upstreams: &'a Upstreams,
    pub(super) limits: &'a Limits,
    pub(super) local: &'a LocalPaths,
    /// Its `max_body` and `limits` are for routes that say nothing.
    pub(super) server: &'a Server,
    /// Whether there is an endpoint for it.
    pub(super) registration: &'a Registration,
}

/// Reads all routes and builds the table, local endpoints included. `None`, with an error recorded, when routes match
/// alike.
pub(super) fn read(
    value: Option<&Spanned<DeValue<'_>>>,
    around: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Table<Arc<Route>>> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, value) in tables(value, problems).iter().enumerate() {
        drafts.extend(draft(Fields::of("route", format!("route[{index}]"), Some(value), problems), around));
    }
    for draft in &drafts {
        check_shadow(draft, around.local, problems);
    }
    warn_of_idle(&drafts, around.upstreams, problems);
    let limits = drafts.iter().flat_map(|draft| draft.limits.iter()).chain(around.server.limits.iter());
    around.limits.warn_of_idle(&limits.copied().collect(), problems);
    let names = names(&drafts, problems);
    let hosts: BTreeSet<Host> = drafts.iter().filter_map(|draft| draft.pattern.host().cloned()).collect();
    let routes = drafts.iter().zip(names).map(|(draft, name)| (draft.pattern.clone(), draft.route(name)));
    let entries = routes.chain(around.local.routes(&hosts, around, problems)).collect();
    let conflicts = match Table::build(entries) {
        Ok(table) => return Some(table.map(|index, route| Arc::new(Route { index, ..route }))),
        Err(conflicts) => conflicts,
    };
    for conflict in conflicts {
        // A conflict with a local endpoint is a shadow or a collision of local paths, and is told as such.
        if let (Some(first), Some(second)) = (drafts.get(conflict.first), drafts.get(conflict.second)) {
            problems.error(alike(first, second));
        }
    }
    None
}

fn tables<'a, 'i>(
    value: Option<&'a Spanned<DeValue<'i>>>,
    problems: &mut Problems,
) -> &'a [Spanned<DeValue<'i>>] {
    let Some(value) = value else {
        return &[];
    };
    if let Some(array) = value.get_ref().as_array() {
        return array;
    }
    let message = format!("expected tables [[route]], found {}", describe(value.get_ref()));
    let problem = Problem::new(Kind::Value, "route", message).at(Some(value.span()));
    problems.error(problem.help(Some("write [[route]], in double brackets, before each route".into())));
    &[]
}

fn check_shadow(draft: &Draft, local: &LocalPaths, problems: &mut Problems) {
    if let Some(shadow) = local.shadow(draft.pattern.path()) {
        let message = format!("shadowed by {shadow}: no request would reach this route");
        let problem =
            Problem::new(Kind::Whole, format!("{}.path", draft.key), message).at(draft.path.clone());
        problems.error(problem.help(Some("choose another path, or rename the local one in [server]".into())));
    }
}

fn alike(first: &Draft, second: &Draft) -> Problem {
    let message = format!("matches the same requests as {}: {}", first.key, first.pattern);
    let problem = Problem::new(Kind::Whole, second.key.as_str(), message).at(second.path.clone());
    problem
        .also(first.path.clone(), "the other route")
        .help(Some("give them different methods, or drop one".into()))
}

fn warn_of_idle(drafts: &[Draft], upstreams: &Upstreams, problems: &mut Problems) {
    let used: HashSet<usize> = drafts.iter().map(|draft| draft.upstream).collect();
    for (index, (name, span)) in upstreams.names.iter().enumerate() {
        if !used.contains(&index) {
            let problem = Problem::new(Kind::Value, format!("upstream.{name}"), "no route leads to it");
            problems.warn(problem.at(Some(span.clone())));
        }
    }
    if drafts.is_empty() {
        problems.warn(Problem::new(Kind::Value, "route", "there is none, so nothing is forwarded"));
    }
}

/// The name of each route: as given, or its pattern, or, where that is too long or taken, its place in the file.
fn names(drafts: &[Draft], problems: &mut Problems) -> Vec<RouteName> {
    let mut taken: BTreeMap<RouteName, Option<Range<usize>>> = BTreeMap::new();
    for (draft, name) in drafts.iter().filter_map(|draft| Some((draft, draft.name.as_ref()?))) {
        if let Some(first) = taken.get(&name.value) {
            let message = "another route has this name; logs and metrics could not tell them apart";
            let problem =
                Problem::new(Kind::Whole, format!("{}.name", draft.key), message).at(name.span.clone());
            problems.error(problem.also(first.clone(), "the other route"));
        } else {
            taken.insert(name.value.clone(), name.span.clone());
        }
    }
    let mut names = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let made = || made_names(index, &draft.pattern).find(|name| !taken.contains_key(name));
        let Some(name) = draft.name.as_ref().map(|name| name.value.clone()).or_else(made) else {
            continue;
        };
        taken.entry(name.clone()).or_default();
        names.push(name);
    }
    names
}

fn made_names(index: usize, pattern: &Pattern) -> impl Iterator<Item = RouteName> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/*-".contains(c);
    let text = pattern.to_string().replace(|c| !plain(c), "-");
    let numbered = (index..).map(|number| format!("route-{number}"));
    std::iter::once(text).chain(numbered).filter_map(|text| RouteName::new(&text).ok())
}
