//! JSON written straight into a byte buffer: strings that may hold anything, numbers, addresses.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Appends `bytes` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD, every control character an escape.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    contents(out, bytes);
    out.push(b'"');
}

/// Appends `bytes` as the inside of a JSON string, so that one string can be made of several parts.
pub(super) fn contents(out: &mut Vec<u8>, bytes: &[u8]) {
    // Folded without a branch for each byte, so that the compiler can look at many bytes at once; nearly every value
    // passes here.
    if bytes.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes);
    }
}

/// Printable ASCII that means itself inside a JSON string.
const fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte < 0x7f) & (byte != b'"') & (byte != b'\\')
}

#[cold]
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_character(out, character);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        // RFC 8259 §7 asks for this below U+0020 only. The others of this arm are control characters to a terminal
        // (U+009B starts an escape sequence) or line ends to some readers. All of them are below U+10000.
        '\u{2028}' | '\u{2029}' => unicode_escape(out, character),
        _ if character.is_control() => unicode_escape(out, character),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn unicode_escape(out: &mut Vec<u8>, character: char) {
    write_to(out, format_args!("\\u{:04x}", u32::from(character)));
}

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    // The digits come out last first; 20 hold the greatest number.
    let mut digits = [0; 20];
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        unused -= 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(unused..).unwrap_or_default());
}

/// Appends an address. IPv4 by hand, since the standard library's `Display` costs several times as much.
pub(super) fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            number(out, a.into());
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, octet.into());
            }
        }
        IpAddr::V6(address) => write_to(out, format_args!("{address}")),
    }
}

/// Appends an address with its port, an IPv6 address in brackets.
pub(super) fn socket(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            ip(out, IpAddr::V4(*v4.ip()));
            out.push(b':');
            number(out, v4.port().into());
        }
        SocketAddr::V6(v6) => write_to(out, format_args!("{v6}")),
    }
}

/// Appends formatted text.
pub(super) fn write_to(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail; a `Display` that does leaves its text short, which is all that can be done.
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_what_json_and_terminals_act_on() {
        let cases: [(&[u8], &str); 7] = [
            (b"plain ~", r#""plain ~""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"a\r\nb", r#""a\u000d\u000ab""#),
            (b"\x1b[2J\x7f", r#""\u001b[2J\u007f""#),
            ("caf\u{e9} \u{9b}2J\u{2028}".as_bytes(), "\"caf\u{e9} \\u009b2J\\u2028\""),
            (b"a\xff\xfeb", "\"a\u{fffd}\u{fffd}b\""),
            (b"", r#""""#),
        ];
        for (bytes, expected) in cases {
            assert_eq!(written(|out| string(out, bytes)), expected);
        }
    }

    #[test]
    fn addresses_look_like_the_standard_library_writes_them() {
        for text in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "192.0.2.10", "::1", "2001:db8::2"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(written(|out| ip(out, address)), text);
            let with_port = SocketAddr::new(address, 65_535);
            assert_eq!(written(|out| socket(out, with_port)), with_port.to_string());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_come_back_from_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let line = written(|out| string(out, &bytes));
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            let back: String = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(back, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_text_comes_back(text in ".*") {
            let back: String = serde_json::from_str(&written(|out| string(out, text.as_bytes()))).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn numbers_come_back(value: u64) {
            prop_assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }
}
