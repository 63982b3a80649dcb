//! The examples of RFC 7541, Appendix C; what is no header block; properties of both sides.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::integer::{Reader, write};
use super::testing::{Client, Form, field_text, huffman_code, octets};
use super::{Decoder, Encoder, Error, Extent, Name, TABLE_SIZE, huffman};
use crate::http1::testing::for_all;

/// Decodes a block, and returns the lines as text.
fn lines(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Error> {
    let (extent, lines) = lines_within(decoder, block, usize::MAX)?;
    assert_eq!(extent, Extent::Whole);
    Ok(lines)
}

fn lines_within(decoder: &mut Decoder, block: &[u8], limit: usize) -> Result<(Extent, Vec<String>), Error> {
    let mut lines = Vec::new();
    let take = |name: Name, value: Bytes| lines.push(field_text(&name, &value));
    let extent = decoder.decode(block, limit, take)?;
    Ok((extent, lines))
}

/// Decodes blocks over one connection, and compares the lines of each.
fn expect(table_size: usize, blocks: &[&str], expected: &[&[&str]]) {
    let mut decoder = Decoder::new(table_size);
    for (block, expected) in blocks.iter().zip(expected) {
        assert_eq!(lines(&mut decoder, &octets(block)).unwrap(), *expected, "{block}");
    }
}

#[test]
fn c1_integers() {
    for (bits, first, value, expected) in [
        (5, 0xe0, 10, "ea"),
        (5, 0x60, 1337, "7f9a0a"),
        (8, 0, 42, "2a"),
        (7, 0x80, 4_294_967_295, "ff80ffffff0f"),
    ] {
        let mut out = Vec::new();
        write(&mut out, first, bits, value);
        assert_eq!(out, octets(expected));
        assert_eq!(Reader(&out).integer(bits), Ok(value));
    }
    for (text, error) in [
        ("", Error::Truncated),
        ("1f", Error::Truncated),
        ("1f80", Error::Truncated),
        ("1fe1ffffff0f", Error::Integer),
        ("1fffffffff7f", Error::Integer),
        ("1f808080808000", Error::Integer),
        ("1fffffffffffffffffffff7f", Error::Integer),
    ] {
        assert_eq!(Reader(&octets(text)).integer(5), Err(error), "{text}");
    }
}

#[test]
fn c2_literals_and_an_index() {
    expect(
        4096,
        &["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "be"],
        &[&["custom-key: custom-header"], &["custom-key: custom-header"]],
    );
    expect(4096, &["040c 2f73 616d 706c 652f 7061 7468"], &[&[":path: /sample/path"]]);
    expect(4096, &["1008 7061 7373 776f 7264 0673 6563 7265 74"], &[&["password: secret"]]);
    expect(4096, &["82"], &[&[":method: GET"]]);
}

/// Three requests over one connection, without Huffman code (C.3) and with it (C.4).
#[test]
fn c3_and_c4_requests() {
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
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded] {
        expect(4096, &blocks, &[&first, &second, &third]);
    }
}

/// Three responses with a table of 256 octets, which drops lines, without Huffman code (C.5) and with it (C.6). `:status` means
/// nothing in a request.
#[test]
fn c5_and_c6_responses() {
    let private = "cache-control: private";
    let (date, later) = ("date: Mon, 21 Oct 2013 20:13:21 GMT", "date: Mon, 21 Oct 2013 20:13:22 GMT");
    let location = "location: https://www.example.com";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let expected: [&[&str]; 3] = [
        &["?: 302", private, date, location],
        &["?: 307", private, date, location],
        &["?: 200", private, later, location, "content-encoding: gzip", cookie],
    ];
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
         3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
         63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, coded] {
        expect(256, &blocks, &expected);
    }
}

#[test]
fn what_is_no_header_block_is_an_error() {
    for (block, error) in [
        ("80", Error::Index),
        ("be", Error::Index),
        ("ff00", Error::Index),
        ("7e00", Error::Index),
        ("40", Error::Truncated),
        ("4001", Error::Truncated),
        ("400161", Error::Truncated),
        ("40016105", Error::Truncated),
        ("0405616263", Error::Truncated),
        // Sizes of the table: more than was announced, and behind the first line.
        ("3fe21f", Error::TableSize),
        ("8220", Error::TableSize),
        // Padding: eight ones, zeros, the code for the end, and that code within a string.
        ("0482 1fff", Error::Huffman),
        ("0481 18", Error::Huffman),
        ("0484 ffff fffc", Error::Huffman),
        ("0484 ffff ffff", Error::Huffman),
        ("048a 1fff ffff fc1f ffff ff1f", Error::Huffman),
        ("048c ffff ffff ffff ffff ffff ffff", Error::Huffman),
    ] {
        assert_eq!(lines(&mut Decoder::new(4096), &octets(block)), Err(error), "{block}");
    }
}

