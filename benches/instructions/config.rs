//! The configuration that everything here runs under.

use std::path::Path;

use http::{HeaderName, HeaderValue, Uri};
use portcullis::clock::UnixTime;
use portcullis::config::{self, Config};
use portcullis::inbound::{Arrival, IdSource, Inbound, Limits, RequestId};
use portcullis::message::Head;
use portcullis::peer::PeerAddr;

/// When everything happens whose time can be chosen; the tokens in `keys` were issued then.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// What stands before the path of each route.
pub(crate) const HOST: &str = "shop.example";

/// A configuration with so many routes for readers, below `/service-0/`, `/service-1/` and so on, to a server at `address`. The store
/// and the access log are in `directory`.
pub(crate) fn with_routes(count: usize, address: &str, directory: &Path) -> Config {
    let directory = directory.display();
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\
         [store]\npath = \"{directory}/data\"\n\
         [token]\nissuer = \"https://gate.example\"\naudience = \"backends\"\nalgorithm = \"HS256\"\n\
         [login]\nmemory = \"64KiB\"\npasses = 1\n\
         [log]\nformat = \"json\"\naccess = \"{directory}/access.log\"\n\
         [upstream.backend]\nservers = [\"http://{address}\"]\n"
    );
    for route in 0..count {
        text += &format!(
            "[[route]]\npath = \"/service-{route}/*\"\nroles = [\"reader\"]\nupstream = \"backend\"\n"
        );
    }
    config::parse(&text, Path::new("config.toml")).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Header fields of a request as a program sends them: six, and more of its own.
pub(crate) fn fields(count: usize) -> Vec<(HeaderName, HeaderValue)> {
    let usual = [
        ("host", HOST),
        ("user-agent", "orders-sync/2.4 (linux; x86_64)"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br"),
        ("authorization", "Bearer eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
    ];
    let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let more =
        (usual.len()..count).map(|field| (format!("x-field-{field}"), format!("value number {field}")));
    let all = usual.into_iter().chain(more).take(count);
    all.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// A request for the first route, from a client on this machine.
pub(crate) fn inbound(config: &Config, fields: Vec<(HeaderName, HeaderValue)>) -> Inbound {
    let uri = Uri::from_static("/service-0/orders/17?page=2");
    let head = Head { uri, fields: fields.into_iter().collect(), ..Head::empty() };
    let arrival = Arrival {
        peer: PeerAddr(([127, 0, 0, 1], 40_000).into()),
        local: ([127, 0, 0, 1], 8080).into(),
        time: NOW,
    };
    let limits = Limits::new(&config.server);
    let id = RequestId::accept_or_make(&head.fields, arrival, &limits, &IdSource::new(1));
    Inbound::parse(arrival, Box::new(head), id, &limits)
        .unwrap_or_else(|malformed| panic!("{}", malformed.reject))
}
