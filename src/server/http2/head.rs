//! The head of a request from the lines of its header block (RFC 9113 §8.3), and its trailer section (§8.1). What the fields mean for the
//! message is read here; what they say, further up.

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use crate::digits;
use crate::hpack::Name;
use crate::inbound::is_connection_specific;
use crate::message::{Fields, Head};
use crate::reject::Reject;

/// As many fields as requests usually have, those that become one included.
const USUAL: usize = 12;

const TWICE: &str = "a pseudo-header field came twice, or behind another field";
const MISSING: &str = "the request has no :method, :scheme or :path";
const BAD_NAME: &str = "the name of a header field is malformed";
const BAD_VALUE: &str = "the value of a header field has a control character, or a space at its end";
const BAD_PATH: &str = "the :path is malformed";
const BAD_AUTHORITY: &str = "the :authority is malformed";

/// The head of a request, and what it means for its stream.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Box<Head>,
    /// What the content has, if the fields say it.
    pub(super) length: Option<u64>,
    /// Whether the client waits for `100 Continue` before it sends the content.
    pub(super) expects: bool,
}

/// Takes the lines of a head as they come.
pub(super) struct HeadLines {
    max_target: usize,
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    fields: Fields,
    length: Option<u64>,
    expects: bool,
    fault: Option<&'static str>,
}

impl HeadLines {
    /// For a target of so many bytes at the most.
    pub(super) fn new(max_target: usize) -> Self {
        let (method, scheme, authority, path, length, expects, fault) = Default::default();
        let fields = Fields::with_capacity(USUAL);
        Self { max_target, method, scheme, authority, path, fields, length, expects, fault }
    }

    /// The next line.
    pub(super) fn take(&mut self, name: Name, value: Bytes) {
        let has_fields = !self.fields.is_empty();
        let place = match name {
            Name::Field(name) => return self.field(name, value),
            Name::Method => &mut self.method,
            Name::Scheme => &mut self.scheme,
            Name::Authority => &mut self.authority,
            Name::Path => &mut self.path,
            // RFC 8441 §3: we have not said that we take it.
            Name::Protocol | Name::Malformed => return self.fault = Some(BAD_NAME),
        };
        if place.replace(value).is_some() || has_fields {
            self.fault = Some(TWICE);
        }
    }

    fn field(&mut self, name: HeaderName, value: Bytes) {
        let Ok(value) = field_value(value) else { return self.fault = Some(BAD_VALUE) };
        if name == header::CONTENT_LENGTH {
            // Which one holds if there are several does not matter: such a request is refused.
            self.length = digits::parse_decimal(value.as_bytes());
        } else if name == header::EXPECT {
            self.expects = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        }
        self.fields.push(name, value);
    }

    /// Whether the response must have no content (RFC 9110 §9.3.2), even if it is a refusal.
    pub(super) fn is_head(&self) -> bool {
        self.method.as_deref() == Some(b"HEAD")
    }

    /// The head.
    ///
    /// # Errors
    /// The request is malformed (RFC 9113 §8.1.1), or its target is too long.
    pub(super) fn finish(mut self) -> Result<Received, Reject> {
        if let Some(fault) = self.fault {
            return Err(Reject::BadRequest(fault));
        }
        let method = self.method.take().ok_or(Reject::BadRequest(MISSING))?;
        let method =
            Method::from_bytes(&method).map_err(|_| Reject::BadRequest("the :method is malformed"))?;
        // RFC 9113 §8.5: it has neither scheme nor path, and none is taken here.
        if method == Method::CONNECT {
            return Err(Reject::MethodRefused);
        }
        let (Some(scheme), Some(path)) = (self.scheme.take(), self.path.take()) else {
            return Err(Reject::BadRequest(MISSING));
        };
        let path = self.path(&method, path)?;
        let uri = self.target(&scheme, path)?;
        let head = Box::new(Head { method, uri, version: Version::HTTP_2, fields: self.fields });
        Ok(Received { head, length: self.length, expects: self.expects })
    }

    /// RFC 9113 §8.3.1.
    fn path(&self, method: &Method, path: Bytes) -> Result<PathAndQuery, Reject> {
        if path.len() > self.max_target {
            return Err(Reject::UriTooLong { limit: self.max_target });
        }
        let is_asterisk = *method == Method::OPTIONS && path == "*";
        if !path.starts_with(b"/") && !is_asterisk {
            return Err(Reject::BadRequest(BAD_PATH));
        }
        PathAndQuery::from_maybe_shared(path).map_err(|_| Reject::BadRequest(BAD_PATH))
    }

    /// The target as HTTP/1.1 would have it: in origin form beside a `Host`, which the authority becomes. Only what has to be looked at
    /// twice is in absolute form.
    fn target(&mut self, scheme: &[u8], path: PathAndQuery) -> Result<Uri, Reject> {
        let is_http = matches!(scheme, b"http" | b"https");
        let authority = self.authority.take();
        if is_http && authority.as_ref().is_none_or(|_| !self.fields.contains(&header::HOST)) {
            if let Some(authority) = authority {
                let host = field_value(authority).map_err(|()| Reject::BadRequest(BAD_AUTHORITY))?;
                if host.is_empty() {
                    return Err(Reject::BadRequest(BAD_AUTHORITY));
                }
                self.fields.push(header::HOST, host);
            }
            return Ok(path.into());
        }
        let scheme = Scheme::try_from(scheme).map_err(|_| Reject::BadRequest("the :scheme is malformed"))?;
        let mut uri = Uri::builder().scheme(scheme).path_and_query(path);
        if let Some(authority) = authority {
            uri = uri.authority(&authority[..]);
        }
        uri.build().map_err(|_| Reject::BadRequest(BAD_AUTHORITY))
    }
}

