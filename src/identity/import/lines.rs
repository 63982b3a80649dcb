//! A file of users, read line by line: of whatever length it is, one line is in memory.

use std::io::{self, BufRead, Read};

use super::{ImportedUser, htpasswd, object};

/// The longest line, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// What the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// A JSON object each.
    Json,
    /// `name:hash`
    Htpasswd,
}

/// A line that is about a user.
#[derive(Debug)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: usize,
    /// The user, or what is wrong with the line.
    pub user: Result<ImportedUser, LineError>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The user that the line is about, as far as that can be read.
    pub username: Option<String>,
    /// What is wrong, in words that quote no hash.
    pub reason: String,
}

impl LineError {
    pub(super) fn new(username: Option<&str>, reason: impl Into<String>) -> Self {
        Self { username: username.map(str::to_owned), reason: reason.into() }
    }
}

/// The lines of a file that are about users. Empty ones are not, and neither are comments (`#`) in the format of htpasswd.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    format: Option<FileFormat>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads users; without a format, the first line shows which it is.
    pub fn new(input: R, format: Option<FileFormat>) -> Self {
        Self { input, format, number: 0 }
    }

    /// The next line without its end; `None` at the end of the file. What is too long comes as `Err`.
    fn line(&mut self) -> io::Result<Option<Result<Vec<u8>, LineError>>> {
        let mut line = Vec::new();
        let most = MAX_LINE as u64 + 2;
        if self.input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        line.pop_if(|byte| *byte == b'\r');
        if line.len() <= MAX_LINE {
            return Ok(Some(Ok(line)));
        }
        if !ended {
            self.input.skip_until(b'\n')?;
        }
        Ok(Some(Err(LineError::new(None, format!("the line is longer than {MAX_LINE} bytes")))))
    }

    fn read(&mut self, line: &[u8]) -> Option<Result<ImportedUser, LineError>> {
        // Editors of Windows begin a file with a byte order mark.
        let line = if self.number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        let Ok(text) = str::from_utf8(line) else {
            return Some(Err(LineError::new(None, "the line is not UTF-8")));
        };
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let shown = if text.starts_with(['{', '[']) { FileFormat::Json } else { FileFormat::Htpasswd };
        if self.format != Some(FileFormat::Json) && shown == FileFormat::Htpasswd && text.starts_with('#') {
            return None;
        }
        Some(match *self.format.get_or_insert(shown) {
            FileFormat::Json => object::read(text),
            FileFormat::Htpasswd => htpasswd::read(text),
        })
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            let (bytes, user) = match line {
                Ok(line) => (line.len(), self.read(&line)),
                Err(error) => (0, Some(Err(error))),
            };
            if let Some(user) = user {
                return Some(Ok(Line { number: self.number, bytes, user }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FileFormat, Line, Lines, MAX_LINE};

    fn read(input: &[u8]) -> Vec<Line> {
        Lines::new(input, None).collect::<Result<_, _>>().unwrap()
    }

    /// `number:name` of each line, or `number!` and what is wrong.
    fn told(input: &[u8]) -> Vec<String> {
        let tell = |line: Line| match line.user {
            Ok(user) => format!("{}:{}", line.number, user.username),
            Err(error) => format!("{}!{}", line.number, error.reason),
        };
        read(input).into_iter().map(tell).collect()
    }

    const HASH: &str = "$2y$05$GGvQGcXjPNZxstDgrGjp2.HDPf2wMJ/emainaxm9LOYDtVdLxulga";

    #[test]
    fn the_first_line_shows_the_format() {
        assert_eq!(told(b"\n{\"username\":\"a\"}\r\n\n{\"username\":\"b\"}"), ["2:a", "4:b"]);
        assert_eq!(told(b"\xef\xbb\xbf{\"username\":\"a\"}\n"), ["1:a"]);
        assert_eq!(told(format!("# made by hand\n\na:{HASH}\n  # b\nc:{HASH}\n").as_bytes()), ["3:a", "5:c"]);
        assert!(
            Lines::new(format!("a:{HASH}").as_bytes(), Some(FileFormat::Json))
                .next()
                .unwrap()
                .unwrap()
                .user
                .is_err()
        );
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_next() {
        let long = format!("{{\"username\":\"{}\"}}\n{{\"username\":\"b\"}}\n", "x".repeat(2 * MAX_LINE));
        assert_eq!(told(long.as_bytes()), ["1!the line is longer than 16384 bytes", "2:b"]);
        assert_eq!(
            told(b"{\"username\":\"\xff\"}\n{\"username\":\"b\"}"),
            ["1!the line is not UTF-8", "2:b"]
        );
        let array = told(b"[{\"username\":\"a\"}]\n");
        assert!(array[0].contains("jq"), "{array:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(input in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&input).len() <= input.len());
        }
    }
}
