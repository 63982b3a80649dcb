//! Which route a request is for, and who may pass: pure rules, shared by `check`, `explain` and live requests.
//!
//! A request path becomes a [`CleanPath`] once; what [`Table::find`] saw is what is forwarded. Nothing here does I/O,
//! reads a clock or knows what a route leads to.

mod access;
mod alphabet;
#[cfg(test)]
mod arbitrary;
mod clean_path;
mod host;
mod looser;
mod methods;
mod near_miss;
mod pattern;
mod table;

pub use access::Access;
pub use clean_path::{CleanPath, PathError};
pub use host::{Host, HostError};
pub use methods::{Methods, MethodsError};
pub use near_miss::NearMiss;
pub use pattern::{Literal, PathPattern, Pattern, PatternError};
pub use table::{Conflict, Found, Table};
