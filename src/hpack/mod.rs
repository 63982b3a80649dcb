//! Header compression of HTTP/2 (RFC 7541), as a server needs it: field lines of requests are decoded, those of responses encoded.
//!
//! A client codes its token anew in each request, 560 characters in Huffman code, so the decoder takes eight symbols at a time from one
//! word, and a block needs one allocation for its values. Lines that come again are in a table on both sides: one costs a byte on the
//! wire and a reference count here.
//!
//! Nothing here decides what a field may say; which pseudo-header fields a request has is not looked at either.

mod decode;
mod encode;
mod huffman;
mod integer;
mod table;
#[cfg(test)]
mod testing;

pub use decode::{Decoder, Extent};
pub use encode::Encoder;
use http::HeaderName;

/// Octets of the dynamic table that we use for responses, and that both sides have before anything is said about it (RFC 9113 §6.5.2).
pub const TABLE_SIZE: usize = 4096;

/// What a line in a table, or in a list of fields, counts beyond its name and its value (RFC 7541 §4.1, RFC 9113 §6.5.2).
const LINE: usize = 32;

/// What a field line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The pseudo-header field `:method` (RFC 9113 §8.3.1).
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:protocol` (RFC 8441 §4).
    Protocol,
    /// A field.
    Field(HeaderName),
    /// What cannot be a name in a request: upper case (RFC 9113 §8.2.1), nothing, characters that are not of a token, another
    /// pseudo-header field.
    Malformed,
}

/// Why a header block cannot be decoded. The tables of both sides are no longer the same then: the connection has to end with
/// `COMPRESSION_ERROR` (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The block ends within a line.
    #[error("the header block ends within a field line")]
    Truncated,
    /// An integer is greater than anything that can be meant (RFC 7541 §5.1).
    #[error("an integer in the header block is too large")]
    Integer,
    /// An index is zero or beyond the tables (§2.3.3).
    #[error("an index in the header block points to no table entry")]
    Index,
    /// A table size is greater than what was announced, or changes behind the first line (§4.2, §6.3).
    #[error("the header block sets a table size that it may not set")]
    TableSize,
    /// A string is no Huffman code, or is padded in another way than by up to seven ones (§5.2).
    #[error("a string in the header block is not valid Huffman code")]
    Huffman,
}

#[cfg(test)]
mod tests;
