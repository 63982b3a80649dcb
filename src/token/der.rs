//! Just enough DER to take an RSA key out of its PKCS#8 wrapping.
//!
//! aws-lc-rs writes RSA keys as PKCS#8 only, jsonwebtoken reads them as PKCS#1 only. The one lies inside the other.

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The `RSAPrivateKey` (RFC 8017 §A.1.2) in a `PrivateKeyInfo` (RFC 5208 §5): version, algorithm, then the key as an octet
/// string. `None` when the bytes have another shape; whether the key is any good is for the cryptography to say.
pub(super) fn rsa_key_in_pkcs8(pkcs8: &[u8]) -> Option<&[u8]> {
    let (body, _) = element(SEQUENCE, pkcs8)?;
    let (_version, rest) = element(INTEGER, body)?;
    let (_algorithm, rest) = element(SEQUENCE, rest)?;
    let (key, _attributes) = element(OCTET_STRING, rest)?;
    Some(key)
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    if length < 0x80 {
        return rest.split_at_checked(length.into());
    }
    // The long form: the low bits count the bytes of the length. Two are enough for every key size there is.
    let (digits, rest) = rest.split_at_checked((length & 0x7f).into())?;
    let length = match *digits {
        [low] => usize::from(low),
        [high, low] => usize::from(u16::from_be_bytes([high, low])),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::rsa_key_in_pkcs8;

    #[test]
    fn takes_the_key_out_of_its_wrapping() {
        let short = [0x30, 8, 2, 1, 0, 0x30, 0, 4, 1, 7];
        assert_eq!(rsa_key_in_pkcs8(&short), Some(&[7][..]));
        let mut long = vec![0x30, 0x82, 1, 9, 2, 1, 0, 0x30, 0, 4, 0x82, 1, 0];
        long.extend([9; 256]);
        assert_eq!(rsa_key_in_pkcs8(&long), Some(&[9; 256][..]));
    }

    #[test]
    fn other_shapes_give_nothing() {
        let good = [0x30, 8, 2, 1, 0, 0x30, 0, 4, 1, 7];
        for end in 0..good.len() {
            assert_eq!(rsa_key_in_pkcs8(&good[..end]), None);
        }
        assert_eq!(rsa_key_in_pkcs8(&[0x30, 0x84, 0, 0, 0, 8, 2, 1, 0, 0x30, 0, 4, 1, 7]), None);
        assert_eq!(rsa_key_in_pkcs8(&[0x31, 8, 2, 1, 0, 0x30, 0, 4, 1, 7]), None);
    }
}
