//! What an audit record says: who did what to whom, from where, and what came of it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::clock::UnixTime;
use crate::id::{SessionId, UserId};
use crate::name::Username;

/// Bytes of a text that came from outside. What is longer is cut.
const MAX_TEXT: usize = 256;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// What was done or tried. A closed set: `portcullis audit show --action` knows these names and no other.
        ///
        /// A refresh is none of them: it proves nothing that the login has not proved, and the session says when it was last used.
        /// Nor is it one when signing keys take each other's place by themselves in good order; the event log has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in a record.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

actions! {
    /// The gateway started. The target is its configuration.
    Start = "start",
    /// The gateway stopped in good order.
    Stop = "stop",
    /// A configuration was read again. The target is the new one.
    ConfigReload = "config_reload",
    /// A user logged in with a password.
    Login = "login",
    /// A session was ended by its user.
    Logout = "logout",
    /// A refresh token that was already exchanged came again, so its session was ended.
    RefreshReuse = "refresh_reuse",
    /// A token was revoked by its owner (RFC 7009).
    TokenRevoke = "token_revoke",
    /// A user changed the own password.
    PasswordChange = "password_change",
    /// A user registered.
    Register = "register",
    /// A program logged in with its own credentials.
    ClientLogin = "client_login",
    /// An administrator ended sessions.
    SessionRevoke = "session_revoke",
    /// An administrator added a user.
    UserAdd = "user_add",
    /// An administrator brought users in from elsewhere.
    UserImport = "user_import",
    /// An administrator set the roles of a user.
    UserRoles = "user_roles",
    /// An administrator set the password of a user.
    UserPassword = "user_password",
    /// An administrator let a user log in again.
    UserEnable = "user_enable",
    /// An administrator locked a user out.
    UserDisable = "user_disable",
    /// An administrator gave a user another name.
    UserRename = "user_rename",
    /// An administrator removed a user.
    UserRemove = "user_remove",
    /// An administrator added a program.
    ClientAdd = "client_add",
    /// An administrator gave a program another secret.
    ClientRotate = "client_rotate",
    /// An administrator gave a program other roles.
    ClientRoles = "client_roles",
    /// An administrator let a program log in again.
    ClientEnable = "client_enable",
    /// An administrator locked a program out.
    ClientDisable = "client_disable",
    /// An administrator removed a program.
    ClientRemove = "client_remove",
    /// An administrator invited a user, to choose the first password or another one.
    InvitationAdd = "invitation_add",
    /// An administrator took an invitation back.
    InvitationRemove = "invitation_remove",
    /// The key that tokens are signed with was replaced.
    KeyRotate = "key_rotate",
    /// The file of the audit log was full, and a new one was begun. The target is the old one.
    LogRotate = "log_rotate",
    /// The last line of the audit log was unfinished when it was opened: the gateway was killed in the middle of it.
    LogRecover = "log_recover",
    /// The audit log did not end where it was left when it was opened: records were changed or cut off.
    LogDamage = "log_damage",
    /// The audit log can be written again, after it could not for a while.
    LogResume = "log_resume",
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not, as the rules want it.
    Refused,
    /// It could not be done, and that is the fault of nobody who asked.
    Failed,
}

impl Outcome {
    /// Its name in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The gateway itself.
    System,
    /// Somebody who has not proved to be anybody.
    Anonymous,
    /// Whoever runs the command line as this user of the system: the process at the other end of the admin socket, or one that has
    /// the store open itself.
    Uid(u32),
    /// A user who has logged in.
    User(Username),
    /// A program that has logged in, by its client id.
    Client(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Client(id) => write!(f, "client:{}", clipped(id)),
        }
    }
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A user who exists. A name that no user has is no target: it may be a password, typed into the wrong field.
    User(Username),
    /// A program that exists, by its client id.
    Client(String),
    /// A session.
    Session(SessionId),
    /// A token, by its `jti`.
    Token(String),
    /// A configuration, by its hash: the one in `portcullis_config_info`.
    Config(String),
    /// A file.
    File(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Client(id) => write!(f, "client:{}", clipped(id)),
            Self::Session(id) => write!(f, "session:{id}"),
            Self::Token(id) => write!(f, "token:{}", clipped(id)),
            Self::Config(hash) => write!(f, "config:{}", clipped(hash)),
            Self::File(path) => write!(f, "file:{}", clipped(path)),
        }
    }
}

