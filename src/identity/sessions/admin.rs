//! What an administrator may do with sessions, whichever way it comes.

use serde::{Deserialize, Serialize};

use super::{Lifetimes, Page, Session, SessionError, Sessions};
use crate::causes::with_causes;
use crate::clock::UnixTime;
use crate::id::{SessionId, UserId};
use crate::identity::admin::AdminError;
use crate::identity::users::{User, UserError};
use crate::name::Username;

/// Sessions that are read at a time.
const PAGE_SIZE: usize = 1000;

/// Administration of sessions, by the store itself or by the admin socket of a running gateway. All methods block. When one that
/// ends something has returned, the tokens of it are refused.
pub trait SessionAdmin {
    /// The sessions that are alive, the oldest first; of one user, if one is named.
    ///
    /// # Errors
    /// [`AdminError`].
    fn sessions(&self, of: Option<&Username>) -> Result<Vec<SessionView>, AdminError>;

    /// Ends one session. Tokens of that identifier are refused, whether or not there is such a session.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Invalid` for the identifier of a user or of a client.
    fn end_session(&self, id: SessionId) -> Result<EndedSession, AdminError>;

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// [`AdminError`], in particular `NotFound`.
    fn end_sessions(&self, of: &Username) -> Result<(), AdminError>;
}

/// What there was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedSession {
    /// A session.
    Session,
    /// No session, but perhaps tokens: those of clients have identifiers of their own, which are written down nowhere.
    NoSession,
}

/// What an administrator sees of a session, and `session list --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub username: Username,
    /// The program that logged the user in.
    pub client_id: String,
    /// When the user logged in. RFC 3339, as all of them.
    pub created: String,
    /// When it was last refreshed.
    pub used: String,
    /// When it ends by itself.
    pub expires: String,
    /// The address from which it was last used.
    pub address: std::net::IpAddr,
    /// What the client called itself then.
    pub agent: String,
}

impl SessionView {
    fn new(session: &Session, user: &User, lifetimes: &Lifetimes) -> Self {
        Self {
            id: session.id,
            username: user.username.clone(),
            client_id: session.client_id.clone(),
            created: session.created.to_string(),
            used: session.used.to_string(),
            expires: lifetimes.end_of(session).to_string(),
            address: session.origin.address,
            agent: session.origin.agent.clone(),
        }
    }
}

/// The administration on the store itself.
pub struct LocalSessionAdmin {
    sessions: Sessions,
    lifetimes: Box<dyn Fn() -> Lifetimes + Send + Sync>,
    clock: fn() -> UnixTime,
}

impl LocalSessionAdmin {
    /// Administers `sessions`, which have the lifetimes of now.
    #[must_use]
    pub fn new(
        sessions: Sessions,
        lifetimes: impl Fn() -> Lifetimes + Send + Sync + 'static,
        clock: fn() -> UnixTime,
    ) -> Self {
        Self { sessions, lifetimes: Box::new(lifetimes), clock }
    }

    fn find(&self, name: &Username) -> Result<UserId, AdminError> {
        let found = self.sessions.users.find(name.as_str()).map_err(|error| self.explain(error.into()))?;
        let user = found.ok_or_else(|| self.explain(UserError::NotFound(name.clone()).into()))?;
        if user.program.is_some() {
            let reason = format!(
                "\"{name}\" is a client: it has tokens and no sessions. `portcullis session revoke --user {name}` ends its tokens, \
                 `portcullis client disable {name}` locks it out"
            );
            return Err(AdminError::Invalid { reason });
        }
        Ok(user.id)
    }

    /// All identifiers have one form. That of a user is no session's: as one it would be refused for a while, with all tokens that the
    /// user gets meanwhile, and forgotten then.
    fn refuse_user(&self, id: UserId) -> Result<(), AdminError> {
        let found = self.sessions.users.by_id(id).map_err(|error| self.explain(error.into()))?;
        let Some(User { username, program, .. }) = found else { return Ok(()) };
        let what = if program.is_some() { "client" } else { "user" };
        let reason = format!(
            "{id} is the id of the {what} \"{username}\" and of no session: `portcullis session revoke --user {username}` ends the \
             tokens of that {what}"
        );
        Err(AdminError::Invalid { reason })
    }

    fn explain(&self, error: SessionError) -> AdminError {
        match error {
            SessionError::User(UserError::NotFound(username)) => {
                AdminError::NotFound { similar: self.sessions.users.similar_name(&username), username }
            }
            error => AdminError::Unavailable { reason: with_causes(&error) },
        }
    }
}

impl SessionAdmin for LocalSessionAdmin {
    fn sessions(&self, of: Option<&Username>) -> Result<Vec<SessionView>, AdminError> {
        let (lifetimes, now) = ((self.lifetimes)(), (self.clock)());
        let wanted = of.map(|name| self.find(name)).transpose()?;
        let (mut views, mut after) = (Vec::new(), None);
        loop {
            let page =
                self.sessions.list(after, PAGE_SIZE, &lifetimes, now).map_err(|error| self.explain(error))?;
            let Page { alive, last: Some(last) } = page else { return Ok(views) };
            let of_wanted = alive.iter().filter(|(_, user)| wanted.is_none_or(|id| user.id == id));
            views.extend(of_wanted.map(|(session, user)| SessionView::new(session, user, &lifetimes)));
            after = Some(last);
        }
    }

    fn end_session(&self, id: SessionId) -> Result<EndedSession, AdminError> {
        self.refuse_user(UserId::from_bytes(*id.as_bytes()))?;
        let was_there = self.sessions.end(id, (self.clock)()).map_err(|error| self.explain(error))?;
        Ok(if was_there { EndedSession::Session } else { EndedSession::NoSession })
    }

    fn end_sessions(&self, of: &Username) -> Result<(), AdminError> {
        let ended = self.sessions.users.end_sessions(of, (self.clock)());
        ended.map(|_| ()).map_err(|error| self.explain(error.into()))
    }
}
