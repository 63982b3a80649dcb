//! RFC 6749: the token endpoint.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{FORM, assert_error, assert_uncached_json, gateway, login, refresh};
use crate::clients::{Client, add};
use crate::harness::{Gateway, ROUTES, Request, Response, Setup, password_of};

fn form(gateway: &Gateway, body: impl AsRef<[u8]>) -> Response {
    gateway.send(&Request::post("/token", body).header("content-type", FORM))
}

fn password_grant() -> String {
    format!("grant_type=password&username=alice&password={}", password_of("alice").replace(' ', "+"))
}

/// "Including the client credentials in the request-body" and the header are two ways; a `client_id` that only repeats is none.
#[test]
fn rfc_6749_s2_3_1_the_client_id_may_be_repeated_beside_basic() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let fields = [("grant_type", "client_credentials"), ("client_id", &*client.id)];
    let request = Request::form("/token", &fields).basic(&client.id, &client.secret);
    assert_eq!(gateway.send(&request).status, 200);
}

/// Identifier and secret are encoded like a form's before they become user and password of Basic.
#[test]
fn rfc_6749_s2_3_1_basic_credentials_are_form_encoded() {
    let gateway = gateway();
    let Client { id, secret } = add(&gateway, "shop+web@eu", &[]);
    assert_eq!(id, "shop+web@eu");
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let every = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    for (name, password) in [("shop%2Bweb%40eu".to_owned(), secret.clone()), (every(&id), every(&secret))] {
        let answer = gateway.send(&grant.clone().basic(&name, &password));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    for name in ["shop%2", "shop%zz", "shop%ff"] {
        assert_error(&gateway.send(&grant.clone().basic(name, &secret)), 401, "invalid_client");
    }
}

#[test]
fn rfc_6749_s2_3_1_basic_has_no_case() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let credentials = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    for scheme in ["basic", "BASIC", "Basic"] {
        let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
        let answer = gateway.send(&grant.header("Authorization", format!("{scheme} {credentials}")));
        assert_eq!(answer.status, 200, "{scheme}");
    }
}

/// "Request and response parameters MUST NOT be included more than once", also those that mean nothing to us.
#[test]
fn rfc_6749_s3_2_no_parameter_comes_twice() {
    let gateway = gateway();
    for twice in ["scope=a&scope=a", "x=1&x=1", "x&x", "client_id=&client_id=", "%78=1&x=2"] {
        assert_error(&form(&gateway, format!("{}&{twice}", password_grant())), 400, "invalid_request");
    }
    for once in ["x=1&y=1", "resource=https%3A%2F%2Fa", "X=1&x=1", "scope="] {
        assert_eq!(form(&gateway, format!("{}&{once}", password_grant())).status, 200, "{once}");
    }
}

