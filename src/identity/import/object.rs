//! A JSON object that describes a user. A member that is not known is an error: a slip in `roles` must not make users without any.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::lines::LineError;
use super::{ImportedUser, PasswordHash, Roles, Username};
use crate::name::Role;

/// The second and third for the hash are what people who come from FastAPI and Django have; `disabled` is FastAPI's too.
const KNOWN: &[&str] =
    &["username", "roles", "password_hash", "hashed_password", "password", "enabled", "disabled"];

pub(super) fn read(text: &str) -> Result<ImportedUser, LineError> {
    if text.starts_with('[') {
        let reason =
            "the file is a JSON array, and one object a line is wanted: `jq -c '.[]' FILE` makes that of it";
        return Err(LineError::new(None, reason));
    }
    // serde's message can quote what it found, a hash perhaps: only the place is told.
    let members: Members = serde_json::from_str(text).map_err(|error| {
        LineError::new(None, format!("the line is not one JSON object (column {})", error.column()))
    })?;
    let name = members.0.iter().find(|(key, _)| key == "username").and_then(|(_, value)| value.as_str());
    user(&members).map_err(|reason| LineError::new(name, reason))
}

fn user(members: &Members) -> Result<ImportedUser, String> {
    let (mut username, mut roles, mut password, mut enabled) = (None, None, None, None);
    for (key, value) in &members.0 {
        let twice = match key.as_str() {
            "username" => {
                let name = value.as_str().ok_or("\"username\" is not a string")?;
                username.replace(Username::new(name).map_err(|error| error.to_string())?).is_some()
            }
            "roles" => roles.replace(roles_of(value)?).is_some(),
            "password_hash" | "hashed_password" | "password" => {
                password.replace(hash_of(key, value)?).is_some()
            }
            "enabled" => enabled.replace(truth(key, value)?).is_some(),
            "disabled" => enabled.replace(!truth(key, value)?).is_some(),
            other => return Err(unknown(other)),
        };
        if twice {
            return Err(format!("\"{key}\" says again what the line has said before"));
        }
    }
    let username = username.ok_or("\"username\" is missing")?;
    Ok(ImportedUser { username, roles, password: password.flatten(), enabled })
}

fn roles_of(value: &Value) -> Result<Roles, String> {
    let wanted = "\"roles\" is not a list of strings";
    let names = value.as_array().ok_or(wanted)?;
    let role = |name: &Value| Role::new(name.as_str().ok_or(wanted)?).map_err(|error| error.to_string());
    names.iter().map(role).collect()
}

fn hash_of(key: &str, value: &Value) -> Result<Option<PasswordHash>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().ok_or_else(|| format!("\"{key}\" is neither a string nor null"))?;
    PasswordHash::import(text.to_owned()).map(Some).map_err(|error| error.to_string())
}

fn truth(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("\"{key}\" is neither true nor false"))
}

fn unknown(key: &str) -> String {
    let nearest = KNOWN.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
    let nearest = nearest.filter(|known| strsim::damerau_levenshtein(known, key) <= 2);
    let hint = nearest.map_or_else(
        || "username, roles, password_hash and enabled are; drop the others with `jq -c '{username, roles, password_hash}'`".to_owned(),
        |known| format!("did you mean \"{known}\"?"),
    );
    format!("the member {key:?} is not known: {hint}")
}

/// The members of an object, as they come: a map would hide that one is there twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_line_says_what_it_says() {
        let user =
            read(r#"{"username":"alice","roles":["b","a"],"password_hash":null,"disabled":true}"#).unwrap();
        assert_eq!((user.username.as_str(), user.password, user.enabled), ("alice", None, Some(false)));
        assert_eq!(user.roles.unwrap().to_string(), "a,b");
        let user = read(r#"{"username":"bob"}"#).unwrap();
        assert_eq!((user.roles, user.password, user.enabled), (None, None, None));
    }

    #[test]
    fn an_error_names_the_member_and_quotes_no_hash() {
        for (text, part) in [
            (r#"{"username":"a","rolse":[]}"#, "did you mean \"roles\"?"),
            (r#"{"username":"a","email":"x"}"#, "jq -c"),
            (r#"{"username":"a","roles":"admin"}"#, "not a list of strings"),
            (r#"{"username":"a","roles":["a b"]}"#, "a role must be"),
            (r#"{"username":"a","enabled":"yes"}"#, "\"enabled\" is neither"),
            (r#"{"username":"a","enabled":true,"disabled":false}"#, "says again"),
            (r#"{"username":"a","roles":[],"roles":["admin"]}"#, "says again"),
            (r#"{"username":"a","password":"hunter22"}"#, "plain text is not imported"),
            (r#"{"username":"a","password":5}"#, "neither a string nor null"),
            (r#"{"username":"a b"}"#, "a username must be"),
            (r#"{"roles":[]}"#, "\"username\" is missing"),
            (r#"{"username":"a"} {}"#, "not one JSON object"),
            (r#"{"username":"a","password":"hunter22"#, "not one JSON object"),
            ("17", "not one JSON object"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.reason.contains(part), "{text}: {error:?}");
            assert!(!error.reason.contains("hunter22"), "{error:?}");
        }
        assert_eq!(read(r#"{"roles":5,"username":"a"}"#).unwrap_err().username.as_deref(), Some("a"));
    }
}
