//! W3C trace context: a valid `traceparent` is passed on, anything else is replaced by a new one.

use http::{HeaderMap, HeaderValue};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Trace Context §3.3.1.5: what a vendor should at least propagate. More is dropped.
const MAX_TRACESTATE: usize = 512;

/// Leaves exactly one valid `traceparent` in the headers. `fresh` makes the ids of a new trace.
pub(super) fn continue_or_start(headers: &mut HeaderMap, fresh: u128) {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let valid = matches!((lines.next(), lines.next()), (Some(line), None) if is_valid(line.as_bytes()));
    if !valid {
        headers.remove(TRACESTATE);
        // The trace id is the fresh number; the parent id needs no randomness of its own. "Sampled", because with the other value
        // backends whose sampler follows its parent would record nothing at all.
        let parent = (fresh >> 64 ^ fresh) as u64 | 1;
        let text = format!("00-{:032x}-{parent:016x}-01", fresh | 1);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }
    let state: usize = headers.get_all(TRACESTATE).iter().map(HeaderValue::len).sum();
    if state > MAX_TRACESTATE {
        headers.remove(TRACESTATE);
    }
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

    use super::continue_or_start;

    fn after(lines: &[&str], state: &str) -> (Vec<String>, bool) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("traceparent", line.parse().unwrap());
        }
        headers.insert("tracestate", state.parse().unwrap());
        continue_or_start(&mut headers, 0xabc);
        let lines =
            headers.get_all("traceparent").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
        (lines, headers.contains_key("tracestate"))
    }

    #[test]
    fn a_valid_parent_is_kept_with_its_state() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(after(&[parent], "a=1"), (vec![parent.to_owned()], true));
        assert_eq!(after(&[parent], &"a".repeat(600)), (vec![parent.to_owned()], false));
    }

    #[test]
    fn an_invalid_parent_is_replaced_and_its_state_dropped() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let upper = valid.to_uppercase();
        for lines in [
            &[][..],
            &["x"],
            &[zero],
            &[&upper],
            &[&format!("{valid}-x")],
            &[&format!("ff{}", &valid[2..])],
            &[valid, valid],
        ] {
            let (parents, state) = after(lines, "a=1");
            assert!(
                parents.len() == 1
                    && parents[0].len() == 55
                    && !lines.contains(&parents[0].as_str())
                    && !state
            );
        }
    }
}