#[test]
fn what_cannot_be_a_name_is_malformed() {
    for name in ["", "Accept", "a b", "a:b", ":status", ":", ":Path", "x\u{e9}", "a\0"] {
        let mut block = Vec::new();
        let form = Form {
            is_indexed: false,
            literal: 0,
            has_name_index: false,
            is_name_coded: name.len() % 2 == 0,
            is_value_coded: false,
        };
        Client::new(4096).line(name, b"v", form, &mut block);
        // By its index too.
        block.extend([0xbe, 0x7e, 0x01, b'w', 0xbf]);
        let expected = ["?: v", "?: v", "?: w", "?: v"];
        assert_eq!(lines(&mut Decoder::new(4096), &block).unwrap(), expected, "{name:?}");
    }
}

/// SECURITY.md D1: an entry of the table that is named again and again costs nothing beyond the limit, and the table is kept all the same.
#[test]
fn an_hpack_bomb_is_cut_off_at_the_limit() {
    let mut bomb = vec![0x40, 1, b'a', 0x7f, 0x80, 0x1e];
    bomb.resize(6 + 127 + 30 * 128, b'x');
    let mut decoder = Decoder::new(4096);
    assert_eq!(lines(&mut decoder, &bomb).unwrap().len(), 1);
    let mut block = vec![0xbe; 16_000];
    // A line that is not given, and goes into the table.
    block.extend([0x40, 1, b'b', 1, b'c']);
    let (extent, given) = lines_within(&mut decoder, &block, 65_536).unwrap();
    assert_eq!((extent, given.len()), (Extent::TooLarge, 65_536 / 4000));
    assert_eq!(lines(&mut decoder, &[0xbe]).unwrap(), ["b: c"]);
    // Literals beyond the limit are read over; the limit is exact.
    let literals = [0, 1, b'd', 1, b'e', 0, 1, b'f', 1, b'g'];
    for (limit, extent, count) in
        [(67, Extent::TooLarge, 1), (68, Extent::Whole, 2), (33, Extent::TooLarge, 0)]
    {
        let (found, given) = lines_within(&mut decoder, &literals, limit).unwrap();
        assert_eq!((found, given.len()), (extent, count));
    }
}

#[test]
fn a_value_in_the_table_holds_no_block() {
    let mut decoder = Decoder::new(4096);
    let (mut block, mut values) = (vec![0x40, 1, b'a', 1, b'b', 0, 1, b'c', 0x7f, 0x80, 0x7f], Vec::new());
    block.resize(block.len() + 127 + 127 * 128, b'x');
    decoder.decode(&block, usize::MAX, |_, value| values.push(value)).unwrap();
    assert_eq!(values.iter().map(Bytes::len).collect::<Vec<_>>(), [1, 127 + 127 * 128]);
    let second = values.pop().unwrap();
    assert!(second.is_unique(), "the table keeps the first value, and not by the memory of the block");
}

/// Blocks of responses, each with its changes of the table's size before it.
fn encoded(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    encoder.status(StatusCode::OK, &mut block);
    for (name, value) in fields {
        let (name, value) = (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        encoder.field(&name, &value, &mut block);
    }
    block
}

#[test]
fn a_line_enters_the_table_when_it_comes_again() {
    let mut encoder = Encoder::new();
    let fields = [("server", "a"), ("etag", "b"), ("x-id", "c")];
    let mut blocks = (0..3).map(|_| encoded(&mut encoder, &fields));
    assert_eq!(blocks.next().unwrap(), octets("88 0f27 0161 0f13 0162 00 04 782d 6964 0163"));
    assert_eq!(blocks.next().unwrap(), octets("88 76 0161 0f13 0162 40 04 782d 6964 0163"));
    assert_eq!(blocks.next().unwrap(), octets("88 bf 0f13 0162 be"));
}

#[test]
fn secrets_are_never_indexed() {
    let mut encoder = Encoder::new();
    let mut secret = HeaderValue::from_static("s");
    secret.set_sensitive(true);
    let cookie = HeaderValue::from_static("c");
    // Not even one that came before without being marked.
    (0..2).for_each(|_| drop(encoded(&mut encoder, &[("server", "s")])));
    for _ in 0..3 {
        let mut block = Vec::new();
        encoder.field(&http::header::SERVER, &secret, &mut block);
        encoder.field(&http::header::SET_COOKIE, &cookie, &mut block);
        assert_eq!(block, octets("1f27 0173 1f28 0163"));
    }
}

/// RFC 7541 §4.2: the smallest size between two blocks is announced, and the last one.
#[test]
fn a_change_of_the_table_is_announced_once() {
    let mut encoder = Encoder::new();
    encoder.set_max_table_size(65_536);
    assert_eq!(encoded(&mut encoder, &[]), octets("88"), "ours is as large as it was");
    encoder.set_max_table_size(0);
    encoder.set_max_table_size(100);
    assert_eq!(encoded(&mut encoder, &[]), octets("20 3f45 88"));
    assert_eq!(encoded(&mut encoder, &[]), octets("88"));
    encoder.set_max_table_size(10);
    assert_eq!(encoded(&mut encoder, &[]), octets("2a 88"));
    encoder.set_max_table_size(5000);
    assert_eq!(encoded(&mut encoder, &[]), octets("3fe11f 88"));
}

#[test]
fn a_connection_that_waits_keeps_little() {
    let (decoder, encoder) = (Decoder::new(TABLE_SIZE), Encoder::new());
    assert!(size_of_val(&decoder) + size_of_val(&encoder) <= 256);
}

const NAMES: [&str; 12] = [
    ":path",
    ":authority",
    ":protocol",
    "accept",
    "cookie",
    "via",
    "x-a",
    "x-request-id",
    "te",
    "priority",
    "UP",
    "",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        select(&["", "a", "gzip", "trailers"][..]).prop_map(|text| text.as_bytes().to_vec()),
        "[a-zA-Z0-9._-]{0,80}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..40),
        (any::<u8>(), 0..600_usize).prop_map(|(octet, count)| vec![octet; count]),
    ]
}

