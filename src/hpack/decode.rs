//! Header blocks of requests (RFC 7541 §3, §6).

use bytes::{Bytes, BytesMut};

use super::integer::{Reader, Text};
use super::table::{Line, Table};
use super::{Error, LINE, Name, huffman};
use crate::message;

/// Reads the header blocks of one connection, in their order. It keeps the lines that the client wants to name by an index.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    announced: usize,
}

/// How much of a block was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All lines.
    Whole,
    /// The first ones: together they are larger than they may be.
    TooLarge,
}

/// The lines of one block.
struct Lines<'d, 'b, F> {
    table: &'d mut Table,
    block: Reader<'b>,
    /// What strings are decoded into. Values that are given are cut off it, and share its memory.
    buffer: BytesMut,
    /// What the lines that follow may count; `None` when that was too much.
    left: Option<usize>,
    take: F,
}

impl Decoder {
    /// A decoder for a connection whose client may use a table of so many octets: `SETTINGS_HEADER_TABLE_SIZE`, which is
    /// [`TABLE_SIZE`](super::TABLE_SIZE) until something else is announced.
    #[must_use]
    pub fn new(max_table_size: usize) -> Self {
        Self { table: Table::new(max_table_size), announced: max_table_size }
    }

    /// Decodes one whole header block, and gives each line to `take`, in their order. Values are octets as they came.
    ///
    /// When the lines are larger than `limit` together, which counts as in RFC 9113 §6.5.2 (name, value, and 32 for each), the rest is
    /// read for the table's sake only, and not given.
    ///
    /// # Errors
    /// What is no header block. The connection has to end then.
    pub fn decode(
        &mut self,
        block: &[u8],
        limit: usize,
        take: impl FnMut(Name, Bytes),
    ) -> Result<Extent, Error> {
        let (block, buffer) = (Reader(block), BytesMut::new());
        let mut lines = Lines { table: &mut self.table, block, buffer, left: Some(limit), take };
        lines.read_table_sizes(self.announced)?;
        while let Some(first) = lines.block.peek() {
            lines.read(first)?;
        }
        Ok(if lines.left.is_some() { Extent::Whole } else { Extent::TooLarge })
    }
}

impl<F: FnMut(Name, Bytes)> Lines<'_, '_, F> {
    /// Changes of the table's size may only stand before the first line (§4.2).
    fn read_table_sizes(&mut self, announced: usize) -> Result<(), Error> {
        while let Some(0x20..0x40) = self.block.peek() {
            let size = self.block.integer(5)?;
            if size > announced {
                return Err(Error::TableSize);
            }
            self.table.resize(size);
        }
        Ok(())
    }

    #[inline]
    fn read(&mut self, first: u8) -> Result<(), Error> {
        match first {
            0x80.. => self.read_indexed(),
            0x40..0x80 => self.read_literal(6, true),
            0x20..0x40 => Err(Error::TableSize),
            0x00..0x20 => self.read_literal(4, false),
        }
    }

    /// A line that is in a table (§6.1).
    #[inline]
    fn read_indexed(&mut self) -> Result<(), Error> {
        let index = self.block.integer(7)?;
        let line = self.table.line(index)?;
        self.left = self.left.and_then(|left| left.checked_sub(line.size));
        if self.left.is_some() {
            (self.take)(line.name.clone(), line.value.clone());
        }
        Ok(())
    }

    /// A line whose value stands here, and its name here or in a table (§6.2).
    fn read_literal(&mut self, bits: u32, is_indexed: bool) -> Result<(), Error> {
        let (name, name_length) = match self.block.integer(bits)? {
            0 => self.read_name()?,
            index => {
                let line = self.table.line(index)?;
                (line.name.clone(), line.name_length())
            }
        };
        let text = self.block.text()?;
        if self.left.is_none() && !is_indexed {
            return Ok(());
        }
        self.write(text)?;
        let size = name_length + self.buffer.len() + LINE;
        self.left = self.left.and_then(|left| left.checked_sub(size));
        let value = if is_indexed && self.table.has_room(size) {
            // With memory of its own: the table outlives the block, and must not hold all of it.
            let value = Bytes::copy_from_slice(&self.buffer);
            self.buffer.clear();
            self.table.insert(Line { name: name.clone(), value: value.clone(), size });
            value
        } else {
            if is_indexed {
                self.table.clear();
            }
            self.buffer.split().freeze()
        };
        if self.left.is_some() {
            (self.take)(name, value);
        }
        Ok(())
    }

    /// A name, and how many octets it has.
    fn read_name(&mut self) -> Result<(Name, usize), Error> {
        match self.block.text()? {
            Text::Plain(text) => Ok((parse(text), text.len())),
            text @ Text::Huffman(_) => {
                self.write(text)?;
                let read = (parse(&self.buffer), self.buffer.len());
                self.buffer.clear();
                Ok(read)
            }
        }
    }

    /// Puts a string into the buffer, which is empty.
    fn write(&mut self, text: Text<'_>) -> Result<(), Error> {
        let (Text::Plain(octets) | Text::Huffman(octets)) = text;
        if self.buffer.capacity() == 0 {
            // Enough for this string and all that follow, so that there is one allocation.
            self.buffer.reserve(huffman::room(octets.len() + self.block.0.len()));
        }
        match text {
            Text::Plain(octets) => self.buffer.extend_from_slice(octets),
            Text::Huffman(octets) => {
                self.buffer.resize(huffman::room(octets.len()), 0);
                let length = huffman::decode(octets, &mut self.buffer)?;
                self.buffer.truncate(length);
            }
        }
        Ok(())
    }
}

/// The name that a literal is.
fn parse(text: &[u8]) -> Name {
    match text {
        b":method" => Name::Method,
        b":scheme" => Name::Scheme,
        b":authority" => Name::Authority,
        b":path" => Name::Path,
        b":protocol" => Name::Protocol,
        _ if text.iter().any(u8::is_ascii_uppercase) => Name::Malformed,
        _ => message::field_name(text).map_or(Name::Malformed, Name::Field),
    }
}
