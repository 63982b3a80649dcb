//! Users and passwords: the rules over the store. Knows no HTTP.

mod admin;
mod hashing;
mod import;
mod keys;
mod login;
mod password;
mod users;
mod works;

pub use admin::{AdminError, Hashing, LocalUserAdmin, UserAdmin, UserView};
pub use hashing::{HashPool, PoolError, Verdict};
pub use import::{FileFormat, IfExists, ImportRules, ImportedUser, Line, LineError, Lines, Outcome};
pub use keys::{KeysError, load, load_or_make};
pub use login::{Login, LoginError};
pub use password::{
    Argon2Params, HashError, MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS, PasswordHash, WeakPassword, Work,
    Workspace, check_new_password, hash, needs_rehash,
};
pub use users::{User, UserError, Users};
pub use works::{Works, prune_works, restore_works};
