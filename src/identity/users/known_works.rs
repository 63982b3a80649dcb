//! The durable side of [`crate::identity::works`]: which kinds of password hashes the users in the store may have.

use serde::{Deserialize, Serialize};

use super::{UserError, Users};
use crate::identity::password::Work;
use crate::identity::record;
use crate::store::{Batch, StoreError, Table};

const VERSION: u32 = 1;
const KEY: &[u8] = b"password_works";

#[derive(Serialize, Deserialize)]
struct Row {
    v: u32,
    works: Vec<Work>,
}

impl Users {
    /// The kinds that are noted, none in a store that no gateway has run on.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub(in crate::identity) fn works(&self) -> Result<Vec<Work>, UserError> {
        let Some(bytes) = self.store.get(Table::Meta, KEY)? else { return Ok(Vec::new()) };
        let row: Row = record::from_bytes(&bytes, VERSION, &"the kinds of password hashes")?;
        Ok(row.works)
    }

    /// Notes exactly these.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be written.
    pub(in crate::identity) fn set_works(&self, works: &[Work]) -> Result<(), UserError> {
        Ok(self.store.commit(noting(Batch::new(), works)?)?)
    }
}

/// The batch, with the note of these kinds.
pub(super) fn noting(batch: Batch, works: &[Work]) -> Result<Batch, StoreError> {
    let row = Row { v: VERSION, works: works.to_vec() };
    Ok(batch.put(Table::Meta, KEY, record::to_bytes(&row)?))
}
