//! What a refresh token is good for: once for the next one, and after that to find out that it was stolen.

use super::token::RefreshToken;
use super::{ATTEMPTS, Chain, Lifetimes, Origin, Session, SessionError, Sessions, Stored, record};
use crate::clock::UnixTime;
use crate::id::SessionId;
use crate::identity::users::User;
use crate::secret::Secret;
use crate::store::{Batch, StoreError, Table};

/// A session goes on.
pub struct Refreshed {
    /// The session.
    pub session: Session,
    /// Its user as it is now, with the roles and the token version of now.
    pub user: User,
    /// The next refresh token.
    pub token: Secret,
}

/// Why a session does not go on. All but the last are `invalid_grant` (RFC 6749 §5.2).
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// No token of this gateway.
    #[error("it is no refresh token of this gateway")]
    Unknown,
    /// The session was ended, by whatever it was.
    #[error("the session {0} has ended")]
    Ended(SessionId),
    /// The session was not used for too long, or is too old.
    #[error("the session {0} has expired")]
    Expired(SessionId),
    /// The token belongs to another client.
    #[error("the session {0} is that of another client")]
    OtherClient(SessionId),
    /// The token was used before: the session of this user is ended, since one of the two who have it has stolen it (RFC 9700
    /// §4.14.2).
    #[error("an old refresh token of session {0} was used again, so the session was ended")]
    Reused(SessionId, Box<User>),
    /// It cannot be found out.
    #[error(transparent)]
    Failed(#[from] SessionError),
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// What a token with a good seal is in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Newest,
    /// The one before, a moment ago: its answer may have been lost, or another request of the same client was faster.
    Retried,
    Old,
    /// From a chain that this store does not know: it was restored from a backup.
    Unknown,
}

impl Sessions {
    /// Takes a refresh token for the next one, by the client that it was given to.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub fn refresh(
        &self,
        token: &Secret,
        client: Option<&User>,
        origin: &Origin,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, RefreshError> {
        let token = self.key.read(token.expose()).ok_or(RefreshError::Unknown)?;
        let id = token.session;
        for _ in 0..ATTEMPTS {
            let stored = self.read(id)?.ok_or(RefreshError::Ended(id))?;
            let user = self.may_go_on(&stored.session, client, lifetimes, now)?;
            match self.standing(&token, &stored.session.chain, lifetimes, now) {
                Standing::Newest => match self.rotate(&token, stored, origin, now) {
                    Ok(session) => return Ok(self.refreshed(&token, session, user)),
                    Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                },
                // Whoever took it has written the next one, but perhaps not yet, or never, as far as the disk. Our answer promises that.
                Standing::Retried => match self.store.commit(unchanged(&stored)) {
                    Ok(()) => return Ok(self.refreshed(&token, stored.session, user)),
                    Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                },
                Standing::Unknown => return Err(RefreshError::Unknown),
                Standing::Old => {
                    self.end(id, now)?;
                    return Err(RefreshError::Reused(id, Box::new(user)));
                }
            }
        }
        Err(RefreshError::Failed(StoreError::Conflict.into()))
    }

    /// The session whose newest refresh token this is, if the client could go on with it now.
    ///
    /// # Errors
    /// [`SessionError`] when that cannot be found out.
    pub fn of_newest(
        &self,
        token: &Secret,
        client: &User,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Option<(Session, User)>, SessionError> {
        let Some(token) = self.key.read(token.expose()) else { return Ok(None) };
        let Some(Stored { session, .. }) = self.read(token.session)? else { return Ok(None) };
        if self.standing(&token, &session.chain, lifetimes, now) != Standing::Newest {
            return Ok(None);
        }
        match self.may_go_on(&session, Some(client), lifetimes, now) {
            Ok(user) => Ok(Some((session, user))),
            Err(RefreshError::Failed(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn may_go_on(
        &self,
        session: &Session,
        client: Option<&User>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<User, RefreshError> {
        let user = self.user_of(session)?.ok_or(RefreshError::Ended(session.id))?;
        if now >= lifetimes.end_of(session) {
            return Err(RefreshError::Expired(session.id));
        }
        if !session.is_of(client) {
            return Err(RefreshError::OtherClient(session.id));
        }
        Ok(user)
    }

    fn standing(
        &self,
        token: &RefreshToken,
        chain: &Chain,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Standing {
        if token.place == chain.place {
            return if token.digest() == chain.newest { Standing::Newest } else { Standing::Unknown };
        }
        if token.place > chain.place {
            return Standing::Unknown;
        }
        let next = self.key.next(token);
        let is_before = next.place == chain.place && next.digest() == chain.newest;
        // Also if the clock was set back in between.
        let between = now.as_millis().abs_diff(chain.rotated.as_millis());
        if is_before && u128::from(between) <= lifetimes.grace.as_millis() {
            Standing::Retried
        } else {
            Standing::Old
        }
    }

    fn rotate(
        &self,
        token: &RefreshToken,
        stored: Stored,
        origin: &Origin,
        now: UnixTime,
    ) -> Result<Session, StoreError> {
        let next = self.key.next(token);
        let chain = Chain { place: next.place, newest: next.digest(), rotated: now };
        let session = Session { used: now, origin: origin.clone(), chain, ..stored.session };
        let key = session.id.as_bytes().as_slice();
        let batch = Batch::new().expect(Table::Sessions, key, Some(stored.bytes));
        self.store.commit(batch.put(Table::Sessions, key, record::encode(&session)?))?;
        Ok(session)
    }

    fn refreshed(&self, token: &RefreshToken, session: Session, user: User) -> Refreshed {
        Refreshed { session, user, token: self.key.write(&self.key.next(token)) }
    }
}

/// Writes nothing: its commit waits until what was read is on the disk.
fn unchanged(Stored { session, bytes }: &Stored) -> Batch {
    Batch::new().expect(Table::Sessions, session.id.as_bytes().as_slice(), Some(bytes.clone()))
}
