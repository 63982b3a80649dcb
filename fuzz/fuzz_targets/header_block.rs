//! Header blocks of HTTP/2, several of one connection: each begins with its length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::hpack::{Decoder, Extent, TABLE_SIZE};

const LIMIT: usize = 16_384;

fuzz_target!(|blocks: &[u8]| {
    let mut rest = blocks;
    let mut decoder = Decoder::new(TABLE_SIZE);
    while let Some((&length, behind)) = rest.split_first() {
        let (block, behind) = behind.split_at(behind.len().min(usize::from(length) * 8));
        let mut size = 0;
        let extent = decoder.decode(block, LIMIT, |_, value| size += value.len() + 32);
        assert!(size <= LIMIT, "not more than the limit is given");
        // The connection ends after an error.
        let Ok(Extent::Whole | Extent::TooLarge) = extent else { return };
        rest = behind;
    }
});
