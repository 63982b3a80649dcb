//! What can be typed behind `portcullis user import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::arguments::Form;
use crate::name::Role;

/// `portcullis user import`
#[derive(Debug, Args)]
#[command(
    after_help = "A line is a JSON object, {\"username\": \"alice\", \"roles\": [\"reader\"], \"password_hash\": \"$2b$12$...\", \"enabled\": true}, of \
                        which only the username has to be there, or NAME:HASH as htpasswd writes it.\nHashes: argon2, bcrypt, scrypt and \
                        PBKDF2 as passlib, PHC strings, htpasswd -B, Django and Werkzeug write them. Each is replaced by argon2id at \
                        the first login.\nA line that cannot be imported is told with its number; the others are imported, and the exit \
                        status is 1."
)]
pub(in crate::cli) struct Import {
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
pub(in crate::cli) enum ImportFormat {
    /// JSON lines
    Json,
    /// Lines of htpasswd
    Htpasswd,
}
