//! Messages within the gateway: their header fields are a list, in their order.
//!
//! A message has few fields, and each is looked at a few times: with a list in which names are compared one by one, a refused request
//! with five of them takes some 1,700 instructions less than with a hash map, and one that is forwarded saves 2,000 more by a list of the
//! response's.

mod names;

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

pub use names::field_name;

/// The head of a request (RFC 9110 §6).
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target as it came.
    pub uri: Uri,
    /// Of the protocol that the client speaks.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
}

/// A response (RFC 9110 §6): its head, and what it carries.
#[derive(Clone, Debug)]
pub struct Response<B> {
    /// The status code.
    pub status: StatusCode,
    /// The header fields.
    pub fields: Fields,
    /// The body.
    pub body: B,
}

/// Header fields in the order in which they came. A name may come more than once.
#[derive(Clone)]
pub struct Fields(Held);

type Field = (HeaderName, HeaderValue);

#[derive(Clone)]
enum Held {
    Own(Vec<Field>),
    Shared(Arc<Block>),
}

/// Fields that many responses have alike.
#[derive(Clone)]
struct Block {
    fields: Vec<Field>,
    /// As HTTP/1.1 writes them; empty when they were changed.
    lines: Vec<u8>,
}

impl Block {
    #[cold]
    fn change(block: &mut Arc<Self>) -> &mut Vec<Field> {
        let block = Arc::make_mut(block);
        block.lines.clear();
        &mut block.fields
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self(Held::Own(Vec::new()))
    }
}

impl Head {
    /// A head that says nothing, for what has none: no path, no field.
    #[must_use]
    pub fn empty() -> Self {
        // A target without a path: the default would be `/`, which a log reader would take for one.
        let uri = Uri::from(Authority::from_static("-"));
        let (method, version) = (Method::GET, Version::HTTP_11);
        Self { method, uri, version, fields: Fields::default() }
    }
}

impl From<Parts> for Head {
    fn from(parts: Parts) -> Self {
        let fields = parts.headers.into();
        Self { method: parts.method, uri: parts.uri, version: parts.version, fields }
    }
}

impl<B> Response<B> {
    /// A response without header fields.
    #[must_use]
    pub fn new(status: StatusCode, body: B) -> Self {
        Self { status, fields: Fields::default(), body }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push(name, value);
        self
    }

    /// The same with another body, made of this one.
    pub fn map<C>(self, body: impl FnOnce(B) -> C) -> Response<C> {
        Response { status: self.status, fields: self.fields, body: body(self.body) }
    }
}

/// Appends a field as a line of HTTP/1.1 (RFC 9112 §5). Neither part is looked at, so both have to be what a field may have.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

impl Fields {
    /// No fields, and room for so many.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Held::Own(Vec::with_capacity(capacity)))
    }

    /// The same fields, for many responses: they are copied by a count, and written by [`Self::lines`]. A refusal takes 500
    /// instructions less.
    #[must_use]
    pub fn shared(self) -> Self {
        let fields: Vec<Field> = self.into_iter().collect();
        let mut lines = Vec::new();
        for (name, value) in &fields {
            write_field(&mut lines, name.as_str(), value.as_bytes());
        }
        Self(Held::Shared(Arc::new(Block { fields, lines })))
    }

    /// What they are in a head of HTTP/1.1, if they are shared.
    #[must_use]
    pub fn lines(&self) -> Option<&[u8]> {
        match &self.0 {
            Held::Shared(block) if !block.lines.is_empty() => Some(&block.lines),
            Held::Own(_) | Held::Shared(_) => None,
        }
    }

    #[inline]
    fn list(&self) -> &[Field] {
        match &self.0 {
            Held::Own(fields) => fields,
            Held::Shared(block) => &block.fields,
        }
    }

    // Inlined, as those that call it are: not to be costs a request that is forwarded 500 instructions.
    #[inline]
    fn list_mut(&mut self) -> &mut Vec<Field> {
        match &mut self.0 {
            Held::Own(fields) => fields,
            Held::Shared(block) => Block::change(block),
        }
    }

    /// Adds the fields of another list at the end.
    pub fn append(&mut self, mut others: Self) {
        self.list_mut().append(others.list_mut());
    }

    /// Adds a field at the end.
    #[inline]
    pub fn push(&mut self, name: HeaderName, value: HeaderValue) {
        self.list_mut().push((name, value));
    }

    /// Removes all fields with this name.
    pub fn remove(&mut self, name: &HeaderName) {
        self.list_mut().retain(|field| field.0 != *name);
    }

    /// The number of field lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Forgets all of them, and keeps the memory.
    pub fn clear(&mut self) {
        self.list_mut().clear();
    }

    /// Takes all of them out, and keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        self.list_mut().drain(..)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.list().iter().map(|(name, value)| (name, value))
    }

    /// All names, each as often as it came.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.list().iter().map(|(name, _)| name)
    }

    /// The value of the first field with this name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.get_all(name).next()
    }

    /// The values of all fields with this name.
    pub fn get_all<'f>(&'f self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'f HeaderValue> {
        self.list().iter().filter(move |field| field.0 == *name).map(|field| &field.1)
    }

    /// Whether there is a field with this name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::with_capacity(map.len());
        let mut last = None;
        for (name, value) in map {
            // The map names only the first of several values.
            last = name.or(last);
            if let Some(name) = &last {
                fields.push(name.clone(), value);
            }
        }
        fields
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        Self(Held::Own(fields.into_iter().collect()))
    }
}

impl IntoIterator for Fields {
    type Item = Field;
    type IntoIter = std::vec::IntoIter<Field>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Held::Own(fields) => fields,
            Held::Shared(block) => Arc::unwrap_or_clone(block).fields,
        }
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::Fields;

    #[test]
    fn shared_fields_are_the_same_ones_until_they_are_changed() {
        let fields: Fields = [(header::ALLOW, "GET"), (header::VIA, "1.1 a")]
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let shared = fields.clone().shared();
        assert_eq!(format!("{shared:?}"), format!("{fields:?}"));
        assert_eq!((fields.lines(), shared.lines()), (None, Some(&b"allow: GET\r\nvia: 1.1 a\r\n"[..])));
        let mut changed = shared.clone();
        changed.push(header::SERVER, HeaderValue::from_static("b"));
        assert_eq!((changed.len(), changed.lines()), (3, None));
        assert_eq!((shared.len(), shared.lines().is_some()), (2, true));
    }

    #[test]
    fn a_map_of_several_values_becomes_as_many_fields() {
        let mut map = HeaderMap::new();
        for (name, value) in [("accept", "1"), ("x-a", "2"), ("accept", "3"), ("x-a", "4"), ("host", "h")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let fields = Fields::from(map);
        assert_eq!(fields.len(), 5);
        let of = |name: HeaderName| fields.get_all(&name).cloned().collect::<Vec<_>>();
        assert_eq!(of(header::ACCEPT), ["1", "3"]);
        assert_eq!(of(HeaderName::from_static("x-a")), ["2", "4"]);
        assert_eq!(fields.get(&header::ACCEPT).unwrap(), "1");
        assert!(fields.contains(&header::HOST) && !fields.contains(&header::VIA));
    }
}
