//! The computations behind password hashes: what each may cost at most, and how it is done.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Argon2Params, HashError, Workspace};
use crate::config::Login;

/// The most work that a stored hash may ask for, with [`Login::MAX_PASSES`] and [`Login::MAX_LANES`]. What asks for more is no use of
/// these functions, and checking it could exhaust the memory or occupy a thread for many seconds. The largest of each takes a few
/// seconds.
const MAX_MEMORY_KIB: u32 = Login::MAX_MEMORY_KIB;
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;
const MAX_SCRYPT_R: u32 = 32;
const MAX_SCRYPT_P: u32 = 16;
/// N·r·p, in units of 128 bytes: four times over the most memory.
const MAX_SCRYPT_BLOCKS: u64 = 4 * (MAX_MEMORY_KIB as u64) * 1024 / 128;
const MAX_ROUNDS: u32 = 5_000_000;

/// What bcrypt looks at. The C implementations count the NUL behind the password.
const BCRYPT_INPUT: usize = 72;

/// A password hashing function with its parameters: all that decides how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// RFC 9106.
    Argon2 {
        /// Which of the three.
        variant: Variant,
        /// 19 (version 1.3) or 16 (1.0).
        version: u32,
        /// Memory, passes and lanes.
        #[serde(flatten)]
        params: Argon2Params,
    },
    /// 2^cost expansions of a Blowfish key.
    Bcrypt {
        /// The binary logarithm.
        cost: u32,
    },
    /// RFC 7914.
    Scrypt {
        /// The binary logarithm of N.
        log_n: u32,
        /// The size of a block, in 128 bytes.
        r: u32,
        /// How often.
        p: u32,
    },
    /// RFC 8018 §5.2, for one block of output.
    Pbkdf2 {
        /// The digest below the HMAC.
        digest: Digest,
        /// Iterations.
        rounds: u32,
    },
}

/// The variants of argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Memory is read where the password says.
    D,
    /// Memory is read in an order of its own.
    I,
    /// First the one, then the other.
    Id,
}

/// Digests for PBKDF2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// Broken as a digest, but not below HMAC.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

impl Digest {
    /// Bytes of its output.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

impl From<Argon2Params> for Work {
    /// What new hashes are made with.
    fn from(params: Argon2Params) -> Self {
        Self::Argon2 { variant: Variant::Id, version: Version::V0x13.into(), params }
    }
}

impl Work {
    /// What the function is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Argon2 { variant: Variant::Id, .. } => "argon2id",
            Self::Argon2 { variant: Variant::I, .. } => "argon2i",
            Self::Argon2 { variant: Variant::D, .. } => "argon2d",
            Self::Bcrypt { .. } => "bcrypt",
            Self::Scrypt { .. } => "scrypt",
            Self::Pbkdf2 { .. } => "pbkdf2",
        }
    }

    /// The memory that it takes, in KiB. What stays below a hundred KiB counts as none.
    pub(in crate::identity) fn memory_kib(self) -> u64 {
        match self {
            Self::Argon2 { params, .. } => u64::from(params.memory_kib),
            Self::Scrypt { log_n, r, .. } => blocks(log_n, r) / 8,
            Self::Bcrypt { .. } | Self::Pbkdf2 { .. } => 0,
        }
    }

    /// SECURITY: called before memory is allocated and before a hash is stored.
    pub(super) fn check(self) -> Result<(), HashError> {
        let bounded = match self {
            Self::Argon2 { params, .. } => {
                params.memory_kib <= MAX_MEMORY_KIB
                    && params.passes <= Login::MAX_PASSES
                    && params.lanes <= Login::MAX_LANES
            }
            Self::Bcrypt { cost } => BCRYPT_COSTS.contains(&cost),
            Self::Scrypt { log_n, r, p } => {
                (1..=MAX_SCRYPT_R).contains(&r)
                    && (1..=MAX_SCRYPT_P).contains(&p)
                    && log_n >= 1
                    && self.memory_kib() <= u64::from(MAX_MEMORY_KIB)
                    && blocks(log_n, r).saturating_mul(p.into()) <= MAX_SCRYPT_BLOCKS
            }
            Self::Pbkdf2 { rounds, .. } => (1..=MAX_ROUNDS).contains(&rounds),
        };
        if bounded { Ok(()) } else { Err(HashError::OutOfBounds(self.bounds())) }
    }

    fn bounds(self) -> String {
        let mib = MAX_MEMORY_KIB / 1024;
        match self {
            Self::Argon2 { .. } => {
                let (passes, lanes) = (Login::MAX_PASSES, Login::MAX_LANES);
                format!("at most {mib} MiB, {passes} passes and {lanes} lanes of argon2 are granted")
            }
            Self::Bcrypt { .. } => {
                let (least, most) = (BCRYPT_COSTS.start(), BCRYPT_COSTS.end());
                format!("a cost of {least} to {most} is granted for bcrypt")
            }
            Self::Scrypt { .. } => format!(
                "at most {mib} MiB (128 times N times r), r = {MAX_SCRYPT_R}, p = {MAX_SCRYPT_P} and N times r times p = \
                 {MAX_SCRYPT_BLOCKS} are granted for scrypt"
            ),
            Self::Pbkdf2 { .. } => format!("1 to {MAX_ROUNDS} iterations are granted for PBKDF2"),
        }
    }
}

