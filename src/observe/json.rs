//! JSON strings written straight into a byte buffer, whatever they hold.

use std::fmt::{self, Display};
use std::io::Write;

/// Appends `bytes` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD, every control character an escape.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    contents(out, bytes);
    out.push(b'"');
}

/// Appends `bytes` as the inside of a JSON string, so that one string can be made of several parts.
pub(super) fn contents(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) { out.extend_from_slice(bytes) } else { escaped(out, bytes) }
}

/// Eight bytes of one.
const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Whether all is printable ASCII that means itself inside a JSON string, as nearly every value is. Eight bytes at a time: that of an
/// access record takes 550 instructions, and looking at each byte takes 800.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    let rest = match bytes.last_chunk() {
        // Some of its bytes for the second time.
        Some(last) => u64::from_ne_bytes(*last),
        None => rest.iter().fold(ONES * b' ' as u64, |word, &byte| word << 8 | u64::from(byte)),
    };
    are_plain(rest) && words.iter().all(|&word| are_plain(u64::from_ne_bytes(word)))
}

/// Whether each of eight bytes is. One that is not sets its highest bit in one of the five, and what it carries over sets that of
/// another one at worst.
const fn are_plain(bytes: u64) -> bool {
    let quote = (bytes ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (bytes ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let control = bytes.wrapping_sub(ONES * 0x20);
    let delete = bytes.wrapping_add(ONES);
    (bytes | quote | backslash | control | delete) & (ONES << 7) == 0
}

/// Appends what `text` displays as the inside of a JSON string.
pub(super) fn display(out: &mut Vec<u8>, text: &dyn Display) {
    struct Inside<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Inside<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            contents(self.0, part.as_bytes());
            Ok(())
        }
    }
    // As in `write_to`.
    let _ = fmt::Write::write_fmt(&mut Inside(out), format_args!("{text}"));
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
    }
}
