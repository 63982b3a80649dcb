//! Changes of clients, recorded.

use std::sync::Arc;

use super::{Recorder, with_roles};
use crate::identity::admin::AdminError;
use crate::identity::clients::{ClientAdmin, ClientCredential, ClientView, NewSecret};
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
    fn add_client(
        &self,
        name: &Username,
        roles: Roles,
        credential: ClientCredential,
    ) -> Result<NewSecret, AdminError> {
        let detail = format!("{}; {}", with_roles(&roles), named(Some(credential)));
        let what = self.event(Action::ClientAdd, name).detail(detail);
        self.recorder.record(
            &what,
            |new: &NewSecret| Some(new.client.id),
            || self.clients.add_client(name, roles, credential),
        )
    }

    fn clients(&self) -> Result<Vec<ClientView>, AdminError> {
        self.clients.clients()
    }

    fn client(&self, name: &Username) -> Result<ClientView, AdminError> {
        self.clients.client(name)
    }

    fn rotate_secret(
        &self,
        name: &Username,
        credential: Option<ClientCredential>,
        keeps_old: bool,
    ) -> Result<NewSecret, AdminError> {
        let kept = if keeps_old { "the old one stays" } else { "the old one ends" };
        let what = self.event(Action::ClientRotate, name).detail(format!("{}; {kept}", named(credential)));
        let work = || self.clients.rotate_secret(name, credential, keeps_old);
        self.recorder.record(&what, |new: &NewSecret| Some(new.client.id), work)
    }

    fn set_client_roles(&self, name: &Username, roles: Roles) -> Result<ClientView, AdminError> {
        let what = self.event(Action::ClientRoles, name).detail(with_roles(&roles));
        let work = || self.clients.set_client_roles(name, roles);
        self.recorder.record(&what, |client: &ClientView| Some(client.id), work)
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

/// What a client gets, for the record.
fn named(credential: Option<ClientCredential>) -> &'static str {
    match credential {
        Some(ClientCredential::Secret) => "a secret",
        Some(ClientCredential::ApiKey { .. }) => "an API key",
        None => "what it had",
    }
}
