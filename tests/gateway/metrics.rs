//! `GET /metrics`: what it counts, that it adds up over the workers, and that nothing a client sends becomes a label.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::harness::{Exposition, Gate, Gateway, Http2, ROUTES, RefusingAddress, Request, Setup, wait_until};

/// Status, content type and body of an admin request with these lines.
#[track_caller]
fn admin(gateway: &Gateway, request: &str, lines: &str) -> (u16, String, String) {
    let mut socket = UnixStream::connect(gateway.site.admin_socket()).unwrap();
    write!(socket, "{request} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{lines}\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect(&text);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_type = |line: &&str| line.to_ascii_lowercase().starts_with("content-type: ");
    let content_type = head.lines().find(is_type).map_or("", |line| &line["content-type: ".len()..]);
    (status, content_type.to_owned(), body.to_owned())
}

#[track_caller]
pub(crate) fn scrape(gateway: &Gateway) -> Exposition {
    let (status, content_type, body) = admin(gateway, "GET /metrics", "");
    assert_eq!((status, content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    Exposition::parse(&body)
}

/// The page, once nothing is in flight: a request is counted when the gateway is done with it, a moment after its last byte.
#[track_caller]
fn settled(gateway: &Gateway) -> Exposition {
    wait_until("nothing is in flight", || scrape(gateway).get("portcullis_requests_in_flight") == 0.0);
    scrape(gateway)
}

/// The one sample of this name for the gateway's own backend.
#[track_caller]
pub(crate) fn sample(gateway: &Gateway, name: &str) -> f64 {
    scrape(gateway).get(&format!("{name}{{server=\"{}\"}}", gateway.backend.addr()))
}

#[track_caller]
fn assert_counts(page: &Exposition, expected: &[(&str, f64)]) {
    for (sample, value) in expected {
        assert_eq!(page.get(sample), *value, "{sample}\n{:#?}", page.samples);
    }
}

/// What is known of the traffic is exactly what the page says, whichever of the two workers had it.
#[test]
fn requests_add_up_over_the_workers() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for _ in 0..24 {
        let mut client = gateway.connect();
        for _ in 0..5 {
            assert_eq!(client.exchange(&Request::get("/orders/7").bearer(&token)).status, 200);
        }
        assert_eq!(client.exchange(&Request::post("/orders/7", "x").bearer(&token)).status, 200);
        assert_eq!(client.exchange(&Request::new("PURGE", "/public/x")).status, 200);
        assert_eq!(client.exchange(&Request::get("/admin/x").bearer(&token)).status, 403);
        assert_eq!(client.exchange(&Request::get("/no/such/route")).status, 401);
        assert_eq!(client.exchange(&Request::get("/orders/7").bearer("a.b.c")).status, 401);
    }
    let page = settled(&gateway);
    assert_counts(
        &page,
        &[
            (
                "portcullis_requests_total{route=\"/orders/*-GET-HEAD-POST\",method=\"GET\",status=\"2xx\"}",
                120.0,
            ),
            (
                "portcullis_requests_total{route=\"/orders/*-GET-HEAD-POST\",method=\"GET\",status=\"4xx\"}",
                24.0,
            ),
            (
                "portcullis_requests_total{route=\"/orders/*-GET-HEAD-POST\",method=\"POST\",status=\"2xx\"}",
                24.0,
            ),
            ("portcullis_requests_total{route=\"/public/*\",method=\"other\",status=\"2xx\"}", 24.0),
            ("portcullis_requests_total{route=\"/admin/*\",method=\"GET\",status=\"4xx\"}", 24.0),
            ("portcullis_requests_total{route=\"\",method=\"GET\",status=\"4xx\"}", 24.0),
            ("portcullis_requests_total{route=\"local:token\",method=\"POST\",status=\"2xx\"}", 1.0),
            ("portcullis_request_duration_seconds_count{route=\"/orders/*-GET-HEAD-POST\"}", 168.0),
            ("portcullis_refusals_total{reason=\"missing_role\"}", 24.0),
            ("portcullis_refusals_total{reason=\"no_token\"}", 24.0),
            ("portcullis_refusals_total{reason=\"invalid_token\"}", 24.0),
            // All but those to /public and /token asked for a token.
            ("portcullis_authentication_duration_seconds_count", 216.0),
            ("portcullis_upstream_duration_seconds_count{upstream=\"backend\"}", 168.0),
            ("portcullis_upstream_failures_total{upstream=\"backend\"}", 0.0),
            ("portcullis_connections_accepted_total{protocol=\"http1\"}", 25.0),
            ("portcullis_connections_accepted_total{protocol=\"http2\"}", 0.0),
        ],
    );
    let server = gateway.backend.addr();
    assert_eq!(page.get(&format!("portcullis_server_picks_total{{server=\"{server}\"}}")), 168.0);
    let opened = page.get(&format!("portcullis_server_connections_opened_total{{server=\"{server}\"}}"));
    assert!((1.0..=24.0).contains(&opened), "connections are used again: {opened}");
    assert_eq!(page.get(&format!("portcullis_server_connections_open{{server=\"{server}\"}}")), opened);
    assert_eq!(page.get(&format!("portcullis_server_connections_idle{{server=\"{server}\"}}")), opened);
    // Each worker verifies a good token once, and a bad one each time.
    let misses = page.get("portcullis_token_cache_misses_total");
    assert!((25.0..=26.0).contains(&misses), "{misses}");
    assert_eq!(page.get("portcullis_token_cache_hits_total") + misses, 192.0);
    assert_eq!(page.get("portcullis_token_cache_entries"), misses - 24.0);
}

/// A hundred thousand paths, methods and hosts that nobody has configured leave one route, one method and no trace of themselves.
#[test]
fn what_clients_make_up_does_not_become_a_label() {
    let gateway = Setup::new(ROUTES).set("log.access", "'off'").start();
    let flood = |from: usize, count: usize| {
        let mut client = gateway.connect();
        let requests = (from..from + count).map(|n| {
            format!("MADEUP{} /made-up-{n}?x={n} HTTP/1.1\r\nHost: made-up-{n}.test\r\n\r\n", n % 100)
        });
        let requests: Vec<String> = requests.collect();
        for batch in requests.chunks(200) {
            client.send(batch.concat());
            for _ in batch {
                assert_eq!(client.response().status, 401);
            }
        }
    };
    flood(0, 10);
    let lines = settled(&gateway).samples.len();
    std::thread::scope(|scope| {
        for quarter in 0..4 {
            scope.spawn(move || flood(quarter * 25_000, 25_000));
        }
    });
    let page = settled(&gateway);
    assert_eq!(page.get("portcullis_requests_total{route=\"\",method=\"other\",status=\"4xx\"}"), 100_010.0);
    assert_eq!(page.samples.len(), lines);
    let (_, _, text) = admin(&gateway, "GET /metrics", "");
    assert!(!text.to_ascii_lowercase().replace('-', "").contains("madeup"), "{text}");
    assert!(text.len() < 32 * 1024, "{} bytes", text.len());
}

#[test]
fn it_is_for_administrators_only_and_never_public() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("root", "admin");
    assert_eq!(gateway.send(&Request::get("/metrics")).status, 401);
    assert_eq!(gateway.get("/metrics", &token).status, 404);
    assert_eq!(gateway.backend.count(), 0);
    let (status, _, body) = admin(&gateway, "POST /metrics", "Content-Length: 0\r\n");
    assert_eq!(status, 405, "{body}");
}

#[test]
fn open_metrics_is_for_those_who_ask_for_it() {
    let gateway = Gateway::start(ROUTES);
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let (status, content_type, body) = admin(&gateway, "GET /metrics", accept);
    assert_eq!(status, 200);
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = Exposition::parse(&body);
    assert_eq!(open.families["portcullis_requests"], "counter");
    assert_eq!(open.families["portcullis_build"], "info");
    let text = scrape(&gateway);
    let names = |page: &Exposition| -> Vec<String> { page.samples.keys().cloned().collect() };
    assert_eq!(names(&open), names(&text), "the same samples in both formats");
}

/// The table in the README is the list of names that users rely on.
#[test]
fn the_readme_names_every_family() {
    let gateway = Gateway::start(ROUTES);
    let page = scrape(&gateway);
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("**Metrics.**").expect("a section about metrics");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with("| `"));
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut named: Vec<String> = rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap())).collect();
    named.sort();
    assert_eq!(named, page.families.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn logins_hashes_writes_and_revocations_are_counted() {
    let gateway = Gateway::start(ROUTES);
    let before = scrape(&gateway);
    assert_eq!(before.get("portcullis_store_writable"), 1.0);
    let token = gateway.token_for("alice", "reader");
    assert_eq!(gateway.login_with("alice", "wrong password").status, 400);
    assert_eq!(gateway.login_with("nobody", "wrong password").status, 400);
    assert_eq!(gateway.get("/anyone/x", &token).status, 200);
    gateway.cli(["user", "disable", "alice"]).ok();
    assert_eq!(gateway.get("/anyone/x", &token).status, 401);
    let page = settled(&gateway);
    assert_counts(
        &page,
        &[
            ("portcullis_logins_total{outcome=\"success\"}", 1.0),
            ("portcullis_logins_total{outcome=\"bad_credentials\"}", 2.0),
            ("portcullis_logins_total{outcome=\"busy\"}", 0.0),
            // Three logins, and the password of the new user.
            ("portcullis_hashing_wait_seconds_count", 4.0),
            ("portcullis_hashing_jobs", 0.0),
            ("portcullis_revocations", 1.0),
            ("portcullis_signing_keys", 1.0),
            ("portcullis_signing_key_rotations_total", 0.0),
            ("portcullis_store_write_failures_total", 0.0),
        ],
    );
    let writes = |page: &Exposition| page.get("portcullis_store_write_duration_seconds_count");
    assert_eq!(writes(&page) - writes(&before), 3.0, "one user added, one logged in, one changed");
}

#[test]
fn a_reload_keeps_what_stays_and_drops_what_goes() {
    let gateway = Gateway::start(ROUTES);
    for path in ["/public/x", "/nowhere"] {
        gateway.send(&Request::get(path));
    }
    let token = gateway.token_for("alice", "admin");
    assert_eq!(gateway.get("/admin/x", &token).status, 200);
    let before = settled(&gateway);
    assert_eq!(before.label("route"), ["", "/admin/*", "/public/*", "local:token"]);
    let admin_route = "[[route]]\npath = \"/admin/*\"\nroles = [\"admin\"]\nupstream = \"backend\"\n";
    let other = "[[route]]\npath = '/aaa'\naccess = 'public'\nupstream = 'backend'\n";
    gateway.reload(|text| {
        assert!(text.contains(admin_route), "{text}");
        text.replace(admin_route, other)
    });
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    assert_eq!(gateway.send(&Request::get("/aaa")).status, 200);
    let after = settled(&gateway);
    assert_eq!(after.label("route"), ["", "/aaa", "/public/*", "local:token"]);
    assert_counts(
        &after,
        &[
            ("portcullis_requests_total{route=\"/public/*\",method=\"GET\",status=\"2xx\"}", 2.0),
            ("portcullis_requests_total{route=\"/aaa\",method=\"GET\",status=\"2xx\"}", 1.0),
            ("portcullis_reloads_total{outcome=\"success\"}", 1.0),
            ("portcullis_reloads_total{outcome=\"failed\"}", 0.0),
            ("portcullis_last_reload_successful", 1.0),
        ],
    );
    assert_ne!(before.label("hash"), after.label("hash"));
    let loaded = |page: &Exposition| page.get("portcullis_last_reload_success_timestamp_seconds");
    assert!(loaded(&after) > loaded(&before));

    gateway.reload(|text| format!("{text}[[route]]\nnonsense = 1\n"));
    let failed = scrape(&gateway);
    assert_counts(
        &failed,
        &[
            ("portcullis_reloads_total{outcome=\"failed\"}", 1.0),
            ("portcullis_last_reload_successful", 0.0),
            ("portcullis_last_reload_success_timestamp_seconds", loaded(&after)),
        ],
    );
    assert_eq!(failed.label("hash"), after.label("hash"));
}

#[test]
fn a_server_that_refuses_is_seen_to_rest() {
    let refusing = RefusingAddress::new();
    let gateway = Setup::new(ROUTES).servers([refusing.addr()]).start();
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 502);
    let page = settled(&gateway);
    let server = refusing.addr();
    assert_counts(
        &page,
        &[
            (&format!("portcullis_server_connect_failures_total{{server=\"{server}\"}}"), 1.0),
            (&format!("portcullis_server_picks_total{{server=\"{server}\"}}"), 0.0),
            ("portcullis_upstream_failures_total{upstream=\"backend\"}", 1.0),
            ("portcullis_refusals_total{reason=\"connect_failed\"}", 1.0),
            ("portcullis_requests_total{route=\"/public/*\",method=\"GET\",status=\"5xx\"}", 1.0),
        ],
    );
}

