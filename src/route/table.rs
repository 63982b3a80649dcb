//! All routes, ready to be searched.
//!
//! A tree of path segments for each host, and one for any host. A search takes one hash look-up per segment and ends where
//! no pattern goes deeper, so its cost does not depend on the number of routes. The maps hold what the configuration says
//! and are seeded at random, so a request cannot make look-ups collide.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use http::Method;

use super::methods::is_refused;
use super::{CleanPath, Host, PathPattern, Pattern};

/// All routes, each with a value of the caller's.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// In the order they were given; the trees refer to them by position.
    pub(super) entries: Vec<(Pattern, T)>,
    /// Positions in `entries`, most specific first.
    order: Vec<usize>,
    hosts: HashMap<Host, Tree, RandomState>,
    any_host: Tree,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// The most specific route.
    Route(&'t T),
    /// The path is known, the method is not.
    MethodNotAllowed {
        /// For the `Allow` header (RFC 9110 §10.2.1), sorted.
        allow: Vec<Method>,
        /// The routes that take these methods: whoever may not pass any of them need not know the path.
        routes: Vec<&'t T>,
    },
    /// No pattern matches.
    NotFound,
    /// A looser parser at the backend could read this path as one that another route guards, see [`CleanPath`].
    Ambiguous,
}

/// Two routes that match alike: the same host and path, and a method in common, or any method both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The position of the one that came first in the list.
    pub first: usize,
    /// The position of the other one.
    pub second: usize,
}

impl<T> Table<T> {
    /// Builds the table. The order of the list never matters.
    ///
    /// # Errors
    /// Every route that matches like an earlier one, with the first such.
    pub fn build(routes: Vec<(Pattern, T)>) -> Result<Self, Vec<Conflict>> {
        let mut hosts: HashMap<Host, Tree, RandomState> = HashMap::default();
        let mut any_host = Tree::default();
        let mut conflicts = Vec::new();
        for (index, (pattern, _)) in routes.iter().enumerate() {
            let tree = match pattern.host() {
                Some(host) => hosts.entry(host.clone()).or_default(),
                None => &mut any_host,
            };
            if let Some(first) = tree.insert(pattern, index) {
                conflicts.push(Conflict { first, second: index });
            }
        }
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut sorted: Vec<(&Pattern, usize)> = routes.iter().map(|(pattern, _)| pattern).zip(0..).collect();
        sorted.sort_by(|a, b| b.cmp(a));
        let order = sorted.into_iter().map(|(_, index)| index).collect();
        Ok(Self { entries: routes, order, hosts, any_host })
    }

    /// The same table with other values, made from the old ones and their positions in the order in which they match.
    #[must_use]
    pub fn map<U>(self, mut make: impl FnMut(usize, T) -> U) -> Table<U> {
        let mut ranks: Vec<(usize, usize)> = self.order.iter().copied().zip(0..).collect();
        ranks.sort_unstable();
        let ranked = self.entries.into_iter().zip(ranks);
        let entries = ranked.map(|((pattern, value), (_, rank))| (pattern, make(rank, value))).collect();
        Table { entries, order: self.order, hosts: self.hosts, any_host: self.any_host }
    }

    /// Searches. `host` is in the normal form of [`Host`]. First the path decides: the most specific host and path that
    /// match. Then the method picks among the routes with that very host and path: named before any, `GET` for `HEAD`.
    /// A hit allocates nothing.
    #[must_use]
    pub fn find(&self, host: &str, path: &CleanPath, method: &Method) -> Found<'_, T> {
        let Some(slot) = self.slot(host, path.as_str()) else { return Found::NotFound };
        let Some(index) = slot.pick(method) else {
            let routes =
                slot.all().filter_map(|index| self.entries.get(index).map(|(_, value)| value)).collect();
            return Found::MethodNotAllowed { allow: slot.allowed(), routes };
        };
        let is_same = |reading: &String| self.pick(host, reading, method) == Some(index);
        if !path.looser_readings().iter().all(is_same) {
            return Found::Ambiguous;
        }
        self.entries.get(index).map_or(Found::NotFound, |(_, value)| Found::Route(value))
    }

    /// All routes in the order they match: the most specific first.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &T)> {
        self.order
            .iter()
            .filter_map(|&index| self.entries.get(index))
            .map(|(pattern, value)| (pattern, value))
    }

    /// The position of the route for a path that may be one of the looser readings.
    pub(super) fn pick(&self, host: &str, path: &str, method: &Method) -> Option<usize> {
        self.slot(host, path)?.pick(method)
    }

    fn slot(&self, host: &str, path: &str) -> Option<&Slot> {
        let own = if self.hosts.is_empty() { None } else { self.hosts.get(host) };
        own.and_then(|tree| tree.find(path)).or_else(|| self.any_host.find(path))
    }
}

