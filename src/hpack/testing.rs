//! Header blocks for tests: what a client might write in all representations, and lines as text.

use std::sync::LazyLock;

use super::integer::write;
use super::{LINE, Name, huffman, table};

/// A line as the RFC writes it.
pub(super) fn field_text(name: &Name, value: &[u8]) -> String {
    let name = match name {
        Name::Method => ":method",
        Name::Scheme => ":scheme",
        Name::Authority => ":authority",
        Name::Path => ":path",
        Name::Protocol => ":protocol",
        Name::Field(name) => name.as_str(),
        Name::Malformed => "?",
    };
    format!("{name}: {}", value.escape_ascii())
}

/// Octets from hexadecimal digits.
pub(super) fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The code of each octet, and its length: counted from the shortest code on.
static CODES: LazyLock<[(u64, u8); 256]> = LazyLock::new(|| {
    let mut order: Vec<(u8, u8)> = huffman::LENGTHS.into_iter().zip(0..=255).collect();
    order.sort_unstable();
    let (mut codes, mut code, mut last) = ([(0, 0); 256], 0, 0);
    for (length, symbol) in order {
        code <<= length - last;
        codes[usize::from(symbol)] = (code, length);
        (code, last) = (code + 1, length);
    }
    codes
});

/// A string in Huffman code, with its padding.
pub(super) fn huffman_code(text: &[u8]) -> Vec<u8> {
    let (mut coded, mut bits, mut count) = (Vec::new(), 0, 0);
    for &octet in text {
        let (code, length) = CODES[usize::from(octet)];
        (bits, count) = (bits << length | code, count + length);
        while count >= 8 {
            count -= 8;
            coded.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        coded.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
    coded
}

/// How a line is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// An index for the whole line, if there is one.
    pub(super) is_indexed: bool,
    /// Literals: 0 with incremental indexing, 1 without, 2 never indexed.
    pub(super) literal: u8,
    /// An index for the name, if there is one.
    pub(super) has_name_index: bool,
    pub(super) is_name_coded: bool,
    pub(super) is_value_coded: bool,
}

/// The other side of a decoder: it writes blocks, and keeps its table by a list.
pub(super) struct Client {
    /// Newest first.
    table: Vec<(String, Vec<u8>)>,
    limit: usize,
}

impl Client {
    pub(super) fn new(limit: usize) -> Self {
        Self { table: Vec::new(), limit }
    }

    pub(super) fn resize(&mut self, limit: usize, out: &mut Vec<u8>) {
        write(out, 0x20, 5, limit);
        self.limit = limit;
        self.evict();
    }

    fn evict(&mut self) {
        let size = |lines: &[(String, Vec<u8>)]| -> usize {
            lines.iter().map(|(name, value)| name.len() + value.len() + LINE).sum()
        };
        while size(&self.table) > self.limit {
            self.table.pop();
        }
    }

    pub(super) fn line(&mut self, name: &str, value: &[u8], form: Form, out: &mut Vec<u8>) {
        let whole = self.table.iter().position(|line| line.0 == name && line.1 == value);
        if let Some(index) = whole.filter(|_| form.is_indexed) {
            return write(out, 0x80, 7, index + 62);
        }
        let (flags, bits) = [(0x40, 6), (0x00, 4), (0x10, 4)][usize::from(form.literal)];
        let in_table = self.table.iter().position(|line| line.0 == name).map(|index| index + 62);
        let index =
            in_table.or_else(|| Some(usize::from(table::static_index(name))).filter(|&index| index > 0));
        match index.filter(|_| form.has_name_index) {
            Some(index) => write(out, flags, bits, index),
            None => {
                out.push(flags);
                text(name.as_bytes(), form.is_name_coded, out);
            }
        }
        text(value, form.is_value_coded, out);
        if form.literal == 0 {
            self.table.insert(0, (name.to_owned(), value.to_vec()));
            self.evict();
        }
    }
}

fn text(text: &[u8], is_coded: bool, out: &mut Vec<u8>) {
    let (flags, octets) = if is_coded { (0x80, huffman_code(text)) } else { (0, text.to_vec()) };
    write(out, flags, 7, octets.len());
    out.extend(octets);
}