#[test]
fn what_is_under_way_is_in_flight_and_open() {
    let gateway = Gateway::start(ROUTES);
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        held.wait();
        exchange.send("two");
    });
    let mut busy = gateway.connect();
    busy.send(Request::get("/public/slow").encode("h"));
    assert_eq!(busy.head("GET").status, 200);
    assert_eq!(busy.body(3), b"one");
    let mut other = Http2::connect(gateway.addr());
    assert_eq!(other.get("/public/x", "none").status(), 200);
    let silent = gateway.connect();
    let open = |protocol: &str| {
        let page = scrape(&gateway);
        page.get(&format!("portcullis_connections_open{{protocol=\"{protocol}\"}}"))
    };
    wait_until("the silent connection is accepted", || open("none") == 1.0);
    assert_eq!((open("http1"), open("http2")), (1.0, 1.0));
    let in_flight = || scrape(&gateway).get("portcullis_requests_in_flight");
    wait_until("the other request has ended", || in_flight() == 1.0);
    gate.open();
    assert_eq!(busy.rest().unwrap(), b"two");
    drop((busy, silent));
    wait_until("all is over", || in_flight() == 0.0 && open("http1") == 0.0 && open("none") == 0.0);
}

#[test]
fn process_figures_have_their_usual_names() {
    let gateway = Gateway::start(ROUTES);
    let page = scrape(&gateway);
    assert!(page.get("process_resident_memory_bytes") > 1e6, "{page:?}");
    assert!(page.get("process_cpu_seconds_total") > 0.0);
    assert!(page.get("process_open_fds") > 5.0);
    assert!(page.get("process_start_time_seconds") > 1.7e9);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(page.get(&format!("portcullis_build_info{{version=\"{version}\"}}")), 1.0);
}

#[test]
fn it_can_be_turned_off_at_the_start() {
    let gateway = Setup::new(ROUTES).set("metrics.enabled", "false").start();
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    let (status, _, body) = admin(&gateway, "GET /metrics", "");
    assert_eq!((status, body.as_str()), (404, "metrics are off: metrics.enabled = false\n"));
    let text = gateway.site.config_text().replace("enabled = false", "enabled = true");
    gateway.site.write_config(&text);
    gateway.process.signal(Signal::HUP);
    gateway.wait_for_log(|line| line["key"] == "metrics.enabled");
    assert_eq!(admin(&gateway, "GET /metrics", "").0, 404);
}
