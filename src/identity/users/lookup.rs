//! Reading users: by name, by identifier, all of them.

use super::record::{self, Stored};
use super::{ATTEMPTS, User, UserError, Users};
use crate::id::UserId;
use crate::name::Username;
use crate::store::Table;

impl Users {
    /// The user of this name, in whatever case it is written. A text that cannot be a name is nobody's.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn find(&self, username: &str) -> Result<Option<User>, UserError> {
        let Ok(username) = Username::new(username) else { return Ok(None) };
        Ok(self.read(&username)?.map(|stored| stored.user))
    }

    /// The user with this identifier.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn by_id(&self, id: UserId) -> Result<Option<User>, UserError> {
        Ok(self.read_id(id)?.map(|stored| stored.user))
    }

    /// Users in the order in which they were added, from the first after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn list(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, UserError> {
        let after = after.as_ref().map(|id| id.as_bytes().as_slice());
        let rows = self.store.scan(Table::Users, after, limit)?;
        rows.into_iter().map(|(key, bytes)| Ok(record::decode(record::id_from(&key)?, bytes)?.user)).collect()
    }

    /// An existing name that looks like this one, for the hint after a typing error. Looks at the first ten thousand.
    pub(in crate::identity) fn similar_name(&self, username: &Username) -> Option<String> {
        let wanted = username.folded();
        let rows = self.store.scan(Table::Usernames, None, 10_000).ok()?;
        let names = rows.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok());
        let measured = names.map(|name| (strsim::damerau_levenshtein(&name, &wanted), name));
        let (distance, name) = measured.min_by_key(|(distance, _)| *distance)?;
        (distance <= 2 && distance * 2 < wanted.len()).then_some(name)
    }

    pub(super) fn read(&self, username: &Username) -> Result<Option<Stored>, UserError> {
        let folded = username.folded();
        for _ in 0..ATTEMPTS {
            let Some(key) = self.store.get(Table::Usernames, folded.as_bytes())? else { return Ok(None) };
            let stored = self.read_id(record::id_from(&key)?)?;
            // Between the two look-ups the user may have been removed or renamed; then the name is looked up again.
            if let Some(stored) = stored.filter(|stored| stored.user.username.folded() == folded) {
                return Ok(Some(stored));
            }
        }
        Err(UserError::Contended(username.clone()))
    }

    pub(super) fn read_id(&self, id: UserId) -> Result<Option<Stored>, UserError> {
        let bytes = self.store.get(Table::Users, id.as_bytes())?;
        Ok(bytes.map(|bytes| record::decode(id, bytes)).transpose()?)
    }

    pub(super) fn written_form(&self, username: &Username) -> Result<Username, UserError> {
        Ok(self.read(username)?.map_or_else(|| username.clone(), |stored| stored.user.username))
    }
}
