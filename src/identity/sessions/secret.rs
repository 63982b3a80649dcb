//! The secret behind refresh tokens, in the store: sealed like the signing keys, made when there is none.

use super::SessionError;
use crate::id::fill_random;
use crate::seal::Seal;
use crate::secret::SecretBytes;
use crate::store::{Batch, Store, Table};

/// Where it is, in [`Table::Meta`].
const KEY: &[u8] = b"refresh_token_key";
/// What it is sealed for.
const PLACE: &str = "refresh token key";
/// Its bytes. Before it was sealed, it lay there as it is; what is sealed is longer.
const WIDTH: usize = 32;

/// The secret of this store. One that is in clear, or sealed otherwise than it would be now, is written anew.
pub(super) fn of_store(store: &dyn Store, seal: &Seal) -> Result<SecretBytes, SessionError> {
    let Some(stored) = store.get(Table::Meta, KEY)?.map(SecretBytes::new) else {
        let secret = random()?;
        write(store, seal, None, &secret)?;
        return Ok(secret);
    };
    if stored.expose().len() == WIDTH {
        write(store, seal, Some(&stored), &stored)?;
        return Ok(stored);
    }
    let opened = seal.open(PLACE, stored.expose()).map_err(SessionError::Sealed)?;
    if opened.outdated {
        write(store, seal, Some(&stored), &opened.secret)?;
        tracing::info!(encrypted = seal.encrypts(), "the secret of refresh tokens was written anew");
    }
    Ok(opened.secret)
}

/// A secret that no store has.
pub(super) fn random() -> Result<SecretBytes, SessionError> {
    let mut secret = vec![0; WIDTH];
    fill_random(&mut secret)?;
    Ok(SecretBytes::new(secret))
}

fn write(
    store: &dyn Store,
    seal: &Seal,
    before: Option<&SecretBytes>,
    secret: &SecretBytes,
) -> Result<(), SessionError> {
    let sealed = seal.seal(PLACE, secret).map_err(SessionError::Sealed)?;
    let before = before.map(|before| before.expose().to_vec());
    Ok(store.commit(Batch::new().expect(Table::Meta, KEY, before).put(Table::Meta, KEY, sealed))?)
}
