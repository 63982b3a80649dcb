//! The directory of a demo.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::id::fill_random;

/// The first line of the configuration file of a demo: how one is recognised.
const MARK: &str = "# Written by `portcullis demo`, which also writes it anew.\n";

/// A directory with a configuration file, open to its owner only. Dropping it removes it, unless it was asked for by name.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    config: PathBuf,
    kept: bool,
}

impl Home {
    /// Makes the directory and writes the file: in `kept`, or in a new temporary directory.
    ///
    /// # Errors
    /// [`Failure`]; `kept` may not hold anything but an earlier demo, whose users get new passwords.
    pub(super) fn make(kept: Option<&Path>, settings: &str) -> Result<Self, Failure> {
        let path = match kept {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            None => temporary()?,
        };
        let cannot = |error: &io::Error| {
            Failure::failed(format!("cannot use the directory {}: {error}", path.display()))
        };
        if kept.is_some() {
            check(&path)?;
        }
        // An existing directory keeps its mode; the store in it has its own.
        DirBuilder::new()
            .recursive(kept.is_some())
            .mode(0o700)
            .create(&path)
            .map_err(|error| cannot(&error))?;
        let home = Self { config: path.join("config.toml"), path: path.clone(), kept: kept.is_some() };
        fs::write(&home.config, format!("{MARK}\n{settings}")).map_err(|error| cannot(&error))?;
        Ok(home)
    }

    /// The configuration file.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), error = %error, "the directory of the demo could not be removed");
        }
    }
}

/// The directory of a real gateway must not get users with printed passwords, nor lose its configuration.
fn check(path: &Path) -> Result<(), Failure> {
    let is_empty = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    let is_demo = || fs::read_to_string(path.join("config.toml")).is_ok_and(|text| text.starts_with(MARK));
    if is_empty || is_demo() {
        return Ok(());
    }
    let message = format!("{} is not a directory of an earlier demo", path.display());
    Err(Failure::failed(message).with_help("name an empty directory, or one that does not exist"))
}

/// A name that nobody can have guessed: `create` fails on one that exists.
fn temporary() -> Result<PathBuf, Failure> {
    let mut random = [0; 8];
    fill_random(&mut random).map_err(|error| Failure::because(&error))?;
    Ok(std::env::temp_dir().join(format!("portcullis-demo-{:016x}", u64::from_le_bytes(random))))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::Home;

    #[test]
    fn a_temporary_home_is_private_and_goes_away() {
        let home = Home::make(None, "x = 1\n").unwrap();
        let path = home.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(fs::read_to_string(home.config()).unwrap().ends_with("\nx = 1\n"));
        drop(home);
        assert!(!path.exists());
    }

    #[test]
    fn a_named_home_stays_and_can_be_used_again_but_nothing_else_can() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("new/demo");
        drop(Home::make(Some(&path), "a").unwrap());
        drop(Home::make(Some(&path), "b").unwrap());
        assert!(fs::read_to_string(path.join("config.toml")).unwrap().ends_with("\nb"));
        let other = scratch.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("config.toml"), "[server]\n").unwrap();
        assert!(Home::make(Some(&other), "c").is_err());
        assert_eq!(fs::read_to_string(other.join("config.toml")).unwrap(), "[server]\n");
    }
}
