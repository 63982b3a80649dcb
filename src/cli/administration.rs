//! The way to the users: over the admin socket of a gateway that runs, or else through the store itself. Whoever types a command
//! never has to know which.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;

use super::failure::Failure;
use crate::admin::{self, Client, ConnectError, TokenView};
use crate::app::{self, longest_token};
use crate::causes::with_causes;
use crate::clock;
use crate::config::{self, Config};
use crate::identity::{
    self, AdminError, Administered, Argon2Params, ClientAdmin, Hashing, InvitationAdmin, Invitations,
    KeyAdmin, KeyPolicy, KeyView, Keys, Lifetimes, LocalClientAdmin, LocalInvitationAdmin, LocalSessionAdmin,
    LocalUserAdmin, Recorder, Rotation, SessionAdmin, Sessions, UserAdmin, Users,
};
use crate::issuers::Sources;
use crate::observe::audit::{Actor, Audit};
use crate::reject::Reject;
use crate::reload;
use crate::store::{Store, StoreError};
use crate::token::{Revocations, TokenError};

/// How long to try. A gateway holds the store's lock before it listens on its socket, and removes the socket before it lets go of
/// the lock; while one starts or stops, neither way is open.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long each turn waits for the lock, before the socket is tried again.
const TURN: Duration = Duration::from_millis(200);

/// User administration, one way or the other.
pub(super) enum Administration {
    /// A gateway runs.
    Gateway(Client),
    /// None does, so the store is ours for as long as this lives.
    Store(Box<Opened>),
}

/// The store, opened by this process.
pub(super) struct Opened {
    administered: Administered,
    store: Arc<dyn Store>,
    users: Users,
    revocations: Arc<Revocations>,
}

impl Administration {
    /// Opens the administration, and makes the data directory if there is none.
    ///
    /// # Errors
    /// [`Failure`] says why neither way is open.
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let socket = admin::socket_path(&config.store.path);
        let deadline = clock::monotonic() + PATIENCE;
        loop {
            match Client::connect(&socket) {
                Ok(client) => return Ok(Self::Gateway(client)),
                Err(ConnectError::NotRunning) => check_owner(&config.store.path)?,
                Err(error) => {
                    // "Permission denied" comes before anything could be learned about the files.
                    check_owner(&config.store.path)?;
                    return Err(Failure::because(&error));
                }
            }
            match app::open_store(config, TURN) {
                Ok(store) => {
                    return Opened::new(Arc::new(store), config).map(|opened| Self::Store(Box::new(opened)));
                }
                Err(StoreError::Locked { .. }) if clock::monotonic() < deadline => {}
                Err(error @ StoreError::Locked { .. }) => {
                    return Err(Failure::because(&error).with_help(format!(
                        "the process that has it open does not answer on {}: is another command still at work, or a gateway \
                         that hangs?",
                        socket.display()
                    )));
                }
                Err(error) => return Err(Failure::because(&error)),
            }
        }
    }

    /// The same for commands that have nothing to do where nothing was stored yet: `None`, and no directory is made.
    ///
    /// # Errors
    /// [`Failure`] says why neither way is open.
    pub(super) fn open_existing(config: &Config) -> Result<Option<Self>, Failure> {
        if is_empty(&config.store.path) { Ok(None) } else { Self::open(config).map(Some) }
    }

    /// The users.
    pub(super) fn users(&self) -> &dyn UserAdmin {
        match self {
            Self::Gateway(client) => client,
            Self::Store(opened) => &*opened.administered.users,
        }
    }

    /// The programs.
    pub(super) fn clients(&self) -> &dyn ClientAdmin {
        match self {
            Self::Gateway(client) => client,
            Self::Store(opened) => &*opened.administered.clients,
        }
    }

    /// The invitations of users.
    pub(super) fn invitations(&self) -> &dyn InvitationAdmin {
        match self {
            Self::Gateway(client) => client,
            Self::Store(opened) => &*opened.administered.invitations,
        }
    }

    /// Their sessions.
    pub(super) fn sessions(&self) -> &dyn SessionAdmin {
        match self {
            Self::Gateway(client) => client,
            Self::Store(opened) => &*opened.administered.sessions,
        }
    }

    /// The signing keys.
    pub(super) fn keys(&self) -> &dyn KeyAdmin {
        match self {
            Self::Gateway(client) => client,
            Self::Store(opened) => &*opened.administered.keys,
        }
    }

    /// Whom a token speaks for. The inner error is the answer to whoever has it.
    ///
    /// # Errors
    /// [`Failure`] when that cannot be found out.
    pub(super) fn check_token(
        &self,
        config: &Config,
        token: &str,
    ) -> Result<Result<TokenView, Reject>, Failure> {
        let checked = match self {
            Self::Gateway(client) => client.verify_token(token),
            Self::Store(opened) => opened.check_token(config, token)?,
        };
        match checked {
            Ok(view) => Ok(Ok(view)),
            Err(AdminError::Invalid { reason }) => Ok(Err(Reject::Revoked(reason))),
            Err(AdminError::Busy { .. }) => Ok(Err(Reject::of_token(TokenError::NoKeys))),
            Err(error) => Err(Failure::because(&error)),
        }
    }
}

