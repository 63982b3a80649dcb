//! How often somebody may do something, counted in bounded memory: the limits of the configuration (`[limit.NAME]`), and the table
//! that `identity::throttle` counts its tries in, too. Knows who is counted, and nothing of requests.

mod limiter;
mod table;

pub use limiter::{Exceeded, Limiter, Limits, Standing, Subject};
pub use table::{Fading, Table};
