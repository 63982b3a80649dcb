//! The calling end of the admin socket: [`UserAdmin`] on a running gateway.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::TokenView;
use super::wire::{
    CLIENTS, Change, ChangeClient, IMPORT, INVITATIONS, Import, Invite, KEYS, NewClient, NewUser, ROTATE,
    Rotate, RotateSecret, SESSIONS, USERS, VERIFY, VerifyToken,
};
use crate::id::SessionId;
use crate::identity::{
    AdminError, ClientAdmin, ClientCredential, ClientView, EndedSession, ImportRules, ImportedUser,
    InvitationAdmin, InvitationView, KeyAdmin, KeyView, NewInvitation, NewSecret, Outcome, Rotation,
    SessionAdmin, SessionView, UserAdmin, UserView,
};
use crate::name::{Roles, Username};
use crate::secret::Secret;

/// A gateway that takes longer than this is not going to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens: no gateway runs on this data directory.
    #[error("no gateway runs on this data directory")]
    NotRunning,
    /// The socket cannot be used.
    #[error("cannot reach the running gateway over {path}: {source}")]
    Failed {
        /// The socket.
        path: String,
        /// What the system said; "permission denied" means that only the gateway's own user and root may.
        source: io::Error,
    },
}

/// A running gateway. Blocking, for the command line.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// Finds out whether a gateway listens on the socket.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(socket: &Path) -> Result<Self, ConnectError> {
        let fail = |source| ConnectError::Failed { path: socket.display().to_string(), source };
        match StdUnixStream::connect(socket) {
            Ok(_) => {}
            Err(error) if nobody_listens(&error) => return Err(ConnectError::NotRunning),
            Err(error) => return Err(fail(error)),
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(fail)?;
        Ok(Self { socket: socket.to_owned(), runtime })
    }

    /// Whom a token speaks for, as the gateway sees it.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] says why the token is not valid, [`AdminError::Busy`] why that is not known.
    pub fn verify_token(&self, token: &str) -> Result<TokenView, AdminError> {
        self.call(&Method::POST, VERIFY, &VerifyToken { token: token.to_owned() })
    }

    fn change(&self, username: &Username, change: &Change) -> Result<UserView, AdminError> {
        self.call(&Method::PATCH, &format!("{USERS}/{username}"), change)
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, AdminError> {
        let body = serde_json::to_vec(body).map_err(unavailable)?;
        let exchange = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, exchange(&self.socket, method, path, body)).await
        });
        let (status, body) = exchange.map_err(unavailable)?.map_err(unavailable)?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(unavailable);
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| unavailable(format!("it answered {status}"))))
    }
}

/// A socket file without a listener is what a killed gateway leaves behind. Where a file is in the directory's place, or the path
/// is too long for a socket, no gateway can listen; what is wrong with the directory itself, opening the store tells best.
fn nobody_listens(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | NotADirectory | InvalidInput)
}

fn unavailable(error: impl std::fmt::Display) -> AdminError {
    AdminError::Unavailable {
        reason: format!(
            "the running gateway went away, or gave no answer that can be understood ({error}); look whether it was done before \
             you try again"
        ),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), Failure> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "admin")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}

impl KeyAdmin for Client {
    fn keys(&self) -> Result<Vec<KeyView>, AdminError> {
        self.call(&Method::GET, KEYS, &())
    }

    fn rotate(&self, rotation: Rotation) -> Result<Vec<KeyView>, AdminError> {
        self.call(&Method::POST, ROTATE, &Rotate { rotation })
    }
}

impl UserAdmin for Client {
    fn add(&self, username: &Username, roles: Roles, password: Secret) -> Result<UserView, AdminError> {
        let new = NewUser { username: username.clone(), roles, password: password.expose().to_owned() };
        self.call(&Method::POST, USERS, &new)
    }

    fn import(&self, users: &[ImportedUser], rules: &ImportRules) -> Result<Vec<Outcome>, AdminError> {
        self.call(&Method::POST, IMPORT, &Import { rules: rules.clone(), users: users.to_vec() })
    }

    fn list(&self) -> Result<Vec<UserView>, AdminError> {
        self.call(&Method::GET, USERS, &())
    }

