//! What the properties of both sides have in common: messages that are changed a little, and what is compared.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// Field lines sorted by name, those of one name in their order.
pub(crate) fn lines<'f>(
    fields: impl IntoIterator<Item = (&'f HeaderName, &'f HeaderValue)>,
) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<_> =
        fields.into_iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

/// These texts; half of them have a byte or two changed, to what matters in HTTP.
pub(crate) fn changed(texts: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..4_u8, select(&b"\r\n :;,0a5f\0\t\x80"[..]));
    let changes = prop_oneof![Just(Vec::new()), prop::collection::vec(change, 1..3)];
    (texts, changes).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for (place, kind, byte) in changes {
            let at = place.index(bytes.len());
            match kind {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                2 => bytes[at] = byte,
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

/// A property whose cases are exchanges over connections: never more of them than `most`, whatever is asked for. The macro of
/// proptest would take the number from the environment alone.
pub(crate) fn for_all<S: Strategy>(
    most: u32,
    cases: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let asked = Config { failure_persistence: None, ..Config::default() };
    let config = Config { cases: asked.cases.min(most), ..asked };
    TestRunner::new(config).run(&cases, property).unwrap_or_else(|error| panic!("{error}"));
}
