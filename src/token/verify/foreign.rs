//! The claims of a foreign token. Its issuer wrote them, so they say what the configuration says that they mean, and nothing of ours:
//! no identifier, no version, no session.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::MapAccess;
use serde_json::{Map, Value};

use super::super::json::{self, Fault, Members, Text};
use super::{ForeignToken, Part, TokenError, Voucher};
use crate::clock::UnixTime;
use crate::config::{ClaimPath, ForeignIssuer};
use crate::name::{CallerName, Roles};

/// Claims that access tokens do not have: hashes of other tokens are in ID tokens (OpenID Connect Core 1.0 §3.1.3.6, §3.3.2.11), and
/// events in logout tokens and security event tokens (RFC 8417 §2.2).
const OF_OTHERS: [&str; 4] = ["at_hash", "c_hash", "s_hash", "events"];

/// What issuers that have a *claim* `typ` write into it for an access token. Others are `ID`, `Refresh`, `Offline`, `Logout`.
const ACCESS: [&str; 3] = ["Bearer", "JWT", "at+jwt"];

/// `iss` of a token that nobody has vouched for yet: it only chooses whose keys are looked at.
pub(super) fn issuer_of(claims: &[u8]) -> Result<Cow<'_, str>, TokenError> {
    let mut found = Iss(None);
    json::read(claims, &mut found).map_err(fault)?;
    found.0.ok_or(fault(Fault::Missing("iss")))
}

struct Iss<'a>(Option<Cow<'a, str>>);

impl<'de> Members<'de> for Iss<'de> {
    const NAMES: &'static [&'static str] = &["iss"];

    fn take<A: MapAccess<'de>>(&mut self, _: &'static str, map: &mut A) -> Result<(), A::Error> {
        let Text(iss) = map.next_value()?;
        self.0 = Some(iss);
        Ok(())
    }
}

/// Checks the claims of a token whose signature is good, and says them in our words.
pub(super) fn check(
    claims: &[u8],
    voucher: Voucher,
    leeway: Duration,
    now: UnixTime,
) -> Result<ForeignToken, TokenError> {
    let rules = voucher.rules();
    let claims = json::document(claims).map_err(fault)?;
    if claims.get("iss").and_then(Value::as_str) != Some(&rules.issuer) {
        return Err(TokenError::Issuer);
    }
    is_for_access(&claims)?;
    if !is_for_us(&claims, rules)? {
        return Err(TokenError::Audience);
    }
    let expires = date(&claims, "exp")?.ok_or(fault(Fault::Missing("exp")))?;
    if now >= expires.after(leeway) {
        return Err(TokenError::Expired(expires));
    }
    let starts = date(&claims, "nbf")?.max(date(&claims, "iat")?).unwrap_or_default();
    if starts > now.after(leeway) {
        return Err(TokenError::NotYet(starts));
    }
    let user = find(&claims, &rules.user_claim).and_then(Value::as_str).filter(|user| !user.is_empty());
    let user = user.ok_or(TokenError::User)?;
    let caller = CallerName::new(&format!("{}{user}", rules.user_prefix)).map_err(|_| TokenError::User)?;
    Ok(ForeignToken { caller, roles: roles(&claims, rules)?, expires, voucher })
}

/// The audience is what tells tokens for different purposes apart; this is for issuers that give all of them the same.
fn is_for_access(claims: &Map<String, Value>) -> Result<(), TokenError> {
    if claims.contains_key("cnf") {
        return Err(TokenError::Bound);
    }
    let names_access = |typ: &Value| {
        typ.as_str().is_some_and(|typ| ACCESS.iter().any(|access| access.eq_ignore_ascii_case(typ)))
    };
    let is_other = OF_OTHERS.iter().any(|name| claims.contains_key(*name));
    if is_other || claims.get("typ").is_some_and(|typ| !names_access(typ)) {
        return Err(TokenError::Purpose);
    }
    Ok(())
}

/// `aud`: a string, or an array of strings (RFC 7519 §4.1.3).
fn is_for_us(claims: &Map<String, Value>, rules: &ForeignIssuer) -> Result<bool, TokenError> {
    let is_ours = |audience: &str| rules.audience.iter().any(|ours| ours == audience);
    let wrong = fault(Fault::Member("aud"));
    match claims.get("aud") {
        None => Err(fault(Fault::Missing("aud"))),
        Some(Value::String(audience)) => Ok(is_ours(audience)),
        Some(Value::Array(audiences)) => {
            let all = audiences.iter().map(|audience| audience.as_str().ok_or(wrong));
            Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().any(is_ours))
        }
        Some(_) => Err(wrong),
    }
}

