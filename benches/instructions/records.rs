//! What is said about a request: to the caller who is refused, to the access log, and to the metrics.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gungraun::{library_benchmark, library_benchmark_group};
use http::Method;
use portcullis::body::ResponseBody;
use portcullis::clock;
use portcullis::message::Response;
use portcullis::observe::AccessRecord;
use portcullis::observe::metrics::{Ended, Recorder, Seat, Series};
use portcullis::reject::{Form, Prepared, Reject};

use crate::config::{HOST, NOW, with_routes};

const ID: &str = "018bcfe5-6800-796d-9754-0d232fc6e50b";

fn prepared() -> (Prepared, Reject) {
    let prepared = Prepared::new("http://localhost/.well-known/oauth-protected-resource");
    drop(prepared.response(&Reject::NoToken, Form::Problem, ID.as_bytes()));
    (prepared, Reject::NoToken)
}

#[library_benchmark]
#[bench::no_token(setup = prepared)]
fn refuse((prepared, reject): (Prepared, Reject)) -> (Response<ResponseBody>, Prepared) {
    let response = prepared.response(black_box(&reject), Form::Problem, black_box(ID.as_bytes()));
    (response, prepared)
}

/// The first text of a size makes the allocator get a whole slab for it.
fn buffer() -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    write(&mut out);
    out.clear();
    out
}

// With the whole date, which a worker formats once a second.
#[library_benchmark]
#[bench::json(setup = buffer)]
fn access_record(mut out: Vec<u8>) -> Vec<u8> {
    write(&mut out);
    out
}

fn write(out: &mut Vec<u8>) {
    let record = AccessRecord {
        time: NOW,
        request_id: ID.as_bytes(),
        client: [192, 0, 2, 7].into(),
        user: Some("alice"),
        roles: Some(b"reader,writer"),
        method: "GET",
        host: HOST.as_bytes(),
        path: "/service-0/orders/17",
        query: Some("page=2&access_token=0123456789"),
        protocol: "HTTP/1.1",
        route: Some("/service-0/*"),
        status: 200,
        bytes_in: 0,
        bytes_out: 1024,
        ttfb: Duration::from_micros(1234),
        total: Duration::from_micros(1301),
        upstream: Some(([192, 0, 2, 80], 8080).into()),
        reason: None,
        user_agent: Some(b"orders-sync/2.4 (linux; x86_64)"),
        complete: true,
    };
    black_box(&record).write_json(out);
}

fn recorder() -> Recorder {
    let config = with_routes(10, "127.0.0.1:9", Path::new("/"));
    let seats = Seat::all(1);
    let series = Arc::new(Series::new(clock::monotonic(), 1, &config, None));
    let recorder = seats.first().unwrap().recorder(series);
    // The first request makes the counters of its route.
    count(&recorder);
    recorder
}

fn count(recorder: &Recorder) {
    recorder.begin();
    recorder.end(black_box(&Ended {
        route: Some(3),
        method: &Method::GET,
        status: 200,
        took: Duration::from_micros(1301),
        authentication: Some(Duration::from_micros(3)),
        upstream: Some((0, Duration::from_micros(1230))),
        refused: None,
    }));
}

#[library_benchmark]
#[bench::forwarded(setup = recorder)]
fn metrics(recorder: Recorder) -> Recorder {
    count(&recorder);
    recorder
}

library_benchmark_group!(name = record, benchmarks = [refuse, access_record, metrics]);
