//! The methods of a route: any, or a named set.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use http::Method;

/// The methods that a route takes. `Ord` is specificity: a named set is greater than any.
///
/// `TRACE` and `CONNECT` are in no set, not even in "any": a gateway in front of applications has no use for the one,
/// which echoes credentials (RFC 9110 §9.3.8), and does not tunnel for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods(Option<Arc<[Method]>>);

/// Why a list of methods is not one that a route can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodsError {
    /// Such a route would never match.
    #[error("the list of methods is empty; leave it out for all methods")]
    Empty,
    /// `TRACE` or `CONNECT`.
    #[error("{0} is never forwarded, so no route can name it")]
    Refused(Method),
    /// Methods are case-sensitive (RFC 9110 §9.1), so `get` would never match.
    #[error("the method {0} has lower-case letters; methods are case-sensitive, write {upper}", upper = .0.as_str().to_ascii_uppercase())]
    LowerCase(Method),
}

impl Methods {
    /// All methods but `TRACE` and `CONNECT`.
    #[must_use]
    pub fn any() -> Self {
        Self(None)
    }

    /// The named methods, in any order, repeated or not.
    ///
    /// # Errors
    /// [`MethodsError`] when the set could never match.
    pub fn of(mut methods: Vec<Method>) -> Result<Self, MethodsError> {
        if methods.is_empty() {
            return Err(MethodsError::Empty);
        }
        for method in &methods {
            if is_refused(method) {
                return Err(MethodsError::Refused(method.clone()));
            }
            if method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
                return Err(MethodsError::LowerCase(method.clone()));
            }
        }
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        Ok(Self(Some(methods.into())))
    }

    /// Whether all methods are meant.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// The named methods, sorted; nothing for any.
    #[must_use]
    pub fn named(&self) -> &[Method] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether a route with these methods takes a request with this one, if no other route of the same host and path
    /// does: a route for `GET` takes `HEAD` too (RFC 9110 §9.3.2).
    #[must_use]
    pub fn accept(&self, method: &Method) -> bool {
        !is_refused(method)
            && (self.is_any()
                || self.named().contains(method)
                || (*method == Method::HEAD && self.named().contains(&Method::GET)))
    }
}

/// The methods that no route takes.
pub(super) fn is_refused(method: &Method) -> bool {
    *method == Method::TRACE || *method == Method::CONNECT
}

impl Ord for Methods {
    fn cmp(&self, other: &Self) -> Ordering {
        // Sets are equally specific; the reversed alphabet makes the order total, and alphabetical from the greatest down.
        let text = |methods: &Self| methods.named().iter().map(|m| m.as_str().to_owned()).collect::<Vec<_>>();
        other.is_any().cmp(&self.is_any()).then_with(|| text(other).cmp(&text(self)))
    }
}

impl PartialOrd for Methods {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `GET,HEAD`; `any` for any.
impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        for (index, method) in self.named().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{method}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Method, Methods, MethodsError};

    fn get_and_post() -> Methods {
        Methods::of(vec![Method::POST, Method::GET, Method::POST]).unwrap()
    }

    #[test]
    fn a_set_is_sorted_and_get_implies_head() {
        assert_eq!(get_and_post().to_string(), "GET,POST");
        assert!(get_and_post().accept(&Method::HEAD));
        assert!(!get_and_post().accept(&Method::PUT));
        assert!(!Methods::of(vec![Method::POST]).unwrap().accept(&Method::HEAD));
    }

    #[test]
    fn method_names_are_case_sensitive() {
        let lower = Method::from_bytes(b"get").unwrap();
        assert!(!get_and_post().accept(&lower));
        let error = Methods::of(vec![lower]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the method get has lower-case letters; methods are case-sensitive, write GET"
        );
    }

    #[test]
    fn trace_and_connect_are_never_accepted() {
        for method in [Method::TRACE, Method::CONNECT] {
            assert!(!Methods::any().accept(&method));
            assert_eq!(Methods::of(vec![method.clone()]).unwrap_err(), MethodsError::Refused(method));
        }
    }

    #[test]
    fn an_empty_set_is_not_taken_for_any() {
        assert_eq!(Methods::of(Vec::new()).unwrap_err(), MethodsError::Empty);
    }

    #[test]
    fn named_methods_are_more_specific_than_any() {
        assert!(get_and_post() > Methods::any());
        assert!(Methods::of(vec![Method::DELETE]).unwrap() > get_and_post());
    }
}
