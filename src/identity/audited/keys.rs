//! The rotation of signing keys, recorded.

use std::sync::Arc;

use super::Recorder;
use crate::identity::admin::AdminError;
use crate::identity::keys::{KeyAdmin, KeyView, Rotation};
use crate::observe::audit::{Action, Event};

/// The administration of signing keys, as one actor does it.
pub(super) struct AuditedKeys {
    keys: Arc<dyn KeyAdmin + Send + Sync>,
    recorder: Recorder,
}

impl AuditedKeys {
    pub(super) fn new(keys: Arc<dyn KeyAdmin + Send + Sync>, recorder: Recorder) -> Self {
        Self { keys, recorder }
    }
}

impl KeyAdmin for AuditedKeys {
    fn keys(&self) -> Result<Vec<KeyView>, AdminError> {
        self.keys.keys()
    }

    fn rotate(&self, rotation: Rotation) -> Result<Vec<KeyView>, AdminError> {
        let detail = match rotation {
            Rotation::Graceful => "the next key is published first",
            Rotation::Now => "all older keys are removed at once",
        };
        let what = Event::success(Action::KeyRotate, (self.recorder.clock)()).detail(detail);
        self.recorder.record(&what, |_| None, || self.keys.rotate(rotation))
    }
}
