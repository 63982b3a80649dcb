//! What the gateway says about itself: the log of events and one access record per request.
//!
//! Four ways out, because they serve four readers. Events ([`init`]) are rare and go to standard error through
//! `tracing`. Access records ([`AccessLog`]) come with every request, so they are formatted straight into a buffer of the
//! worker and written by a thread of their own; no request ever waits for a disk. What has to be proved later, who logged in and who
//! changed what, is in [`audit`], and nothing is acknowledged before it is. Figures over time are in
//! [`metrics`], which Prometheus fetches. None of them ever writes a control character that came from outside, so a record is
//! one line and cannot move a terminal's cursor.

mod access;
pub mod audit;
mod form;
pub mod json;
mod log;
pub mod metrics;
mod redact;
mod text;

pub use access::{AccessLog, AccessRecord, AccessSink, Reason};
pub use log::{InitError, LogHandle, init, subscriber};
pub use text::printable;
