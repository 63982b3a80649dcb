//! From an issuer to its key set: by OpenID Connect Discovery 1.0 §4, or else by RFC 8414 §3.

use std::path::Path;

use http::StatusCode;
use serde_json::Value;

use super::fetch::{self, FetchError};
use crate::config::FetchUrl;
use crate::token::{Fault, json};

/// Where the metadata of `issuer` says that its keys are. `at` is the same as a URL.
pub(super) async fn key_set_url(
    issuer: &str,
    at: &FetchUrl,
    ca_file: Option<&Path>,
) -> Result<FetchUrl, FetchError> {
    let document = match fetch::get(&openid(at)?, ca_file).await {
        Err(FetchError::Status(_, StatusCode::NOT_FOUND)) => fetch::get(&oauth(at)?, ca_file).await?,
        other => other?,
    };
    read(&document, issuer, at)
}

/// Its path behind that of the issuer.
fn openid(issuer: &FetchUrl) -> Result<FetchUrl, FetchError> {
    Ok(issuer.at(&format!("{}/.well-known/openid-configuration", issuer.path()))?)
}

/// Its path before that of the issuer.
fn oauth(issuer: &FetchUrl) -> Result<FetchUrl, FetchError> {
    Ok(issuer.at(&format!("/.well-known/oauth-authorization-server{}", issuer.path()))?)
}

/// Metadata of another issuer is refused (RFC 8414 §3.3): whoever can put a document there must not speak for this one.
fn read(document: &[u8], issuer: &str, at: &FetchUrl) -> Result<FetchUrl, FetchError> {
    let metadata = json::document(document).map_err(FetchError::Metadata)?;
    let text = |name: &'static str| match metadata.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(FetchError::Metadata(Fault::Member(name))),
        None => Err(FetchError::Metadata(Fault::Missing(name))),
    };
    if text("issuer")? != issuer {
        return Err(FetchError::OtherIssuer);
    }
    let url = FetchUrl::parse(text("jwks_uri")?)?;
    if at.is_https() && !url.is_https() { Err(FetchError::Downgrade) } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::{oauth, openid, read};
    use crate::config::FetchUrl;
    use crate::issuers::fetch::FetchError;
    use crate::token::Fault;

    #[test]
    fn metadata_lies_behind_or_before_the_path_of_the_issuer() {
        for (issuer, behind, before) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example:8443/realms/x/",
                "https://a.example:8443/realms/x/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/realms/x",
            ),
        ] {
            let url = FetchUrl::parse(issuer).unwrap();
            assert_eq!(openid(&url).unwrap().to_string(), behind);
            assert_eq!(oauth(&url).unwrap().to_string(), before);
        }
    }

    #[test]
    fn metadata_speaks_for_its_own_issuer_and_stays_with_tls() {
        let at = FetchUrl::parse("https://a.example").unwrap();
        let of = |text: &str| read(text.as_bytes(), "https://a.example", &at);
        let url = of(r#"{"issuer":"https://a.example","jwks_uri":"https://b.example/k","x":[1]}"#).unwrap();
        assert_eq!(url.to_string(), "https://b.example/k");
        for other in ["https://a.example/", "https://A.example", "https://b.example", ""] {
            let text = format!(r#"{{"issuer":"{other}","jwks_uri":"https://a.example/k"}}"#);
            assert!(matches!(of(&text), Err(FetchError::OtherIssuer)), "{other}");
        }
        let with = |url: &str| of(&format!(r#"{{"issuer":"https://a.example","jwks_uri":"{url}"}}"#));
        assert!(matches!(with("http://127.0.0.1/k"), Err(FetchError::Downgrade)));
        for url in ["http://169.254.169.254/k", "file:///etc/passwd", "", "/k"] {
            assert!(matches!(with(url), Err(FetchError::KeySetUrl(_))), "{url}");
        }
        let twice = r#"{"issuer":"https://a.example","jwks_uri":"https://a.example/k","issuer":"x"}"#;
        assert!(matches!(of(twice), Err(FetchError::Metadata(Fault::Duplicate))));
        assert!(matches!(of("[]"), Err(FetchError::Metadata(Fault::Syntax))));
        assert!(matches!(of("{}"), Err(FetchError::Metadata(Fault::Missing("issuer")))));
    }
}
