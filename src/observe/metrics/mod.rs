//! Metrics: counters on the request's path, and the page for Prometheus that is made of them when somebody asks.
//!
//! A worker writes only counters of its own, so counting is a load and a store, never a locked instruction and never a cache line
//! of another core. A page is the sum over the workers. Labels are bounded: names of the configuration and words of closed sets, never
//! a path, a host or a user. The text is written by prometheus-client; its own counters are shared atomics behind locked
//! maps, which is why these are not used.

mod cell;
mod control;
mod exposition;
mod page;
mod process;
mod series;
mod server;
mod worker;

use std::sync::Arc;

pub use control::{
    IssuerFigures, Latency, LoginCounters, LoginOutcome, ReloadCounters, SigningKeyFigures, WriteCounters,
};
pub use exposition::{Sources, render};
pub use page::Format;
pub use series::{Ended, Recorder, Series};
pub use server::{OpenToServer, ServerMeter, server_key};
pub use worker::{OpenConnection, Protocol, TokenCounters, WorkerCounters};

/// A worker's place among the counters.
#[derive(Clone, Debug)]
pub struct Seat {
    counters: Arc<WorkerCounters>,
    index: usize,
}

impl Seat {
    /// One for each worker.
    #[must_use]
    pub fn all(workers: usize) -> Vec<Self> {
        (0..workers).map(|index| Self { counters: Arc::default(), index }).collect()
    }

    /// What the worker counts requests with, under a snapshot.
    #[must_use]
    pub fn recorder(&self, series: Arc<Series>) -> Recorder {
        Recorder { series, worker: self.counters.clone(), index: self.index }
    }

    /// The worker's counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }
}
