//! One request and its response, from the first to the last byte: what becomes the access record.

mod ongoing;
mod tracked;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Version, header};

pub use tracked::{Switched, Tracked};

use super::connection::Connection;
use super::streams::Entry;
use super::worker::View;
use crate::auth::Caller;
use crate::body::{Meter, RequestBody, ResponseBody, TokenEnd};
use crate::clock;
use crate::config::{Endpoint, Route, Target};
use crate::inbound::{Arrival, Inbound, Malformed, RequestId};
use crate::message::{Fields, Head, Response};
use crate::observe::metrics::Ended;
use crate::observe::{AccessRecord, Reason};
use crate::peer::ClientIp;
use crate::proxy::Tunnel;
use crate::reject::{Form, Reject};
use crate::route::Found;

/// The client went away before there was a response. Not a status of HTTP; it is what nginx logs, and log readers know it.
const CLIENT_CLOSED: u16 = 499;

/// An exchange. When it is dropped, the access record is written, however it ended.
pub(super) struct Exchange(Box<State>);

struct State {
    view: Arc<View>,
    connection: Arc<Connection>,
    arrival: Arrival,
    started: Instant,
    first_byte: Option<Duration>,
    authenticates: bool,
    /// The upstream's position, and when it was decided that it gets the request.
    forwarding: Option<(usize, Duration)>,
    request: Seen,
    method: Method,
    version: Version,
    caller: Option<Arc<Caller>>,
    route: Option<Arc<Route>>,
    server: Option<SocketAddr>,
    /// What the response says of the limits that the request was counted for.
    limits: Option<Box<Fields>>,
    received: Option<Arc<Meter>>,
    tunnelled: u64,
    sent: u64,
    status: u16,
    refused: Option<Reject>,
    /// What broke.
    broken: Option<String>,
    /// Among those that go on at the worker.
    entry: Option<Entry>,
    /// How the token has ended that let it in.
    ended: Option<TokenEnd>,
    complete: bool,
}

/// What is known of the request. Shared with those who act on it, so that nothing has to be copied for the record.
enum Seen {
    /// Nothing yet.
    Nothing,
    /// It is refused before it means anything.
    Malformed(Box<(Box<Head>, RequestId)>),
    /// What it means.
    Inbound(Arc<Inbound>),
}

impl Seen {
    fn head(&self) -> Option<&Head> {
        match self {
            Self::Nothing => None,
            Self::Malformed(malformed) => Some(&malformed.0),
            Self::Inbound(inbound) => Some(&inbound.head),
        }
    }

    fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Nothing => None,
            Self::Malformed(malformed) => Some(&malformed.1),
            Self::Inbound(inbound) => Some(inbound.request_id()),
        }
    }
}

impl Exchange {
    pub(super) fn begin(
        view: &Arc<View>,
        connection: &Arc<Connection>,
        arrival: Arrival,
        method: &Method,
        version: Version,
    ) -> Self {
        connection.begin();
        if let Some(recorder) = view.recorder() {
            recorder.begin();
        }
        Self(Box::new(State {
            view: view.clone(),
            connection: connection.clone(),
            arrival,
            started: clock::monotonic(),
            first_byte: None,
            authenticates: false,
            forwarding: None,
            request: Seen::Nothing,
            method: method.clone(),
            version,
            caller: None,
            route: None,
            server: None,
            limits: None,
            received: None,
            tunnelled: 0,
            sent: 0,
            status: CLIENT_CLOSED,
            refused: None,
            broken: None,
            entry: None,
            ended: None,
            complete: false,
        }))
    }

    /// Over what and when the request came.
    pub(super) fn arrival(&self) -> Arrival {
        self.0.arrival
    }

    /// When it began, by the monotonic clock.
    pub(super) fn started(&self) -> Instant {
        self.0.started
    }

