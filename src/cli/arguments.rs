//! What can be typed: the commands, and what several of them take. The arguments of a command are beside it. Names and roles are checked
//! there, so that a command begins with values that can be right.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::audit::Audit;
use super::client::Client;
use super::demo::Demo;
use super::explain::Question;
use super::key::Key;
use super::session::Session;
use super::user::User;
use crate::name::{Role, Roles};

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

/// Where a password comes from. Never from an argument: everybody on the machine can read those.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Password {
    /// Read the password from standard input, to its end; one line end behind it does not count
    #[arg(long)]
    pub(super) password_stdin: bool,
}

/// All the roles that somebody is to have: some, or with `--none` none.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct ExactRoles {
    /// A role; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// Take all roles away
    #[arg(long)]
    none: bool,
}

impl ExactRoles {
    /// The roles.
    pub(super) fn set(&self) -> Roles {
        self.roles.iter().cloned().collect()
    }
}

/// For whom the answer is.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Form {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