/// Whole seconds, as in tokens of ours.
fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, TokenError> {
    let seconds = |value: &Value| value.as_u64().ok_or(fault(Fault::Member(name)));
    Ok(claims.get(name).map(seconds).transpose()?.map(UnixTime::from_secs))
}

/// What the roles of the issuer grant here. Without the claim: none.
fn roles(claims: &Map<String, Value>, rules: &ForeignIssuer) -> Result<Roles, TokenError> {
    let Some(claim) = rules.roles_claim.as_ref().and_then(|path| find(claims, path)) else {
        return Ok(Roles::default());
    };
    let theirs: Vec<&str> = match claim {
        Value::String(text) => text.split(' ').collect(),
        Value::Array(array) => {
            array.iter().map(Value::as_str).collect::<Option<_>>().ok_or(TokenError::Roles)?
        }
        _ => return Err(TokenError::Roles),
    };
    let ours = theirs.iter().filter_map(|role| rules.roles.get(*role)).flat_map(Roles::iter);
    Ok(ours.cloned().collect())
}

/// The claim at the end of a path.
fn find<'a>(claims: &'a Map<String, Value>, path: &ClaimPath) -> Option<&'a Value> {
    let mut names = path.iter();
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

fn fault(fault: Fault) -> TokenError {
    TokenError::Json(Part::Claims, fault)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, LazyLock};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{check, issuer_of};
    use crate::clock::UnixTime;
    use crate::config;
    use crate::name::Role;
    use crate::token::Voucher;
    use crate::token::testing::{LEEWAY, NOW, some};

    static VOUCHER: LazyLock<Voucher> = LazyLock::new(|| {
        let text = "[[issuer]]\nname = 'kc'\nissuer = 'https://a.example'\naudience = ['api', 'web']\n\
                    roles_claim = 'realm.roles'\nroles = { staff = ['reader', 'writer'], boss = 'admin' }";
        let rules = config::parse(text, Path::new("config.toml")).unwrap().issuers.remove(0);
        Voucher::new(Arc::new(rules), [0; 32])
    });

    fn good() -> Value {
        let now = NOW.as_secs();
        json!({"iss": "https://a.example", "aud": "web", "sub": "u", "exp": now + 60, "realm": {"roles": ["boss"]}})
    }

    #[test]
    fn a_good_token_is_said_in_our_words() {
        let token = check(good().to_string().as_bytes(), VOUCHER.clone(), LEEWAY, NOW).unwrap();
        assert_eq!((token.caller.as_str(), token.roles.to_string().as_str()), ("kc:u", "admin"));
    }

    /// A claim, likely to be nearly right.
    fn claim() -> impl Strategy<Value = Value> {
        let text = "(https://a\\.example|api|web|staff|boss|staff boss|ID|Bearer|u|[ -~]{0,8}|.{0,4})";
        let number = prop_oneof![any::<i64>(), NOW.as_secs() as i64 - 100..NOW.as_secs() as i64 + 100];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number.prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(roles|a)", inner, 0..3).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #![proptest_config(some())]

        #[test]
        fn what_passes_is_for_us_in_time_and_from_its_issuer(
            changes in prop::collection::vec(("(iss|aud|sub|exp|nbf|iat|realm|typ|cnf|at_hash)", claim()), 0..4),
        ) {
            let mut claims = good();
            for (name, value) in changes {
                claims[name] = value;
            }
            let text = claims.to_string();
            let Ok(token) = check(text.as_bytes(), VOUCHER.clone(), LEEWAY, NOW) else { return Ok(()) };
            prop_assert_eq!(&*issuer_of(text.as_bytes()).unwrap(), "https://a.example");
            let audiences = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
            prop_assert!(audiences.iter().any(|audience| audience == "api" || audience == "web"));
            prop_assert!(NOW < token.expires.after(LEEWAY));
            prop_assert_eq!(claims["exp"].as_u64().map(UnixTime::from_secs), Some(token.expires));
            prop_assert_eq!(token.caller.as_str().strip_prefix("kc:"), claims["sub"].as_str());
            prop_assert!(token.caller.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            let granted = ["reader", "writer", "admin"].map(|role| Role::new(role).unwrap());
            prop_assert!(token.roles.iter().all(|role| granted.contains(role)));
            prop_assert!(claims.get("cnf").is_none() && claims.get("at_hash").is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = check(&bytes, VOUCHER.clone(), LEEWAY, NOW);
            let _ = issuer_of(&bytes);
        }
    }
}
