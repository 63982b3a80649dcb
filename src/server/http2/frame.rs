//! Frames (RFC 9113 §4 and §6): what is read off the front of what was received, and how ours are written.

use std::ops::Range;

/// Bytes of the head of a frame (RFC 9113 §4.1).
pub(super) const HEAD: usize = 9;
/// The longest payload that we take, which is also the shortest bound that a client may set us (RFC 9113 §6.5.2).
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;
/// The greatest window, and the greatest id of a stream (RFC 9113 §5.1.1 and §6.9.1).
pub(super) const MAX_31_BITS: u32 = (1 << 31) - 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITIZED: u8 = 0x20;

/// Why a stream or the connection ends (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub(super) enum Code {
    NoError = 0,
    ProtocolError = 1,
    InternalError = 2,
    FlowControlError = 3,
    StreamClosed = 5,
    FrameSizeError = 6,
    RefusedStream = 7,
    Cancel = 8,
    CompressionError = 9,
    EnhanceYourCalm = 11,
}

/// A frame of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'r> {
    /// `at` is where the data are in the frame. `size` is what it takes of the windows: its padding counts (RFC 9113 §6.9.1).
    Data {
        stream: u32,
        at: Range<usize>,
        size: u32,
        ends: bool,
    },
    /// The first part of a header block.
    Headers {
        stream: u32,
        block: &'r [u8],
        ends_stream: bool,
        ends_block: bool,
    },
    /// The next part of one.
    Continuation {
        stream: u32,
        block: &'r [u8],
        ends_block: bool,
    },
    Reset {
        stream: u32,
    },
    /// Pairs of an identifier and a value.
    Settings(&'r [u8]),
    SettingsAck,
    Ping([u8; 8]),
    PingAck([u8; 8]),
    GoAway,
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    /// RFC 9113 §5.3.2 and §5.5: of no meaning.
    Ignored,
}

/// Reads the frame at the front of what was received, and says how long it is; `None` if it is not whole yet.
///
/// # Errors
/// What the connection ends with. Nothing behind it can be understood.
pub(super) fn read(received: &[u8]) -> Result<Option<(usize, Frame<'_>)>, Code> {
    let Some((&[a, b, c, kind, flags, d, e, f, g], rest)) = received.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > MAX_PAYLOAD {
        return Err(Code::FrameSizeError);
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let stream = u32::from_be_bytes([d, e, f, g]) & MAX_31_BITS;
    Ok(Some((HEAD + length, meaning(kind, flags, stream, payload)?)))
}

fn meaning(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Frame<'_>, Code> {
    let on_stream = matches!(kind, DATA | HEADERS | PRIORITY | RST_STREAM | CONTINUATION);
    if on_stream && stream == 0 || matches!(kind, SETTINGS | PING | GOAWAY) && stream != 0 {
        return Err(Code::ProtocolError);
    }
    let (ends_stream, ends_block) = (flags & END_STREAM != 0, flags & END_HEADERS != 0);
    let size = payload.len();
    match kind {
        DATA => {
            let (before, data) = unpadded(flags, payload)?;
            let at = HEAD + before..HEAD + before + data.len();
            Ok(Frame::Data { stream, at, size: size as u32, ends: ends_stream })
        }
        HEADERS => {
            let (_, block) = unpadded(flags, payload)?;
            let skipped = if flags & PRIORITIZED != 0 { 5 } else { 0 };
            // RFC 9113 §6.2: padding must leave room for it.
            let short = if flags & PADDED == 0 { Code::FrameSizeError } else { Code::ProtocolError };
            let block = block.get(skipped..).ok_or(short)?;
            Ok(Frame::Headers { stream, block, ends_stream, ends_block })
        }
        CONTINUATION => Ok(Frame::Continuation { stream, block: payload, ends_block }),
        RST_STREAM => exactly::<4>(payload).map(|_| Frame::Reset { stream }),
        SETTINGS if flags & ACK != 0 => exactly::<0>(payload).map(|_| Frame::SettingsAck),
        SETTINGS if size.is_multiple_of(SETTING) => Ok(Frame::Settings(payload)),
        PING if flags & ACK != 0 => exactly(payload).map(Frame::PingAck),
        PING => exactly(payload).map(Frame::Ping),
        WINDOW_UPDATE => {
            let increment = u32::from_be_bytes(exactly(payload)?) & MAX_31_BITS;
            Ok(Frame::WindowUpdate { stream, increment })
        }
        PRIORITY => exactly::<5>(payload).map(|_| Frame::Ignored),
        GOAWAY if size >= 8 => Ok(Frame::GoAway),
        SETTINGS | GOAWAY => Err(Code::FrameSizeError),
        // A client cannot push (RFC 9113 §8.4).
        PUSH_PROMISE => Err(Code::ProtocolError),
        _ => Ok(Frame::Ignored),
    }
}

fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], Code> {
    payload.try_into().map_err(|_| Code::FrameSizeError)
}

