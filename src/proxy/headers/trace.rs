//! W3C trace context: a valid `traceparent` is passed on, anything else is replaced by a new one.

use http::{HeaderName, HeaderValue};

use super::request::write_all;
use crate::digits;
use crate::message::Fields;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Trace Context §3.3.1.5: what a vendor should at least propagate. More is dropped.
const MAX_TRACESTATE: usize = 512;

/// What becomes of the trace that a request may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// It has exactly one valid `traceparent`, and a `tracestate`.
    Continued,
    /// The same without a `tracestate`, or with one that is too long.
    Stateless,
    /// It has none.
    Started,
}

impl Trace {
    pub(super) fn of(headers: &Fields, has_state: bool) -> Self {
        let mut lines = headers.get_all(&TRACEPARENT);
        match (lines.next(), lines.next()) {
            (Some(line), None) if is_valid(line.as_bytes()) => {}
            _ => return Self::Started,
        }
        let length = || headers.get_all(&TRACESTATE).map(HeaderValue::len).sum::<usize>();
        if has_state && length() <= MAX_TRACESTATE { Self::Continued } else { Self::Stateless }
    }
}

/// Appends exactly one valid `traceparent`. `fresh` makes the ids of a new trace.
pub(super) fn write(out: &mut Vec<u8>, headers: &Fields, trace: Trace, fresh: u128) {
    if trace == Trace::Started {
        out.extend_from_slice(b"traceparent: ");
        write_parent(out, fresh);
        out.extend_from_slice(b"\r\n");
    } else {
        write_all(out, headers, &TRACEPARENT);
    }
    if trace == Trace::Continued {
        write_all(out, headers, &TRACESTATE);
    }
}

fn write_parent(out: &mut Vec<u8>, fresh: u128) {
    // The trace id is the fresh number; the parent id needs no randomness of its own. "Sampled", because with the other value
    // backends whose sampler follows its parent would record nothing at all.
    let parent = (fresh >> 64 ^ fresh) as u64 | 1;
    out.extend_from_slice(b"00-");
    digits::hex(out, &(fresh | 1).to_be_bytes());
    out.push(b'-');
    digits::hex(out, &parent.to_be_bytes());
    out.extend_from_slice(b"-01");
}

/// Trace Context §3.2.2: version 00 is exactly 55 characters; a later version may go on after a further hyphen.
fn is_valid(text: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>| {
        text.get(range)
            .is_some_and(|part| part.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)))
    };
    let nonzero = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.iter().any(|&byte| byte != b'0'))
    };
    let hyphens = [2, 35, 52].iter().all(|&at| text.get(at) == Some(&b'-'));
    let version_fits = match text.get(..2) {
        Some(b"00") => text.len() == 55,
        Some(b"ff") | None => false,
        Some(_) => text.len() == 55 || text.get(55) == Some(&b'-'),
    };
    version_fits
        && hyphens
        && hex(0..2)
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && nonzero(3..35)
        && nonzero(36..52)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Trace, write_parent};

    fn of(lines: &[&str], state: &str) -> Trace {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("traceparent", line.parse().unwrap());
        }
        headers.insert("tracestate", state.parse().unwrap());
        Trace::of(&headers.into(), !state.is_empty())
    }

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_parent_is_kept_with_its_state() {
        assert_eq!(of(&[VALID], "a=1"), Trace::Continued);
        assert_eq!(of(&[&format!("01{}-more", &VALID[2..])], "a=1"), Trace::Continued);
        assert_eq!(of(&[VALID], &"a".repeat(600)), Trace::Stateless);
    }

    #[test]
    fn an_invalid_parent_is_none() {
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let upper = VALID.to_uppercase();
        for lines in [
            &[][..],
            &["x"],
            &[zero],
            &[&upper],
            &[&format!("{VALID}-x")],
            &[&format!("ff{}", &VALID[2..])],
            &[VALID, VALID],
        ] {
            assert_eq!(of(lines, "a=1"), Trace::Started, "{lines:?}");
        }
    }

    #[test]
    fn a_new_parent_is_valid_whatever_the_number() {
        for fresh in [0, 1, u128::MAX, 0xabc << 64, 1 << 127] {
            let mut out = Vec::new();
            write_parent(&mut out, fresh);
            assert_eq!(of(&[std::str::from_utf8(&out).unwrap()], ""), Trace::Stateless, "{fresh:x}");
        }
    }
}
