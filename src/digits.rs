//! Numbers and addresses as text, appended to bytes. On every request's way, and written by hand for it: the formatting of the
//! standard library takes 2,500 instructions for an address and 1,000 for 128 bits in hexadecimal, this takes 100.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Appends a number in decimal. Most numbers here have three digits at most, and take 20 instructions less than by the library.
pub fn decimal(out: &mut Vec<u8>, value: u64) {
    let ascii = |digit: u64| b'0' + digit as u8;
    match value {
        0..10 => out.push(ascii(value)),
        10..100 => out.extend_from_slice(&[ascii(value / 10), ascii(value % 10)]),
        100..1000 => out.extend_from_slice(&[ascii(value / 100), ascii(value / 10 % 10), ascii(value % 10)]),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends the bytes in lower-case hexadecimal.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(
            &[byte >> 4, byte & 15].map(|value| if value < 10 { b'0' + value } else { b'a' - 10 + value }),
        );
    }
}

/// Appends an address.
pub fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => ipv4(out, address),
        // A vector takes everything.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Appends an address with its port, an IPv6 address in brackets.
pub fn socket(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            ipv4(out, *v4.ip());
            out.push(b':');
            decimal(out, v4.port().into());
        }
        SocketAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// The octets of an IPv4 address as text: up to three digits and a point, the first of them in the lowest byte.
static OCTETS: [u32; 256] = {
    let mut octets = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let (mut text, mut rest) = (b'.' as u32, octet);
        loop {
            text = text << 8 | (b'0' as u32 + rest % 10);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        octets[octet as usize] = text;
        octet += 1;
    }
    octets
};

fn ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    // All of it in one register, so that the vector is asked for room once and not for each digit.
    let (mut text, mut length) = (0, 0);
    for octet in address.octets() {
        text |= u128::from(OCTETS[usize::from(octet)]) << (8 * length);
        length += 2 + u32::from(octet >= 10) + u32::from(octet >= 100);
    }
    out.extend(text.to_le_bytes().get(..length as usize - 1).unwrap_or_default());
}

/// Reads digits and nothing else: no sign, no blank, at least one.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::{decimal, hex, ip, socket};

    #[track_caller]
    fn assert_same(write: impl FnOnce(&mut Vec<u8>), standard: impl Display) {
        let mut out = b"before ".to_vec();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("before {standard}"));
    }

    #[test]
    fn everything_is_written_as_the_standard_library_does() {
        for number in (0..=u32::MAX).step_by(65_521).chain([1, 10, 99, 100, u32::MAX, 0x0a64_6309]) {
            let wide = u64::from(number).wrapping_mul(0x1_0000_0001);
            assert_same(|out| decimal(out, wide), wide);
            assert_same(|out| hex(out, &wide.to_be_bytes()), format!("{wide:016x}"));
            let address = Ipv4Addr::from_bits(number);
            assert_same(|out| ip(out, address.into()), address);
            assert_same(
                |out| socket(out, (address, number as u16).into()),
                SocketAddr::from((address, number as u16)),
            );
        }
        for text in ["::1", "2001:db8::a", "::ffff:1.2.3.4"] {
            let address: IpAddr = text.parse().unwrap();
            assert_same(|out| ip(out, address), address);
            assert_same(|out| socket(out, (address, 80).into()), SocketAddr::from((address, 80)));
        }
        assert_same(|out| decimal(out, u64::MAX), u64::MAX);
    }
}