impl Opened {
    fn new(store: Arc<dyn Store>, config: &Config) -> Result<Self, Failure> {
        let revocations = Arc::new(Revocations::new());
        let users = Users::new(store.clone(), revocations.clone());
        // What is revoked here must be remembered for as long as the gateway's tokens live, and it is what a token is checked against.
        users
            .revoked()
            .restore(clock::now(), longest_token(config))
            .map_err(|error| Failure::because(&error))?;
        let login = &config.login;
        let params = Argon2Params::from(login);
        let recorder = Recorder::new(Audit::new(&config.audit), Actor::Uid(geteuid().as_raw()), clock::now);
        let sessions = Sessions::without_tokens(store.clone(), users.clone())
            .map_err(|error| Failure::because(&error))?;
        let lifetimes = Lifetimes::of(&config.token);
        let clients = Arc::new(LocalClientAdmin::new(users.clone(), sessions.clone(), clock::now));
        let sessions = Arc::new(LocalSessionAdmin::new(sessions, move || lifetimes, clock::now));
        let keys = StoredKeys {
            store: store.clone(),
            settings: config.store.clone(),
            policy: KeyPolicy::from(&config.token),
        };
        let invitations = Invitations::new(store.clone(), users.clone());
        let invitations = Arc::new(LocalInvitationAdmin::new(invitations, users.clone(), clock::now));
        let people = Arc::new(LocalUserAdmin::new(users.clone(), Hashing::Here(params), clock::now));
        let administered =
            Administered { users: people, sessions, clients, invitations, keys: Arc::new(keys) };
        Ok(Self { administered: administered.recorded(&recorder), store, users, revocations })
    }

    /// As the gateway would, with the keys of the store, and with those of foreign issuers that are in files: nothing is fetched.
    fn check_token(&self, config: &Config, token: &str) -> Result<Result<TokenView, AdminError>, Failure> {
        let keys = app::open_keys(config, self.store.clone()).map_err(|error| Failure::because(&error))?;
        let Some(ring) = keys.ring() else {
            let reason = "the gateway has never run on this data directory, so it has issued no token";
            return Ok(Err(AdminError::Invalid { reason: reason.into() }));
        };
        let verifier = reload::verifier(&config.token, ring, &Sources::new(&config.issuers, None));
        self.users.restore_api_keys().map_err(|error| Failure::because(&error))?;
        let api_keys = config.login.api_keys.then_some(&**self.users.api_keys());
        Ok(app::check_token(&verifier, api_keys, &self.revocations, token))
    }
}

/// The signing keys of a store that no gateway has open.
struct StoredKeys {
    store: Arc<dyn Store>,
    settings: config::Store,
    policy: KeyPolicy,
}

impl KeyAdmin for StoredKeys {
    /// The keys need not be opened for that, so no encryption key is asked for.
    fn keys(&self) -> Result<Vec<KeyView>, AdminError> {
        Ok(Keys::list(&*self.store, &self.policy, clock::now())?)
    }

    fn rotate(&self, rotation: Rotation) -> Result<Vec<KeyView>, AdminError> {
        let seal = app::seal_of(&self.settings);
        let seal = seal.map_err(|error| AdminError::Unavailable { reason: with_causes(&error) })?;
        let keys = Keys::read(self.store.clone(), seal, &self.policy, clock::now())?;
        keys.rotate(rotation, &self.policy, clock::now())?;
        self.keys()
    }
}

/// There is nothing to change where nothing was stored yet.
pub(super) fn no_directory(config: &Config) -> Failure {
    let path = config.store.path.display();
    Failure::failed(format!("there are no signing keys: the data directory {path} is empty or missing"))
}

/// Nothing is there: no directory, or one that an administrator has made for the gateway.
fn is_empty(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Files that we would make in somebody else's data directory are ours, with mode 0600: the gateway could not open its own store any
/// more. That is what would become of `sudo portcullis user add` while no gateway runs, so it is refused.
fn check_owner(path: &Path) -> Result<(), Failure> {
    let ours = geteuid();
    let Some(owner) = owner_of_store(path, ours.is_root()).filter(|&owner| owner != ours.as_raw()) else {
        return Ok(());
    };
    let (owner, ours) = (user_name(owner), user_name(ours.as_raw()));
    let message =
        format!("the data directory {} belongs to {owner}, and this command runs as {ours}", path.display());
    Err(Failure::failed(message)
        .with_help(format!("run it as {owner}, for example with `sudo -u '{owner}' portcullis ...`")))
}

/// Who has made the files of the store. A directory without files says less: a volume that is mounted for the gateway belongs to
/// root and is open to its group. But what root would put into somebody's empty directory stays root's, and a directory that we
/// may not look into is its owner's business.
fn owner_of_store(path: &Path, is_root: bool) -> Option<u32> {
    let directory = fs::metadata(path).ok()?.uid();
    let Ok(entries) = fs::read_dir(path) else { return Some(directory) };
    let mut owners = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.uid()));
    owners.next().or_else(|| is_root.then_some(directory))
}

/// The name by which `sudo -u` knows a user, or the number in its form.
fn user_name(uid: u32) -> String {
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut rows = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let row = rows.find(|row| row.get(2).and_then(|field| field.parse().ok()) == Some(uid));
    row.and_then(|row| row.first().map(|name| (*name).to_owned())).unwrap_or_else(|| format!("#{uid}"))
}

/// An answer of the administration that is not the one that was asked for.
impl From<identity::AdminError> for Failure {
    fn from(error: identity::AdminError) -> Self {
        Self::failed(with_causes(&error))
    }
}
