//! The Huffman code of string literals (RFC 7541 §5.2, Appendix B).
//!
//! The code is canonical: codes of one length follow one another in the order of their symbols, and the shorter ones come first. So the
//! lengths say all of it, and what is needed for decoding is computed from them.

use super::Error;

/// How many bits the code of each octet has (Appendix B).
#[rustfmt::skip]
pub(super) const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The longest code, and the shortest.
const LONGEST: usize = 30;
const SHORTEST: usize = 5;

/// Symbols that are decoded from one word.
const GROUP: usize = 8;

/// In [`SHORT`] instead of the length of a code that has more than eight bits. It is more than the group with it may have, and eight of
/// it do not overflow an octet.
const IS_LONG: u16 = 30;

/// For each eight bits the symbol whose code they begin with, times 256, plus the length of that code.
static SHORT: [u16; 256] = {
    let mut short = [IS_LONG; 256];
    let (mut rank, mut bits) = (0, 0);
    while bits < 256 && rank < 256 {
        let symbol = SYMBOLS[rank] as usize;
        let length = LENGTHS[symbol];
        if length > 8 {
            break;
        }
        let end = bits + (1 << (8 - length));
        while bits < end {
            short[bits] = (symbol as u16) << 8 | length as u16;
            bits += 1;
        }
        rank += 1;
    }
    short
};

/// All octets in the order of their codes.
static SYMBOLS: [u8; 256] = {
    let mut symbols = [0; 256];
    let (mut length, mut rank) = (SHORTEST, 0);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                symbols[rank] = symbol as u8;
                rank += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

/// Codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    /// The first code behind them, at the top of 32 bits. The last length has the code of the end of a string too, which is not
    /// counted here.
    end: u32,
    /// The first of them.
    first: u32,
    /// The rank of its symbol in [`SYMBOLS`].
    rank: u32,
}

/// The codes of each length.
static CODES: [Codes; LONGEST + 1] = {
    let mut codes = [Codes { end: 0, first: 0, rank: 0 }; LONGEST + 1];
    let (mut length, mut first, mut rank) = (SHORTEST, 0_u32, 0);
    while length <= LONGEST {
        let mut count = 0;
        let mut symbol = 0;
        while symbol < 256 {
            count += (LENGTHS[symbol] as usize == length) as u32;
            symbol += 1;
        }
        let end = first + (count << (32 - length));
        codes[length] = Codes { end, first, rank };
        (first, rank) = (end, rank + count);
        length += 1;
    }
    codes
};

/// The octets that [`decode`] needs for what a string of this length may become.
pub(super) fn room(length: usize) -> usize {
    length * 8 / SHORTEST + GROUP
}

/// Decodes a string, and returns its length. `out` has [`room`] for it.
///
/// # Errors
/// If the string is no code, has the code for its end within, or is not padded by up to seven ones.
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    // Bits of the text that are done, and octets.
    let (mut at, mut done) = (0, 0);
    while let Some(word) = text.get(at / 8..at / 8 + 8) {
        let room = out.get_mut(done..done + GROUP).and_then(|room| room.first_chunk_mut::<GROUP>());
        let (Some(room), Ok(word)) = (room, word.try_into()) else { return Err(Error::Huffman) };
        let word = u64::from_be_bytes(word);
        let skip = at as u32 % 8;
        // The next eight bits are the lowest ones, which are taken by one instruction. What is used comes in again behind them.
        let mut window = word.rotate_left(skip + 8);
        let mut used = skip;
        for place in room {
            let entry = u32::from(SHORT[usize::from(window as u8)]);
            *place = (entry >> 8) as u8;
            window = window.rotate_left(entry & 63);
            used = used.wrapping_add(entry);
        }
        // The symbols are in the upper bits of the sum.
        let used = used & 0xff;
        if used <= 64 {
            (at, done) = (at - skip as usize + used as usize, done + GROUP);
        } else {
            let (bits, octets) = one_by_one(word << skip, 64 - skip as usize, LONGEST, out, done)?;
            (at, done) = (at + bits, done + octets);
        }
    }
    let rest = text.get(at / 8..).unwrap_or_default();
    let mut word = [0; 8];
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let (word, left) = (u64::from_be_bytes(word) << (at % 8), rest.len() * 8 - at % 8);
    let (bits, octets) = one_by_one(word, left, 1, out, done)?;
    let left = left - bits;
    // What the last code leaves has to be the beginning of the code for the end (§5.2).
    let padding = word.checked_shl(bits as u32).unwrap_or(0);
    if left > 7 || padding.leading_ones() < left as u32 { Err(Error::Huffman) } else { Ok(done + octets) }
}

/// Decodes the symbols at the top of a word, of which so many bits are of the text, while there are `least` of them: how many bits are
/// done, and octets.
fn one_by_one(
    word: u64,
    count: usize,
    least: usize,
    out: &mut [u8],
    done: usize,
) -> Result<(usize, usize), Error> {
    let (mut bits, mut octets) = (0, 0);
    while bits + least <= count {
        let window = ((word << bits) >> 32) as u32;
        let found = match SHORT[(window >> 24) as usize] {
            IS_LONG => long(window),
            entry => Some(((entry >> 8) as u8, usize::from(entry & 0xff))),
        };
        let (symbol, length) = match found {
            Some(found) => found,
            None if bits + LONGEST <= count => return Err(Error::Huffman),
            None => break,
        };
        if bits + length > count {
            break;
        }
        *out.get_mut(done + octets).ok_or(Error::Huffman)? = symbol;
        (bits, octets) = (bits + length, octets + 1);
    }
    Ok((bits, octets))
}

/// The symbol of a code of more than eight bits at the top of these, and the length of the code; `None` for the end of the string.
fn long(window: u32) -> Option<(u8, usize)> {
    let length = (9..=LONGEST).find(|&length| window < CODES[length].end)?;
    let Codes { first, rank, .. } = CODES[length];
    let rank = rank + ((window - first) >> (32 - length));
    Some((SYMBOLS[rank as usize & 0xff], length))
}
