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
const LONGEST: u32 = 30;
const SHORTEST: u32 = 5;

/// Symbols that are decoded from one word.
const GROUP: usize = 8;

/// In [`SHORT`] instead of the length of a code that has more than eight bits. With it and seven of the shortest codes a group has more
/// bits than a word, and eight of it do not overflow an octet.
const IS_LONG: u32 = 30;

/// For each eight bits the symbol whose code they begin with, times 256, plus the length of that code. In 32 bits, since the compiler
/// would gather smaller entries in vectors before it stores their symbols, which takes 1,400 instructions more for a token.
static SHORT: [u32; 256] = {
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
            short[bits] = (symbol as u32) << 8 | length as u32;
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
            if LENGTHS[symbol] as u32 == length {
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
static CODES: [Codes; LONGEST as usize + 1] = {
    let mut codes = [Codes { end: 0, first: 0, rank: 0 }; LONGEST as usize + 1];
    let (mut length, mut first, mut rank) = (SHORTEST, 0_u32, 0);
    while length <= LONGEST {
        let mut count = 0;
        let mut symbol = 0;
        while symbol < 256 {
            count += (LENGTHS[symbol] as u32 == length) as u32;
            symbol += 1;
        }
        let end = first + (count << (32 - length));
        codes[length as usize] = Codes { end, first, rank };
        (first, rank) = (end, rank + count);
        length += 1;
    }
    codes
};

/// The octets that [`decode`] needs for what a string of this length may become.
pub(super) fn room(length: usize) -> usize {
    length * 8 / SHORTEST as usize + GROUP
}

/// Decodes a string, and returns its length. `out` has [`room`] for it.
///
/// # Errors
/// If the string is no code, has the code for its end within, or is not padded by up to seven ones.
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    let all = out.len();
    let mut out = out;
    // The octet with the next code, and how many of its bits are done.
    let (mut at, mut skip) = (0, 0);
    while let Some(word) = text.get(at..at + 8) {
        let (Some(group), Ok(word)) = (out.first_chunk_mut(), word.try_into()) else {
            return Err(Error::Huffman);
        };
        let word = u64::from_be_bytes(word);
        let mut used = decode_group(word, skip, group);
        if used <= u64::BITS {
            out = out.get_mut(GROUP..).unwrap_or_default();
        } else {
            let (bits, octets) = one_by_one(word << skip, u64::BITS - skip, LONGEST, out)?;
            out = out.get_mut(octets..).unwrap_or_default();
            used = skip + bits;
        }
        at += used as usize / 8;
        skip = used % 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    let mut word = [0; 8];
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let (word, count) = (u64::from_be_bytes(word) << skip, rest.len() as u32 * 8 - skip);
    let (bits, octets) = one_by_one(word, count, 1, out)?;
    // What the last code leaves has to be the beginning of the code for the end (§5.2).
    let (left, padding) = (count - bits, word.checked_shl(bits).unwrap_or(0));
    if left > 7 || padding.leading_ones() < left {
        return Err(Error::Huffman);
    }
    Ok(all - out.len() + octets)
}

/// Decodes as many symbols as [`GROUP`] behind the first bits of a word, and returns how many bits are done then. If these are more than
/// the word has, as they always are with a code of more than eight bits, the symbols mean nothing.
#[inline]
fn decode_group(word: u64, skip: u32, out: &mut [u8; GROUP]) -> u32 {
    // The next eight bits are the lowest ones, where one instruction takes them. What is done comes in again behind the others.
    let mut window = word.rotate_left(skip + 8);
    let mut used = skip;
    for symbol in out {
        let entry = SHORT[usize::from(window as u8)];
        *symbol = (entry >> 8) as u8;
        window = window.rotate_left(entry % 64);
        used += entry;
    }
    // The symbols are in the upper bits of the sum.
    used & 0xff
}

/// Decodes the symbols at the top of a word, of which `count` bits are of the string, while there are `least` of them: how many bits
/// are done, and octets.
fn one_by_one(word: u64, count: u32, least: u32, out: &mut [u8]) -> Result<(u32, usize), Error> {
    let (mut bits, mut octets) = (0, 0);
    while bits + least <= count {
        let window = ((word << bits) >> 32) as u32;
        let found = match SHORT[(window >> 24) as usize] {
            IS_LONG => long(window),
            entry => Some(((entry >> 8) as u8, entry & 0xff)),
        };
        let (symbol, length) = match found {
            Some(found) => found,
            // The code for the end of the string.
            None if bits + LONGEST <= count => return Err(Error::Huffman),
            None => break,
        };
        if bits + length > count {
            break;
        }
        *out.get_mut(octets).ok_or(Error::Huffman)? = symbol;
        (bits, octets) = (bits + length, octets + 1);
    }
    Ok((bits, octets))
}

/// The symbol of a code of more than eight bits at the top of these, and the length of the code; `None` for the end of the string.
fn long(window: u32) -> Option<(u8, u32)> {
    let (codes, length) = CODES.iter().zip(0..).skip(9).find(|(codes, _)| window < codes.end)?;
    let rank = codes.rank + ((window - codes.first) >> (32 - length));
    Some((*SYMBOLS.get(rank as usize)?, length))
}