/// What is before, and what is between, the padding (RFC 9113 §6.1).
fn unpadded(flags: u8, payload: &[u8]) -> Result<(usize, &[u8]), Code> {
    if flags & PADDED == 0 {
        return Ok((0, payload));
    }
    let (&padding, rest) = payload.split_first().ok_or(Code::FrameSizeError)?;
    let length = rest.len().checked_sub(usize::from(padding)).ok_or(Code::ProtocolError)?;
    Ok((1, rest.get(..length).unwrap_or_default()))
}

/// Bytes of one setting (RFC 9113 §6.5.1).
const SETTING: usize = 6;

/// What a client can set that means something to us (RFC 9113 §6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    HeaderTable(u32),
    FirstWindow(u32),
    MaxPayload(usize),
}

/// Reads settings, in their order.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = Result<Setting, Code>> + '_ {
    let (settings, _) = payload.as_chunks::<SETTING>();
    settings.iter().filter_map(|&[a, b, c, d, e, f]| {
        let value = u32::from_be_bytes([c, d, e, f]);
        match u16::from_be_bytes([a, b]) {
            HEADER_TABLE_SIZE => Some(Ok(Setting::HeaderTable(value))),
            ENABLE_PUSH if value > 1 => Some(Err(Code::ProtocolError)),
            INITIAL_WINDOW_SIZE if value > MAX_31_BITS => Some(Err(Code::FlowControlError)),
            INITIAL_WINDOW_SIZE => Some(Ok(Setting::FirstWindow(value))),
            MAX_FRAME_SIZE => match usize::try_from(value) {
                Ok(size @ MAX_PAYLOAD..=0x00FF_FFFF) => Some(Ok(Setting::MaxPayload(size))),
                _ => Some(Err(Code::ProtocolError)),
            },
            _ => None,
        }
    })
}

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Writes what we begin with.
pub(super) fn write_settings(out: &mut Vec<u8>, max_streams: u32, window: u32, max_list: u32) {
    let ours = [
        (MAX_CONCURRENT_STREAMS, max_streams),
        (INITIAL_WINDOW_SIZE, window),
        (MAX_HEADER_LIST_SIZE, max_list),
    ];
    head(out, ours.len() * SETTING, SETTINGS, 0, 0);
    for (id, value) in ours {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn write_settings_ack(out: &mut Vec<u8>) {
    head(out, 0, SETTINGS, ACK, 0);
}

/// Writes a PING, or the answer to one.
pub(super) fn write_ping(out: &mut Vec<u8>, payload: [u8; 8], is_answer: bool) {
    head(out, 8, PING, if is_answer { ACK } else { 0 }, 0);
    out.extend_from_slice(&payload);
}

pub(super) fn write_go_away(out: &mut Vec<u8>, last: u32, code: Code) {
    head(out, 8, GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub(super) fn write_reset(out: &mut Vec<u8>, stream: u32, code: Code) {
    head(out, 4, RST_STREAM, 0, stream);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

/// Writes that the client may send so many more bytes; `stream` 0 is the connection.
pub(super) fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    head(out, 4, WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(super) fn write_data(out: &mut Vec<u8>, stream: u32, data: &[u8], ends: bool) {
    head(out, data.len(), DATA, if ends { END_STREAM } else { 0 }, stream);
    out.extend_from_slice(data);
}

/// Writes a header block that `encode` appends, in as many frames as the client's bound makes of it.
pub(super) fn write_block(
    out: &mut Vec<u8>,
    stream: u32,
    ends: bool,
    max_payload: usize,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let ends = if ends { END_STREAM } else { 0 };
    head(out, 0, HEADERS, ends | END_HEADERS, stream);
    encode(out);
    let length = out.len() - start - HEAD;
    if length > max_payload {
        let block = out.split_off(start + HEAD);
        out.truncate(start);
        write_parts(out, stream, ends, max_payload, &block);
    } else if let Some(field) = out.get_mut(start..start + 3) {
        field.copy_from_slice(&length_field(length));
    }
}

#[cold]
fn write_parts(out: &mut Vec<u8>, stream: u32, ends: u8, max_payload: usize, block: &[u8]) {
    let mut parts = block.chunks(max_payload).peekable();
    let (mut kind, mut flags) = (HEADERS, ends);
    while let Some(part) = parts.next() {
        flags |= if parts.peek().is_none() { END_HEADERS } else { 0 };
        head(out, part.len(), kind, flags, stream);
        out.extend_from_slice(part);
        (kind, flags) = (CONTINUATION, 0);
    }
}

fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [a, b, c] = length_field(length);
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

fn length_field(length: usize) -> [u8; 3] {
    // Payloads are bounded by 2^24 - 1 (RFC 9113 §4.2).
    let [_, field @ ..] = (length as u32).to_be_bytes();
    field
}

#[cfg(test)]
mod tests {
    use super::{Code, Frame, MAX_PAYLOAD, Setting, read, settings, write_block, write_data};

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        super::head(&mut bytes, payload.len(), kind, flags, stream);
        [&bytes, payload].concat()
    }

    fn fault(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Code {
        read(&frame(kind, flags, stream, payload)).unwrap_err()
    }

    #[test]
    fn a_frame_is_read_when_it_is_whole() {
        let mut bytes = Vec::new();
        write_data(&mut bytes, 7, b"hello", true);
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Ok(None), "{end} bytes");
        }
        bytes.extend_from_slice(b"more");
        let expected = Frame::Data { stream: 7, at: 9..14, size: 5, ends: true };
        assert_eq!(read(&bytes), Ok(Some((14, expected))));
    }

    #[test]
    fn padding_and_priority_are_left_out() {
        let padded = frame(0, 8, 1, b"\x03abc000");
        assert_eq!(
            read(&padded),
            Ok(Some((16, Frame::Data { stream: 1, at: 10..13, size: 7, ends: false })))
        );
        let head = frame(1, 0x2D, 3, b"\x02....!blockpp");
        let expected = Frame::Headers { stream: 3, block: b"block", ends_stream: true, ends_block: true };
        assert_eq!(read(&head), Ok(Some((22, expected))));
        assert_eq!(fault(0, 8, 1, b"\x04abc"), Code::ProtocolError);
        assert_eq!(fault(0, 8, 1, b""), Code::FrameSizeError);
        assert_eq!(fault(1, 0x20, 1, b"...."), Code::FrameSizeError);
    }

    #[test]
    fn what_is_not_allowed_says_why() {
        assert_eq!(read(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1]), Err(Code::FrameSizeError));
        for kind in [0, 1, 2, 3, 9] {
            assert_eq!(fault(kind, 0, 0, b""), Code::ProtocolError, "{kind}");
        }
        for kind in [4, 6, 7] {
            assert_eq!(fault(kind, 0, 1, b""), Code::ProtocolError, "{kind}");
        }
        for (kind, flags, stream, payload) in
            [(2, 0, 1, 4), (3, 0, 1, 3), (4, 0, 0, 7), (4, 1, 0, 6), (6, 0, 0, 9), (7, 0, 0, 7), (8, 0, 0, 5)]
        {
            assert_eq!(fault(kind, flags, stream, &vec![0; payload]), Code::FrameSizeError, "{kind}");
        }
        assert_eq!(fault(5, 4, 1, b"...."), Code::ProtocolError);
        assert_eq!(read(&frame(77, 255, 9, b"x")), Ok(Some((10, Frame::Ignored))));
    }

    #[test]
    fn settings_are_read_in_order_and_within_their_bounds() {
        let one = |id: u16, value: u32| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let read = |bytes: &[u8]| settings(bytes).collect::<Result<Vec<_>, _>>();
        let all =
            [one(1, 0), one(2, 1), one(3, 5), one(4, 9), one(5, 16_384), one(6, 1), one(99, 1)].concat();
        let known = [Setting::HeaderTable(0), Setting::FirstWindow(9), Setting::MaxPayload(16_384)];
        assert_eq!(read(&all).unwrap(), known);
        assert_eq!(read(&one(2, 2)), Err(Code::ProtocolError));
        assert_eq!(read(&one(4, 1 << 31)), Err(Code::FlowControlError));
        assert_eq!(read(&one(5, 16_383)), Err(Code::ProtocolError));
        assert_eq!(read(&one(5, 1 << 24)), Err(Code::ProtocolError));
    }

    #[test]
    fn a_long_block_is_divided() {
        let block = vec![b'x'; MAX_PAYLOAD * 2 + 5];
        let mut out = b"before".to_vec();
        write_block(&mut out, 5, true, MAX_PAYLOAD, |out| out.extend_from_slice(&block));
        let (mut rest, mut seen) = (&out[6..], Vec::new());
        while let Some((length, frame)) = read(rest).unwrap() {
            seen.push(match frame {
                Frame::Headers { stream: 5, block, ends_stream: true, ends_block } => {
                    (block.len(), ends_block)
                }
                Frame::Continuation { stream: 5, block, ends_block } => (block.len(), ends_block),
                other => panic!("{other:?}"),
            });
            rest = &rest[length..];
        }
        assert_eq!((rest.len(), seen), (0, vec![(MAX_PAYLOAD, false), (MAX_PAYLOAD, false), (5, true)]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, kind in 0..12u8, flags: u8, stream in 0..3u32) {
            let _ = read(&bytes);
            let bytes = frame(kind, flags, stream, &bytes);
            if let Ok(Some((length, found))) = read(&bytes) {
                assert_eq!(length, bytes.len());
                if let Frame::Data { at, .. } = found {
                    assert!(bytes.get(at).is_some());
                }
            }
        }
    }
}