/// Takes the lines of a trailer section; `None` if it is malformed (RFC 9113 §8.1, §8.2.2: no pseudo-header fields, and none of a
/// connection).
pub(super) struct TrailerLines(Option<HeaderMap>);

impl TrailerLines {
    pub(super) fn new() -> Self {
        Self(Some(HeaderMap::new()))
    }

    /// The next line.
    pub(super) fn take(&mut self, name: Name, value: Bytes) {
        let field = match name {
            Name::Field(name) if !is_connection_specific(&name) => {
                field_value(value).ok().map(|value| (name, value))
            }
            _ => None,
        };
        match (&mut self.0, field) {
            (Some(map), Some((name, value))) => {
                // It fails beyond 32,768 names.
                let _ = map.try_append(name, value);
            }
            _ => self.0 = None,
        }
    }

    pub(super) fn finish(self) -> Option<HeaderMap> {
        self.0
    }
}

/// RFC 9113 §8.2.1.
fn field_value(value: Bytes) -> Result<HeaderValue, ()> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_space(value.first()) || is_space(value.last()) {
        return Err(());
    }
    HeaderValue::from_maybe_shared(value).map_err(drop)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;

    use super::{HeadLines, Received, TrailerLines};
    use crate::hpack::Name;
    use crate::reject::Reject;

    fn name(text: &str) -> Name {
        match text {
            ":method" => Name::Method,
            ":scheme" => Name::Scheme,
            ":authority" => Name::Authority,
            ":path" => Name::Path,
            ":protocol" => Name::Protocol,
            other => other.parse().map_or(Name::Malformed, Name::Field),
        }
    }

    fn read(lines: &[(&'static str, &'static str)]) -> Result<Received, Reject> {
        let mut head = HeadLines::new(100);
        for (text, value) in lines {
            head.take(name(text), Bytes::from_static(value.as_bytes()));
        }
        head.finish()
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "http"), (":path", "/a?b"), (":authority", "h:1")];

    #[test]
    fn the_authority_becomes_a_host() {
        let received = read(&[&GET[..], &[("accept", "*/*"), ("content-length", "5")]].concat()).unwrap();
        let head = received.head;
        assert_eq!((head.method, head.uri.to_string()), (Method::GET, "/a?b".to_owned()));
        assert_eq!(head.fields.get(&http::header::HOST).unwrap(), "h:1");
        assert_eq!((received.length, received.expects), (Some(5), false));
    }

    #[test]
    fn what_needs_a_second_look_stays_in_absolute_form() {
        let both = read(&[&GET[..], &[("host", "other")]].concat()).unwrap();
        assert_eq!(both.head.uri.authority().unwrap(), "h:1");
        let mut ftp = GET;
        ftp[1].1 = "ftp";
        assert_eq!(read(&ftp).unwrap().head.uri.scheme_str(), Some("ftp"));
        assert!(read(&[&GET[..3], &[("host", "h")]].concat()).unwrap().head.uri.authority().is_none());
    }

    #[test]
    fn a_malformed_head_is_refused() {
        let with = |more: &[(&'static str, &'static str)]| read(&[&GET[..], more].concat()).is_err();
        assert!(!with(&[("x", "1")]) && !with(&[("x", "")]) && !with(&[("x", "a b\tc")]));
        for line in [(":path", "/b"), (":protocol", "websocket"), (":status", "200"), ("x a", "1"), ("", "1")]
        {
            assert!(with(&[line]), "{line:?}");
        }
        for value in [" a", "a ", "\ta", "a\t", "a\nb", "a\rb", "a\0b", " "] {
            assert!(with(&[("x", value)]), "{value:?}");
        }
        assert!(
            read(&[&[("x", "1")][..], &GET].concat()).is_err(),
            "a field before the pseudo-header fields"
        );
        for missing in &GET[..3] {
            let lines: Vec<_> = GET.into_iter().filter(|line| line != missing).collect();
            assert!(read(&lines).is_err(), "without {missing:?}");
        }
        for (index, value) in
            [(0, ""), (0, "GE T"), (0, "CONNECT"), (2, ""), (2, "a"), (2, "*"), (2, "/ "), (3, "")]
        {
            let mut lines = GET;
            lines[index].1 = value;
            assert!(read(&lines).is_err(), "{value:?} for {}", lines[index].0);
        }
        let mut long = GET;
        long[2].1 = Box::leak(format!("/{}", "x".repeat(100)).into_boxed_str());
        assert!(matches!(read(&long), Err(Reject::UriTooLong { limit: 100 })));
    }

    #[test]
    fn options_may_ask_about_the_server() {
        let mut lines = GET;
        (lines[0].1, lines[2].1) = ("OPTIONS", "*");
        assert_eq!(read(&lines).unwrap().head.uri, "*");
    }

    #[test]
    fn trailers_are_fields_only() {
        let read = |lines: &[(&str, &'static str)]| {
            let mut trailers = TrailerLines::new();
            lines
                .iter()
                .for_each(|(text, value)| trailers.take(name(text), Bytes::from_static(value.as_bytes())));
            trailers.finish()
        };
        assert_eq!(read(&[("x-a", "1"), ("x-a", "2")]).unwrap().get_all("x-a").iter().count(), 2);
        for malformed in [(":path", "/"), ("x", "a\nb"), ("upgrade", "x")] {
            assert!(read(&[malformed, ("y", "1")]).is_none(), "{malformed:?}");
        }
    }
}
