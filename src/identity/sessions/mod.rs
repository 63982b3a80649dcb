//! Sessions: a login and everything that is refreshed from it.
//!
//! A session ends when its client logs out, when somebody revokes it, when it has not been used for long, when it is old, when an old
//! refresh token of it is used again, and with its user: a removed or disabled user has none, and a new password ends those from before.
//! It ends with the client that logged the user in, too: [`client`] has that part.
//! When a call that ends one has returned, it is on the disk and every request that begins later is refused. One that gives way to a
//! newer one of its user is not refreshed any more, and its access token lives until it expires: nobody wanted it to end.

mod admin;
mod client;
mod of_user;
mod record;
mod refresh;
mod secret;
mod token;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::of_user::{Room, indexed, without};
use self::record::{Chain, Stored};
use self::token::RefreshKey;
pub use admin::{EndedSession, LocalSessionAdmin, SessionAdmin, SessionView};
pub use refresh::{RefreshError, Refreshed};

use super::password::PasswordHash;
use super::revoked::Floor;
use super::users::{User, UserError, Users};
use crate::clock::UnixTime;
use crate::config;
use crate::id::{NoRandomness, SessionId, TokenId, UserId};
use crate::seal::{Seal, SealError};
use crate::secret::Secret;
use crate::store::{Batch, Store, StoreError, Table};
use crate::token::Verified;

/// The `client_id` of the tokens of people who log in by themselves: RFC 9068 §2.2 requires the claim, and they have no client. No
/// client can have this name.
pub const NO_CLIENT: &str = "password";

/// Characters of what a client says about itself that are kept.
const MAX_AGENT: usize = 200;

/// Rows that are read or deleted at a time.
const PAGE: usize = 1000;

/// How often a session is tried to be written when others change the same records at the same time. Each failed attempt means that one
/// of the others has got through.
const ATTEMPTS: usize = 16;

/// A session, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The client that logged the user in; none for a user who did that alone, and in records of older versions.
    pub client: Option<UserId>,
    /// The name of the client: the `client_id` of its tokens.
    pub client_id: String,
    /// The user's token version at the login, or at the last change of the password in this session.
    pub version: u64,
    /// When the user logged in.
    pub created: UnixTime,
    /// When the user logged in, or the session was last refreshed.
    pub used: UnixTime,
    /// From where that was.
    pub origin: Origin,
    chain: Chain,
}

/// From where a session is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// What it calls itself: the beginning of its `User-Agent`.
    #[serde(default)]
    pub agent: String,
}

impl Origin {
    /// From this address, by a client that calls itself so.
    #[must_use]
    pub fn new(address: IpAddr, agent: Option<&[u8]>) -> Self {
        let agent = String::from_utf8_lossy(agent.unwrap_or_default());
        let shown = agent.chars().filter(|character| !character.is_control());
        Self { address, agent: shown.take(MAX_AGENT).collect() }
    }
}

/// For how long sessions live, and how many of them a user has.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Without being refreshed.
    pub idle: Duration,
    /// Whatever happens.
    pub most: Duration,
    /// How long the refresh token before the newest one still gets an answer.
    pub grace: Duration,
    /// The sessions of one user. With one more, that which was not used for the longest time gives way.
    pub per_user: usize,
}

impl Lifetimes {
    /// Those of a configuration.
    #[must_use]
    pub fn of(token: &config::Token) -> Self {
        Self {
            idle: token.session_idle_ttl,
            most: token.session_max_ttl,
            grace: token.refresh_reuse_grace,
            per_user: token.max_sessions_per_user,
        }
    }

    /// When the session ends if it is not refreshed again.
    #[must_use]
    pub fn end_of(&self, session: &Session) -> UnixTime {
        session.used.after(self.idle).min(self.last_end_of(session))
    }

    /// When the session ends, however often it is refreshed.
    #[must_use]
    pub fn last_end_of(&self, session: &Session) -> UnixTime {
        session.created.after(self.most)
    }
}

/// A session that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The session.
    pub session: Session,
    /// Its first refresh token.
    pub token: Secret,
    /// Those that gave way to it, since the user had as many as there may be.
    pub gone: Vec<SessionId>,
}

