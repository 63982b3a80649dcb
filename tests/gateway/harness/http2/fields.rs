//! Field lists on the wire (RFC 7541): written as plain literals, read without a dynamic table, which our settings forbid.

/// Names of the static table, from index 1 on (RFC 7541 Appendix A).
const STATIC: &str = ":authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status \
    accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow authorization \
    cache-control content-disposition content-encoding content-language content-length content-location content-range content-type \
    cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified \
    link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie \
    strict-transport-security transfer-encoding user-agent vary via www-authenticate";
/// Values of the entries from index 2 to 14; of the others, only 16 has one.
const VALUES: [&str; 13] =
    ["GET", "POST", "/", "/index.html", "http", "https", "200", "204", "206", "304", "400", "404", "500"];

/// The code of Huffman is canonical (RFC 7541 Appendix B), so lengths in bits and characters in order say it all. Only ASCII.
const HUFFMAN: [(u32, &str); 11] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
    (19, "\\"),
];

/// Fields as they come in a list.
pub(crate) type Fields = Vec<(String, String)>;

/// The value of the only field with this name.
#[track_caller]
pub(crate) fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(other, _)| other == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} came more than once: {fields:?}");
    value
}

/// Literals that are not indexed, with new names, without Huffman's code (RFC 7541 §6.2.2).
pub(crate) fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541 §5.1, with a prefix of 7 bits.
fn push_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).unwrap());
    }
    block.push(127);
    let mut rest = length - 127;
    while rest > 127 {
        block.push(0x80 | u8::try_from(rest & 127).unwrap());
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// Reads a whole header block.
#[track_caller]
pub(crate) fn decode(mut block: &[u8]) -> Fields {
    let mut fields = Vec::new();
    while let Some(&first) = block.first() {
        let prefix = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let index = number(&mut block, prefix);
        match prefix {
            7 => fields.push((name_of(index).to_owned(), value_of(index).to_owned())),
            5 => assert_eq!(index, 0, "a table that we do not have"),
            _ => {
                let name = if index == 0 { text(&mut block) } else { name_of(index).to_owned() };
                fields.push((name, text(&mut block)));
            }
        }
    }
    fields
}

#[track_caller]
fn name_of(index: usize) -> &'static str {
    STATIC.split_whitespace().nth(index - 1).expect("an entry of the static table")
}

fn value_of(index: usize) -> &'static str {
    if index == 16 { "gzip, deflate" } else { VALUES.get(index.wrapping_sub(2)).copied().unwrap_or_default() }
}

/// RFC 7541 §5.1.
fn number(block: &mut &[u8], prefix: u32) -> usize {
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(byte(block)) & mask;
    let mut shift = 0;
    while value >= mask {
        let next = byte(block);
        value += usize::from(next & 0x7f) << shift;
        shift += 7;
        if next < 0x80 {
            break;
        }
    }
    value
}

fn byte(block: &mut &[u8]) -> u8 {
    let (first, rest) = block.split_first().expect("a whole header block");
    *block = rest;
    *first
}

/// RFC 7541 §5.2.
fn text(block: &mut &[u8]) -> String {
    let is_coded = block.first().is_some_and(|first| *first >= 0x80);
    let length = number(block, 7);
    let (bytes, rest) = block.split_at(length);
    *block = rest;
    if is_coded { expand(bytes) } else { String::from_utf8_lossy(bytes).into_owned() }
}

fn expand(bytes: &[u8]) -> String {
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1)));
    let (mut text, mut code, mut length) = (String::new(), 0_u32, 0);
    for bit in bits {
        (code, length) = (code << 1 | bit, length + 1);
        if let Some(character) = character(code, length) {
            text.push(character);
            (code, length) = (0, 0);
        }
    }
    assert!(length < 8, "a character that is not ASCII: {}", bytes.escape_ascii());
    text
}

fn character(code: u32, length: u32) -> Option<char> {
    let (mut first, mut before) = (0, 0);
    for (bits, characters) in HUFFMAN {
        first <<= bits - before;
        if bits == length {
            return characters.chars().nth(usize::try_from(code.checked_sub(first)?).unwrap());
        }
        first += u32::try_from(characters.chars().count()).unwrap();
        before = bits;
    }
    None
}