fn form() -> impl Strategy<Value = Form> {
    (any::<bool>(), 0..3_u8, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(is_indexed, literal, has_name_index, is_name_coded, is_value_coded)| Form {
            is_indexed,
            literal,
            has_name_index,
            is_name_coded,
            is_value_coded,
        },
    )
}

proptest! {
    #[test]
    fn what_is_coded_is_decoded(text in value()) {
        let code = huffman_code(&text);
        let mut out = vec![0; huffman::room(code.len())];
        let length = huffman::decode(&code, &mut out).unwrap();
        prop_assert_eq!(&out[..length], &text[..]);
    }

    /// What is decoded from any octets is coded as these.
    #[test]
    fn no_string_has_two_codes(code in vec(prop_oneof![any::<u8>(), Just(0xff)], 0..40)) {
        let mut out = vec![0; huffman::room(code.len())];
        if let Ok(length) = huffman::decode(&code, &mut out) {
            prop_assert_eq!(huffman_code(&out[..length]), code);
        }
    }

    #[test]
    fn any_octets_are_decoded_or_refused(
        blocks in vec(vec(any::<u8>(), 0..60), 1..4),
        limit in 0..400_usize,
    ) {
        let mut decoder = Decoder::new(200);
        for block in &blocks {
            if lines_within(&mut decoder, block, limit).is_err() {
                break;
            }
        }
    }
}

/// Each is some blocks, which takes half a millisecond.
const CONNECTIONS: u32 = 20_000;

#[test]
fn lines_in_all_representations_are_decoded() {
    let block = (vec(0..300_usize, 0..3), vec((select(&NAMES[..]), value(), form()), 0..8));
    for_all(CONNECTIONS, vec(block, 1..6), |blocks| {
        let (mut client, mut decoder) = (Client::new(300), Decoder::new(300));
        for (sizes, fields) in &blocks {
            let (mut block, mut expected) = (Vec::new(), Vec::new());
            sizes.iter().for_each(|&size| client.resize(size, &mut block));
            for (name, value, form) in fields {
                client.line(name, value, *form, &mut block);
                let name = if ["UP", ""].contains(name) { "?" } else { name };
                expected.push(format!("{name}: {}", value.escape_ascii()));
            }
            prop_assert_eq!(lines(&mut decoder, &block), Ok(expected));
        }
        Ok(())
    });
}

#[test]
fn what_is_encoded_is_decoded() {
    let field = (select(&NAMES[3..10]), "[ab]{0,2}|[a-z]{0,300}", any::<bool>());
    let block = (vec(0..5000_u32, 0..3), 100..600_u16, vec(field, 0..12));
    for_all(CONNECTIONS, vec(block, 1..10), |blocks| {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE_SIZE));
        for (sizes, status, fields) in &blocks {
            let mut block = Vec::new();
            sizes.iter().for_each(|&size| encoder.set_max_table_size(size));
            encoder.begin(&mut block);
            encoder.status(StatusCode::from_u16(*status).unwrap(), &mut block);
            let mut expected = vec![format!("?: {status}")];
            for (name, value, is_unindexed) in fields {
                expected.push(format!("{name}: {value}"));
                let (name, value) = (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
                if *is_unindexed {
                    encoder.unindexed(&name, value.as_bytes(), &mut block);
                } else {
                    encoder.field(&name, &value, &mut block);
                }
            }
            prop_assert_eq!(lines(&mut decoder, &block), Ok(expected));
        }
        Ok(())
    });
}
