//! A backend that records what it receives and answers as the test wants.
//!
//! It reads strictly: a request that two readers could take differently is a violation, and a gateway that let one
//! through fails its test when it is dropped.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::PATIENCE;
use super::message::{Framing, Headers};
use super::wire::{BodyReader, Broken, Wire};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Counts the connections of this backend from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: Vec<u8>,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
    /// How the body ended, once it did.
    pub(crate) end: Option<Result<(), Broken>>,
}

impl Recorded {
    /// The values of all header lines with this name.
    pub(crate) fn header_values(&self, name: &str) -> Vec<String> {
        self.headers.values(name)
    }

    /// The value of the only header line with this name.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.one(name)
    }

    /// Whether the body came to its proper end.
    pub(crate) fn is_complete(&self) -> bool {
        self.end == Some(Ok(()))
    }
}

type Handler = Arc<dyn Fn(&mut Exchange) + Send + Sync>;

/// The server; it ends when dropped.
pub(crate) struct Backend {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Recorded>,
    /// All connections ever; `None` once it ended.
    connections: Vec<Option<TcpStream>>,
    handlers: HashMap<String, Handler>,
    violations: Vec<String>,
    stopping: bool,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &server));
        Self { addr, shared }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers requests for this path (without the query) by `handler` from now on.
    pub(crate) fn on(&self, path: &str, handler: impl Fn(&mut Exchange) + Send + Sync + 'static) {
        self.shared.lock().handlers.insert(path.into(), Arc::new(handler));
    }

    /// Answers requests for this path with exactly these bytes, after the request's body was read.
    pub(crate) fn reply_raw(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.on(path, move |exchange| {
            exchange.read_body();
            exchange.send(&bytes);
        });
    }

    /// As [`Self::reply_raw`], and closes the connection.
    pub(crate) fn reply_raw_and_close(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.on(path, move |exchange| {
            exchange.read_body();
            exchange.send(&bytes);
            exchange.close();
        });
    }

    /// All requests so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// The latest request.
    #[track_caller]
    pub(crate) fn last(&self) -> Recorded {
        self.requests().pop().expect("a request reached the backend")
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.shared.lock().requests.len()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Waits until `count` requests have come, with their heads.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.wait(&format!("{count} requests"), |state| (state.requests.len() >= count).then_some(()));
    }

    /// Waits for a request like this, which need not be whole yet.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Recorded) -> bool) -> Recorded {
        self.wait(what, |state| state.requests.iter().find(|request| is(request)).cloned())
    }

    /// Waits until no connection is open.
    #[track_caller]
    pub(crate) fn wait_until_all_closed(&self) {
        self.wait("no open connection", |state| state.connections.iter().all(Option::is_none).then_some(()));
    }

    /// What broke the grammar, or could have been read in two ways.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, check: impl Fn(&State) -> Option<T>) -> T {
        let state = self.shared.lock();
        let waiting = |state: &mut State| check(state).is_none();
        let (state, _) = self.shared.changed.wait_timeout_while(state, PATIENCE, waiting).unwrap();
        check(&state).unwrap_or_else(|| {
            let heads: Vec<_> = state.requests.iter().map(|r| r.head.escape_ascii().to_string()).collect();
            panic!("the backend never saw {what}; it saw {heads:#?}, violations {:?}", state.violations)
        })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        for stream in state.connections.iter().flatten() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        drop(state);
        // Wakes the accepting thread, so that it sees `stopping` and the port is free again.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let Some(connection) = shared.change(|state| {
            let copy = stream.try_clone().unwrap();
            (!state.stopping).then(|| {
                state.connections.push(Some(copy));
                state.connections.len() - 1
            })
        }) else {
            return;
        };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let served = catch_unwind(AssertUnwindSafe(|| serve(Wire::new(stream), connection, &shared)));
            shared.change(|state| {
                state.connections[connection] = None;
                if served.is_err() {
                    state.violations.push("a handler of the test panicked".into());
                }
            });
        });
    }
}