/// Where a request came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client behind trusted proxies.
    pub client: IpAddr,
    /// The id of the request, by which its access record is found; `None` where a record stands for many.
    pub request_id: Option<String>,
}

/// One thing that happened. No field of it has a place for a secret: reasons and details are texts of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: UnixTime,
    /// What.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
    /// Who; without [`Event::by`] the gateway itself.
    pub actor: Actor,
    /// To whom.
    pub target: Option<Target>,
    /// The stable id of the user that it is about, which survives a rename.
    pub user_id: Option<UserId>,
    /// From where, if it came over the network.
    pub origin: Option<Origin>,
    /// The session that it is about.
    pub session: Option<SessionId>,
    /// Why it was refused or failed: a word or a sentence of ours, without anything secret.
    pub reason: Option<Cow<'static, str>>,
    /// What else there is to say, without anything secret.
    pub detail: Option<String>,
    /// For how many events the record stands.
    pub count: u64,
    /// Whether it has a record of its own in a flood of failures, too.
    pub alone: bool,
}

impl Event {
    /// It was done.
    #[must_use]
    pub fn success(action: Action, now: UnixTime) -> Self {
        Self {
            time: now,
            action,
            outcome: Outcome::Success,
            actor: Actor::System,
            target: None,
            user_id: None,
            origin: None,
            session: None,
            reason: None,
            detail: None,
            count: 1,
            alone: false,
        }
    }

    /// The rules did not allow it. The reason holds nothing secret.
    #[must_use]
    pub fn refused(action: Action, reason: impl Into<Cow<'static, str>>, now: UnixTime) -> Self {
        Self { outcome: Outcome::Refused, reason: Some(reason.into()), ..Self::success(action, now) }
    }

    /// It could not be done. The reason holds nothing secret.
    #[must_use]
    pub fn failed(action: Action, reason: impl Into<Cow<'static, str>>, now: UnixTime) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason.into()), ..Self::success(action, now) }
    }

    /// Who did it.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// To whom.
    #[must_use]
    pub fn on(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// The user that it is about, by the stable id.
    #[must_use]
    pub fn about(self, user: UserId) -> Self {
        Self { user_id: Some(user), ..self }
    }

    /// From where.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// The session that it is about.
    #[must_use]
    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// In a flood of failures it is not merely counted. For a failure that is bounded in another way, and that must not be told from a
    /// success by its time, or not be hidden.
    #[must_use]
    pub fn on_its_own(self) -> Self {
        Self { alone: true, ..self }
    }

    /// What else there is to say.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// The beginning of a text, up to [`MAX_TEXT`] bytes.
pub(super) fn clipped(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;

    use super::{Action, MAX_TEXT, Target, clipped};

    #[test]
    fn no_two_actions_have_one_name() {
        let names: HashSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    /// `audit show --action` must not offer what nothing records.
    #[test]
    fn every_action_is_recorded_somewhere() {
        let mut words = HashSet::new();
        let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(directory) = directories.pop() {
            for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    directories.push(path);
                } else if !["event.rs", "tests.rs"].iter().any(|name| path.ends_with(name)) {
                    let text = fs::read_to_string(path).unwrap_or_default();
                    let named = text
                        .split("Action::")
                        .skip(1)
                        .filter_map(|rest| rest.split(|character: char| !character.is_alphanumeric()).next());
                    words.extend(named.map(str::to_owned));
                }
            }
        }
        let is_recorded = |action: &&Action| words.contains(&format!("{action:?}"));
        let nowhere = Action::ALL.iter().filter(|action| !is_recorded(action));
        assert_eq!(nowhere.collect::<Vec<_>>(), Vec::<&Action>::new());
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let long = "ä".repeat(200);
        assert_eq!(clipped(&long).len(), MAX_TEXT);
        assert!(clipped(&format!("x{long}")).len() < MAX_TEXT);
        assert_eq!(clipped("short"), "short");
        assert_eq!(Target::Client(long).to_string().len(), "client:".len() + MAX_TEXT);
    }
}
