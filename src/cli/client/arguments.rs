//! What can be typed behind `portcullis client`.

use std::time::Duration;

use clap::Subcommand;

use crate::cli::arguments::{ExactRoles, Form};
use crate::config;
use crate::name::{Role, Username};

/// `portcullis client`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Client {
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
    Roles {
        /// The client
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        roles: ExactRoles,
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