/// The path patterns of one host. Nodes refer to each other by position, so that a tree as deep as the longest path is
/// dropped without recursion.
#[derive(Clone, Debug)]
struct Tree(Vec<Node>);

/// What is known about the path down to one segment.
#[derive(Clone, Debug, Default)]
struct Node {
    children: HashMap<Box<[u8]>, usize, RandomState>,
    exact: Option<Slot>,
    prefix: Option<Slot>,
}

impl Default for Tree {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

impl Tree {
    /// Adds a route, unless it matches like one that is there already, which is returned.
    fn insert(&mut self, pattern: &Pattern, index: usize) -> Option<usize> {
        let mut at = 0;
        for segment in segments(pattern.path().literal()) {
            let next = self.0.len();
            let child = *self.0.get_mut(at)?.children.entry(segment.into()).or_insert(next);
            if child == next {
                self.0.push(Node::default());
            }
            at = child;
        }
        let node = self.0.get_mut(at)?;
        let slot = match pattern.path() {
            PathPattern::Exact(_) => &mut node.exact,
            PathPattern::Prefix(_) => &mut node.prefix,
        };
        slot.get_or_insert_default().insert(pattern, index)
    }

    /// The most specific path pattern that matches.
    fn find(&self, path: &str) -> Option<&Slot> {
        let mut node = self.0.first()?;
        let mut longest = node.prefix.as_ref();
        for segment in segments(path) {
            let Some(child) = node.children.get(segment) else { return longest };
            node = self.0.get(*child)?;
            longest = node.prefix.as_ref().or(longest);
        }
        node.exact.as_ref().or(longest)
    }
}

/// `/a/b` has the segments `a` and `b`, `/a/` has `a` and an empty one, and the literal part of `/*` has none. Bytes, not text: to look
/// for a slash in text is made for long texts, and took 170 more of the 540 instructions of a search.
fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    let rest = path.as_bytes().strip_prefix(b"/");
    rest.map(|rest| rest.split(|&byte| byte == b'/')).into_iter().flatten()
}

/// The routes that share a host and a path pattern. There are about as many as methods, so they are searched in a row.
#[derive(Clone, Debug, Default)]
struct Slot {
    named: Vec<(Method, usize)>,
    any: Option<usize>,
}

impl Slot {
    /// The route that matches alike, if there is one.
    fn insert(&mut self, pattern: &Pattern, index: usize) -> Option<usize> {
        if pattern.methods().is_any() {
            let first = self.any;
            self.any = first.or(Some(index));
            return first;
        }
        let mut conflict = None;
        for method in pattern.methods().named() {
            match self.named(method) {
                None => self.named.push((method.clone(), index)),
                Some(first) => conflict = conflict.or(Some(first)),
            }
        }
        conflict
    }

    fn pick(&self, method: &Method) -> Option<usize> {
        if is_refused(method) {
            return None;
        }
        let implied = || if *method == Method::HEAD { self.named(&Method::GET) } else { None };
        self.named(method).or_else(implied).or(self.any)
    }

    fn named(&self, method: &Method) -> Option<usize> {
        self.named.iter().find(|(name, _)| name == method).map(|&(_, index)| index)
    }

    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.named.iter().map(|&(_, index)| index).chain(self.any)
    }

    /// All methods that [`Slot::pick`] takes; for a route with any method, the usual ones.
    fn allowed(&self) -> Vec<Method> {
        let usual = [
            Method::DELETE,
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PATCH,
            Method::POST,
            Method::PUT,
        ];
        let mut methods: Vec<Method> = self.named.iter().map(|(method, _)| method.clone()).collect();
        methods.extend(usual.into_iter().filter(|method| self.pick(method).is_some()));
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        methods
    }
}

#[cfg(test)]
mod tests;
