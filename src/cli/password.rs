//! Where a new password comes from: a prompt, or standard input.

use std::io::{self, ErrorKind, IsTerminal, Read};

use zeroize::Zeroizing;

use super::arguments;
use super::failure::Failure;
use crate::identity::{MAX_PASSWORD_BYTES, check_new_password};
use crate::name::Username;
use crate::secret::Secret;

/// Asks for the new password of a user.
///
/// # Errors
/// [`Failure`] when there is none, and for a weak one that was typed: before the second prompt rather than after it.
pub(super) fn read(from: arguments::Password, username: &Username) -> Result<Secret, Failure> {
    if from.password_stdin {
        return from_reader(io::stdin().lock());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the password on")
            .with_help("pipe it in and say --password-stdin"));
    }
    let first = prompt(&format!("New password for {username}: "))?;
    check_new_password(&first, username).map_err(|weak| Failure::failed(weak.to_string()))?;
    let second = prompt("The same again: ")?;
    if first.expose() != second.expose() {
        return Err(Failure::failed("the two passwords differ; nothing was changed"));
    }
    Ok(first)
}

fn prompt(text: &str) -> Result<Secret, Failure> {
    rpassword::prompt_password(text).map(Secret::new).map_err(|error| match error.kind() {
        ErrorKind::Interrupted => Failure::failed("interrupted; nothing was changed"),
        _ => Failure::failed(format!("cannot ask for the password: {error}"))
            .with_help("pipe it in and say --password-stdin"),
    })
}

/// All of the input, without one line end behind it, since `echo` and editors add one.
fn from_reader(input: impl Read) -> Result<Secret, Failure> {
    const LINE_END: usize = 2;
    // One byte more than is allowed, to see that it is too long. The buffer never grows, so that no copy is left behind.
    let most = MAX_PASSWORD_BYTES + LINE_END + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 64));
    input
        .take(most as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format!("cannot read the password from standard input: {error}")))?;
    let line =
        bytes.strip_suffix(b"\n").map_or(bytes.as_slice(), |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.len() > MAX_PASSWORD_BYTES {
        return Err(Failure::failed(format!("the password is longer than {MAX_PASSWORD_BYTES} bytes")));
    }
    let text = std::str::from_utf8(line).map_err(|_| Failure::failed("the password is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{MAX_PASSWORD_BYTES, from_reader};

    fn read(input: &[u8]) -> Option<String> {
        from_reader(input).ok().map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn one_line_end_is_cut_and_nothing_else() {
        let cases = [
            (&b"secret"[..], "secret"),
            (b"secret\n", "secret"),
            (b"secret\r\n", "secret"),
            (b"secret\n\n", "secret\n"),
            (b"secret\r", "secret\r"),
            (b"  two\nlines \n", "  two\nlines "),
            (b"", ""),
            ("schl\u{fc}ssel\n".as_bytes(), "schl\u{fc}ssel"),
        ];
        for (input, password) in cases {
            assert_eq!(read(input).as_deref(), Some(password), "{input:?}");
        }
    }

    #[test]
    fn what_is_not_text_or_too_long_is_refused() {
        assert_eq!(read(b"\xff\xfe"), None);
        let longest = "x".repeat(MAX_PASSWORD_BYTES);
        assert_eq!(read(format!("{longest}\r\n").as_bytes()), Some(longest.clone()));
        assert_eq!(read(format!("{longest}x").as_bytes()), None);
        assert_eq!(read(format!("{longest}xxxxxxxxx").as_bytes()), None);
    }
}
