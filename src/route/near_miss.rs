//! Routes that nearly matched, for `explain`: the answer to "why did my rule not apply".

use http::Method;

use super::{CleanPath, PathPattern, Pattern, Table};

/// Why a route was not chosen although it came close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NearMiss {
    /// It matches, but a more specific one decides.
    LessSpecific,
    /// It does not take the method.
    Method,
    /// It is for another host.
    Host,
    /// It would match for a looser parser at the backend, see [`CleanPath`].
    LooserReading,
    /// It would match if a slash at the end were there, or were not.
    TrailingSlash,
    /// It would match in other letters; paths are case-sensitive.
    LetterCase,
    /// It is exact, and the path is below it.
    Below,
    /// Its prefix ends in the middle of a segment: `/orders/*` does not match `/ordersx`.
    SegmentBoundary,
}

impl<T> Table<T> {
    /// The routes that nearly matched, in match order, each with the first reason that holds. The one that
    /// [`Table::find`] returns is not among them.
    #[must_use]
    pub fn near_misses(
        &self,
        host: &str,
        path: &CleanPath,
        method: &Method,
    ) -> Vec<(&Pattern, &T, NearMiss)> {
        let chosen = self.pick(host, path.as_str(), method).and_then(|index| self.entries.get(index));
        let mut misses = Vec::new();
        for (pattern, value) in self.iter() {
            if chosen.is_some_and(|(chosen, _)| chosen == pattern) {
                continue;
            }
            if let Some(miss) = near_miss(pattern, host, path, method) {
                misses.push((pattern, value, miss));
            }
        }
        misses
    }
}

fn near_miss(pattern: &Pattern, host: &str, path: &CleanPath, method: &Method) -> Option<NearMiss> {
    let is_host = pattern.host().is_none_or(|own| own.as_str() == host);
    let is_method = pattern.methods().accept(method);
    match (is_host, pattern.path().matches(path.as_str()), is_method) {
        (true, true, true) => Some(NearMiss::LessSpecific),
        (true, true, false) => Some(NearMiss::Method),
        (false, true, true) => Some(NearMiss::Host),
        (true, false, true) => near_path(pattern.path(), path),
        _ => None,
    }
}

fn near_path(pattern: &PathPattern, path: &CleanPath) -> Option<NearMiss> {
    let (text, literal) = (path.as_str(), pattern.literal());
    let other_slash = match text.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{text}/"),
    };
    let is_exact = matches!(pattern, PathPattern::Exact(_));
    let rest = text.strip_prefix(literal);
    if path.looser_readings().iter().any(|reading| pattern.matches(reading)) {
        Some(NearMiss::LooserReading)
    } else if pattern.matches(&other_slash) {
        Some(NearMiss::TrailingSlash)
    } else if is_match_in_any_case(pattern, text) {
        Some(NearMiss::LetterCase)
    } else if is_exact && rest.is_some_and(|rest| rest.starts_with('/')) {
        Some(NearMiss::Below)
    } else if !is_exact && rest.is_some() {
        Some(NearMiss::SegmentBoundary)
    } else {
        None
    }
}

fn is_match_in_any_case(pattern: &PathPattern, path: &str) -> bool {
    let literal = pattern.literal();
    let Some((start, rest)) = path.split_at_checked(literal.len()) else { return false };
    let is_below = matches!(pattern, PathPattern::Prefix(_)) && rest.starts_with('/');
    start.eq_ignore_ascii_case(literal) && (rest.is_empty() || is_below)
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::{CleanPath, Method, NearMiss, PathPattern, Pattern, Table};
    use crate::route::{Host, Methods};

    fn misses(host: &str, path: &str, method: &Method) -> Vec<(String, NearMiss)> {
        let pattern = |host: Option<&str>, path: &str, methods| {
            (
                Pattern::new(
                    host.map(|host| Host::parse(host).unwrap()),
                    PathPattern::parse(path).unwrap(),
                    methods,
                ),
                (),
            )
        };
        let get = || Methods::of(vec![Method::GET]).unwrap();
        let table = Table::build(vec![
            pattern(None, "/*", Methods::any()),
            pattern(None, "/orders/*", get()),
            pattern(None, "/orders/today", get()),
            pattern(Some("shop.test"), "/orders/*", get()),
        ])
        .unwrap();
        let path = CleanPath::parse(&PathAndQuery::try_from(path).unwrap()).unwrap();
        let misses = table.near_misses(host, &path, method);
        misses.into_iter().map(|(pattern, (), miss)| (pattern.to_string(), miss)).collect()
    }

    #[test]
    fn each_near_miss_has_its_reason() {
        let any_host = |miss| ("/orders/* GET".to_owned(), miss);
        let today = |miss| ("/orders/today GET".to_owned(), miss);
        let shop = |miss| ("shop.test/orders/* GET".to_owned(), miss);
        let all = |miss| ("/*".to_owned(), miss);
        for (path, method, expected) in [
            ("/orders/7", Method::GET, vec![shop(NearMiss::Host), all(NearMiss::LessSpecific)]),
            ("/orders/7", Method::POST, vec![any_host(NearMiss::Method), all(NearMiss::LessSpecific)]),
            ("/ordersx", Method::GET, vec![any_host(NearMiss::SegmentBoundary)]),
            ("/Orders/7", Method::GET, vec![any_host(NearMiss::LetterCase)]),
            ("/orders%2F7", Method::GET, vec![any_host(NearMiss::LooserReading)]),
            ("/other", Method::GET, vec![]),
        ] {
            assert_eq!(misses("a.test", path, &method), expected, "{method} {path}");
        }
        let below = [shop(NearMiss::Host), today(NearMiss::TrailingSlash), all(NearMiss::LessSpecific)];
        assert_eq!(misses("a.test", "/orders/today/", &Method::GET), below);
        let below = [shop(NearMiss::Host), today(NearMiss::Below), all(NearMiss::LessSpecific)];
        assert_eq!(misses("a.test", "/orders/today/x", &Method::GET), below);
    }
}
