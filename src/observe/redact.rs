//! Keeps secrets that travel in query strings out of the access log.

/// A parameter whose name contains one of these has a value that nobody should read in a log.
const SECRET_WORDS: [&[u8]; 7] =
    [b"token", b"code", b"password", b"passwd", b"key", b"secret", b"invitation"];

/// What stands in place of a secret value.
const REDACTED: &[u8] = b"redacted";

/// Hands the query to `write` in parts, with the values of secret parameters replaced.
///
/// `;` ends a parameter as `&` does: some backends read it so, and a secret must not hide behind the other reading.
pub(super) fn query(query: &str, mut write: impl FnMut(&[u8])) {
    let query = query.as_bytes();
    let mut written = 0;
    let mut end = 0;
    for parameter in query.split(|byte| matches!(byte, b'&' | b';')) {
        let start = end;
        end = start + parameter.len();
        if let Some(length) = parameter.iter().position(|&byte| byte == b'=')
            && is_secret(parameter.get(..length).unwrap_or_default())
        {
            write(query.get(written..=start + length).unwrap_or_default());
            write(REDACTED);
            written = end;
        }
        // Over the separator.
        end += 1;
    }
    write(query.get(written..).unwrap_or_default());
}

/// Whether the decoded name contains a secret word, in any case.
fn is_secret(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, after @ ..] = rest {
        // Most bytes can begin no word: a name of five letters takes 220 instructions, and without this 440.
        let may_begin = matches!(
            first,
            b'%' | b't' | b'T' | b'c' | b'C' | b'p' | b'P' | b'k' | b'K' | b's' | b'S' | b'i' | b'I'
        );
        if may_begin && SECRET_WORDS.iter().any(|word| begins_with(rest, word)) {
            return true;
        }
        // Byte by byte, through escapes too: a word that seems to begin inside one is a false alarm at worst.
        rest = after;
    }
    false
}

/// Whether the decoded name begins with `word`, which is lower case.
fn begins_with(name: &[u8], word: &[u8]) -> bool {
    let mut rest = name;
    word.iter().all(|&expected| match next_decoded(rest) {
        Some((byte, after)) => {
            rest = after;
            byte == expected
        }
        None => false,
    })
}

/// The first byte of the name, percent-decoded and in lower case, and what follows it.
fn next_decoded(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        [b'%', high, low, after @ ..] if let (Some(high), Some(low)) = (digit(*high), digit(*low)) => {
            Some(((high << 4 | low).to_ascii_lowercase(), after))
        }
        [byte, after @ ..] => Some((byte.to_ascii_lowercase(), after)),
        [] => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        let mut out = Vec::new();
        query(text, |part| out.extend_from_slice(part));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn secret_values_are_replaced_and_nothing_else() {
        let cases = [
            ("", ""),
            ("page=2&sort=name", "page=2&sort=name"),
            ("token=abc", "token=redacted"),
            ("a=1&access_token=abc&b=2", "a=1&access_token=redacted&b=2"),
            ("X-Api-Key=abc&code=", "X-Api-Key=redacted&code=redacted"),
            ("PASSWORD=a=b=c;passwd=x", "PASSWORD=redacted;passwd=redacted"),
            ("user[client_secret]=x", "user[client_secret]=redacted"),
            ("a=1;token=abc", "a=1;token=redacted"),
            ("p%61ssw%4Frd=abc", "p%61ssw%4Frd=redacted"),
            ("%74%6f%6b%65%6e=abc&%", "%74%6f%6b%65%6e=redacted&%"),
            ("toke%6=abc&tok%zzen=1", "toke%6=abc&tok%zzen=1"),
            ("token&key", "token&key"),
            ("invitation=pinv_x&in=2", "invitation=redacted&in=2"),
            ("&&token=a&&", "&&token=redacted&&"),
            ("name=token", "name=token"),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    /// The words with each letter in either case and either spelling.
    fn spelling() -> impl Strategy<Value = String> {
        let word = prop::sample::select(SECRET_WORDS.to_vec());
        (word, any::<u64>()).prop_map(|(word, bits)| {
            word.iter()
                .enumerate()
                .map(|(i, &byte)| {
                    let byte = if bits >> (2 * i) & 1 == 0 { byte } else { byte.to_ascii_uppercase() };
                    let plain = bits >> (2 * i + 1) & 1 == 0;
                    if plain { char::from(byte).to_string() } else { format!("%{byte:02x}") }
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_spelling_of_a_secret_name_keeps_its_value(
            before in "[a-z_%&;=]{0,8}", word in spelling(), after in "[a-z_\\]]{0,8}", tail in "[a-z&;=]{0,8}",
        ) {
            let text = redacted(&format!("{before}&{word}{after}=VALUE&{tail}"));
            prop_assert!(!text.contains("VALUE"), "{text}");
        }

        #[test]
        fn a_query_without_secrets_is_unchanged(text in "[ab=&;%0-9]{0,40}") {
            prop_assert_eq!(redacted(&text), text);
        }
    }
}