    fn show(&self, username: &Username) -> Result<UserView, AdminError> {
        self.call(&Method::GET, &format!("{USERS}/{username}"), &())
    }

    fn set_roles(&self, username: &Username, roles: Roles) -> Result<UserView, AdminError> {
        self.change(username, &Change::Roles(roles))
    }

    fn set_password(&self, username: &Username, password: Secret) -> Result<UserView, AdminError> {
        self.change(username, &Change::Password(password.expose().to_owned()))
    }

    fn set_enabled(&self, username: &Username, enabled: bool) -> Result<UserView, AdminError> {
        self.change(username, &Change::Enabled(enabled))
    }

    fn rename(&self, from: &Username, to: &Username) -> Result<UserView, AdminError> {
        self.change(from, &Change::Username(to.clone()))
    }

    fn remove(&self, username: &Username) -> Result<(), AdminError> {
        self.call(&Method::DELETE, &format!("{USERS}/{username}"), &())
    }
}

impl SessionAdmin for Client {
    fn sessions(&self, of: Option<&Username>) -> Result<Vec<SessionView>, AdminError> {
        let path = of.map_or_else(|| SESSIONS.to_owned(), |name| format!("{USERS}/{name}/sessions"));
        self.call(&Method::GET, &path, &())
    }

    fn end_session(&self, id: SessionId) -> Result<EndedSession, AdminError> {
        self.call(&Method::DELETE, &format!("{SESSIONS}/{id}"), &())
    }

    fn end_sessions(&self, of: &Username) -> Result<(), AdminError> {
        self.call(&Method::DELETE, &format!("{USERS}/{of}/sessions"), &())
    }
}

impl InvitationAdmin for Client {
    fn invite(
        &self,
        username: &Username,
        roles: Roles,
        good_for: Duration,
    ) -> Result<NewInvitation, AdminError> {
        let (username, good_for) = (username.clone(), good_for.as_secs());
        self.call(&Method::POST, INVITATIONS, &Invite { username, roles: Some(roles), good_for })
    }

    fn invite_again(&self, username: &Username, good_for: Duration) -> Result<NewInvitation, AdminError> {
        let (username, good_for) = (username.clone(), good_for.as_secs());
        self.call(&Method::POST, INVITATIONS, &Invite { username, roles: None, good_for })
    }

    fn invitations(&self) -> Result<Vec<InvitationView>, AdminError> {
        self.call(&Method::GET, INVITATIONS, &())
    }

    fn uninvite(&self, username: &Username) -> Result<(), AdminError> {
        self.call(&Method::DELETE, &format!("{INVITATIONS}/{username}"), &())
    }
}

impl ClientAdmin for Client {
    fn add_client(
        &self,
        name: &Username,
        roles: Roles,
        credential: ClientCredential,
    ) -> Result<NewSecret, AdminError> {
        self.call(&Method::POST, CLIENTS, &NewClient { client_id: name.clone(), roles, credential })
    }

    fn clients(&self) -> Result<Vec<ClientView>, AdminError> {
        self.call(&Method::GET, CLIENTS, &())
    }

    fn client(&self, name: &Username) -> Result<ClientView, AdminError> {
        self.call(&Method::GET, &format!("{CLIENTS}/{name}"), &())
    }

    fn rotate_secret(
        &self,
        name: &Username,
        credential: Option<ClientCredential>,
        keeps_old: bool,
    ) -> Result<NewSecret, AdminError> {
        let path = format!("{CLIENTS}/{name}/secrets");
        self.call(&Method::POST, &path, &RotateSecret { credential, keeps_old })
    }

    fn set_client_roles(&self, name: &Username, roles: Roles) -> Result<ClientView, AdminError> {
        self.call(&Method::PATCH, &format!("{CLIENTS}/{name}"), &ChangeClient::Roles(roles))
    }

    fn set_client_enabled(&self, name: &Username, enabled: bool) -> Result<ClientView, AdminError> {
        self.call(&Method::PATCH, &format!("{CLIENTS}/{name}"), &ChangeClient::Enabled(enabled))
    }

    fn remove_client(&self, name: &Username) -> Result<(), AdminError> {
        self.call(&Method::DELETE, &format!("{CLIENTS}/{name}"), &())
    }
}
