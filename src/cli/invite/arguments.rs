//! What can be typed behind `portcullis user invite`.

use std::time::Duration;

use clap::Args;

use crate::cli::arguments::Form;
use crate::config;
use crate::name::{Role, Username};

/// `portcullis user invite`
#[derive(Debug, Args)]
#[command(
    after_help = "The invitation is good once, at POST /auth/register of a gateway whose registration.mode is \"invitation\" or \"open\". It \
                        ends when it expires, and when the user is disabled or removed or gets a password in another way. A user has one \
                        at most."
)]
pub(in crate::cli) struct Invite {
    /// The username
    #[arg(value_name = "NAME")]
    pub(super) name: Username,
    /// A role; may be given several times
    #[arg(long = "role", value_name = "ROLE", conflicts_with = "reset")]
    pub(super) roles: Vec<Role>,
    /// For a user who exists: a way back in for a forgotten password, or another invitation; the password of now stays until it is used
    #[arg(long)]
    pub(super) reset: bool,
    /// How long it is good: 12h, 3d
    #[arg(long, value_name = "TIME", default_value = "72h", value_parser = config::duration)]
    pub(super) expires: Duration,
    #[command(flatten)]
    pub(super) form: Form,
}
