//! Header blocks for tests: what a client might write, and lines as text.

use super::Name;

/// A line as the RFC writes it.
pub(super) fn field_text(name: &Name, value: &[u8]) -> String {
    let name = match name {
        Name::Method => ":method",
        Name::Scheme => ":scheme",
        Name::Authority => ":authority",
        Name::Path => ":path",
        Name::Protocol => ":protocol",
        Name::Field(name) => name.as_str(),
        Name::Malformed => "?",
    };
    format!("{name}: {}", String::from_utf8_lossy(value))
}

/// Octets from hexadecimal digits.
pub(super) fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
