use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

pub(super) fn record() -> AccessRecord<'static> {
    AccessRecord {
        time: UnixTime::from_millis(1_709_251_199_007),
        request_id: b"0195",
        client: IpAddr::from([192, 0, 2, 1]),
        user: Some("alice"),
        roles: Some(b"admin,reader"),
        method: "GET",
        host: b"example.org",
        path: "/orders/7",
        query: Some("page=2&access_token=abc"),
        protocol: "HTTP/1.1",
        route: Some("/orders/*"),
        status: 200,
        bytes_in: 0,
        bytes_out: 512,
        ttfb: Duration::from_micros(1200),
        total: Duration::from_micros(1250),
        upstream: Some(SocketAddr::from(([127, 0, 0, 1], 9001))),
        reason: None,
        user_agent: Some(b"curl/8.5.0"),
        complete: true,
    }
}

fn json_line(record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    record.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

fn text_line(record: &AccessRecord<'_>, color: bool) -> String {
    let mut out = Vec::new();
    record.write_text(&mut out, color);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_every_field_under_its_documented_name() {
    let record =
        AccessRecord { reason: Some(Reason::Broken("upstream refused")), complete: false, ..record() };
    let expected = json!({
        "time": "2024-02-29T23:59:59.007Z", "request.id": "0195", "client.addr": "192.0.2.1", "user": "alice",
        "roles": "admin,reader", "method": "GET", "host": "example.org",
        "path": "/orders/7?page=2&access_token=redacted", "protocol": "HTTP/1.1", "route": "/orders/*",
        "status": 200, "bytes_in": 0, "bytes_out": 512, "ttfb_us": 1200, "total_us": 1250,
        "upstream.addr": "127.0.0.1:9001", "reason": "upstream refused", "user_agent": "curl/8.5.0",
        "complete": false,
    });
    assert_eq!(serde_json::from_str::<Value>(&json_line(&record)).unwrap(), expected);
}

#[test]
fn what_is_absent_is_left_out() {
    let bare = AccessRecord {
        user: None,
        roles: None,
        query: None,
        route: None,
        upstream: None,
        reason: None,
        user_agent: None,
        ..record()
    };
    let line: Value = serde_json::from_str(&json_line(&bare)).unwrap();
    let names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "bytes_in",
        "bytes_out",
        "client.addr",
        "complete",
        "host",
        "method",
        "path",
        "protocol",
        "request.id",
        "status",
        "time",
        "total_us",
        "ttfb_us",
    ];
    assert_eq!(names, expected);
    assert_eq!(line["path"], "/orders/7");
}

#[test]
fn text_is_for_a_person() {
    assert_eq!(
        text_line(&record(), false),
        "2024-02-29T23:59:59.007Z 200 GET example.org/orders/7?page=2&access_token=redacted 1.2ms user=alice \
         roles=admin,reader route=/orders/* upstream=127.0.0.1:9001 client=192.0.2.1 in=0 out=512 agent=curl/8.5.0 \
         id=0195\n"
    );
    let broken = AccessRecord {
        status: 502,
        reason: Some(Reason::Refused("connect_refused", &"connect \"refused\"")),
        complete: false,
        ..record()
    };
    let text = text_line(&broken, true);
    assert!(text.contains("\x1b[31m502\x1b[0m GET"), "{text:?}");
    assert!(
        text.contains("\x1b[31m incomplete\x1b[0m reason=\"connect_refused: connect \\\"refused\\\"\""),
        "{text:?}"
    );
    let object: Value = serde_json::from_str(&json_line(&broken)).unwrap();
    assert_eq!(object["reason"], "connect_refused: connect \"refused\"");
}

/// Envoy wrote a client's bytes into its log as they came.
#[test]
fn cve_2024_45808_log_injection() {
    let forged = b"a\x1b[2J\"}\r\n{\"user\":\"root\"}\xff".as_slice();
    let record = AccessRecord { user_agent: Some(forged), path: "/x\nid=1 user=root", ..record() };
    let line = json_line(&record);
    assert_eq!(line.lines().count(), 1);
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["user_agent"], "a\x1b[2J\"}\r\n{\"user\":\"root\"}\u{fffd}");
    assert_eq!(object["user"], "alice");
    let text = text_line(&record, false);
    assert!(text.contains(r"/x\nid=1\u{20}user=root"), "{text}");
    assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
}

#[test]
fn the_cached_second_gives_the_same_times() {
    let mut timestamp = Timestamp::default();
    for millis in [0, 1, 999, 1000, 1_709_251_199_999, 1_709_251_200_000, 1_709_251_200_050, 999, 0] {
        let time = UnixTime::from_millis(millis);
        let mut out = Vec::new();
        timestamp.write(time, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), time.to_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_input_stays_one_line_and_reads_back(
        texts in proptest::collection::vec("(?s).{0,12}", 7),
        agent in proptest::collection::vec(any::<u8>(), 0..24),
        numbers: (u64, u64, u16),
        client: IpAddr,
        upstream: Option<(IpAddr, u16)>,
        complete: bool,
    ) {
        let [id, user, roles, method, host, path, reason] = <[String; 7]>::try_from(texts).unwrap();
        let record = AccessRecord {
            request_id: id.as_bytes(), client, user: Some(&user), roles: Some(roles.as_bytes()), method: &method, host: host.as_bytes(),
            path: &path, query: None, reason: Some(Reason::Refused("word", &reason)), user_agent: Some(&agent), complete,
            bytes_in: numbers.0, bytes_out: numbers.1, status: numbers.2,
            upstream: upstream.map(SocketAddr::from), ..record()
        };
        let line = json_line(&record);
        prop_assert!(!line.strip_suffix('\n').unwrap().chars().any(char::is_control), "{line:?}");
        let object: Value = serde_json::from_str(&line).unwrap();
        let said = format!("word: {reason}");
        let texts = [
            ("request.id", &id), ("user", &user), ("roles", &roles), ("method", &method), ("host", &host),
            ("path", &path), ("reason", &said),
        ];
        for (name, text) in texts {
            prop_assert_eq!(object[name].as_str(), Some(text.as_str()), "{}", name);
        }
        prop_assert_eq!(object["user_agent"].as_str().unwrap(), String::from_utf8_lossy(&agent));
        prop_assert_eq!(object["bytes_in"].as_u64(), Some(numbers.0));
        prop_assert_eq!(object["bytes_out"].as_u64(), Some(numbers.1));
        prop_assert_eq!(object["status"].as_u64(), Some(numbers.2.into()));
        prop_assert_eq!(object["client.addr"].as_str().unwrap(), client.to_string());
        prop_assert_eq!(object["complete"].as_bool(), Some(complete));
        let upstream = upstream.map(|upstream| SocketAddr::from(upstream).to_string());
        prop_assert_eq!(object["upstream.addr"].as_str(), upstream.as_deref());

        let text = text_line(&record, false);
        prop_assert!(!text.strip_suffix('\n').unwrap().chars().any(char::is_control), "{text:?}");
    }
}
