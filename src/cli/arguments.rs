//! What can be typed. Names and roles are checked here, so that a command begins with values that can be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use http::{HeaderName, HeaderValue, Method};

use super::audit::Audit;
use super::invite::Invite;
use crate::config;
use crate::id::SessionId;
use crate::name::{Role, Username};

/// Where the configuration is looked for, and where to begin.
const AFTER: &str = "The configuration file is the first of: --config FILE, $PORTCULLIS_CONFIG, ./config.toml, \
                     /etc/portcullis/config.toml.\nNew here? `portcullis demo` runs a gateway with everything around it.\n\
                     Exit status: 0 done, 1 failed, 2 wrong usage or wrong configuration.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about = "An authenticating reverse proxy in one binary", after_help = AFTER)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway
    #[command(
        after_help = "SIGTERM and SIGINT stop it: what is in flight has server.shutdown_grace to finish. SIGHUP reads the \
                            configuration again.\nEvents go to standard error, and the access log to standard output unless log.access says otherwise."
    )]
    Serve,
    /// Try it: a gateway, a sample backend and sample users, and the commands to type
    Demo(Demo),
    /// Check the configuration file and print the routes in the order in which they match
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what becomes of one request, and why; nothing is sent
    Explain(Box<Question>),
    /// Manage users, whether or not the gateway runs
    User {
        #[command(subcommand)]
        command: User,
    },
    /// Manage programs that log in by themselves (client credentials)
    Client {
        #[command(subcommand)]
        command: Client,
    },
    /// See who is logged in, and end sessions
    Session {
        #[command(subcommand)]
        command: Session,
    },
    /// Look into the audit log, whether or not the gateway runs
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Manage the keys that sign tokens, whether or not the gateway runs
    Key {
        #[command(subcommand)]
        command: Key,
    },
    /// Print the script that completes commands in a shell
    #[command(after_help = "For bash: portcullis completions bash >/etc/bash_completion.d/portcullis")]
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

/// `portcullis demo`
#[derive(Debug, Args)]
#[command(after_help = "It needs no configuration file. Ctrl-C ends it.")]
pub(super) struct Demo {
    /// Where the gateway listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Keep everything in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
}

/// `portcullis explain`
#[derive(Debug, Args)]
#[command(
    after_help = "It decides as the gateway does, by the same code, for a request that comes from this machine. A path alone is \
                        asked of the host in token.issuer.\nWithout --user, --role and --token the caller has not logged in. Only \
                        --user and --token look into the store.\nThe exit status is 0 whatever the decision."
)]
pub(super) struct Question {
    /// GET, POST, ...
    #[arg(value_name = "METHOD")]
    pub(super) method: Method,
    /// A path such as /orders/7, or http://host/path
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// As this user, with a fresh token
    #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "token"])]
    pub(super) user: Option<Username>,
    /// As somebody with this role; may be given several times
    #[arg(long, value_name = "ROLE", conflicts_with = "token")]
    pub(super) role: Vec<Role>,
    /// With this access token
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// A header field of the request, "Name: value"; may be given several times
    #[arg(long = "header", value_name = "FIELD", value_parser = header_field)]
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `portcullis user`
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add a user, who can log in at once
    #[command(
        after_help = "Without --password-stdin the password is asked for, twice and without echo.\nIt must have 8 characters \
                            or more and not be one of the most common ones."
    )]
    Add {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        /// A role; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<Role>,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        form: Form,
    },
    /// Add users that come from elsewhere, with the hashes of their passwords
    Import(Import),
    /// Add a user who chooses the password, or let one choose another; the invitation is shown this once
    Invite(Invite),
    /// List the invitations that are good
    Invitations {
        #[command(flatten)]
        form: Form,
    },
    /// Take the invitation of a user back; the user stays
    Uninvite {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// List all users
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Show one user
    Show {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Give a user exactly these roles; tokens with other roles are refused from then on
    #[command(group(ArgGroup::new("set").required(true).args(["roles", "none"])))]
    Roles {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        /// A role; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<Role>,
        /// Take all roles away
        #[arg(long)]
        none: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Set a new password; tokens from before are refused from then on
    #[command(after_help = "Without --password-stdin the password is asked for, twice and without echo.")]
    Passwd {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        form: Form,
    },
    /// Lock a user out; tokens from before are refused from then on
    Disable {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Let a disabled user log in again
    Enable {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Give a user another name; tokens with the old one are refused from then on
    Rename {
        /// The username
        #[arg(value_name = "OLD")]
        old: Username,
        /// The username from now on
        #[arg(value_name = "NEW")]
        new: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Remove a user for good
    #[command(
        after_help = "On a terminal it asks first. In a script, where nobody could answer, it does not."
    )]
    Remove {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        form: Form,
    },
}

/// `portcullis client`
#[derive(Debug, Subcommand)]
pub(super) enum Client {
    /// Add a client, and show its secret or API key this once
    #[command(
        after_help = "With its secret a client asks for tokens (client_credentials). An API key is for one that cannot: it is sent with each \
                            request, as X-API-Key or as a bearer token, where the configuration has login.api_keys = true. A client \
                            may have both: see `portcullis client rotate`."
    )]
    Add {
        /// The name: its client_id, and the user that backends see
        #[arg(value_name = "NAME")]
        name: Username,
        /// A role; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<Role>,
        /// Give it an API key instead of a secret
        #[arg(long)]
        api_key: bool,
        /// When the API key ends, from now: 90d if nothing is said, 365d at most
        #[arg(long, value_name = "DURATION", requires = "api_key", value_parser = config::duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        form: Form,
    },
    /// List all clients
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Show one client
    Show {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Make a new secret or API key, and show it this once; the one before stays good until the next rotation
    #[command(
        after_help = "What the client has is rotated. One that has only the one gets the other too with --secret or --api-key, and one that has \
                            both needs one of these flags."
    )]
    Rotate {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        /// A new secret
        #[arg(long, conflicts_with_all = ["api_key", "expires"])]
        secret: bool,
        /// A new API key
        #[arg(long)]
        api_key: bool,
        /// When the new API key ends, from now: after as long as the one before had if nothing is said, 365d at most
        #[arg(long, value_name = "DURATION", value_parser = config::duration)]
        expires: Option<Duration>,
        /// Only the new one is good from now on
        #[arg(long)]
        end_old: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Give a client exactly these roles; tokens with other roles are refused from then on
    #[command(group(ArgGroup::new("set").required(true).args(["roles", "none"])))]
    Roles {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        /// A role; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<Role>,
        /// Take all roles away
        #[arg(long)]
        none: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Lock a client out; its tokens, and those of users that it has logged in, are refused from then on
    Disable {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Let a disabled client log in again
    Enable {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        form: Form,
    },
    /// Remove a client for good
    #[command(
        after_help = "On a terminal it asks first. In a script, where nobody could answer, it does not."
    )]
    Remove {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        form: Form,
    },
}

/// `portcullis session`
#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List the sessions that are alive, the oldest first
    List {
        /// Only those of this user
        #[arg(long, value_name = "NAME")]
        user: Option<Username>,
        #[command(flatten)]
        form: Form,
    },
    /// End a session, or all of a user; their tokens are refused from then on
    #[command(group(ArgGroup::new("which").required(true).args(["id", "user"])))]
    Revoke {
        /// The session, as `session list` shows it
        #[arg(value_name = "SESSION")]
        id: Option<SessionId>,
        /// All sessions of this user, or all tokens of this client, whose API keys go on
        #[arg(long, value_name = "NAME")]
        user: Option<Username>,
    },
}

