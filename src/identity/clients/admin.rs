//! What an administrator may do with clients, whichever way it comes.

use serde::{Deserialize, Serialize};

use super::{ApiKey, ClientCredential, Clients, MAX_LIFETIME, MIN_LIFETIME, Program};
use crate::causes::with_causes;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::admin::{AdminError, explain};
use crate::identity::sessions::{NO_CLIENT, Sessions};
use crate::identity::users::{User, UserError, Users};
use crate::name::{Roles, Username};
use crate::secret::Secret;

/// Users that are read at a time.
const PAGE: usize = 1000;

/// Administration of clients, by the store itself or by the admin socket of a running gateway. All methods block.
pub trait ClientAdmin {
    /// Adds an enabled client, which is known by this.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Exists`.
    fn add_client(
        &self,
        name: &Username,
        roles: Roles,
        credential: ClientCredential,
    ) -> Result<NewSecret, AdminError>;

    /// All clients, by name.
    ///
    /// # Errors
    /// [`AdminError`].
    fn clients(&self) -> Result<Vec<ClientView>, AdminError>;

    /// One client.
    ///
    /// # Errors
    /// [`AdminError`], in particular `NotFound`; so do those that follow.
    fn client(&self, name: &Username) -> Result<ClientView, AdminError>;

    /// Gives it another secret or API key; the one before stays good beside it, if it may. `None` stands for what it has.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Invalid` for `None` when it has both.
    fn rotate_secret(
        &self,
        name: &Username,
        credential: Option<ClientCredential>,
        keeps_old: bool,
    ) -> Result<NewSecret, AdminError>;

    /// Gives it exactly these roles. Ends its tokens, unless it had the same roles before; its API keys go on with the new ones.
    ///
    /// # Errors
    /// [`AdminError`].
    fn set_client_roles(&self, name: &Username, roles: Roles) -> Result<ClientView, AdminError>;

    /// Lets it log in, or not. Disabling it ends its tokens, and the sessions of users that it has logged in.
    ///
    /// # Errors
    /// [`AdminError`].
    fn set_client_enabled(&self, name: &Username, enabled: bool) -> Result<ClientView, AdminError>;

    /// Removes it, with all that disabling it ends.
    ///
    /// # Errors
    /// [`AdminError`].
    fn remove_client(&self, name: &Username) -> Result<(), AdminError>;
}

/// What an administrator sees of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientView {
    /// Its name.
    pub client_id: Username,
    /// The `sub` of its tokens.
    pub id: UserId,
    /// Sorted.
    pub roles: Roles,
    /// Whether it may log in.
    pub enabled: bool,
    /// When each of its secrets was made, the newest first. RFC 3339, as all times here.
    pub secrets: Vec<String>,
    /// Its API keys, the newest first.
    #[serde(default)]
    pub api_keys: Vec<ApiKeyView>,
    /// When it was added.
    pub created: String,
}

impl From<&User> for ClientView {
    fn from(user: &User) -> Self {
        let secrets = user.program.iter().flat_map(Program::secrets);
        let api_keys = user.program.iter().flat_map(Program::api_keys);
        Self {
            client_id: user.username.clone(),
            id: user.id,
            roles: user.roles.clone(),
            enabled: user.enabled,
            secrets: secrets.map(|time| time.to_string()).collect(),
            api_keys: api_keys.map(ApiKeyView::from).collect(),
            created: user.created.to_string(),
        }
    }
}

impl From<&ApiKey> for ApiKeyView {
    fn from(key: &ApiKey) -> Self {
        Self { created: key.created.to_string(), expires: key.expires.to_string() }
    }
}

/// What an administrator sees of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyView {
    /// When it was made.
    pub created: String,
    /// When it ends.
    pub expires: String,
}

/// A client and what it is known by from now on, which is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewSecret {
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
    /// The text.
    #[serde(flatten)]
    pub shown: Shown,
}

/// A text that nobody can learn again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// A secret of the token endpoint.
    ClientSecret(String),
    /// An API key.
    ApiKey(String),
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("client", &self.client).finish_non_exhaustive()
    }
}

impl NewSecret {
    fn new(credential: ClientCredential, (user, text): (User, Secret)) -> Self {
        let text = text.expose().to_owned();
        let shown = match credential {
            ClientCredential::Secret => Shown::ClientSecret(text),
            ClientCredential::ApiKey { .. } => Shown::ApiKey(text),
        };
        Self { client: ClientView::from(&user), shown }
    }
}

/// The administration on the store itself.
#[derive(Clone, Debug)]
pub struct LocalClientAdmin {
    users: Users,
    clients: Clients,
    sessions: Sessions,
    clock: fn() -> UnixTime,
}

