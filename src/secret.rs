//! Text that must not be printed, logged or left in memory: passwords, client secrets, key material. And where the
//! configuration says that such a text is to be found.

use std::path::PathBuf;
use std::{env, fmt, fs, io};

use zeroize::Zeroizing;

/// A secret string. `Debug` is redacted, there is no `Display`, and the memory is overwritten on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text into custody.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. The name is long so that its uses stand out in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Secret bytes, such as a private key. `Debug` is redacted, and the memory is overwritten on drop.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes into custody.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

/// Where a secret is: the configuration names the place, and never holds the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `{ env = "NAME" }`: an environment variable.
    Env(String),
    /// `{ file = "path" }`: a file. White space around its text does not count, since most tools end a file with a line end.
    File(PathBuf),
}

/// Why there is no secret in its place. No text shows anything of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The variable does not exist.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read, or is no text.
    #[error("the file {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(SecretSource),
    /// The variable is no text.
    #[error("the environment variable {0} is not UTF-8")]
    NotText(String),
}

impl SecretSource {
    /// Reads the secret. Blocks on the disk.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn read(&self) -> Result<Secret, SourceError> {
        let text = Zeroizing::new(match self {
            Self::Env(name) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => SourceError::Unset(name.clone()),
                env::VarError::NotUnicode(_) => SourceError::NotText(name.clone()),
            })?,
            Self::File(path) => {
                fs::read_to_string(path).map_err(|error| SourceError::Unreadable(path.clone(), error))?
            }
        });
        match text.trim() {
            "" => Err(SourceError::Empty(self.clone())),
            text => Ok(Secret::new(text.to_owned())),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretBytes, SecretSource, SourceError};

    #[test]
    fn a_file_is_read_without_the_white_space_around_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = SecretSource::File(file.path().to_owned());
        std::fs::write(file.path(), " hunter2\n").unwrap();
        assert_eq!(source.read().unwrap().expose(), "hunter2");
        std::fs::write(file.path(), " \n").unwrap();
        assert!(matches!(source.read(), Err(SourceError::Empty(_))));
        std::fs::write(file.path(), [0xff]).unwrap();
        assert!(matches!(source.read(), Err(SourceError::Unreadable(..))));
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        let error = SecretSource::Env("PORTCULLIS_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert_eq!(error.to_string(), "the environment variable PORTCULLIS_NO_SUCH_VARIABLE is not set");
    }

    #[test]
    fn debug_is_redacted() {
        let printed =
            format!("{:?} {:?}", Secret::new("hunter2".into()), SecretBytes::new(b"hunter2".to_vec()));
        assert!(!printed.contains("hunter2") && !printed.contains("104"), "{printed}");
    }
}
