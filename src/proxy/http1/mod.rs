//! HTTP/1.1 towards a server (RFC 9112), one exchange at a time on a connection, in the task of the request that it is for.
//!
//! hyper's client drives each connection in a task of its own and hands requests and responses across by channels. Here the request's
//! own task writes and reads, which saves half of the instructions of that way; the head is written from the client's header fields
//! as it is filtered, and a response that came in one piece is passed on in one piece.
//! Nothing here decides what a header field may say: that is `headers`' part.

mod connection;
mod download;
pub mod head;
mod upload;

pub(super) use connection::{Cause, Connection, Deadline, Failure, HEAD, Socket, Tunnelled, Workspace};
pub(super) use download::{Download, Settle};
pub(super) use head::{Head, Meaning};
pub(super) use upload::Upload;

#[cfg(test)]
mod tests;
