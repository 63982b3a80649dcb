//! HTTP/2 with prior knowledge: hyper's client for what is well-formed, frames by hand for what is not.

mod answer;
mod client;
pub(crate) mod fields;
mod frame;
mod raw;

pub(crate) use answer::Fate;
pub(crate) use client::Http2;
pub(crate) use frame::{Frame, code, flag, kind, setting};
pub(crate) use raw::{PREFACE, RawHttp2};