/// Some of the sessions.
#[derive(Debug)]
pub struct Page {
    /// Those that are alive, with their users.
    pub alive: Vec<(Session, User)>,
    /// The last one that was looked at; `None` when there are no more.
    pub last: Option<SessionId>,
}

/// Why something could not be done with a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No identifier or token could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The user cannot be read or changed.
    #[error(transparent)]
    User(#[from] UserError),
    /// The secret behind refresh tokens cannot be opened or sealed.
    #[error("the secret of refresh tokens cannot be used: {0}")]
    Sealed(SealError),
    /// The client was disabled or removed while it logged the user in.
    #[error("the client can no longer log in")]
    ClientEnded,
}

/// The sessions. A handle: clones share the store. All methods block on the disk.
#[derive(Clone)]
pub struct Sessions {
    store: Arc<dyn Store>,
    users: Users,
    key: Arc<RefreshKey>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// The sessions of `users` in `store`. The secret behind their refresh tokens is sealed with `seal`, and made if there is none yet.
    ///
    /// # Errors
    /// [`SessionError`]; in particular `Sealed` when `seal` does not open the secret.
    pub fn open(store: Arc<dyn Store>, users: Users, seal: &Seal) -> Result<Self, SessionError> {
        let secret = secret::of_store(&*store, seal)?;
        let sessions = Self { store, users, key: Arc::new(RefreshKey::new(&secret)) };
        sessions.index_all()?;
        Ok(sessions)
    }

    /// The same for who only lists and ends sessions. The secret is not opened, so no refresh token is one of these.
    ///
    /// # Errors
    /// [`SessionError::NoRandomness`].
    pub fn without_tokens(store: Arc<dyn Store>, users: Users) -> Result<Self, SessionError> {
        Ok(Self { store, users, key: Arc::new(RefreshKey::new(&secret::random()?)) })
    }

