//! Header blocks of responses (RFC 7541 §6).

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::integer::{write, write_text};
use super::{LINE, TABLE_SIZE, table};

/// Lines that are looked for. The client may keep more of them; it is not asked for those.
const MAX_LINES: usize = 32;
/// The size of the largest line that goes into the table: some have to stay beside it.
const MAX_LINE: usize = 512;
/// Lines that are remembered by their key, to see which come again.
const REMEMBERED: usize = 16;

/// The first index of the dynamic table (§2.3.3).
const FIRST: usize = 62;

/// Representations of a line (§6.1 to §6.3), in the upper bits of its first octet.
const INDEXED: u8 = 0x80;
const INCREMENTAL: u8 = 0x40;
const TABLE_SIZE_UPDATE: u8 = 0x20;
const NEVER_INDEXED: u8 = 0x10;
const NOT_INDEXED: u8 = 0x00;

/// Writes the header blocks of one connection, in their order.
///
/// A line goes into the table when it comes for the second time: what differs in each response would push out what does not. A line that
/// is there costs an octet and 130 instructions.
#[derive(Debug)]
pub struct Encoder {
    /// The newest one is the last. Allocated with the first one.
    lines: Vec<Line>,
    /// What they count together (§4.1).
    size: usize,
    /// What they may count, which the client has been told.
    limit: usize,
    /// What the client has to be told before the next line: the smallest limit since the last block.
    lowest: Option<usize>,
    remembered: [u32; REMEMBERED],
    /// The place of the oldest one.
    oldest: usize,
}

#[derive(Debug)]
struct Line {
    key: u32,
    name: HeaderName,
    /// In memory of its own: the message it came with is gone.
    value: Box<[u8]>,
}

impl Line {
    fn size(&self) -> usize {
        self.name.as_str().len() + self.value.len() + LINE
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder for a connection whose client has said nothing about its table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lines: Vec::new(),
            size: 0,
            limit: TABLE_SIZE,
            lowest: None,
            remembered: [0; REMEMBERED],
            oldest: 0,
        }
    }

    /// Follows `SETTINGS_HEADER_TABLE_SIZE` of the client. Not more than [`TABLE_SIZE`] is used. The client is told at the beginning of
    /// the next block (§4.2).
    pub fn set_max_table_size(&mut self, size: u32) {
        let limit = TABLE_SIZE.min(size as usize);
        if limit != self.limit {
            self.lowest = Some(self.lowest.unwrap_or(limit).min(limit));
            self.limit = limit;
            self.shrink(limit);
        }
    }

    /// Begins a block: has to be called first for each.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowest.take() {
            if lowest < self.limit {
                write(out, TABLE_SIZE_UPDATE, 5, lowest);
            }
            write(out, TABLE_SIZE_UPDATE, 5, self.limit);
        }
    }

    /// Appends `:status` (RFC 9113 §8.3.2).
    #[inline]
    pub fn status(&mut self, status: StatusCode, out: &mut Vec<u8>) {
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                write(out, NOT_INDEXED, 4, 8);
                return write_text(out, status.as_str().as_bytes());
            }
        };
        out.push(INDEXED | index);
    }

    /// Appends a field.
    pub fn field(&mut self, name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
        let octets = value.as_bytes();
        if value.is_sensitive() || *name == header::SET_COOKIE {
            // Nothing that goes between us and the client may index it either (§7.1.3).
            return literal(NEVER_INDEXED, table::static_index(name.as_str()), name, octets, out);
        }
        let key = key(name.as_str().as_bytes(), octets);
        let is_it = |line: &Line| line.key == key && line.name == *name && *line.value == *octets;
        if let Some(age) = self.lines.iter().rev().position(is_it) {
            return write(out, INDEXED, 7, FIRST + age);
        }
        let index = table::static_index(name.as_str());
        let is_added = !is_varying(index) && self.comes_again(key) && self.insert(key, name, octets);
        let flags = if is_added { INCREMENTAL } else { NOT_INDEXED };
        literal(flags, index, name, octets, out);
    }

    /// Appends a field whose value is not the same in two responses.
    #[inline]
    pub fn unindexed(&mut self, name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
        literal(NOT_INDEXED, table::static_index(name.as_str()), name, value, out);
    }

    /// Whether a line with this key is remembered; it is from now on.
    fn comes_again(&mut self, key: u32) -> bool {
        let comes_again = self.remembered.contains(&key);
        if !comes_again && let Some(oldest) = self.remembered.get_mut(self.oldest) {
            *oldest = key;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
        comes_again
    }

    /// Adds a line to the table if it is not too large.
    fn insert(&mut self, key: u32, name: &HeaderName, value: &[u8]) -> bool {
        let size = name.as_str().len() + value.len() + LINE;
        if size > MAX_LINE.min(self.limit) {
            return false;
        }
        self.shrink(self.limit - size);
        if self.lines.len() == MAX_LINES {
            self.size -= self.lines.remove(0).size();
        }
        self.size += size;
        self.lines.push(Line { key, name: name.clone(), value: value.into() });
        true
    }

    /// Drops the oldest lines, as the client does (§4.3, §4.4).
    fn shrink(&mut self, size: usize) {
        let mut count = 0;
        for line in &self.lines {
            if self.size <= size {
                break;
            }
            self.size -= line.size();
            count += 1;
        }
        self.lines.drain(..count);
    }
}

/// A line whose value is written out, and its name too if it has no index.
fn literal(flags: u8, index: u8, name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    let bits = if flags == INCREMENTAL { 6 } else { 4 };
    write(out, flags, bits, usize::from(index));
    if index == 0 {
        write_text(out, name.as_str().as_bytes());
    }
    write_text(out, value);
}

/// Whether the field with this static index is one whose value belongs to one response: it would not come again, or not to this client.
fn is_varying(index: u8) -> bool {
    // age, content-length, content-location, content-range, etag, expires, last-modified, link, location.
    const VARYING: u64 =
        1 << 21 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 34 | 1 << 36 | 1 << 44 | 1 << 45 | 1 << 46;
    VARYING >> index & 1 == 1
}

/// What tells most lines from one another. Values that change do so at their end, or in their length.
#[inline]
fn key(name: &[u8], value: &[u8]) -> u32 {
    let end = |text: &[u8]| text.last_chunk().map_or(text.len() as u64, |end| u64::from_le_bytes(*end));
    let length = (name.len() << 16 | value.len()) as u64;
    let mixed = (end(name) ^ length).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ end(value);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1
}
