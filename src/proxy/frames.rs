//! Where the frames of a WebSocket end (RFC 6455 §5.2), for whoever wants to put one of its own between them.
//!
//! Only lengths are read. Compressed messages (RFC 7692) have plain frame headers too, and what is not as the RFC wants it is for
//! the two ends to refuse.

/// Opcode of a Close frame.
const CLOSE: u8 = 0x8;

/// Follows one direction of a WebSocket.
#[derive(Debug, Default)]
pub(super) struct Frames {
    at: At,
    closed: bool,
}

/// What the next byte is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first of a frame.
    #[default]
    Start,
    /// The second: the mask bit and a short length.
    Length,
    /// One of a longer length, of which `left` bytes are still to come.
    LongLength { left: u8, value: u64, mask: u64 },
    /// One of the masking key and the payload. There is at least one more.
    Payload(u64),
}

impl Frames {
    /// The next bytes, cut anywhere.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            self.at = match self.at {
                At::Start => {
                    self.closed |= byte & 0x0f == CLOSE;
                    At::Length
                }
                At::Length => {
                    let mask = if byte & 0x80 == 0 { 0 } else { 4 };
                    match byte & 0x7f {
                        126 => At::LongLength { left: 2, value: 0, mask },
                        127 => At::LongLength { left: 8, value: 0, mask },
                        length => payload(u64::from(length) + mask),
                    }
                }
                At::LongLength { left, value, mask } => {
                    let value = value << 8 | u64::from(byte);
                    match left {
                        1 => payload(value.saturating_add(mask)),
                        _ => At::LongLength { left: left - 1, value, mask },
                    }
                }
                At::Payload(left) => {
                    let skipped = usize::try_from(left - 1).unwrap_or(usize::MAX).min(rest.len());
                    bytes = rest.get(skipped..).unwrap_or_default();
                    payload(left - 1 - skipped as u64)
                }
            };
        }
    }

    /// Whether a Close frame may follow: this is between two frames, and there was none yet (RFC 6455 §5.5.1).
    pub(super) fn may_close(&self) -> bool {
        self.at == At::Start && !self.closed
    }
}

fn payload(length: u64) -> At {
    if length == 0 { At::Start } else { At::Payload(length) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Frames;

    /// A frame, written as RFC 6455 §5.2 draws it.
    fn frame(first: u8, payload: usize, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload {
            0..=125 => bytes.push(mask_bit | payload as u8),
            126..=0xffff => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        // A payload that looks like the start of a Close frame.
        bytes.resize(bytes.len() + payload + if masked { 4 } else { 0 }, 0x88);
        bytes
    }

    fn after(bytes: &[u8]) -> bool {
        let mut frames = Frames::default();
        frames.follow(bytes);
        frames.may_close()
    }

    #[test]
    fn between_frames_and_nowhere_else() {
        assert!(after(b""), "before the first frame");
        for length in [0, 1, 125, 126, 127, 65535, 65536] {
            for masked in [false, true] {
                let whole = frame(0x82, length, masked);
                assert!(after(&whole), "{length} {masked}");
                for cut in [1, 2, 3, whole.len() / 2, whole.len() - 1] {
                    assert!(cut >= whole.len() || !after(&whole[..cut]), "{length} {masked} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        assert!(!after(&frame(0x88, 2, false)));
        assert!(!after(&[frame(0x81, 5, false), frame(0x88, 0, false)].concat()));
    }

    #[test]
    fn a_length_beyond_all_bounds_never_ends() {
        let mut frames = Frames::default();
        frames.follow(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        frames.follow(&[0; 10_000]);
        assert!(!frames.may_close());
    }

    proptest! {
        #[test]
        fn the_end_of_each_frame_is_found_however_the_bytes_are_cut(
            frames in vec((select_first(), 0_usize..70_000, any::<bool>()), 1..6),
            cuts in vec(1_usize..30_000, 1..40),
        ) {
            let frames: Vec<Vec<u8>> =
                frames.into_iter().map(|(first, length, masked)| frame(first, length, masked)).collect();
            let mut ends = vec![0];
            for frame in &frames {
                ends.push(ends[ends.len() - 1] + frame.len());
            }
            let bytes = frames.concat();
            let (mut follower, mut at) = (Frames::default(), 0);
            for cut in cuts.iter().cycle() {
                let next = (at + cut).min(bytes.len());
                follower.follow(&bytes[at..next]);
                at = next;
                prop_assert_eq!(follower.may_close(), ends.contains(&at), "at {}", at);
                if at == bytes.len() {
                    break;
                }
            }
        }

        #[test]
        fn whatever_comes_is_followed(pieces in vec(vec(any::<u8>(), 0..40), 0..20)) {
            let mut cut = Frames::default();
            pieces.iter().for_each(|piece| cut.follow(piece));
            let mut whole = Frames::default();
            whole.follow(&pieces.concat());
            prop_assert_eq!(cut.at, whole.at);
            prop_assert_eq!(cut.closed, whole.closed);
        }
    }

    /// First bytes of any frame but Close.
    fn select_first() -> impl Strategy<Value = u8> {
        any::<u8>().prop_filter("not Close", |first| first & 0x0f != 8)
    }
}
