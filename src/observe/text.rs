//! The text form's parts: values that cannot end their line, pose as another field or move the cursor; colours.

use super::form::Form;
use super::json::write_to;

/// A colour of the terminal's own palette, so that it fits a light background as well as a dark one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// What went well.
    Green,
    /// What is neither good nor bad.
    Cyan,
    /// What somebody should look at some day.
    Yellow,
    /// What somebody should look at now.
    Red,
    /// What only matters when it is searched for.
    Dim,
}

impl Colour {
    const fn sequence(self) -> &'static [u8] {
        match self {
            Self::Green => b"\x1b[32m",
            Self::Cyan => b"\x1b[36m",
            Self::Yellow => b"\x1b[33m",
            Self::Red => b"\x1b[31m",
            Self::Dim => b"\x1b[2m",
        }
    }
}

/// Appends what `write` appends, in a colour where the form has any.
pub(super) fn coloured(out: &mut Vec<u8>, form: Form, colour: Colour, write: impl FnOnce(&mut Vec<u8>)) {
    let colours = form == Form::Coloured;
    if colours {
        out.extend_from_slice(colour.sequence());
    }
    write(out);
    if colours {
        out.extend_from_slice(b"\x1b[0m");
    }
}

/// Appends a value bare if it is one word, in quotes if it is not.
pub(super) fn value(out: &mut Vec<u8>, bytes: &[u8]) {
    let word = |&byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    if !bytes.is_empty() && bytes.iter().all(word) {
        out.extend_from_slice(bytes);
    } else {
        out.push(b'"');
        escaped(out, bytes, "");
        out.push(b'"');
    }
}

/// Appends a word without quotes: what is not visible, a space included, is escaped.
pub(super) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    escaped(out, bytes, " ");
}

/// Appends a sentence without quotes, as messages are shown. Spaces stay; what is not visible is escaped.
pub(super) fn sentence(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            // Quotes are harmless here, and messages are full of them.
            if matches!(character, '"' | '\'') {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                escape_character(out, character);
            }
        }
        invalid(out, chunk.invalid());
    }
}

/// Text for a terminal: what is not visible is escaped.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    sentence(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends text with escapes as Rust writes them, so that what is invisible can be read; `also` is escaped too.
fn escaped(out: &mut Vec<u8>, bytes: &[u8], also: &str) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' => out.push(b'\''),
                _ if also.contains(character) => {
                    write_to(out, format_args!("{}", character.escape_unicode()))
                }
                _ => escape_character(out, character),
            }
        }
        invalid(out, chunk.invalid());
    }
}

/// `escape_debug` escapes whatever does not print: controls, line separators, and the marks that reverse the
/// direction of writing.
fn escape_character(out: &mut Vec<u8>, character: char) {
    write_to(out, format_args!("{}", character.escape_debug()));
}

fn invalid(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        write_to(out, format_args!("\\x{byte:02x}"));
    }
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
    fn values_are_quoted_when_they_are_not_one_word() {
        let cases: [(&[u8], &str); 8] = [
            (b"curl/8.5.0", "curl/8.5.0"),
            (b"", "\"\""),
            (b"two words", "\"two words\""),
            (b"a=b", "\"a=b\""),
            (b"say \"hi\"", r#""say \"hi\"""#),
            (b"a\x1b[2J\n", r#""a\u{1b}[2J\n""#),
            ("\u{202e}gnp".as_bytes(), r#""\u{202e}gnp""#),
            (b"a\xff", r#""a\xff""#),
        ];
        for (bytes, expected) in cases {
            assert_eq!(written(|out| value(out, bytes)), expected);
        }
    }

    #[test]
    fn a_word_cannot_pose_as_the_next_field() {
        assert_eq!(written(|out| word(out, b"/x user=admin")), "/x\\u{20}user=admin");
    }

    #[test]
    fn colour_is_closed_again() {
        let coloured_text =
            written(|out| coloured(out, Form::Coloured, Colour::Red, |out| word(out, b"500")));
        assert_eq!(coloured_text, "\x1b[31m500\x1b[0m");
        assert_eq!(written(|out| coloured(out, Form::Plain, Colour::Red, |out| word(out, b"500"))), "500");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_control_character_gets_through(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for write in [value, word, sentence] {
                let text = written(|out| write(out, &bytes));
                prop_assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{text:?}");
            }
        }
    }
}
