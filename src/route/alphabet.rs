//! The bytes of a path (RFC 3986 §2 and §3.3), as tables.

const UNRESERVED: u8 = 1;
const SUB_DELIMITER: u8 = 2;
const COLON_OR_AT: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte: u8 = 0;
    loop {
        classes[byte as usize] = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => UNRESERVED,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => SUB_DELIMITER,
            b':' | b'@' => COLON_OR_AT,
            _ => 0,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// What may stand in a segment without an escape: `pchar` of RFC 3986 §3.3, but for the escapes.
pub(super) fn is_pchar(byte: u8) -> bool {
    CLASSES[usize::from(byte)] != 0
}

/// What means the same with and without an escape (RFC 3986 §2.3).
pub(super) fn is_unreserved(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == UNRESERVED
}

/// The byte that the escape at `at` stands for. None if there is no well-formed escape.
pub(super) fn escaped_byte(text: &[u8], at: usize) -> Option<u8> {
    match *text.get(at..)? {
        [b'%', high, low, ..] => Some(hex_value(high)? << 4 | hex_value(low)?),
        _ => None,
    }
}

/// Writes a byte as an escape with upper-case digits (RFC 3986 §2.1).
pub(super) fn push_escape(out: &mut String, byte: u8) {
    out.push('%');
    for digit in [byte >> 4, byte & 0x0f] {
        out.push(char::from(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }));
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