/// N·r.
fn blocks(log_n: u32, r: u32) -> u64 {
    1_u64.checked_shl(log_n).unwrap_or(u64::MAX).saturating_mul(r.into())
}

impl Workspace {
    /// Computes `output.len()` bytes of the hash.
    pub(super) fn compute(
        &mut self,
        work: Work,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        work.check()?;
        match work {
            Work::Argon2 { variant, version, params } => {
                let Argon2Params { memory_kib, passes, lanes } = params;
                let cost = Params::new(memory_kib, passes, lanes, Some(output.len())).map_err(failed)?;
                let version = Version::try_from(version).map_err(failed)?;
                let argon2 = Argon2::new(variant.algorithm(), version, cost);
                argon2
                    .hash_password_into_with_memory(password, salt, output, self.blocks(&argon2))
                    .map_err(failed)
            }
            Work::Bcrypt { cost } => bcrypt(cost, password, salt, output),
            Work::Scrypt { log_n, r, p } => {
                let log_n = u8::try_from(log_n).map_err(failed)?;
                let params = scrypt::Params::new(log_n, r, p).map_err(failed)?;
                scrypt::scrypt(password, salt, &params, output).map_err(failed)
            }
            Work::Pbkdf2 { digest, rounds } => {
                let rounds = NonZeroU32::new(rounds).ok_or_else(|| failed("no iterations"))?;
                pbkdf2::derive(digest.algorithm(), rounds, salt, password, output);
                Ok(())
            }
        }
    }
}

impl Variant {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::D => Algorithm::Argon2d,
            Self::I => Algorithm::Argon2i,
            Self::Id => Algorithm::Argon2id,
        }
    }
}

/// Only the first 72 bytes count, as wherever bcrypt hashes come from: whoever had a longer password there logs in with it here, and
/// from that login on, when the hash is rewritten, every byte of it counts. To refuse it would lock that user out to keep out
/// somebody who knows 72 bytes of the password.
fn bcrypt(cost: u32, password: &[u8], salt: &[u8], output: &mut [u8]) -> Result<(), HashError> {
    let salt: [u8; 16] = salt.try_into().map_err(failed)?;
    let mut input = Zeroizing::new(Vec::with_capacity(BCRYPT_INPUT));
    input.extend(password.iter().copied().chain([0]).take(BCRYPT_INPUT));
    let hash = bcrypt::bcrypt(cost, salt, &input);
    for (byte, computed) in output.iter_mut().zip(hash) {
        *byte = computed;
    }
    Ok(())
}

/// What is computed from a password before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prehash {
    /// Nothing.
    None,
    /// passlib's bcrypt-sha256, version 1: SHA-256 in base64, so that a long password fits into bcrypt.
    Sha256,
    /// Version 2: HMAC-SHA-256 with the text of the salt as its key, in base64.
    HmacSha256,
}

impl Prehash {
    pub(super) fn apply(self, password: &str, salt: &[u8]) -> Zeroizing<Vec<u8>> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let encode = |digest: &[u8]| STANDARD.encode(digest).into_bytes();
        Zeroizing::new(match self {
            Self::None => password.as_bytes().to_vec(),
            Self::Sha256 => {
                encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, password.as_bytes()).as_ref())
            }
            Self::HmacSha256 => {
                let salt = super::format::BCRYPT_BASE64.encode(salt);
                let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
                encode(hmac::sign(&key, password.as_bytes()).as_ref())
            }
        })
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> HashError {
    HashError::Failed(error.to_string())
}
