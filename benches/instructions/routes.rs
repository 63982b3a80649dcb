//! Finding a route, and the path that it is found by.

use std::hint::black_box;
use std::path::Path;

use gungraun::{library_benchmark, library_benchmark_group};
use http::Method;
use http::uri::PathAndQuery;
use portcullis::config::Config;
use portcullis::route::{CleanPath, Found};

use crate::config::{HOST, with_routes};

/// A configuration, and paths below each of its routes in turn: as many look-ups with 10 routes as with 10,000. The tables are seeded
/// at random, and a single look-up can be the one that compares two names.
fn table(routes: usize) -> (Config, Vec<CleanPath>) {
    let paths = (0..10_000).map(|request| {
        let target = format!("/service-{}/orders/{request}", request % routes);
        CleanPath::parse(&target.parse().unwrap()).unwrap()
    });
    (with_routes(routes, "127.0.0.1:9", Path::new("/")), paths.collect())
}

#[library_benchmark]
#[bench::of_10_x10000(args = (10), setup = table)]
#[bench::of_10000_x10000(args = (10_000), setup = table)]
fn find((config, paths): (Config, Vec<CleanPath>)) -> (Config, Vec<CleanPath>) {
    for path in &paths {
        assert!(matches!(config.routes.find(black_box(HOST), path, &Method::GET), Found::Route(_)));
    }
    (config, paths)
}

fn target(text: &'static str) -> PathAndQuery {
    let target = PathAndQuery::from_static(text);
    CleanPath::parse(&target).unwrap();
    target
}

#[library_benchmark]
#[bench::clean(args = ("/service-0/orders/17/lines?page=2&sort=date"), setup = target)]
#[bench::encoded(args = ("/service-0/./orders/%31%37/na%C3%AFve/../lines?page=2&sort=date"), setup = target)]
fn clean_path(target: PathAndQuery) -> (CleanPath, PathAndQuery) {
    (CleanPath::parse(black_box(&target)).unwrap(), target)
}

library_benchmark_group!(name = route, benchmarks = [find, clean_path]);
