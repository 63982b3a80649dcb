//! Looks for the keys of the foreign issuers in the background: at the start, now and then, and when a worker misses one.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::publisher::Publisher;
use crate::issuers::Source;
use crate::shutdown::Signal;

/// A task for one issuer; it ends when this is dropped.
struct Watch {
    source: Arc<Source>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks for the keys of all issuers of the configuration, and after a reload for those of the new one, until the signal comes.
pub(super) async fn keep_issuers(publisher: Arc<Publisher>, mut signal: Signal) {
    let mut watches: Vec<Watch> = Vec::new();
    loop {
        let sources = publisher.sources();
        watches.retain(|watch| sources.iter().any(|source| Arc::ptr_eq(source, &watch.source)));
        for source in sources.iter() {
            if !watches.iter().any(|watch| Arc::ptr_eq(source, &watch.source)) {
                let task = tokio::spawn(keep(publisher.clone(), source.clone()));
                watches.push(Watch { source: source.clone(), task });
            }
        }
        tokio::select! {
            () = signal.wait() => return,
            () = publisher.reloaded() => {}
        }
    }
}

/// Looks for the keys of one issuer, and puts others in force. A storm of unknown keys causes one look in each interval.
async fn keep(publisher: Arc<Publisher>, source: Arc<Source>) {
    loop {
        source.look().await;
        let worker = publisher.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || worker.adopt_issuer_keys()).await {
            tracing::error!(error = %error, "the keys of a foreign issuer could not be put in force");
        }
        let missed = async {
            tokio::time::sleep(source.rules().unknown_kid_interval).await;
            source.missed().await;
        };
        tokio::select! {
            () = tokio::time::sleep(source.pause()) => {}
            () = missed => {}
        }
    }
}
