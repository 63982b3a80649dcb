//! How many sessions a user has: an index by user, so that a login looks at no sessions but the user's own, and at no more of those
//! than there may be.
//!
//! The bound holds when logins come one after the other. Of several at the same moment each may see room for one; the next login
//! sets that right.

use super::{Lifetimes, PAGE, Session, SessionError, Sessions, is_alive, record};
use crate::clock::UnixTime;
use crate::id::{SessionId, UserId};
use crate::identity::users::User;
use crate::store::{Batch, Row, StoreError, Table};

/// In [`Table::Meta`]: the sessions from before there was an index are in it.
const INDEXED: &[u8] = b"sessions_by_user";
/// By how many sessions a user who has too many is brought nearer to the bound with each login.
const SURPLUS: usize = 100;

/// What makes room for one more session.
pub(super) struct Room {
    /// Deletes what has to go.
    pub(super) batch: Batch,
    /// Those that were alive.
    pub(super) gone: Vec<SessionId>,
}

impl Sessions {
    /// What has to go before the user may have one more session: those that have ended by themselves, and those that were not used for
    /// the longest time. Below the bound nothing has to, and no session is read.
    pub(super) fn room(
        &self,
        user: &User,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Room, SessionError> {
        let mut room = Room { batch: Batch::new(), gone: Vec::new() };
        let rows = self.index_of(user.id, lifetimes.per_user.saturating_add(SURPLUS))?;
        if rows.len() < lifetimes.per_user {
            return Ok(room);
        }
        let mut alive: Vec<Session> = Vec::with_capacity(rows.len());
        for (key, _) in rows {
            match self.read(session_of(&key)?)?.map(|stored| stored.session) {
                Some(it) if now < lifetimes.end_of(&it) && is_alive(&it, user) => alive.push(it),
                Some(ended) => room.batch = without(room.batch, &ended),
                None => room.batch = room.batch.delete(Table::UserSessions, key),
            }
        }
        alive.sort_unstable_by_key(|session| session.used);
        let too_many = (alive.len() + 1).saturating_sub(lifetimes.per_user);
        for session in alive.iter().take(too_many) {
            room.batch = without(room.batch, session);
            room.gone.push(session.id);
        }
        Ok(room)
    }

    fn index_of(&self, user: UserId, limit: usize) -> Result<Vec<Row>, StoreError> {
        let prefix = user.as_bytes().as_slice();
        let mut rows = self.store.scan(Table::UserSessions, Some(prefix), limit)?;
        rows.retain(|(key, _)| key.starts_with(prefix));
        Ok(rows)
    }

    /// Puts the sessions of an older store into the index, once. A store without sessions is asked again at the next start: to note that
    /// it has none would cost the very first start one more write.
    pub(super) fn index_all(&self) -> Result<(), SessionError> {
        if self.store.get(Table::Meta, INDEXED)?.is_some() {
            return Ok(());
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::Sessions, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            let mut batch = Batch::new();
            for (key, bytes) in rows {
                batch = indexed(batch, &record::decode(record::key_to_id(&key)?, bytes)?.session);
            }
            self.store.commit(batch)?;
        }
        if after.is_some() {
            self.store.commit(Batch::new().put(Table::Meta, INDEXED, []))?;
        }
        Ok(())
    }
}

/// Enters the session.
pub(super) fn indexed(batch: Batch, session: &Session) -> Batch {
    batch.put(Table::UserSessions, key(session), [])
}

/// Deletes the session and its entry.
pub(super) fn without(batch: Batch, session: &Session) -> Batch {
    let id = session.id.as_bytes().as_slice();
    batch.delete(Table::Sessions, id).delete(Table::UserSessions, key(session))
}

fn key(session: &Session) -> Vec<u8> {
    [session.user.as_bytes().as_slice(), session.id.as_bytes()].concat()
}

fn session_of(key: &[u8]) -> Result<SessionId, StoreError> {
    record::key_to_id(key.get(16..).unwrap_or_default())
}