    /// For what the response says of the limits that the request was counted for.
    pub(super) fn limits(&mut self) -> &mut Fields {
        self.0.limits.get_or_insert_default()
    }

    /// A token is asked for.
    pub(super) fn note_authentication(&mut self) {
        self.0.authenticates = true;
    }

    /// The end of authentication and the beginning of the upstream's time, which is now.
    pub(super) fn note_forwarding(&mut self, upstream: usize) -> Instant {
        let now = clock::monotonic();
        if self.0.view.recorder().is_some() {
            self.0.forwarding = Some((upstream, now.saturating_duration_since(self.0.started)));
        }
        now
    }

    pub(super) fn note_inbound(&mut self, inbound: &Arc<Inbound>) {
        self.0.request = Seen::Inbound(inbound.clone());
    }

    /// Why the request means nothing.
    pub(super) fn note_malformed(&mut self, malformed: Malformed) -> Reject {
        self.0.request = Seen::Malformed(Box::new((malformed.head, malformed.request_id)));
        malformed.reject
    }

    pub(super) fn note_route(&mut self, found: &Found<'_, Arc<Route>>) {
        if let Found::Route(route) = found {
            self.0.route = Some(Arc::clone(route));
        }
    }

    pub(super) fn note_caller(&mut self, caller: &Arc<Caller>) {
        self.0.caller = Some(caller.clone());
    }

    pub(super) fn note_body(&mut self, body: &RequestBody) {
        self.0.received = body.meter();
    }

    pub(super) fn note_server(&mut self, server: SocketAddr, answered: Instant) {
        self.0.server = Some(server);
        self.0.first_byte = Some(answered.saturating_duration_since(self.0.started));
    }

    /// The response begins. With a tunnel the exchange goes on until that has ended.
    pub(super) fn respond(
        mut self,
        mut response: Response<ResponseBody>,
        tunnel: Option<Box<Tunnel>>,
    ) -> Response<Tracked> {
        let state = &mut *self.0;
        if let Some(limits) = state.limits.take() {
            response.fields.append(*limits);
        }
        state.status = response.status.as_u16();
        if state.first_byte.is_none() {
            state.first_byte = Some(clock::monotonic().saturating_duration_since(state.started));
        }
        Tracked::begin(self, response, tunnel)
    }

    /// The response is a refusal.
    pub(super) fn refuse(mut self, reject: Reject) -> Response<Tracked> {
        let state = &mut *self.0;
        if matches!(&reject, Reject::Internal(_)) {
            let id = state.request.id().map_or("", RequestId::as_str);
            tracing::error!(request.id = id, error = %reject, "a request failed inside the gateway");
        }
        if state.limits.is_some() && reject.wants_token() {
            // That a path has limits says that it has a route.
            state.limits = None;
        }
        let form = state.form_of(&reject);
        let id = state.request.id().map_or(b"".as_slice(), RequestId::as_bytes);
        let response = state.view.refusals().response(&reject, form, id);
        state.refused = Some(reject);
        self.respond(response, None)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = &mut *self.0;
        state.ended = state.entry.as_ref().and_then(Entry::ended);
        state.connection.end();
        let recorder = state.view.recorder();
        let access = state.view.access().filter(|_| !state.is_probe());
        if recorder.is_none() && access.is_none() {
            return;
        }
        let total = match state.first_byte {
            // HTTP/1.1 takes a refusal in one piece. To read the clock once more takes 28 ns, 1 % of it.
            Some(first_byte) if state.refused.is_some() && state.version != Version::HTTP_2 => first_byte,
            _ => clock::monotonic().saturating_duration_since(state.started),
        };
        if let Some(recorder) = recorder {
            recorder.end(&state.ended(total));
        }
        if let Some(access) = access {
            access.record(&state.record(total));
        }
    }
}

impl State {
    /// Probes come every few seconds from every load balancer, and say nothing.
    fn is_probe(&self) -> bool {
        let target = self.route.as_ref().map(|route| route.target);
        matches!(target, Some(Target::Local(Endpoint::Health | Endpoint::Ready)))
    }

