//! RFC 8414 and RFC 9728: by which documents clients find their way.

use serde_json::json;

use super::gateway;
use crate::harness::{Gateway, ROUTES, Request, Setup};

const SERVER: &str = "/.well-known/oauth-authorization-server";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

fn with_issuer(issuer: &str) -> Gateway {
    Setup::new(ROUTES).set("token.issuer", &format!("'{issuer}'")).start()
}

/// The whole document: what a client needs of us, and nothing that we do not do.
#[test]
fn rfc_8414_s2_the_metadata_is_complete() {
    let gateway = with_issuer("https://login.example");
    let response = gateway.send(&Request::get(SERVER));
    assert_eq!(
        (response.status, response.header("content-type").as_deref()),
        (200, Some("application/json"))
    );
    let all = json!(["client_secret_basic", "client_secret_post", "none"]);
    let expected = json!({
        "issuer": "https://login.example",
        "token_endpoint": "https://login.example/token",
        "jwks_uri": "https://login.example/.well-known/jwks.json",
        "response_types_supported": ["none"],
        "grant_types_supported": ["password", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": all,
        "revocation_endpoint": "https://login.example/auth/revoke",
        "revocation_endpoint_auth_methods_supported": all,
        "introspection_endpoint": "https://login.example/auth/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "protected_resources": ["https://login.example"],
    });
    assert_eq!(response.json(), expected);
}

/// Every URL in it is one that answers.
#[test]
fn rfc_8414_s2_every_endpoint_is_there() {
    let gateway = gateway();
    let metadata = gateway.send(&Request::get(SERVER)).json();
    let path = |member: &str| {
        let url = metadata[member].as_str().unwrap_or_else(|| panic!("no {member}"));
        url.strip_prefix("http://localhost").unwrap().to_owned()
    };
    assert!(gateway.send(&Request::get(&path("jwks_uri"))).json()["keys"].is_array());
    for member in ["token_endpoint", "revocation_endpoint", "introspection_endpoint"] {
        let response = gateway.send(&Request::form(&path(member), &[]));
        assert!(matches!(response.status, 400 | 401), "{member}: {}", response.status);
        assert!(response.json()["error"].is_string(), "{member}");
    }
}

/// §3.3: the issuer in it is the one that the URL was made from, byte for byte, and the one of the tokens.
#[test]
fn rfc_8414_s3_3_the_issuer_is_the_one_that_was_asked_for() {
    for issuer in ["https://login.example", "https://login.example/", "https://login.example:8443/gate"] {
        let gateway = with_issuer(issuer);
        let token = gateway.token_for("alice", "reader");
        assert_eq!(crate::harness::token::parts(&token).claims["iss"], issuer);
        assert_eq!(gateway.send(&Request::get(SERVER)).json()["issuer"], issuer);
        let resource = gateway.send(&Request::get(RESOURCE)).json();
        assert_eq!(
            (&resource["resource"], &resource["authorization_servers"]),
            (&json!(issuer), &json!([issuer]))
        );
    }
}

/// §3.1 of both: the path of the identifier comes behind the well-known one. Without it they are there too, for a proxy that takes the
/// path away; any other path is none of ours.
#[test]
fn rfc_8414_s3_1_and_rfc_9728_s3_1_the_path_of_the_issuer_comes_last() {
    let gateway = with_issuer("https://login.example/gate/eu/");
    for document in [SERVER, RESOURCE] {
        for (suffix, status) in
            [("/gate/eu", 200), ("", 200), ("/gate", 401), ("/gate/eu/", 401), ("/other", 401)]
        {
            let path = format!("{document}{suffix}");
            assert_eq!(gateway.send(&Request::get(&path)).status, status, "{path}");
        }
    }
    let metadata = gateway.send(&Request::get(SERVER)).json();
    assert_eq!(metadata["token_endpoint"], "https://login.example/gate/eu/token");
}

/// §2 and §3.2 of RFC 9728: the whole document.
#[test]
fn rfc_9728_s2_the_resource_names_its_authorization_server() {
    let gateway = gateway();
    let response = gateway.send(&Request::get(RESOURCE));
    assert_eq!(
        (response.status, response.header("content-type").as_deref()),
        (200, Some("application/json"))
    );
    let expected = json!({
        "resource": "http://localhost",
        "authorization_servers": ["http://localhost"],
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(response.json(), expected);
    let post = gateway.send(&Request::post(RESOURCE, ""));
    assert_eq!((post.status, post.headers.list("allow")), (405, vec!["get".to_owned(), "head".to_owned()]));
}

/// RFC 9728 §4: from the authorization server back to the resource.
#[test]
fn rfc_9728_s4_the_authorization_server_names_the_resource() {
    let gateway = gateway();
    let server = gateway.send(&Request::get(SERVER)).json();
    let resource = gateway.send(&Request::get(RESOURCE)).json();
    assert_eq!(server["protected_resources"], json!([resource["resource"]]));
    assert_eq!(resource["authorization_servers"], json!([server["issuer"]]));
}

/// RFC 9110 §13.1.2: a list of tags, weak ones too, and `*`.
#[test]
fn rfc_9110_s13_1_2_documents_that_are_known_are_not_sent_again() {
    let gateway = gateway();
    for path in [SERVER, RESOURCE, "/.well-known/jwks.json"] {
        let first = gateway.send(&Request::get(path));
        let tag = first.header("etag").unwrap();
        assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let max_age = "public, max-age=300";
        assert_eq!(first.header("cache-control").as_deref(), Some(max_age));
        for (known, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", W/\"y\",{tag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
            (tag.trim_matches('"').to_owned(), 200),
            (String::new(), 200),
        ] {
            let response = gateway.send(&Request::get(path).header("If-None-Match", &known));
            assert_eq!(response.status, status, "{path} {known}");
            assert_eq!(response.header("etag").as_deref(), Some(&*tag));
            assert_eq!(response.header("cache-control").as_deref(), Some(max_age));
            assert_eq!(response.body.is_empty(), status == 304);
        }
    }
}
