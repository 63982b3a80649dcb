//! What the endpoints need of the control plane.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::discovery::{self, Document};
use super::error::OAuthError;
use super::register::Strangers;
use super::request::internal;
use crate::config::Config;
use crate::control::Control;
use crate::identity::{Clients, Lifetimes, Login, Registration, Sessions};
use crate::observe::audit::Audit;
use crate::token::{Issuer, KeyRing};

/// What the endpoints use, and outlives every configuration.
#[derive(Clone, Debug)]
pub struct Services {
    /// Passwords.
    pub login: Arc<Login>,
    /// Users who come by themselves.
    pub registration: Arc<Registration>,
    /// Who is logged in.
    pub sessions: Sessions,
    /// The programs.
    pub clients: Clients,
    /// Where all of it is recorded.
    pub audit: Audit,
}

/// The authorization server. Part of the snapshot; the [`Services`] outlive it.
#[derive(Debug)]
pub struct Provider {
    pub(super) login: Arc<Login>,
    pub(super) registration: Arc<Registration>,
    /// `None` if nobody may come without an invitation.
    pub(super) strangers: Option<Strangers>,
    pub(super) sessions: Sessions,
    pub(super) clients: Clients,
    pub(super) lifetimes: Lifetimes,
    pub(super) audit: Audit,
    pub(super) issuer: Issuer,
    pub(super) ring: Arc<KeyRing>,
    /// Where work runs that blocks or takes long. What changes or records something runs there to its end.
    pub(super) control: Control,
    pub(super) metadata: Document,
    pub(super) resource: Document,
    pub(super) jwks: Document,
}

impl Provider {
    /// The provider of a configuration. Its documents are rendered here, once.
    #[must_use]
    pub fn new(config: &Config, services: Services, ring: Arc<KeyRing>, control: Control) -> Self {
        let Services { login, registration, sessions, clients, audit } = services;
        let strangers = Strangers::of(&config.registration);
        let issuer = Issuer::new(&config.token.issuer, &config.token.audience, config.token.access_ttl);
        let json = |body: Vec<u8>| {
            Document::new(Bytes::from(body), HeaderValue::from_static("application/json"), discovery::LONGEST)
        };
        let metadata = json(discovery::render_metadata(config));
        let resource = json(discovery::render_resource(config));
        let jwks = Document::new(
            Bytes::from(ring.jwks_json()),
            HeaderValue::from_static("application/jwk-set+json"),
            // Who has just fetched them must ask again before another key signs.
            config.token.publish_ahead / 2,
        );
        let lifetimes = Lifetimes::of(&config.token);
        Self {
            login,
            registration,
            strangers,
            sessions,
            clients,
            audit,
            lifetimes,
            issuer,
            ring,
            control,
            metadata,
            resource,
            jwks,
        }
    }

    /// Runs what blocks on the disk where it may, to its end even if nobody waits for it any more.
    pub(super) async fn with_sessions<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Sessions) -> T + Send + 'static,
    ) -> Result<T, OAuthError> {
        let sessions = self.sessions.clone();
        self.control.spawn_blocking(move || work(&sessions)).await.map_err(|error| internal(&error))
    }
}
