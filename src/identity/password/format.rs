//! The texts of password hashes: PHC strings, and what passlib, htpasswd, Django and Werkzeug write. A text that is read here can be
//! checked without harm: its parameters and sizes are within bounds.

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Params, Version};
use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD, STANDARD_NO_PAD};

use super::refused::refused;
use super::work::{Digest, Prehash, Variant, Work};
use super::{Argon2Params, HashError};

/// The alphabet of bcrypt. Its implementations do not clear the bits that are left over in the last character.
pub(super) const BCRYPT_BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// No text of a hash within the bounds below is longer.
const MAX_TEXT: usize = 512;
/// Below this many bytes a hash could be met by chance, or by trying.
const OUTPUTS: std::ops::RangeInclusive<usize> = 16..=64;
const SALTS: std::ops::RangeInclusive<usize> = 8..=128;

const BCRYPT_SALT_TEXT: usize = 22;
const BCRYPT_OUTPUT_TEXT: usize = 31;

/// A hash that can be checked without harm.
pub(in crate::identity) struct Checked {
    pub(in crate::identity) work: Work,
    pub(super) prehash: Prehash,
    pub(super) salt: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl Checked {
    /// SECURITY: the only way to make one, so that nothing out of bounds is ever computed or stored.
    fn new(work: Work, salt: Vec<u8>, output: Vec<u8>) -> Result<Self, HashError> {
        work.check()?;
        if !OUTPUTS.contains(&output.len()) {
            return Err(out_of_bounds("16 to 64 bytes of output are wanted"));
        }
        if !SALTS.contains(&salt.len()) {
            return Err(out_of_bounds("8 to 128 bytes of salt are wanted"));
        }
        if let Work::Pbkdf2 { digest, .. } = work
            && output.len() > digest.bytes()
        {
            return Err(out_of_bounds(
                "PBKDF2 with more output than one block of its digest is not supported",
            ));
        }
        Ok(Self { work, prehash: Prehash::None, salt, output })
    }
}

/// Reads the text of a hash.
///
/// # Errors
/// [`HashError`] says what is wrong with it, in words that do not repeat it.
pub(in crate::identity) fn parse(text: &str) -> Result<Checked, HashError> {
    if text.len() > MAX_TEXT {
        return Err(HashError::Unreadable(format!("it is longer than {MAX_TEXT} bytes")));
    }
    let Some((name, rest)) = text.strip_prefix('$').and_then(|text| text.split_once('$')) else {
        return framework(text);
    };
    match name {
        "argon2id" | "argon2i" | "argon2d" => argon2(text),
        "2a" | "2b" | "2y" => bcrypt(rest),
        "bcrypt-sha256" => bcrypt_sha256(rest),
        "scrypt" => scrypt(rest),
        "pbkdf2" | "pbkdf2-sha1" => pbkdf2(Digest::Sha1, rest),
        "pbkdf2-sha256" => pbkdf2(Digest::Sha256, rest),
        "pbkdf2-sha512" => pbkdf2(Digest::Sha512, rest),
        _ => Err(refused(text)),
    }
}

fn unreadable(reason: impl std::fmt::Display) -> HashError {
    HashError::Unreadable(reason.to_string())
}

fn out_of_bounds(reason: &str) -> HashError {
    HashError::OutOfBounds(reason.to_owned())
}

fn argon2(text: &str) -> Result<Checked, HashError> {
    let phc = Phc::new(text).map_err(unreadable)?;
    let variant = match phc.algorithm.as_str() {
        "argon2d" => Variant::D,
        "argon2i" => Variant::I,
        _ => Variant::Id,
    };
    // Hashes from before version 1.3 of the algorithm do not say which they are.
    let version = Version::try_from(phc.version.unwrap_or(Version::V0x10.into())).map_err(unreadable)?;
    let params = Params::try_from(&phc).map_err(unreadable)?;
    if !params.keyid().is_empty() || !params.data().is_empty() {
        return Err(unreadable("it was made with a key or with associated data"));
    }
    let (Some(salt), Some(output)) = (&phc.salt, &phc.hash) else {
        return Err(unreadable("the salt or the output is missing"));
    };
    let params =
        Argon2Params { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
    let work = Work::Argon2 { variant, version: version.into(), params };
    Checked::new(work, salt.as_ref().to_vec(), output.as_bytes().to_vec())
}

/// `12$` and 53 characters.
fn bcrypt(rest: &str) -> Result<Checked, HashError> {
    let (cost, tail) = rest.split_once('$').ok_or_else(|| unreadable("it is not complete"))?;
    // Always written with two digits.
    let cost = if cost.len() == 2 { number(cost.strip_prefix('0').unwrap_or(cost)) } else { None };
    let cost = cost.ok_or_else(|| unreadable("its cost is not a number of two digits"))?;
    let parts = tail.split_at_checked(BCRYPT_SALT_TEXT);
    let (salt, output) = parts.ok_or_else(|| unreadable("it is not complete"))?;
    bcrypt_of(cost, salt, output)
}

fn bcrypt_of(cost: u32, salt: &str, output: &str) -> Result<Checked, HashError> {
    if salt.len() != BCRYPT_SALT_TEXT || output.len() != BCRYPT_OUTPUT_TEXT {
        return Err(unreadable("it does not have the length of a bcrypt hash"));
    }
    let decode =
        |text| BCRYPT_BASE64.decode(text).map_err(|_| unreadable("it has a character that bcrypt has not"));
    Checked::new(Work::Bcrypt { cost }, decode(salt)?, decode(output)?)
}

/// passlib's: `v=2,t=2b,r=12$salt$output`, and `2b,12$salt$output` before.
fn bcrypt_sha256(rest: &str) -> Result<Checked, HashError> {
    let [settings, salt, output] = fields(rest)?;
    let settings: Vec<&str> = settings.split(',').collect();
    let (prehash, cost) = match *settings {
        ["v=2", "t=2b", rounds] => (Prehash::HmacSha256, rounds.strip_prefix("r=").and_then(number)),
        ["2a" | "2b", rounds] => (Prehash::Sha256, number(rounds)),
        _ => return Err(unreadable("its parameters are not those of bcrypt-sha256")),
    };
    let cost = cost.ok_or_else(|| unreadable("its cost is not a number"))?;
    Ok(Checked { prehash, ..bcrypt_of(cost, salt, output)? })
}

/// `ln=16,r=8,p=1$salt$output`
fn scrypt(rest: &str) -> Result<Checked, HashError> {
    let [settings, salt, output] = fields(rest)?;
    let settings: Vec<&str> = settings.split(',').collect();
    let [log_n, r, p] = *settings else { return Err(unreadable("its parameters are not ln, r and p")) };
    let setting = |text: &str, name| {
        let value = text.strip_prefix(name).and_then(number);
        value.ok_or_else(|| unreadable("its parameters are not ln, r and p"))
    };
    let work = Work::Scrypt { log_n: setting(log_n, "ln=")?, r: setting(r, "r=")?, p: setting(p, "p=")? };
    Checked::new(work, base64_of(salt)?, base64_of(output)?)
}

/// passlib's `29000$salt$output`, or the PHC form, `i=29000,l=32$salt$output`.
fn pbkdf2(digest: Digest, rest: &str) -> Result<Checked, HashError> {
    let [settings, salt, output] = fields(rest)?;
    let output = base64_of(output)?;
    let rounds = match settings.strip_prefix("i=") {
        None => number(settings),
        Some(settings) => {
            let (rounds, length) = settings.split_once(",l=").map_or((settings, None), |(i, l)| (i, Some(l)));
            let fits = length
                .is_none_or(|length| number(length).is_some_and(|length| length as usize == output.len()));
            number(rounds).filter(|_| fits)
        }
    };
    let rounds = rounds.ok_or_else(|| unreadable("its number of iterations or its length is not right"))?;
    Checked::new(Work::Pbkdf2 { digest, rounds }, base64_of(salt)?, output)
}

/// Django's `pbkdf2_sha256$...`; Werkzeug's `scrypt:...` and `pbkdf2:...`. Their salts are used as the text that they are.
fn framework(text: &str) -> Result<Checked, HashError> {
    if let Some((name @ ("pbkdf2_sha256" | "pbkdf2_sha1"), rest)) = text.split_once('$') {
        let digest = if name == "pbkdf2_sha1" { Digest::Sha1 } else { Digest::Sha256 };
        let [rounds, salt, output] = fields(rest)?;
        let rounds = number(rounds).ok_or_else(|| unreadable("its number of iterations is not a number"))?;
        let output = STANDARD.decode(output).map_err(|_| unreadable("its output is not base64"))?;
        return Checked::new(Work::Pbkdf2 { digest, rounds }, salt.into(), output);
    }
    let parts: Vec<&str> = text.split('$').collect();
    let [method, salt, output] = *parts else { return Err(refused(text)) };
    let method: Vec<&str> = method.split(':').collect();
    let wrong = || unreadable("its parameters are not numbers");
    let work = match *method {
        ["scrypt", n, r, p] => {
            let n = number(n).filter(|n| n.is_power_of_two()).ok_or_else(wrong)?;
            let (r, p) = (number(r).ok_or_else(wrong)?, number(p).ok_or_else(wrong)?);
            Work::Scrypt { log_n: n.trailing_zeros(), r, p }
        }
        ["pbkdf2", digest @ ("sha1" | "sha256" | "sha512"), rounds] => {
            let digest = match digest {
                "sha1" => Digest::Sha1,
                "sha256" => Digest::Sha256,
                _ => Digest::Sha512,
            };
            Work::Pbkdf2 { digest, rounds: number(rounds).ok_or_else(wrong)? }
        }
        _ => return Err(refused(text)),
    };
    Checked::new(work, salt.into(), hex(output).ok_or_else(|| unreadable("its output is not hexadecimal"))?)
}

fn fields(text: &str) -> Result<[&str; 3], HashError> {
    let fields: Vec<&str> = text.split('$').collect();
    fields.try_into().map_err(|_| unreadable("it does not have parameters, a salt and an output"))
}

/// Digits alone, and no zero in front: one number has one text.
fn number(text: &str) -> Option<u32> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// The base64 of PHC strings; passlib has `.` for `+` in some of its hashes.
fn base64_of(text: &str) -> Result<Vec<u8>, HashError> {
    STANDARD_NO_PAD
        .decode(text.replace('.', "+"))
        .map_err(|_| unreadable("its salt or its output is not base64"))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let pairs = digits?;
    let (pairs, rest) = pairs.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
