//! Users, passwords and sessions: the rules over the store. Knows no HTTP.

mod admin;
mod audited;
mod clients;
mod hashing;
mod import;
mod invitations;
mod keys;
mod login;
mod pace;
mod password;
mod record;
mod registration;
mod revoked;
mod sessions;
#[cfg(test)]
mod testing;
mod throttle;
mod users;
mod works;

pub use admin::{AdminError, Hashing, LocalUserAdmin, UserAdmin, UserView};
pub use audited::{Administered, Recorder};
pub use clients::{
    ApiKey, ApiKeyView, ClientAdmin, ClientCredential, ClientView, Clients, LocalClientAdmin, NewSecret,
    Program, Shown,
};
pub use hashing::{HashPool, PoolError, Verdict};
pub use import::{FileFormat, IfExists, ImportRules, ImportedUser, Line, LineError, Lines, Outcome};
pub use invitations::{
    Invitation, InvitationAdmin, InvitationView, Invitations, LocalInvitationAdmin, NewInvitation,
};
pub use keys::{KeyAdmin, KeyPolicy, KeyView, Keys, KeysError, Rotation, longest_token};
pub use login::{Login, LoginError, Refusal};
pub use pace::Pace;
pub use password::{
    Argon2Params, HashError, MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS, PasswordHash, WeakPassword, Work,
    Workspace, check_new_password, hash, needs_rehash,
};
pub use registration::{Accepted, Newcomer, Registration, RegistrationError};
pub use revoked::Revoked;
pub use sessions::{
    Begun, EndedSession, Lifetimes, LocalSessionAdmin, NO_CLIENT, Origin, RefreshError, Refreshed, Session,
    SessionAdmin, SessionError, SessionView, Sessions,
};
pub use throttle::{Attempt, Claim, Credential, Throttle, Throttled};
pub use users::{Registered, User, UserError, Users};
pub use works::{Works, prune_works, restore_works};
