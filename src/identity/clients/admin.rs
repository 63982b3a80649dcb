//! What an administrator may do with clients, whichever way it comes.

use serde::{Deserialize, Serialize};

use super::Clients;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::admin::{AdminError, explain};
use crate::identity::sessions::NO_CLIENT;
use crate::identity::users::{User, UserError, Users};
use crate::name::{Roles, Username};
use crate::secret::Secret;

/// Users that are read at a time.
const PAGE: usize = 1000;

/// Administration of clients, by the store itself or by the admin socket of a running gateway. All methods block.
pub trait ClientAdmin {
    /// Adds an enabled client.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Exists`.
    fn add_client(&self, name: &Username, roles: Roles) -> Result<NewSecret, AdminError>;

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

    /// Gives it another secret; the one before stays good beside it, if it may.
    ///
    /// # Errors
    /// [`AdminError`].
    fn rotate_secret(&self, name: &Username, keeps_old: bool) -> Result<NewSecret, AdminError>;

    /// Lets it log in, or not.
    ///
    /// # Errors
    /// [`AdminError`].
    fn set_client_enabled(&self, name: &Username, enabled: bool) -> Result<ClientView, AdminError>;

    /// Removes it.
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
    /// When it was added.
    pub created: String,
}

impl From<&User> for ClientView {
    fn from(user: &User) -> Self {
        let secrets = user.program.iter().flat_map(super::Program::secrets);
        Self {
            client_id: user.username.clone(),
            id: user.id,
            roles: user.roles.clone(),
            enabled: user.enabled,
            secrets: secrets.map(|time| time.to_string()).collect(),
            created: user.created.to_string(),
        }
    }
}

/// A client and its new secret, which is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewSecret {
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
    /// The secret.
    pub client_secret: String,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("client", &self.client).finish_non_exhaustive()
    }
}

impl NewSecret {
    fn new((user, secret): (User, Secret)) -> Self {
        Self { client: ClientView::from(&user), client_secret: secret.expose().to_owned() }
    }
}

/// The administration on the store itself.
#[derive(Clone, Debug)]
pub struct LocalClientAdmin {
    users: Users,
    clients: Clients,
    clock: fn() -> UnixTime,
}

impl LocalClientAdmin {
    /// Administers the clients among `users`.
    #[must_use]
    pub fn new(users: Users, clock: fn() -> UnixTime) -> Self {
        Self { clients: Clients::new(users.clone()), users, clock }
    }

    fn find(&self, name: &Username) -> Result<User, AdminError> {
        let found = self.clients.find(name.as_str()).map_err(|error| explain(&self.users, error))?;
        found.ok_or_else(|| AdminError::Invalid { reason: format!("there is no client \"{name}\"") })
    }

    fn explained<T>(&self, result: Result<T, UserError>) -> Result<T, AdminError> {
        result.map_err(|error| explain(&self.users, error))
    }
}

impl ClientAdmin for LocalClientAdmin {
    fn add_client(&self, name: &Username, roles: Roles) -> Result<NewSecret, AdminError> {
        if name.folded() == NO_CLIENT {
            let reason = format!("\"{name}\" stands for no client at all, so none can have that name");
            return Err(AdminError::Invalid { reason });
        }
        self.explained(self.clients.add(name, roles, (self.clock)())).map(NewSecret::new)
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

    fn rotate_secret(&self, name: &Username, keeps_old: bool) -> Result<NewSecret, AdminError> {
        self.find(name)?;
        self.explained(self.clients.rotate(name, keeps_old, (self.clock)())).map(NewSecret::new)
    }

    fn set_client_enabled(&self, name: &Username, enabled: bool) -> Result<ClientView, AdminError> {
        self.find(name)?;
        let user = self.explained(self.users.set_enabled(name, enabled, (self.clock)()))?;
        Ok(ClientView::from(&user))
    }

    fn remove_client(&self, name: &Username) -> Result<(), AdminError> {
        self.find(name)?;
        self.explained(self.users.remove(name, (self.clock)()))
    }
}
