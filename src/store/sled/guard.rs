//! Runs code of sled so that its panics become errors. On some damage sled panics where it could return an error, and a
//! person who starts a gateway is owed a sentence, not a backtrace.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use crate::store::StoreError;

/// What went wrong inside sled.
#[derive(Debug, thiserror::Error)]
pub(super) enum SledError {
    #[error(transparent)]
    Reported(#[from] ::sled::Error),
    #[error("{0}")]
    Panicked(String),
}

/// Calls sled. A panic on this thread is caught and not printed.
pub(super) fn run<T>(work: impl FnOnce() -> Result<T, ::sled::Error>) -> Result<T, SledError> {
    install_hook();
    let outer = QUIET.replace(true);
    // What sled leaves behind after a panic is not looked at: opening gives up, and a failed commit ends all writing.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    match outcome {
        Ok(result) => Ok(result?),
        Err(payload) => Err(SledError::Panicked(text_of(payload.as_ref()))),
    }
}

impl SledError {
    /// As an I/O error, whatever it was.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Reported(::sled::Error::Io(error)) => error,
            Self::Reported(error) => io::Error::other(error.to_string()),
            Self::Panicked(text) => io::Error::other(text),
        }
    }

    /// What the system refused is [`StoreError::Failed`]; what sled could not understand is [`StoreError::Damaged`].
    pub(super) fn into_store_error(self, path: &Path, action: &str) -> StoreError {
        let ours = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
        match self {
            Self::Reported(::sled::Error::Io(source)) if !ours.contains(&source.kind()) => {
                StoreError::Failed { context: format!("{action} in {}", path.display()), source }
            }
            damage => StoreError::Damaged {
                context: format!(
                    "the store in {} is damaged ({damage}). Move the directory away and put a backup in its place: a copy of the \
                 directory, or `portcullis restore FILE` in a version that has it",
                    path.display()
                ),
            },
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// The hook that prints panics belongs to the whole process, so it is wrapped once and asks the panicking thread.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                print(info);
            }
        }));
    });
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "sled panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SledError, run};
    use crate::store::StoreError;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_way_out() {
        let error = run(|| -> Result<(), ::sled::Error> { panic!("index {} out of bounds", 7) }).unwrap_err();
        assert!(matches!(&error, SledError::Panicked(text) if text == "index 7 out of bounds"));
        let message = error.into_store_error(Path::new("/srv/data"), "cannot open the store").to_string();
        assert!(message.contains("/srv/data") && message.contains("`portcullis restore FILE`"), "{message}");
    }

    #[test]
    fn what_the_system_refused_is_not_called_damage() {
        let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = SledError::from(::sled::Error::Io(refused));
        let error = error.into_store_error(Path::new("/srv/data"), "cannot open the store");
        assert!(matches!(&error, StoreError::Failed { .. }), "{error:?}");
        assert_eq!(error.to_string(), "cannot open the store in /srv/data");
    }
}