fn serve(mut wire: Wire, connection: usize, shared: &Arc<Shared>) {
    loop {
        // A kept-alive connection may lie idle for longer than anything else may take.
        wire.stream().set_read_timeout(None).unwrap();
        let (head, start, headers) = match wire.head() {
            Ok(Some(head)) => head,
            Ok(None) | Err(Broken::Reset) => return,
            Err(broken) => {
                let seen = wire.leftover().escape_ascii().to_string();
                return shared.change(|s| s.violations.push(format!("{broken:?} after {seen:?}")));
            }
        };
        wire.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        let mut exchange = match Exchange::begin(wire, connection, shared, (head, start, headers)) {
            Ok(exchange) => exchange,
            Err(violation) => return shared.change(|state| state.violations.push(violation)),
        };
        let path = exchange.request().target.split('?').next().unwrap_or_default().to_owned();
        let handler = shared.lock().handlers.get(&path).cloned();
        match handler {
            Some(handler) => handler(&mut exchange),
            None => exchange.echo(),
        }
        if exchange.closed || !exchange.request().is_complete() {
            exchange.wire.close();
            return;
        }
        wire = exchange.wire;
    }
}

/// One request and the answer to it, in the hands of a handler.
pub(crate) struct Exchange {
    wire: Wire,
    index: usize,
    body: BodyReader,
    closed: bool,
    shared: Arc<Shared>,
}

impl Exchange {
    fn begin(
        wire: Wire,
        connection: usize,
        shared: &Arc<Shared>,
        (head, start, headers): (Vec<u8>, String, Headers),
    ) -> Result<Self, String> {
        let parts: Vec<&str> = start.split(' ').collect();
        let [method, target, "HTTP/1.1"] = parts.as_slice() else {
            return Err(format!("request line {start:?}"));
        };
        if headers.values("host").len() != 1 {
            return Err(format!("not exactly one Host in\n{headers}"));
        }
        let body = BodyReader::new(Framing::of_request(&headers)?);
        let (method, target) = ((*method).to_owned(), (*target).to_owned());
        let (bytes, trailers, end) = Default::default();
        let request = Recorded { connection, method, target, head, headers, body: bytes, trailers, end };
        let index = shared.change(|state| {
            state.requests.push(request);
            state.requests.len() - 1
        });
        let mut exchange = Self { wire, index, body, closed: false, shared: Arc::clone(shared) };
        if exchange.body_is_empty() {
            exchange.read_body();
        }
        Ok(exchange)
    }

    fn body_is_empty(&self) -> bool {
        let headers = self.request().headers;
        Framing::of_request(&headers) == Ok(Framing::Length(0))
    }

    /// The request as far as it has come.
    pub(crate) fn request(&self) -> Recorded {
        self.shared.lock().requests[self.index].clone()
    }

    /// The next bytes of the body; `None` at its end, proper or not.
    pub(crate) fn read_piece(&mut self) -> Option<Vec<u8>> {
        if self.request().end.is_some() {
            return None;
        }
        let piece = self.body.piece(&mut self.wire);
        let trailers = self.body.trailers().clone();
        self.shared.change(|state| {
            let request = &mut state.requests[self.index];
            match &piece {
                Ok(Some(bytes)) => request.body.extend_from_slice(bytes),
                Ok(None) => (request.trailers, request.end) = (trailers, Some(Ok(()))),
                Err(broken) => request.end = Some(Err(broken.clone())),
            }
        });
        piece.ok().flatten()
    }

    /// Reads the body to its end, proper or not.
    pub(crate) fn read_body(&mut self) {
        while self.read_piece().is_some() {}
    }

    /// Writes these bytes; whether the gateway still takes them.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.write(bytes.as_ref()).is_ok()
    }

    /// Exactly `count` bytes as they are on the wire, for tunnels.
    pub(crate) fn raw(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        self.wire.exact(count)
    }

    /// Waits until the gateway closes its side and returns what came before.
    pub(crate) fn until_end(&mut self) -> Result<Vec<u8>, Broken> {
        let bytes = self.wire.until_end();
        self.closed = true;
        bytes
    }

    /// Closes the connection, now.
    pub(crate) fn close(&mut self) {
        self.wire.close();
        self.closed = true;
    }

    /// 200 with the request's body, or the target if there is none.
    fn echo(&mut self) {
        if self.request().header_values("expect").iter().any(|v| v.eq_ignore_ascii_case("100-continue")) {
            self.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.read_body();
        let request = self.request();
        if !request.is_complete() {
            return;
        }
        let body = if request.body.is_empty() { request.target.into_bytes() } else { request.body };
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        if request.method != "HEAD" {
            bytes.extend_from_slice(&body);
        }
        self.send(bytes);
    }
}
