//! Integers and string literals as they stand in a header block (RFC 7541 §5).

use super::Error;

/// Octets behind the first one. Five hold 32 bits, and nobody has strings or tables beyond that.
const MAX_OCTETS: u32 = 5;

/// What is still to be read of a header block.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

/// A string as it stands in the block.
#[derive(Clone, Copy)]
pub(super) enum Text<'b> {
    Plain(&'b [u8]),
    Huffman(&'b [u8]),
}

impl<'b> Reader<'b> {
    /// The next octet, which stays.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    #[inline]
    fn octet(&mut self) -> Result<u8, Error> {
        let (&first, rest) = self.0.split_first().ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(first)
    }

    /// An integer in the lowest `bits` bits of the next octet and in those behind it (§5.1).
    #[inline]
    pub(super) fn integer(&mut self, bits: u32) -> Result<usize, Error> {
        let most = (1 << bits) - 1;
        let first = usize::from(self.octet()?) & most;
        if first < most { Ok(first) } else { self.long_integer(most) }
    }

    fn long_integer(&mut self, start: usize) -> Result<usize, Error> {
        let mut value = start as u64;
        for count in 0..MAX_OCTETS {
            let octet = self.octet()?;
            value += u64::from(octet & 0x7f) << (7 * count);
            if octet < 0x80 {
                return u32::try_from(value).map(|value| value as usize).map_err(|_| Error::Integer);
            }
        }
        Err(Error::Integer)
    }

    /// A string literal (§5.2).
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'b>, Error> {
        let is_huffman = self.peek().ok_or(Error::Truncated)? >= 0x80;
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(if is_huffman { Text::Huffman(text) } else { Text::Plain(text) })
    }
}

/// Appends an integer to a block: its first octet has `flags` above the `bits` bits.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let most = (1_usize << bits) - 1;
    if value < most {
        return out.push(flags | value as u8);
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a string literal without Huffman code: it would save the client a quarter of the octets, and cost us ten instructions for each.
#[inline]
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write(out, 0, 7, text.len());
    out.extend_from_slice(text);
}
