//! Users and passwords: the rules over the store. Knows no HTTP.

mod admin;
mod hashing;
mod keys;
mod login;
mod password;
mod throttle;
mod users;

pub use admin::{AdminError, Hashing, LocalUserAdmin, UserAdmin, UserView};
pub use hashing::{HashPool, PoolError, Verdict};
pub use keys::{KeysError, load, load_or_make};
pub use login::{Login, LoginError};
pub use password::{
    Argon2Params, HashError, MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS, PasswordHash, WeakPassword,
    Workspace, check_new_password, hash, needs_rehash,
};
pub use throttle::{Attempt, Claim, Credential, Throttle, Throttled};
pub use users::{User, UserError, Users};
