//! Passwords: which are good enough, and their hashes. New ones are argon2id; those that were imported from elsewhere are checked as
//! they are, within bounds, until the next login replaces them. Everything here that hashes takes tens of milliseconds or more and
//! megabytes of memory; [`super::HashPool`] bounds how much of that happens at once.

mod format;
mod refused;
mod work;

use std::fmt;
use std::hint::black_box;

use argon2::{Argon2, Block};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

pub(super) use self::format::{Checked, parse};
pub(super) use self::work::Digest;
pub use self::work::Work;
use crate::config::Login;
use crate::id::{NoRandomness, fill_random};
use crate::name::Username;
use crate::secret::Secret;

/// The shortest password that a user may choose, in characters (NIST SP 800-63B §3.1.1.2, OWASP ASVS 5 §6.2.1).
pub const MIN_PASSWORD_CHARACTERS: usize = 8;

/// The longest password, in bytes. Longer ones are refused before anything is computed.
pub const MAX_PASSWORD_BYTES: usize = 1024;

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// What a password hash costs. The defaults are those of OWASP's password storage cheat sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argon2Params {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes. They are computed one after the other.
    pub lanes: u32,
}

impl From<&Login> for Argon2Params {
    fn from(login: &Login) -> Self {
        Self { memory_kib: login.argon2_memory_kib, passes: login.argon2_passes, lanes: login.argon2_lanes }
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// The text of a password hash, as the store keeps it: a PHC string, or what it was imported as. It may be anything, since
/// `Workspace::verify` judges it, so that a record with a bad hash can still be read, shown and repaired. The empty text is that of
/// a user without a password, who cannot log in.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    fn render(params: Argon2Params, salt: &[u8], output: &[u8]) -> Self {
        let Argon2Params { memory_kib, passes, lanes } = params;
        let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
        Self(format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${output}"))
    }

    /// Takes the text of a stored hash.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Takes a hash that was made elsewhere. What is accepted can be verified.
    ///
    /// # Errors
    /// [`HashError`] says what is wrong with it, in words that do not repeat it.
    pub fn import(text: String) -> Result<Self, HashError> {
        parse(&text).map(|_| Self(text))
    }

    /// Whether it can be verified.
    ///
    /// # Errors
    /// As [`Self::import`].
    pub fn check(&self) -> Result<(), HashError> {
        parse(&self.0).map(drop)
    }

    /// Whether there is no password at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Which function made it, for people: `argon2id`, `bcrypt`, `none`, `unreadable`.
    #[must_use]
    pub fn form(&self) -> &'static str {
        if self.is_none() { "none" } else { self.work().map_or("unreadable", Work::name) }
    }

    /// How it is checked; `None` if it cannot be.
    pub(super) fn work(&self) -> Option<Work> {
        parse(&self.0).ok().map(|checked| checked.work)
    }

    /// The text. It belongs into the store and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

/// Why a password cannot be hashed, or a hash not be checked. Never says anything about the password. All but the last complete
/// "the password hash ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text begins like a known hash and is not one.
    #[error("the password hash cannot be read: {0}")]
    Unreadable(String),
    /// What it is is known, or at least that it is nothing which can be accepted.
    #[error("the password hash is not accepted: {0}")]
    Refused(String),
    /// The hash asks for more work than we grant, or is too short.
    #[error("the password hash is out of bounds: {0}")]
    OutOfBounds(String),
    /// The computation failed, for want of memory or because the configured parameters are impossible.
    #[error("cannot compute a password hash: {0}")]
    Failed(String),
}

impl From<NoRandomness> for HashError {
    fn from(error: NoRandomness) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Why a new password is refused. The texts complete "the password ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer than [`MIN_PASSWORD_CHARACTERS`].
    #[error("the password is too short: at least {MIN_PASSWORD_CHARACTERS} characters are needed")]
    TooShort,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("the password is too long: at most {MAX_PASSWORD_BYTES} bytes are accepted")]
    TooLong,
    /// One that attackers try first.
    #[error("the password is one of the most common ones and would be guessed at once")]
    Common,
    /// The same as the username.
    #[error("the password is the username")]
    IsUsername,
}

/// Judges a password that a user is about to get. There are no rules of composition: they make passwords worse.
///
/// # Errors
/// [`WeakPassword`] says what is wrong with it.
pub fn check_new_password(password: &Secret, username: &Username) -> Result<(), WeakPassword> {
    let password = password.expose();
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(WeakPassword::TooLong);
    }
    if password.chars().count() < MIN_PASSWORD_CHARACTERS {
        return Err(WeakPassword::TooShort);
    }
    if password.eq_ignore_ascii_case(username.as_str()) {
        return Err(WeakPassword::IsUsername);
    }
    if COMMON_PASSWORDS.lines().any(|common| common.eq_ignore_ascii_case(password)) {
        return Err(WeakPassword::Common);
    }
    Ok(())
}