/// `portcullis user import`
#[derive(Debug, Args)]
#[command(
    after_help = "A line is a JSON object, {\"username\": \"alice\", \"roles\": [\"reader\"], \"password_hash\": \"$2b$12$...\", \"enabled\": true}, of \
                        which only the username has to be there, or NAME:HASH as htpasswd writes it.\nHashes: argon2, bcrypt, scrypt and \
                        PBKDF2 as passlib, PHC strings, htpasswd -B, Django and Werkzeug write them. Each is replaced by argon2id at \
                        the first login.\nA line that cannot be imported is told with its number; the others are imported, and the exit \
                        status is 1."
)]
pub(super) struct Import {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// What the lines are; the first one shows it otherwise
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<ImportFormat>,
    /// A role for new users whose line says none; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<Role>,
    /// Leave users that exist as they are, instead of failing for their lines
    #[arg(long)]
    pub(super) skip_existing: bool,
    /// Give users that exist what their line says: password, roles, state; ends their older tokens if that changes them
    #[arg(long, conflicts_with = "skip_existing")]
    pub(super) update: bool,
    /// Check everything and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

/// What a file of users is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ImportFormat {
    /// JSON lines
    Json,
    /// Lines of htpasswd
    Htpasswd,
}

/// `portcullis key`
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// List all keys: the next one, the active one, and the retired ones whose tokens still live
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Replace the key that signs; no token is refused because of it
    #[command(
        after_help = "The next key is published at once and signs after token.publish_ahead; the old one verifies until its last                             token has expired.\nWith --now, for keys that somebody else may know, a new key signs at once, all                             others are gone, and every token is refused; on a terminal it asks first."
    )]
    Rotate {
        /// Remove all other keys at once: every access token ends
        #[arg(long)]
        now: bool,
        /// Do not ask
        #[arg(long, requires = "now")]
        yes: bool,
        #[command(flatten)]
        form: Form,
    },
}

/// Where a password comes from. Never from an argument: everybody on the machine can read those.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Password {
    /// Read the password from standard input, to its end; one line end behind it does not count
    #[arg(long)]
    pub(super) password_stdin: bool,
}

/// For whom the answer is.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Form {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

fn header_field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as \"Name: value\"")?;
    let name =
        HeaderName::try_from(name).map_err(|_| format!("{name:?} is not the name of a header field"))?;
    let value = HeaderValue::try_from(value.trim())
        .map_err(|_| "the value has a character that no field can have")?;
    Ok((name, value))
}
