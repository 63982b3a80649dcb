//! What the gateway says about itself: the log of events and one access record per request.
//!
//! Three ways out, because they serve three readers. Events ([`init`]) are rare and go to standard error through
//! `tracing`. Access records ([`AccessLog`]) come with every request, so they are formatted straight into a buffer of the
//! worker and written by a thread of their own; no request ever waits for a disk. Figures over time are in
//! [`metrics`], which Prometheus fetches. None of them ever writes a control character that came from outside, so a record is
//! one line and cannot move a terminal's cursor.

mod access;
mod form;
pub mod json;
mod log;
pub mod metrics;
mod redact;
mod text;

pub use access::{AccessLog, AccessRecord, AccessSink, Reason};
pub use log::{InitError, LogHandle, init, subscriber};
