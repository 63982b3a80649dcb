//! The end of sessions, recorded.

use std::sync::Arc;

use super::Recorder;
use crate::id::SessionId;
use crate::identity::admin::AdminError;
use crate::identity::sessions::{EndedSession, SessionAdmin, SessionView};
use crate::name::Username;
use crate::observe::audit::{Action, Target};

/// The administration of sessions, as one actor does it.
pub(super) struct AuditedSessions {
    sessions: Arc<dyn SessionAdmin + Send + Sync>,
    recorder: Recorder,
}

impl AuditedSessions {
    pub(super) fn new(sessions: Arc<dyn SessionAdmin + Send + Sync>, recorder: Recorder) -> Self {
        Self { sessions, recorder }
    }
}

impl SessionAdmin for AuditedSessions {
    fn sessions(&self, of: Option<&Username>) -> Result<Vec<SessionView>, AdminError> {
        self.sessions.sessions(of)
    }

    fn end_session(&self, id: SessionId) -> Result<EndedSession, AdminError> {
        let what = self.recorder.event(Action::SessionRevoke, Target::Session(id));
        self.recorder.record_end(&what, || self.sessions.end_session(id))
    }

    fn end_sessions(&self, of: &Username) -> Result<(), AdminError> {
        let what = self.recorder.event(Action::SessionRevoke, Target::User(of.clone()));
        self.recorder.record_end(&what, || self.sessions.end_sessions(of))
    }
}