/// One a line, lower case, only those that are long enough to be accepted otherwise.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");

/// The memory that argon2 works in, used again from one hash to the next.
///
/// Its capacity is at least 8 MiB even if less is used: from this size on jemalloc, the allocator of `main`, gives a block back to the
/// system when it is freed. Pages that are never touched cost nothing.
#[derive(Debug, Default)]
pub struct Workspace(Vec<Block>);

/// See [`Workspace`].
const ALWAYS_GIVEN_BACK: usize = 8 * 1024 * 1024 / Block::SIZE;

impl Workspace {
    /// Hashes a password with argon2id and a fresh salt.
    ///
    /// # Errors
    /// [`HashError::Failed`] when the parameters are impossible (memory below 8 KiB for each lane), or there is no memory or
    /// randomness.
    pub fn hash(&mut self, params: Argon2Params, password: &Secret) -> Result<PasswordHash, HashError> {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt)?;
        let mut output = [0; OUTPUT_BYTES];
        self.compute(params.into(), password.expose().as_bytes(), &salt, &mut output)?;
        Ok(PasswordHash::render(params, &salt, &output))
    }

    /// Whether `password` is the one that was hashed. The outputs are compared in constant time.
    ///
    /// With a NUL it is a match for argon2 alone, after the same work. bcrypt repeats its key behind a NUL, so that "a" and "a\0a" would
    /// be the same, and HMAC, on which PBKDF2 and scrypt stand, fills its key up with them (RFC 2104 §2): "a" and "a\0" would be.
    ///
    /// # Errors
    /// [`HashError`] when the hash cannot be checked, before any work is done for one that asks for too much.
    pub(super) fn verify(&mut self, hash: &Checked, password: &Secret) -> Result<bool, HashError> {
        let input = hash.prehash.apply(password.expose(), &hash.salt);
        let mut output = vec![0; hash.output.len()];
        self.compute(hash.work, &input, &hash.salt, &mut output)?;
        let equal = verify_slices_are_equal(&output, &hash.output).is_ok();
        let ambiguous = !matches!(hash.work, Work::Argon2 { .. }) && input.contains(&0);
        Ok(equal && !ambiguous)
    }

    /// Does the work of [`Self::verify`] without the chance of a match.
    ///
    /// # Errors
    /// As there.
    pub(super) fn spend(&mut self, work: Work, password: &Secret) -> Result<(), HashError> {
        let mut output = [0; OUTPUT_BYTES];
        let output = match work {
            // A longer one would be computed in several blocks.
            Work::Pbkdf2 { digest, .. } => output.get_mut(..digest.bytes().min(OUTPUT_BYTES)),
            _ => Some(&mut output[..]),
        };
        let output = output.unwrap_or_default();
        self.compute(work, password.expose().as_bytes(), &[0; SALT_BYTES], output)?;
        black_box(output);
        Ok(())
    }

    /// Whether it has memory for the next hash, for tests.
    #[cfg(test)]
    pub(super) fn is_kept(&self) -> bool {
        self.0.capacity() > 0
    }

    /// As many blocks as argon2 works in.
    fn blocks(&mut self, argon2: &Argon2<'_>) -> &mut [Block] {
        let blocks = argon2.params().block_count();
        self.0.reserve_exact(blocks.max(ALWAYS_GIVEN_BACK).saturating_sub(self.0.len()));
        self.0.resize(blocks, Block::default());
        &mut self.0
    }
}

/// [`Workspace::hash`] in memory of its own, for a single one.
///
/// # Errors
/// As there.
pub fn hash(params: Argon2Params, password: &Secret) -> Result<PasswordHash, HashError> {
    Workspace::default().hash(params, password)
}

/// [`Workspace::verify`] in memory of its own, for tests.
#[cfg(test)]
pub(super) fn verify(hash: &PasswordHash, password: &Secret) -> Result<bool, HashError> {
    Workspace::default().verify(&parse(hash.expose())?, password)
}

/// Whether the hash was made in another way than [`hash`] would with these parameters, so that it should be replaced at the next
/// login, when the password is at hand.
#[must_use]
pub fn needs_rehash(hash: &PasswordHash, params: Argon2Params) -> bool {
    let as_ours = |checked: Checked| checked.work == params.into() && checked.output.len() == OUTPUT_BYTES;
    !parse(&hash.0).is_ok_and(as_ours)
}

#[cfg(test)]
mod tests;
