//! A line of an htpasswd file: `name:hash`.

use super::lines::LineError;
use super::{ImportedUser, PasswordHash, Username};

pub(super) fn read(text: &str) -> Result<ImportedUser, LineError> {
    let missing =
        || LineError::new(None, "there is no colon in the line: it is neither `name:hash` nor a JSON object");
    let (name, hash) = text.split_once(':').ok_or_else(missing)?;
    let wrong = |reason: &dyn ToString| LineError::new(Some(name), reason.to_string());
    let username = Username::new(name).map_err(|error| wrong(&error))?;
    let hash = PasswordHash::import(hash.to_owned()).map_err(|error| wrong(&error))?;
    Ok(ImportedUser { username, roles: None, password: Some(hash), enabled: None })
}