impl LocalClientAdmin {
    /// Administers the clients among `users`, and the `sessions` of those that they have logged in.
    #[must_use]
    pub fn new(users: Users, sessions: Sessions, clock: fn() -> UnixTime) -> Self {
        Self { clients: Clients::new(users.clone()), users, sessions, clock }
    }

    fn find(&self, name: &Username) -> Result<User, AdminError> {
        let found = self.clients.find(name.as_str()).map_err(|error| explain(&self.users, error))?;
        found.ok_or_else(|| AdminError::Invalid { reason: format!("there is no client \"{name}\"") })
    }

    fn end_sessions_by(&self, client: &User) -> Result<(), AdminError> {
        let ended = self.sessions.end_all_of(client, (self.clock)());
        ended.map(|_| ()).map_err(|error| AdminError::Unavailable { reason: with_causes(&error) })
    }

    fn explained<T>(&self, result: Result<T, UserError>) -> Result<T, AdminError> {
        result.map_err(|error| explain(&self.users, error))
    }
}

impl ClientAdmin for LocalClientAdmin {
    fn add_client(
        &self,
        name: &Username,
        roles: Roles,
        credential: ClientCredential,
    ) -> Result<NewSecret, AdminError> {
        check(credential)?;
        if name.folded() == NO_CLIENT {
            let reason = format!("\"{name}\" stands for no client at all, so none can have that name");
            return Err(AdminError::Invalid { reason });
        }
        let added = self.clients.add(name, roles, credential, (self.clock)());
        Ok(NewSecret::new(credential, self.explained(added)?))
    }

    fn clients(&self) -> Result<Vec<ClientView>, AdminError> {
        let (mut clients, mut after): (Vec<ClientView>, _) = (Vec::new(), None);
        loop {
            let page = self.explained(self.users.list(after, PAGE))?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            clients.extend(page.iter().filter(|user| user.program.is_some()).map(ClientView::from));
        }
        clients.sort_by_cached_key(|client| client.client_id.folded());
        Ok(clients)
    }

    fn client(&self, name: &Username) -> Result<ClientView, AdminError> {
        self.find(name).map(|user| ClientView::from(&user))
    }

    fn rotate_secret(
        &self,
        name: &Username,
        credential: Option<ClientCredential>,
        keeps_old: bool,
    ) -> Result<NewSecret, AdminError> {
        let client = self.find(name)?;
        let credential = credential.map_or_else(|| what_it_has(&client), Ok)?;
        check(credential)?;
        let rotated = self.clients.rotate(name, credential, keeps_old, (self.clock)());
        Ok(NewSecret::new(credential, self.explained(rotated)?))
    }

    fn set_client_roles(&self, name: &Username, roles: Roles) -> Result<ClientView, AdminError> {
        self.find(name)?;
        let client = self.explained(self.users.set_roles(name, &roles, (self.clock)()))?;
        Ok(ClientView::from(&client))
    }

    fn set_client_enabled(&self, name: &Username, enabled: bool) -> Result<ClientView, AdminError> {
        let before = self.find(name)?;
        if enabled && !before.enabled {
            // Disabling it may have been interrupted below. None begins while it is disabled, so these are all.
            self.end_sessions_by(&before)?;
        }
        let client = self.explained(self.users.set_enabled(name, enabled, (self.clock)()))?;
        if !enabled {
            // Also where it was disabled before.
            self.end_sessions_by(&client)?;
        }
        Ok(ClientView::from(&client))
    }

    fn remove_client(&self, name: &Username) -> Result<(), AdminError> {
        // First, since nobody would find the sessions of a client that is gone.
        self.set_client_enabled(name, false)?;
        self.explained(self.users.remove(name, (self.clock)()))
    }
}

fn check(credential: ClientCredential) -> Result<(), AdminError> {
    match credential {
        ClientCredential::ApiKey { lifetime: Some(lifetime) }
            if !(MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime) =>
        {
            let (least, most) = (MIN_LIFETIME.as_secs(), MAX_LIFETIME.as_secs() / 86_400);
            let reason =
                format!("an API key must be good for {least} second at least, and for {most} days at most");
            Err(AdminError::Invalid { reason })
        }
        ClientCredential::ApiKey { .. } | ClientCredential::Secret => Ok(()),
    }
}

/// What is rotated if nobody says so.
fn what_it_has(client: &User) -> Result<ClientCredential, AdminError> {
    let has = |program: &Program| (program.secrets().count() > 0, !program.api_keys().is_empty());
    match client.program.as_ref().map(has) {
        Some((true, true)) => Err(AdminError::Invalid {
            reason: format!(
                "\"{}\" has secrets and API keys: say which, with --secret or --api-key",
                client.username
            ),
        }),
        Some((false, true)) => Ok(ClientCredential::ApiKey { lifetime: None }),
        Some(_) | None => Ok(ClientCredential::Secret),
    }
}
