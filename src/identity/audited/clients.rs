//! Changes of clients, recorded.

use std::sync::Arc;

use super::{Recorder, with_roles};
use crate::identity::admin::AdminError;
use crate::identity::clients::{ClientAdmin, ClientView, NewSecret};
use crate::name::{Roles, Username};
use crate::observe::audit::{Action, Event, Target};

/// The administration of clients, as one actor does it.
pub(super) struct AuditedClients {
    clients: Arc<dyn ClientAdmin + Send + Sync>,
    recorder: Recorder,
}

impl AuditedClients {
    pub(super) fn new(clients: Arc<dyn ClientAdmin + Send + Sync>, recorder: Recorder) -> Self {
        Self { clients, recorder }
    }

    fn event(&self, action: Action, name: &Username) -> Event {
        self.recorder.event(action, Target::Client(name.to_string()))
    }
}

impl ClientAdmin for AuditedClients {
    fn add_client(&self, name: &Username, roles: Roles) -> Result<NewSecret, AdminError> {
        let what = self.event(Action::ClientAdd, name).detail(with_roles(&roles));
        self.recorder.record(
            &what,
            |new: &NewSecret| Some(new.client.id),
            || self.clients.add_client(name, roles),
        )
    }

    fn clients(&self) -> Result<Vec<ClientView>, AdminError> {
        self.clients.clients()
    }

    fn client(&self, name: &Username) -> Result<ClientView, AdminError> {
        self.clients.client(name)
    }

    fn rotate_secret(&self, name: &Username, keeps_old: bool) -> Result<NewSecret, AdminError> {
        let kept = if keeps_old { "the old secret stays" } else { "the old secret ends" };
        let what = self.event(Action::ClientRotate, name).detail(kept);
        let work = || self.clients.rotate_secret(name, keeps_old);
        self.recorder.record(&what, |new: &NewSecret| Some(new.client.id), work)
    }

    fn set_client_enabled(&self, name: &Username, enabled: bool) -> Result<ClientView, AdminError> {
        let action = if enabled { Action::ClientEnable } else { Action::ClientDisable };
        let work = || self.clients.set_client_enabled(name, enabled);
        self.recorder.record(&self.event(action, name), |client: &ClientView| Some(client.id), work)
    }

    fn remove_client(&self, name: &Username) -> Result<(), AdminError> {
        let id = self.clients.client(name).ok().map(|client| client.id);
        let what = self.event(Action::ClientRemove, name);
        self.recorder.record(&what, |()| id, || self.clients.remove_client(name))
    }
}
