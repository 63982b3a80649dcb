//! Where the configuration file is.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The environment variable that names the file.
const VARIABLE: &str = "PORTCULLIS_CONFIG";

/// The places where a file is looked for when nobody names one, in this order.
const PLACES: [&str; 2] = ["config.toml", "/etc/portcullis/config.toml"];

/// No configuration file, and where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    tried: Vec<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no configuration file; tried {}", self.tried.join(", "))
    }
}

impl std::error::Error for NotFound {}

/// The file that `--config` names, or `$PORTCULLIS_CONFIG`, or the first that exists of `./config.toml` and
/// `/etc/portcullis/config.toml`. A file that is named must exist: falling back from a misspelt name would run
/// somebody else's rules.
///
/// # Errors
/// [`NotFound`] lists what was tried.
pub fn find_file(flag: Option<&Path>) -> Result<PathBuf, NotFound> {
    find(flag, env::var_os(VARIABLE), Path::is_file)
}

fn find(
    flag: Option<&Path>,
    variable: Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Result<PathBuf, NotFound> {
    let checked = |path: &Path, tried: String| {
        if exists(path) { Ok(path.to_owned()) } else { Err(NotFound { tried: vec![tried] }) }
    };
    if let Some(path) = flag {
        return checked(path, format!("{} (--config)", path.display()));
    }
    // An empty variable is how shells and unit files unset one.
    if let Some(path) = variable.filter(|path| !path.is_empty()).map(PathBuf::from) {
        return checked(&path, format!("{} (${VARIABLE})", path.display()));
    }
    let found = PLACES.iter().map(Path::new).find(|path| exists(path));
    found.map(Path::to_owned).ok_or_else(|| {
        let mut tried = vec!["--config (not given)".to_owned(), format!("${VARIABLE} (not set)")];
        tried.extend(PLACES.iter().map(|place| (*place).to_owned()));
        NotFound { tried }
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::find;

    fn found(flag: Option<&str>, variable: Option<&str>, files: &[&str]) -> String {
        let exists = |path: &Path| files.iter().any(|file| path == Path::new(file));
        match find(flag.map(Path::new), variable.map(OsString::from), exists) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_flag_wins_then_the_variable_then_the_working_directory() {
        let all = ["flag.toml", "variable.toml", "config.toml", "/etc/portcullis/config.toml"];
        assert_eq!(found(Some("flag.toml"), Some("variable.toml"), &all), "flag.toml");
        assert_eq!(found(None, Some("variable.toml"), &all), "variable.toml");
        assert_eq!(found(None, Some(""), &all), "config.toml");
        assert_eq!(found(None, None, &all), "config.toml");
        assert_eq!(found(None, None, &["/etc/portcullis/config.toml"]), "/etc/portcullis/config.toml");
    }

    #[test]
    fn a_file_that_is_named_and_missing_is_not_replaced_by_another() {
        let rest = ["config.toml"];
        assert_eq!(found(Some("x"), Some("y"), &rest), "no configuration file; tried x (--config)");
        assert_eq!(found(None, Some("y"), &rest), "no configuration file; tried y ($PORTCULLIS_CONFIG)");
    }

    #[test]
    fn the_error_lists_what_was_tried() {
        assert_eq!(
            found(None, None, &[]),
            "no configuration file; tried --config (not given), $PORTCULLIS_CONFIG (not set), config.toml, \
             /etc/portcullis/config.toml"
        );
    }
}
