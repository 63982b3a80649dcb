//! What can be typed behind `portcullis session`.

use clap::{ArgGroup, Subcommand};

use crate::cli::arguments::Form;
use crate::id::SessionId;
use crate::name::Username;

/// `portcullis session`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Session {
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
