//! The examples of RFC 7541, Appendix C, and properties.

use bytes::Bytes;

use super::testing::{field_text, octets};
use super::{Decoder, Error, Extent, Name};

/// Decodes a block, and returns the lines as text.
fn lines(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let extent = decoder.decode(block, usize::MAX, |name: Name, value: Bytes| {
        lines.push(field_text(&name, &value));
    })?;
    assert_eq!(extent, Extent::Whole);
    Ok(lines)
}

/// Appendix C.3 and C.4: three requests over one connection, without and with Huffman code.
#[test]
fn the_requests_of_appendix_c() {
    let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    let second = [&first[..], &["cache-control: no-cache"]].concat();
    let third = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new(4096);
        for (block, expected) in blocks.iter().zip([&first[..], &second, &third]) {
            assert_eq!(lines(&mut decoder, &octets(block)).unwrap(), expected, "{block}");
        }
    }
}
