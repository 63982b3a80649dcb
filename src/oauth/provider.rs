//! What the endpoints need of the control plane.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use tokio::runtime::Handle;

use super::discovery::{self, Document};
use super::error::OAuthError;
use super::request::internal;
use crate::config::Config;
use crate::identity::{Clients, Lifetimes, Login, Sessions};
use crate::observe::audit::Audit;
use crate::token::{Issuer, KeyRing};

/// The authorization server. Part of the snapshot; `login` and `audit` outlive it.
#[derive(Debug)]
pub struct Provider {
    pub(super) login: Arc<Login>,
    pub(super) sessions: Sessions,
    pub(super) clients: Clients,
    pub(super) lifetimes: Lifetimes,
    pub(super) audit: Audit,
    pub(super) issuer: Issuer,
    pub(super) ring: Arc<KeyRing>,
    /// Where work runs that blocks or takes long.
    pub(super) control: Handle,
    pub(super) metadata: Document,
    pub(super) jwks: Document,
}

impl Provider {
    /// The provider of a configuration. Its documents are rendered here, once. Every login is recorded in `audit`.
    #[must_use]
    pub fn new(
        config: &Config,
        login: Arc<Login>,
        sessions: Sessions,
        clients: Clients,
        audit: Audit,
        ring: Arc<KeyRing>,
        control: Handle,
    ) -> Self {
        let issuer = Issuer::new(&config.token.issuer, &config.token.audience, config.token.access_ttl);
        let metadata = Document::new(
            Bytes::from(discovery::render_metadata(config)),
            HeaderValue::from_static("application/json"),
            discovery::LONGEST,
        );
        let jwks = Document::new(
            Bytes::from(ring.jwks_json()),
            HeaderValue::from_static("application/jwk-set+json"),
            // Who has just fetched them must ask again before another key signs.
            config.token.publish_ahead / 2,
        );
        let lifetimes = Lifetimes::of(&config.token);
        Self { login, sessions, clients, audit, lifetimes, issuer, ring, control, metadata, jwks }
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
