//! The control plane's runtime, and the work on it that somebody has to wait for at the end.
//!
//! A login, a refresh or a revocation goes on when its client hangs up, so that nobody escapes a record that way. Nobody on a
//! connection waits for it then; whoever closes the audit log and the store does, by [`Control::finished`].

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Runs what blocks or takes long, and counts it. A handle: clones count together.
#[derive(Clone, Debug)]
pub struct Control {
    runtime: Handle,
    /// Work that has begun and has not ended.
    begun: Arc<watch::Sender<usize>>,
}

/// Counted for as long as it lives, so also work that panics or is never run ends.
struct Counted(Arc<watch::Sender<usize>>);

impl Control {
    /// Runs work on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, begun: Arc::default() }
    }

    /// Runs a task to its end, whether or not anybody waits for it.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let counted = self.count();
        self.runtime.spawn(async move {
            let _counted = counted;
            task.await
        })
    }

    /// Runs what blocks to its end, whether or not anybody waits for it.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let counted = self.count();
        self.runtime.spawn_blocking(move || {
            let _counted = counted;
            work()
        })
    }

    /// The runtime, for what nobody has to wait for.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits until all work has ended. Call it when no more can begin.
    ///
    /// # Errors
    /// How much goes on after `within`.
    pub async fn finished(&self, within: Duration) -> Result<(), usize> {
        let mut begun = self.begun.subscribe();
        let none_is_left = begun.wait_for(|&count| count == 0);
        match tokio::time::timeout(within, none_is_left).await {
            // An error would mean that the sender is gone, and it is ours.
            Ok(_) => Ok(()),
            Err(_) => Err(*self.begun.borrow()),
        }
    }

    fn count(&self) -> Counted {
        self.begun.send_modify(|count| *count += 1);
        Counted(self.begun.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::Control;

    const LONG: Duration = Duration::from_secs(30);

    fn runtime() -> (Runtime, Control) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let control = Control::new(runtime.handle().clone());
        (runtime, control)
    }

    #[test]
    fn work_that_nobody_waits_for_is_waited_for_at_the_end() {
        let (runtime, control) = runtime();
        runtime.block_on(async {
            assert_eq!(control.finished(Duration::ZERO).await, Ok(()));
            let (release, released) = mpsc::channel::<()>();
            let (finish, finished) = oneshot::channel::<()>();
            drop(control.spawn_blocking(move || released.recv()));
            drop(control.clone().spawn(finished));
            assert_eq!(control.finished(Duration::ZERO).await, Err(2));
            finish.send(()).unwrap();
            release.send(()).unwrap();
            assert_eq!(control.finished(LONG).await, Ok(()));
        });
    }

    #[test]
    fn work_that_panics_or_is_given_up_ends_too() {
        let (runtime, control) = runtime();
        runtime.block_on(async {
            assert!(control.spawn_blocking(|| panic!("on purpose")).await.is_err());
            control.spawn(std::future::pending::<()>()).abort();
            assert_eq!(control.finished(LONG).await, Ok(()));
        });
    }
}
