//! Heads that come in pieces.

/// Knows how much of a head has been looked at in vain. A head is not parsed again before its end is here: one that comes byte by byte
/// would otherwise cost the square of its length.
#[derive(Debug, Default)]
pub struct HeadEnd {
    seen: usize,
}

impl HeadEnd {
    /// Whether these bytes, which begin with the head, can have its end among them. It is false only if they have not.
    #[must_use]
    pub fn may_be_in(&self, bytes: &[u8]) -> bool {
        let news = bytes.get(self.seen.saturating_sub(2)..).unwrap_or_default();
        self.seen == 0
            || news.windows(2).any(|pair| pair == b"\n\n")
            || news.windows(3).any(|three| three == b"\n\r\n")
    }

    /// The end is not among the first `seen` bytes.
    pub fn is_behind(&mut self, seen: usize) {
        self.seen = seen;
    }
}
