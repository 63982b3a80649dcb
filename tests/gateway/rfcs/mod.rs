//! The standards, sentence by sentence: each test is named by the RFC and the section that it holds us to. What an area of its own tests
//! already (`login`, `sessions`, `clients`, `keys`, `jwt`, `pass`) is not here again.

mod access_tokens;
mod bearer;
mod introspection;
mod key_set;
mod metadata;
mod revocation;
mod token_endpoint;

use crate::clients::Client;
use crate::harness::{Gateway, ROUTES, Request, Response, password_of};

const FORM: &str = "application/x-www-form-urlencoded";

/// A gateway with alice, a reader.
fn gateway() -> Gateway {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    gateway
}

/// An error in the form of RFC 6749 §5.2: status, code, members, alphabet, and the fields that keep it out of caches.
#[track_caller]
fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    let body = response.json();
    assert_eq!(body["error"], code, "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(
        description.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
        "{body}"
    );
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_uncached_json(response);
}

#[track_caller]
fn assert_uncached_json(response: &Response) {
    assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(response.header("pragma").as_deref(), Some("no-cache"));
}

/// The answer to the password grant of a user that [`Gateway::add_user`] made, as one of this client if there is one.
#[track_caller]
fn login(gateway: &Gateway, name: &str, client: Option<&Client>) -> (String, String) {
    let fields = [("grant_type", "password"), ("username", name), ("password", &password_of(name))];
    let request = Request::form("/token", &fields);
    let answer = match client {
        Some(client) => gateway.send(&request.basic(&client.id, &client.secret)),
        None => gateway.send(&request),
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = |member: &str| answer.json()[member].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn refresh(gateway: &Gateway, token: &str) -> Response {
    gateway.send(&Request::form("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]))
}