    /// A new session of a user who has just logged in by way of a client. If the user has as many as there may be, it takes the place
    /// of that which was not used for the longest time, whose access token lives on until it expires.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn begin(
        &self,
        user: &User,
        client: Option<&User>,
        origin: Origin,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Begun, SessionError> {
        let id = SessionId::generate(now)?;
        let token = self.key.first(id)?;
        let chain = Chain { place: token.place, newest: token.digest(), rotated: now };
        let session = Session {
            id,
            user: user.id,
            client: client.map(|client| client.id),
            client_id: client.map_or(NO_CLIENT, |client| client.username.as_str()).to_owned(),
            version: user.version,
            created: now,
            used: now,
            origin,
            chain,
        };
        let (key, row) = (id.as_bytes().as_slice(), record::encode(&session)?);
        for _ in 0..ATTEMPTS {
            let Room { batch, gone } = self.room(user, lifetimes, now)?;
            let batch = batch.expect(Table::Sessions, key, None).put(Table::Sessions, key, row.clone());
            match self.store.commit(self.expecting(indexed(batch, &session), client)?) {
                Ok(()) => return Ok(Begun { session, token: self.key.write(&token), gone }),
                // The client has changed in this moment: it may have got another secret, or have been disabled.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Ends a session: its tokens are refused, whether or not the session is still there. Returns whether it was.
    ///
    /// # Errors
    /// [`SessionError::Store`].
    pub fn end(&self, id: SessionId, now: UnixTime) -> Result<bool, SessionError> {
        let key = id.as_bytes().as_slice();
        let bytes = self.store.get(Table::Sessions, key)?;
        let was_there = bytes.is_some();
        // A row that cannot be read ends, too; its place in the index is seen to be empty by the next login.
        let stored = bytes.and_then(|bytes| record::decode(id, bytes).ok());
        let batch = Batch::new().delete(Table::Sessions, key);
        let batch = stored.into_iter().fold(batch, |batch, stored| without(batch, &stored.session));
        let happened = |_: &_| self.store.get(Table::Sessions, key).is_ok_and(|row| row.is_none());
        self.users.revoked().commit(batch, &[(id.into(), Floor::all(now))], happened)?;
        Ok(was_there)
    }

    /// Refuses one access token.
    ///
    /// # Errors
    /// [`SessionError::Store`].
    pub fn revoke_token(&self, id: TokenId, now: UnixTime) -> Result<(), SessionError> {
        Ok(self.users.revoked().commit(Batch::new(), &[(id.into(), Floor::all(now))], |_| true)?)
    }

    /// Whether an access token was revoked.
    #[must_use]
    pub fn refuses(&self, token: &Verified) -> bool {
        self.users.revoked().refuses(token)
    }

    /// The session of a refresh token that is, or was, a real one. `None` if it has ended; that is on the disk
    /// and in force then.
    ///
    /// # Errors
    /// [`SessionError::Store`].
    pub fn of_refresh_token(&self, token: &Secret, now: UnixTime) -> Result<Option<Session>, SessionError> {
        let Some(token) = self.key.read(token.expose()) else { return Ok(None) };
        if let Some(stored) = self.read(token.session)? {
            return Ok(Some(stored.session));
        }
        // Whoever ends it may still wait for the disk, and has announced nothing yet. Our answer promises both.
        self.end(token.session, now)?;
        Ok(None)
    }

    /// Gives the user of a session a new password, if it is `checked`, who has shown the present one. All other sessions of the user
    /// end, and so do all access tokens; the session goes on. `None` if it has ended, also by itself, or is that of somebody else.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn change_password(
        &self,
        id: SessionId,
        checked: &User,
        hash: &PasswordHash,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Option<(Session, User)>, SessionError> {
        let Some(Stored { session, .. }) = self.read(id)? else { return Ok(None) };
        let changed = self.users.set_password_within(&checked.username, hash, now, |before, after| {
            // Looked at with each attempt: who was faster may have ended the session, or given the name to another.
            let mine = |session: &Session| session.user == checked.id && before.id == checked.id;
            let goes_on = |it: &Session| now < lifetimes.end_of(it) && is_alive(it, before);
            let stored = self.read(id)?.filter(|it| mine(&it.session) && goes_on(&it.session));
            let Some(Stored { session, bytes }) = stored else {
                return Err(UserError::NotFound(checked.username.clone()));
            };
            let key = id.as_bytes().as_slice();
            let row = record::encode(&Session { version: after.version, ..session })?;
            let batch = Batch::new().expect(Table::Sessions, key, Some(bytes));
            Ok(batch.put(Table::Sessions, key, row))
        });
        match changed {
            Ok(user) => Ok(Some((session, user))),
            Err(UserError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The sessions that are alive, from the first after `after`. Reads `limit` rows.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn list(
        &self,
        after: Option<SessionId>,
        limit: usize,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Page, SessionError> {
        let after = after.as_ref().map(|id| id.as_bytes().as_slice());
        let rows = self.store.scan(Table::Sessions, after, limit)?;
        let mut last = None;
        let mut alive = Vec::new();
        for (key, bytes) in rows {
            let session = record::decode(record::key_to_id(&key)?, bytes)?.session;
            last = Some(session.id);
            if let Some(user) = self.user_of(&session)?.filter(|_| now < lifetimes.end_of(&session)) {
                alive.push((session, user));
            }
        }
        Ok(Page { alive, last })
    }

    /// Deletes the sessions that have ended by themselves, or with their users or clients. Call it now and then.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn forget_ended(&self, lifetimes: &Lifetimes, now: UnixTime) -> Result<(), SessionError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::Sessions, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            let mut batch = Batch::new();
            for (key, bytes) in rows {
                let stored = record::decode(record::key_to_id(&key)?, bytes)?;
                let ended =
                    now >= lifetimes.end_of(&stored.session) || self.user_of(&stored.session)?.is_none();
                if ended {
                    batch = batch.expect(Table::Sessions, key, Some(stored.bytes));
                    batch = without(batch, &stored.session);
                }
            }
            match self.store.commit(batch) {
                // One of the page was refreshed in this moment. The page waits for the next call.
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&self, id: SessionId) -> Result<Option<Stored>, StoreError> {
        let bytes = self.store.get(Table::Sessions, id.as_bytes())?;
        bytes.map(|bytes| record::decode(id, bytes)).transpose()
    }
}

/// Whether the user still has the session, as far as that depends on the user.
fn is_alive(session: &Session, user: &User) -> bool {
    user.enabled && session.version >= user.sessions_from
}
