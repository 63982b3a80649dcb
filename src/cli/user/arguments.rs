//! What can be typed behind `portcullis user`.

use clap::Subcommand;

use crate::cli::arguments::{ExactRoles, Form, Password};
use crate::cli::import::Import;
use crate::cli::invite::Invite;
use crate::name::{Role, Username};

/// `portcullis user`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum User {
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
    Roles {
        /// The username
        #[arg(value_name = "NAME")]
        name: Username,
        #[command(flatten)]
        roles: ExactRoles,
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
