//! The body of a request to the token endpoint: a form, or a JSON object.

#![no_main]

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use libfuzzer_sys::fuzz_target;
use portcullis::message::Fields;
use portcullis::oauth::Parameters;
use portcullis::secret::Secret;
use serde_json::{Map, Value};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const NAMES: [&str; 6] = ["grant_type", "username", "password", "scope", "client_id", "token"];

fn read(kind: &'static str, body: &[u8]) -> Option<Parameters> {
    let mut headers = Fields::default();
    headers.push(CONTENT_TYPE, HeaderValue::from_static(kind));
    match Parameters::read(&headers, body) {
        Ok(parameters) => Some(parameters),
        Err(error) => {
            assert_eq!((error.status().as_u16(), error.code()), (400, "invalid_request"));
            None
        }
    }
}

fn value<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.get(name).map(Secret::expose)
}

fuzz_target!(|body: &[u8]| {
    let json = read(JSON, body);
    if let Some(parameters) = &json {
        // Another reader sees the same, but for a number that no type of its can hold. It means nothing to us, so we skip it.
        let object: Map<String, Value> = match serde_json::from_slice(body) {
            Ok(object) => object,
            Err(error) if error.to_string().starts_with("number out of range") => return,
            Err(error) => panic!("{error}"),
        };
        for name in NAMES {
            let expected = object.get(name).map(|value| value.as_str().unwrap()).filter(|it| !it.is_empty());
            assert_eq!(value(parameters, name), expected);
        }
    }
    for parameters in json.into_iter().chain(read(FORM, body)) {
        // What it says, written as plainly as can be, says the same.
        let mut again = String::from("x=1");
        for name in NAMES {
            let bytes = value(&parameters, name).unwrap_or_default().bytes();
            again.push_str(&format!("&{name}="));
            again.extend(bytes.map(|byte| format!("%{byte:02X}")));
        }
        let again = read(FORM, again.as_bytes()).unwrap();
        for name in NAMES {
            assert_eq!(value(&again, name), value(&parameters, name));
        }
        if let Ok(Some(scope)) = parameters.scope() {
            assert!(scope.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        }
    }
});