    /// Clients of OAuth read one form of error. A refusal for who is calling looks the same on every path, though.
    fn form_of(&self, reject: &Reject) -> Form {
        let about_caller = reject.wants_token() || reject.status() == StatusCode::FORBIDDEN;
        match self.route.as_ref().map(|route| route.target) {
            Some(Target::Local(endpoint)) if endpoint.is_oauth() && !about_caller => Form::OAuth,
            _ => self.request.head().map_or(Form::Problem, |head| Form::of(head.version, &head.fields)),
        }
    }

    fn ended(&self, total: Duration) -> Ended<'_> {
        let first_byte = self.first_byte.unwrap_or(total);
        let decided = self.forwarding.map_or(first_byte, |(_, decided)| decided);
        Ended {
            route: self.route.as_ref().map(|route| route.index),
            method: &self.method,
            status: self.status,
            took: if self.status == StatusCode::SWITCHING_PROTOCOLS { first_byte } else { total },
            authentication: self.authenticates.then_some(decided),
            upstream: self.forwarding.map(|(index, _)| (index, first_byte.saturating_sub(decided))),
            refused: self.refused.as_ref().map(Reject::code).or(self.ended.map(TokenEnd::code)),
        }
    }

    fn record(&self, total: Duration) -> AccessRecord<'_> {
        let (client, host, target) = self.addressed();
        let field = |name| self.request.head().and_then(|head| head.fields.get(name));
        AccessRecord {
            time: self.arrival.time,
            request_id: self.request.id().map_or(b"", RequestId::as_bytes),
            client: client.0,
            user: self.caller.as_ref().map(|caller| caller.name().as_str()),
            roles: self.caller.as_ref().map(|caller| caller.role_header().as_bytes()),
            method: self.method.as_str(),
            host,
            path: target.map_or("", |target| target.path()),
            query: target.and_then(|target| target.query()),
            protocol: if self.version == Version::HTTP_2 {
                "HTTP/2"
            } else if self.version == Version::HTTP_10 {
                "HTTP/1.0"
            } else {
                "HTTP/1.1"
            },
            route: self.route.as_ref().map(|route| route.name.as_str()),
            status: self.status,
            bytes_in: self.received.as_ref().map_or(self.tunnelled, |meter| meter.bytes()),
            bytes_out: self.sent,
            ttfb: self.first_byte.unwrap_or(total),
            total,
            upstream: self.server,
            reason: self.reason(),
            user_agent: field(&header::USER_AGENT).map(HeaderValue::as_bytes),
            complete: self.complete,
        }
    }

    /// From whom, to which host and path: as it is understood, or else as it came.
    fn addressed(&self) -> (ClientIp, &[u8], Option<&PathAndQuery>) {
        match &self.request {
            Seen::Inbound(inbound) => {
                (inbound.client(), inbound.authority().as_bytes(), Some(inbound.path().path_and_query()))
            }
            Seen::Malformed(malformed) => {
                let head = &malformed.0;
                let host =
                    head.fields.get(&header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                (self.peer(), host.as_bytes(), head.uri.path_and_query())
            }
            Seen::Nothing => (self.peer(), b"", None),
        }
    }

    fn reason(&self) -> Option<Reason<'_>> {
        if let Some(end) = &self.ended {
            return Some(Reason::Refused(end.code(), end));
        }
        match (&self.refused, &self.broken) {
            (_, Some(text)) => Some(Reason::Broken(text)),
            (Some(reject), None) => Some(Reason::Refused(reject.code(), reject)),
            (None, None) => (self.status == CLIENT_CLOSED).then_some(Reason::Broken("the client went away")),
        }
    }

    fn peer(&self) -> ClientIp {
        ClientIp(self.arrival.peer.ip())
    }
}
