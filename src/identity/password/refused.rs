//! Hashes that are recognised and not accepted, and what to do instead.

use super::HashError;

/// How texts begin, and what they are.
const WEAK: &[(&str, &str)] = &[
    ("$apr1$", "apr1, which is MD5"),
    ("$1$", "MD5"),
    ("$md5$", "MD5"),
    ("$P$", "phpass, which is MD5"),
    ("$H$", "phpass, which is MD5"),
    ("md5$", "MD5"),
    ("{MD5}", "MD5"),
    ("{SMD5}", "MD5"),
    ("{SHA}", "SHA-1"),
    ("{SSHA}", "SHA-1"),
    ("sha1$", "SHA-1"),
    ("$sha1$", "SHA-1"),
    ("$3$", "an NT hash"),
];

const UNKNOWN: &[(&str, &str)] = &[
    ("$5$", "SHA-256-crypt"),
    ("$6$", "SHA-512-crypt"),
    ("$y$", "yescrypt"),
    ("$gy$", "gost-yescrypt"),
    ("$7$", "scrypt in the form of crypt(3)"),
    ("$2$", "the first form of bcrypt"),
    ("$2x$", "bcrypt as a faulty version of PHP computed it"),
    ("bcrypt", "Django's form of bcrypt"),
    ("argon2$", "Django's form of argon2; without the \"argon2\" in front it can be read"),
    ("{CRYPT}", "a hash of crypt(3)"),
];

/// What the text seems to be, why it is not accepted, and what to do. Never repeats the text: it may be the password itself.
pub(super) fn refused(text: &str) -> HashError {
    let known = |list: &[(&str, &'static str)]| {
        list.iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, name)| *name)
    };
    if let Some(name) = known(WEAK).or_else(|| bare_digest(text)) {
        return HashError::Refused(format!(
            "it is {name}, of which billions can be tried in a second. Leave the hash out and set a new password with \
             `portcullis user passwd`, or have one made with bcrypt (`htpasswd -B`)"
        ));
    }
    if let Some(name) = known(UNKNOWN) {
        return HashError::Refused(format!(
            "it is {name}, which is not supported. Leave the hash out and set a new password with `portcullis user passwd`"
        ));
    }
    HashError::Refused(
        "it is no password hash of a known form, and plain text is not imported: hash it with argon2, bcrypt, scrypt or PBKDF2, \
         or leave it out and set a password with `portcullis user passwd`"
            .into(),
    )
}

/// Hashes without a salt, or with one of two characters.
fn bare_digest(text: &str) -> Option<&'static str> {
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let crypt = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
    match text.len() {
        13 if crypt => Some("what looks like crypt(3) with DES"),
        32 if hex => Some("what looks like MD5"),
        40 if hex => Some("what looks like SHA-1"),
        64 | 128 if hex => Some("what looks like a single SHA-2"),
        _ => None,
    }
}
