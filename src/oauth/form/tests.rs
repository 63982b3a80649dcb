use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::Parameters;
use crate::message::Fields;
use crate::oauth::OAuthError;
use crate::secret::Secret;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn read(content_type: &str, body: impl AsRef<[u8]>) -> Result<Parameters, OAuthError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    Parameters::read(&headers.into(), body.as_ref())
}

/// The refusal's text; it must be an `invalid_request`.
fn invalid(content_type: &str, body: impl AsRef<[u8]>) -> String {
    match read(content_type, body) {
        Err(OAuthError::InvalidRequest(text)) => text.into_owned(),
        other => panic!("{other:?}"),
    }
}

fn shown(secret: Option<&Secret>) -> Option<&str> {
    secret.map(Secret::expose)
}

#[test]
fn a_form_and_a_json_object_say_the_same() {
    let form = "grant_type=password&username=alice%40example&password=a%2Bb+c%26%C3%A4&scope=read+write&client_id=cli&\
                client_secret=s%3D&refresh_token=r";
    let json = r#"{"grant_type":"password","username":"alice@example","password":"a+b c&ä","scope":"read write",
                  "client_id":"cli","client_secret":"s=","refresh_token":"r"}"#;
    for (content_type, body) in [(FORM, form), (JSON, json)] {
        let request = read(content_type, body).unwrap();
        let all = [
            ("grant_type", "password"),
            ("username", "alice@example"),
            ("password", "a+b c&ä"),
            ("client_id", "cli"),
            ("client_secret", "s="),
            ("refresh_token", "r"),
        ];
        for (name, value) in all {
            assert_eq!(shown(request.get(name)), Some(value), "{name}");
        }
        assert_eq!(request.scope().unwrap(), Some("read write"));
    }
}

#[test]
fn empty_values_are_omitted_and_unknown_parameters_ignored() {
    let form = "&grant_type=password&&username=&password&scope=&what=%20ever&x&";
    let json = r#"{"grant_type":"password","username":"","password":"","scope":"","what":{"ever":[1]}}"#;
    for (content_type, body) in [(FORM, form), (JSON, json)] {
        let request = read(content_type, body).unwrap();
        assert!(["username", "password", "scope", "what"].iter().all(|name| request.get(name).is_none()));
        assert_eq!(request.scope().unwrap(), None);
    }
    for (content_type, body) in [(FORM, "username=a"), (FORM, "grant_type="), (FORM, ""), (JSON, "{}")] {
        let missing = read(content_type, body).unwrap().required("grant_type").unwrap_err();
        assert_eq!(missing.description(), "grant_type is missing");
    }
}

#[test]
fn a_parameter_that_comes_twice_is_refused() {
    for body in [
        "grant_type=password&grant_type=password",
        "grant_type=password&username=a&username=b",
        "grant_type=password&username=a&user%6eame=b",
        "grant_type=password&username=&username=b",
        "grant_type=password&x=1&x=2",
    ] {
        assert_eq!(invalid(FORM, body), "a parameter comes twice", "{body}");
    }
    for body in [
        r#"{"grant_type":"password","password":"a","password":"b"}"#,
        r#"{"grant_type":"password","password":"a","pass\u0077ord":"b"}"#,
        r#"{"grant_type":"password","x":1,"x":2}"#,
    ] {
        assert_eq!(invalid(JSON, body), "a parameter comes twice", "{body}");
    }
}

#[test]
fn malformed_bodies_are_refused() {
    for body in ["grant_type=%", "grant_type=%4", "grant_type=%4g", "grant_type=%+1", "%zz=1", "x=%%41"] {
        assert_eq!(invalid(FORM, body), "the form has a malformed percent-encoding", "{body}");
    }
    let raw: [&[u8]; 4] = [b"username=\xff", b"username=%ff", b"username=%C3", b"username=%ED%A0%80"];
    for body in raw {
        assert_eq!(invalid(FORM, body), "the form is not UTF-8");
    }
    let not_an_object = "the body must be a JSON object in UTF-8 whose members are strings";
    for body in ["", "[]", "null", "\"x\"", "{", r#"{"grant_type":"password"}x"#, "grant_type=password"] {
        assert_eq!(invalid(JSON, body), not_an_object, "{body}");
    }
    assert_eq!(invalid(JSON, b"{\"username\":\"\xff\"}"), not_an_object);
    for value in ["1", "null", "true", "[\"a\"]", "{}"] {
        let body = format!(r#"{{"grant_type":"password","username":{value}}}"#);
        assert_eq!(invalid(JSON, body), "username must be a string");
    }
}

#[test]
fn the_number_of_parameters_is_bounded() {
    let form = |count: usize| {
        let unknown: Vec<String> = (1..count).map(|i| format!("{i}=1")).collect();
        format!("grant_type=password&{}", unknown.join("&"))
    };
    assert!(read(FORM, form(64)).is_ok());
    assert_eq!(invalid(FORM, form(65)), "there are too many parameters");
}

#[test]
fn the_content_type_decides() {
    let good = "grant_type=password";
    for content_type in [
        FORM,
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded ; charset=\"UTF-8\"; x=y",
    ] {
        assert!(read(content_type, good).is_ok(), "{content_type}");
    }
    for content_type in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded, application/json",
        "application/jsonp",
        "",
    ] {
        assert!(
            invalid(content_type, good).starts_with("the body must be application/x-www-form"),
            "{content_type}"
        );
    }
    let mut headers = HeaderMap::new();
    assert!(Parameters::read(&Fields::default(), good.as_bytes()).is_err());
    headers.append(CONTENT_TYPE, HeaderValue::from_static(FORM));
    headers.append(CONTENT_TYPE, HeaderValue::from_static(JSON));
    assert!(Parameters::read(&headers.into(), good.as_bytes()).is_err());
}

#[test]
fn a_malformed_scope_is_an_invalid_scope() {
    for scope in ["a++b", "+a", "a+", "%22", "a%5Cb", "%C3%A4", "a%09b", "a%0Ab"] {
        let body = format!("grant_type=password&scope={scope}");
        assert_eq!(read(FORM, body).unwrap().scope().unwrap_err(), OAuthError::InvalidScope, "{scope}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let request = read(FORM, "grant_type=password&password=c4n4ry&client_secret=c4n4ry").unwrap();
    assert!(!format!("{request:?}").contains("c4n4ry"));
    for (content_type, body) in [
        (FORM, "password=c4n4ry&password=c4n4ry"),
        (FORM, "password=c4n4ry%"),
        (JSON, r#"{"password":["c4n4ry"]}"#),
        (JSON, r#"{"password":"c4n4ry""#),
    ] {
        let refusal = read(content_type, body).unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("c4n4ry"));
    }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn any_body_is_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read(FORM, &body);
        let _ = read(JSON, &body);
    }

    #[test]
    fn whatever_is_encoded_comes_back(password in "\\PC{1,20}|[&=+% a\\u{0}]{1,20}") {
        let escaped: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request = read(FORM, format!("grant_type=password&password={escaped}")).unwrap();
        prop_assert_eq!(shown(request.get("password")), Some(password.as_str()));
        let json = serde_json::to_string(&password).unwrap();
        let request = read(JSON, format!(r#"{{"grant_type":"password","password":{json}}}"#)).unwrap();
        prop_assert_eq!(shown(request.get("password")), Some(password.as_str()));
    }
}

/// Property tests run 100,000 cases, or as many as `PROPTEST_CASES` says.
fn many() -> ProptestConfig {
    let said = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: said.unwrap_or(100_000), failure_persistence: None, ..ProptestConfig::default() }
}
