//! How the parts of the gateway learn that it is to stop. The signal is passed in, so a test can give it.

use tokio::sync::watch;

/// The giving end. Dropping it also counts as the signal, so nothing waits for a trigger that can no longer come.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// The receiving end; clone it for every task that has to know.
#[derive(Clone, Debug)]
pub struct Signal(watch::Receiver<bool>);

/// A new pair.
#[must_use]
pub fn channel() -> (Trigger, Signal) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Signal(receiver))
}

impl Trigger {
    /// Tells every [`Signal`]. Consumes the trigger: shutting down happens once.
    pub fn fire(self) {
        self.0.send_replace(true);
    }
}

impl Signal {
    /// Returns once the trigger was fired or dropped, at once if that has already happened.
    pub async fn wait(&mut self) {
        // An error means that the trigger is gone, which is the signal too.
        let _ = self.0.wait_for(|&fired| fired).await;
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn given(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
