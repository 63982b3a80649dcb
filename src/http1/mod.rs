//! Messages of HTTP/1.1 on the wire (RFC 9112), for both of our sides: what a client sends is framed like what a server sends, and
//! what goes to the one is written like what goes to the other.
//!
//! httparse reads heads and chunk sizes. Nothing here decides what a header field may say.

mod chunked;
mod content;
mod head;
mod receive;
mod send;
#[cfg(test)]
pub(crate) mod testing;

pub use chunked::Piece;
pub use content::{Ambiguous, Content, Length};
pub use head::HeadEnd;
pub use receive::{Buffer, Receiver};
pub use send::{Framing, SendError, Sender, Trailers};
