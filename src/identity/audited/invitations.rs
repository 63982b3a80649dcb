//! Invitations, recorded. The record names the user, since that is whose password it is about.

use std::sync::Arc;
use std::time::Duration;

use super::{Recorder, with_roles};
use crate::identity::admin::AdminError;
use crate::identity::invitations::{InvitationAdmin, InvitationView, NewInvitation};
use crate::name::{Roles, Username};
use crate::observe::audit::{Action, Event, Target};

/// The administration of invitations, as one actor does it.
pub(super) struct AuditedInvitations {
    invitations: Arc<dyn InvitationAdmin + Send + Sync>,
    recorder: Recorder,
}

impl AuditedInvitations {
    pub(super) fn new(invitations: Arc<dyn InvitationAdmin + Send + Sync>, recorder: Recorder) -> Self {
        Self { invitations, recorder }
    }

    fn event(&self, action: Action, username: &Username) -> Event {
        self.recorder.event(action, Target::User(username.clone()))
    }

    fn add(
        &self,
        what: &Event,
        work: impl FnOnce(&dyn InvitationAdmin) -> Result<NewInvitation, AdminError>,
    ) -> Result<NewInvitation, AdminError> {
        self.recorder.record(what, |new: &NewInvitation| Some(new.view.id), || work(&*self.invitations))
    }
}

impl InvitationAdmin for AuditedInvitations {
    fn invite(
        &self,
        username: &Username,
        roles: Roles,
        good_for: Duration,
    ) -> Result<NewInvitation, AdminError> {
        let detail = format!("a new user with {}", with_roles(&roles));
        let what = self.event(Action::InvitationAdd, username).detail(detail);
        self.add(&what, |invitations| invitations.invite(username, roles, good_for))
    }

    fn invite_again(&self, username: &Username, good_for: Duration) -> Result<NewInvitation, AdminError> {
        let what = self.event(Action::InvitationAdd, username).detail("a user who exists");
        self.add(&what, |invitations| invitations.invite_again(username, good_for))
    }

    fn invitations(&self) -> Result<Vec<InvitationView>, AdminError> {
        self.invitations.invitations()
    }

    fn uninvite(&self, username: &Username) -> Result<(), AdminError> {
        let what = self.event(Action::InvitationRemove, username);
        self.recorder.record(&what, |()| None, || self.invitations.uninvite(username))
    }
}