/// The request is in "UTF-8"; any other charset is refused, and so are bytes that are none.
#[test]
fn rfc_6749_sb_forms_are_utf_8() {
    let gateway = gateway();
    let request = |kind: &str| {
        gateway.send(&Request::post("/token", password_grant()).header("content-type", kind)).status
    };
    for (parameter, status) in
        [("", 200), ("; charset=utf-8", 200), ("; charset=\"UTF-8\"", 200), ("; charset=iso-8859-1", 400)]
    {
        assert_eq!(request(&format!("{FORM}{parameter}")), status, "{parameter}");
    }
    let mut body = password_grant().into_bytes();
    body.extend_from_slice(b"&x=\xff");
    assert_error(&form(&gateway, &body), 400, "invalid_request");
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`, between single spaces.
#[test]
fn rfc_6749_s3_3_a_malformed_scope_is_an_invalid_scope() {
    let gateway = gateway();
    for scope in ["a++b", "+a", "a+", "%22", "a%5Cb", "%C3%A4", "%7F", "a%09b", "%00"] {
        let answer = form(&gateway, format!("{}&scope={scope}", password_grant()));
        assert_error(&answer, 400, "invalid_scope");
    }
    let answer = form(&gateway, format!("{}&scope=reader+admin", password_grant()));
    assert_eq!(answer.json()["scope"], "reader", "what was granted differs from what was asked for");
}

/// "The authorization server MUST first verify the resource owner's credentials"; an error of the client comes before that.
#[test]
fn rfc_6749_s4_3_2_a_client_that_fails_learns_nothing_of_the_user() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    for password in [&*password_of("alice"), "wrong"] {
        let fields = [("grant_type", "password"), ("username", "alice"), ("password", password)];
        let answer = gateway.send(&Request::form("/token", &fields).basic(&client.id, "wrong"));
        assert_error(&answer, 401, "invalid_client");
    }
}

/// Which members there are, and that `expires_in` is a number.
#[test]
fn rfc_6749_s5_1_a_success_has_these_members_and_no_other() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &["reader"]);
    let by_user = form(&gateway, password_grant());
    let refreshed = refresh(&gateway, by_user.json()["refresh_token"].as_str().unwrap());
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let by_client = gateway.send(&grant.basic(&client.id, &client.secret));
    let (with_refresh, without) = (
        ["access_token", "expires_in", "refresh_token", "token_type"].as_slice(),
        ["access_token", "expires_in", "token_type"].as_slice(),
    );
    for (answer, expected) in [(by_user, with_refresh), (refreshed, with_refresh), (by_client, without)] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_uncached_json(&answer);
        let body = answer.json();
        let mut members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, expected);
        assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(900), &json!("Bearer")));
        let printable = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(members.iter().all(|name| body[*name].as_str().is_none_or(printable)), "{body}");
    }
}

/// Every error of the endpoint, with its status; §5.2 has the codes.
#[test]
fn rfc_6749_s5_2_errors_have_the_codes_of_the_standard() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let (_, refresh_token) = login(&gateway, "alice", Some(&client));
    for (body, status, code) in [
        ("grant_type=password&username=alice&password=wrong".to_owned(), 400, "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=prt_x".to_owned(), 400, "invalid_grant"),
        // "was issued to another client"
        (format!("grant_type=refresh_token&refresh_token={refresh_token}"), 400, "invalid_grant"),
        ("grant_type=refresh_token".to_owned(), 400, "invalid_request"),
        ("grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        ("grant_type=implicit".to_owned(), 400, "unsupported_grant_type"),
        ("grant_type=Password&username=alice&password=x".to_owned(), 400, "unsupported_grant_type"),
        ("client_secret=x&grant_type=client_credentials".to_owned(), 400, "invalid_request"),
        ("client_id=shop&client_secret=x&grant_type=client_credentials".to_owned(), 401, "invalid_client"),
    ] {
        assert_error(&form(&gateway, body), status, code);
    }
}

/// What is refused before the endpoint reads it has the same form: a body that is too long, and a limit of requests.
#[test]
fn rfc_6749_s5_2_refusals_of_the_gateway_have_the_form_of_the_endpoint() {
    let gateway = Setup::new(ROUTES)
        .set("limit.few.rate", "'1/d'")
        .set("limit.few.burst", "3")
        .set("limit.few.per", "'address'")
        .set("server.limits", "['few']")
        .start();
    for (status, code) in [(413, "invalid_request"), (429, "temporarily_unavailable")] {
        for path in ["/token", "/auth/revoke", "/auth/introspect"] {
            let request = Request::post(path, "x=1".repeat(8000)).header("content-type", FORM);
            let response = gateway.send(&request);
            assert_error(&response, status, code);
            assert_eq!(response.header("retry-after").is_some(), status == 429);
        }
    }
}

/// §5.2 allows few characters in `error_description`; whatever the request has in it, none other comes back.
#[test]
fn rfc_6749_s5_2_nothing_of_the_request_is_in_the_description() {
    let gateway = gateway();
    for strange in ["\"\\", "\r\nSet-Cookie: a=b", "<script>", "\u{e4}\u{0}\u{7f}"] {
        let fields = [("grant_type", strange), (strange, "x"), ("username", strange), ("password", strange)];
        let answer = gateway.send(&Request::form("/token", &fields));
        assert_error(&answer, 400, "unsupported_grant_type");
        assert!(answer.headers.values("set-cookie").is_empty());
        let fields = [("grant_type", "password"), ("username", strange), ("password", strange)];
        assert_error(&gateway.send(&Request::form("/token", &fields)), 400, "invalid_grant");
        let json = Request::post("/token", json!({ strange: 7, "username": 7 }).to_string());
        assert_error(&gateway.send(&json.header("content-type", "application/json")), 400, "invalid_request");
    }
}

/// "the refresh token issued to the client … the authorization server MAY issue a new refresh token": with the same scope.
#[test]
fn rfc_6749_s6_a_refresh_gives_no_more_than_was_granted() {
    let gateway = gateway();
    let (_, refresh_token) = login(&gateway, "alice", None);
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", &*refresh_token), ("scope", "admin reader")];
    let answer = gateway.send(&Request::form("/token", &fields));
    assert_eq!((answer.status, &answer.json()["scope"]), (200, &json!("reader")));
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get("/admin/x", &access).status, 403);
}
