//! What load balancers ask: alive, and ready to take traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::{HeaderValue, StatusCode, header};

use crate::auth::Permit;
use crate::body::ResponseBody;
use crate::message::Response;
use crate::observe::audit::Audit;
use crate::store::Store;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not everything is up.
    Starting = 0,
    /// Takes traffic.
    Ready = 1,
    /// Finishes what is in flight.
    Draining = 2,
}

/// What the probes are told. Outlives a reload.
#[derive(Debug)]
pub struct Health {
    phase: AtomicU8,
    store: Arc<dyn Store>,
    audit: Audit,
}

impl Health {
    /// A process that is starting.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, audit: Audit) -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), store, audit }
    }

    /// The process has come to this phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Whether traffic should be sent here.
    ///
    /// # Errors
    /// The reason why not, for people.
    pub fn check(&self) -> Result<(), String> {
        match self.phase.load(Ordering::Acquire) {
            // Why, is nobody's business outside: the log has it.
            1 => {
                self.store.writable().map_err(|_| "the store refuses writes".to_owned())?;
                self.audit.writable().map_err(|_| "the audit log cannot be written".to_owned())
            }
            2 => Err("draining".to_owned()),
            _ => Err("starting".to_owned()),
        }
    }
}

/// `GET /healthz`: whoever can answer is alive.
#[must_use]
pub fn alive(_: Permit<'_>) -> Response<ResponseBody> {
    text(StatusCode::OK, "ok\n".to_owned())
}

/// `GET /readyz`: 200, or 503 with the reason.
#[must_use]
pub fn ready(_: Permit<'_>, health: &Health) -> Response<ResponseBody> {
    match health.check() {
        Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<ResponseBody> {
    Response::new(status, ResponseBody::full(body))
        .with(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
        .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
