//! Passwords: which are good enough, and their argon2id hashes. Everything here that hashes takes tens of milliseconds and
//! megabytes of memory; [`super::HashPool`] bounds how much of that happens at once.

use std::fmt;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::{NoRandomness, fill_random};
use crate::name::Username;
use crate::secret::Secret;

/// The shortest password that a user may choose, in characters (NIST SP 800-63B §3.1.1.2, OWASP ASVS 5 §6.2.1).
pub const MIN_PASSWORD_CHARACTERS: usize = 8;

/// The longest password, in bytes. Longer ones are refused before anything is computed.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The most work that a stored hash may ask for. A record that asks for more was not written by us, and checking it could
/// exhaust the memory.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// Below this a stored hash could be met by chance, or by trying.
const MIN_OUTPUT_BYTES: usize = 16;

/// What a password hash costs. The defaults are those of OWASP's password storage cheat sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes. They are computed one after the other.
    pub lanes: u32,
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A password hash in the PHC string format, as the store keeps it. Its text may be anything; [`Workspace::verify`] judges it, so
/// that a record with a bad hash can still be read, shown and repaired.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    /// The PHC string. It belongs into the store and nowhere else.
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

/// Why a password cannot be hashed, or a stored hash not be checked. Never says anything about the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text is not a complete argon2 hash in the PHC string format.
    #[error("the stored password hash is not an argon2 hash in the PHC string format: {0}")]
    Unreadable(String),
    /// The hash asks for more memory, passes or lanes than we grant, or is too short.
    #[error(
        "the stored password hash is out of bounds: at most 256 MiB, 16 passes and 16 lanes are granted, and at least \
         16 bytes of output are wanted"
    )]
    OutOfBounds,
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
/// Its capacity is above 32 MiB even if less is used, since the allocator of glibc maps only such blocks without fail and gives
/// them back when they are freed. With a block of the usual 19 MiB for each hash its heaps fragment: 350 MB were resident after a
/// flood of logins, now it is what the permits need. Pages that are never touched cost nothing.
#[derive(Debug, Default)]
pub struct Workspace(Vec<Block>);

/// See [`Workspace`].
const ALWAYS_MAPPED: usize = 33 * 1024 * 1024 / Block::SIZE;

impl Workspace {
    /// Hashes a password with argon2id and a fresh salt.
    ///
    /// # Errors
    /// [`HashError::Failed`] when the parameters are impossible (memory below 8 KiB for each lane), or there is no memory or
    /// randomness.
    pub fn hash(&mut self, params: Argon2Params, password: &Secret) -> Result<PasswordHash, HashError> {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt)?;
        let cost = Params::new(params.memory_kib, params.passes, params.lanes, Some(OUTPUT_BYTES));
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.map_err(failed)?);
        let mut output = [0; OUTPUT_BYTES];
        self.compute(&argon2, password, &salt, &mut output)?;
        Ok(PasswordHash::render(params, &salt, &output))
    }

    /// Whether `password` is the one that was hashed. The outputs are compared in constant time.
    ///
    /// # Errors
    /// [`HashError`] when the hash cannot be checked, before any work is done for one that asks for too much.
    pub fn verify(&mut self, hash: &PasswordHash, password: &Secret) -> Result<bool, HashError> {
        let Bounded { argon2, salt, output: expected } = parse_bounded(hash)?;
        let mut output = vec![0; expected.len()];
        self.compute(&argon2, password, &salt, &mut output)?;
        Ok(verify_slices_are_equal(&output, &expected).is_ok())
    }

    fn compute(
        &mut self,
        argon2: &Argon2<'_>,
        password: &Secret,
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        let blocks = argon2.params().block_count();
        self.0.reserve_exact(blocks.max(ALWAYS_MAPPED).saturating_sub(self.0.len()));
        self.0.resize(blocks, Block::default());
        argon2
            .hash_password_into_with_memory(password.expose().as_bytes(), salt, output, &mut self.0)
            .map_err(failed)
    }
}

fn failed(error: argon2::Error) -> HashError {
    HashError::Failed(error.to_string())
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
    Workspace::default().verify(hash, password)
}

/// A hash that no password has, and that takes as long to check as one of `params`. Costs nothing to make: its salt and
/// output are random bytes.
pub(super) fn unmatchable(params: Argon2Params) -> Result<PasswordHash, HashError> {
    let (mut salt, mut output) = ([0; SALT_BYTES], [0; OUTPUT_BYTES]);
    fill_random(&mut salt)?;
    fill_random(&mut output)?;
    Ok(PasswordHash::render(params, &salt, &output))
}

/// Whether the hash was made in another way than [`hash`] would with these parameters, so that it should be replaced at the next
/// login, when the password is at hand.
#[must_use]
pub fn needs_rehash(hash: &PasswordHash, params: Argon2Params) -> bool {
    let Ok(Bounded { output, .. }) = parse_bounded(hash) else { return true };
    let Argon2Params { memory_kib, passes, lanes } = params;
    let current = format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}$");
    !hash.0.starts_with(&current) || output.len() != OUTPUT_BYTES
}

/// A stored hash that can be checked without harm.
struct Bounded {
    argon2: Argon2<'static>,
    salt: Vec<u8>,
    output: Vec<u8>,
}

/// SECURITY: the bounds are checked before memory is allocated.
fn parse_bounded(hash: &PasswordHash) -> Result<Bounded, HashError> {
    let unreadable = |error: &dyn fmt::Display| HashError::Unreadable(error.to_string());
    let phc = Phc::new(&hash.0).map_err(|error| unreadable(&error))?;
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).map_err(|error| unreadable(&error))?;
    // Hashes from before version 1.3 of the algorithm do not say which they are.
    let version = Version::try_from(phc.version.unwrap_or(Version::V0x10.into()))
        .map_err(|error| unreadable(&error))?;
    let params = Params::try_from(&phc).map_err(|error| unreadable(&error))?;
    let (Some(salt), Some(output)) = (&phc.salt, &phc.hash) else {
        return Err(HashError::Unreadable("the salt or the output is missing".into()));
    };
    let bounded = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES
        && output.len() >= MIN_OUTPUT_BYTES;
    let (salt, output) = (salt.as_ref().to_vec(), output.as_bytes().to_vec());
    if bounded {
        Ok(Bounded { argon2: Argon2::new(algorithm, version, params), salt, output })
    } else {
        Err(HashError::OutOfBounds)
    }
}

#[cfg(test)]
mod tests;
