//! What a session has to do with the client that logged its user in.
//!
//! A session belongs to the client's identifier, not to its name: that may be taken again, by a client that has nothing to do with it.
//! It ends with its client. So that none is forgotten, a session begins only if its client is still as it was when it showed its secret;
//! whoever disables a client and then looks for its sessions finds all of them.

use super::of_user::without;
use super::{NO_CLIENT, PAGE, Session, SessionError, Sessions, is_alive, record};
use crate::clock::UnixTime;
use crate::identity::revoked::Floor;
use crate::identity::users::User;
use crate::store::{Batch, Table};
use crate::token::RevocationId;

impl Session {
    /// Whether it is the session of this client; of nobody's in particular, without one.
    #[must_use]
    pub fn is_of(&self, client: Option<&User>) -> bool {
        match (self.client, client) {
            (Some(own), Some(client)) => own == client.id,
            (Some(_), None) => false,
            // An older version has written down the name alone. Who has taken it since is younger than the session.
            (None, Some(client)) => {
                self.client_id == client.username.as_str() && client.created <= self.created
            }
            (None, None) => self.client_id == NO_CLIENT,
        }
    }
}

impl Sessions {
    /// Ends all sessions of users that the client has logged in: none is refreshed any more, and their access tokens are refused. Says
    /// how many there were. To be called when the client cannot log in any more.
    ///
    /// # Errors
    /// [`SessionError::Store`]; some may have ended.
    pub fn end_all_of(&self, client: &User, now: UnixTime) -> Result<usize, SessionError> {
        let (mut after, mut count): (Option<Vec<u8>>, usize) = (None, 0);
        loop {
            let rows = self.store.scan(Table::Sessions, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(count) };
            after = Some(last.clone());
            let (mut batch, mut floors) = (Batch::new(), Vec::new());
            for (key, bytes) in rows {
                let session = record::decode(record::key_to_id(&key)?, bytes)?.session;
                if session.is_of(Some(client)) {
                    batch = without(batch, &session);
                    floors.push((RevocationId::from(session.id), Floor::all(now)));
                }
            }
            if floors.is_empty() {
                continue;
            }
            let gone = |(id, _): &(RevocationId, Floor)| {
                self.store.get(Table::Sessions, id.as_bytes()).is_ok_and(|row| row.is_none())
            };
            self.users.revoked().commit(batch, &floors, gone)?;
            count += floors.len();
        }
    }

    /// The user of a session, unless it has ended with its user or with its client.
    pub(super) fn user_of(&self, session: &Session) -> Result<Option<User>, SessionError> {
        let user = self.users.by_id(session.user)?.filter(|user| is_alive(session, user));
        if user.is_none() || session.is_of(None) {
            return Ok(user);
        }
        let client = match session.client {
            Some(id) => self.users.by_id(id)?,
            None => self.users.find(&session.client_id)?,
        };
        Ok(user.filter(|_| client.is_some_and(|client| client.enabled && session.is_of(Some(&client)))))
    }

    /// The batch, if the client can still log in; then it applies only as long as that is so.
    pub(super) fn expecting(&self, batch: Batch, client: Option<&User>) -> Result<Batch, SessionError> {
        let Some(client) = client else { return Ok(batch) };
        let expected = self.users.expecting(batch, client.id, |now| now.enabled)?;
        expected.ok_or(SessionError::ClientEnded)
    }
}
