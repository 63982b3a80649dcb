//! `[registration]`: whether users come by themselves, and as what.

use std::time::Duration;

use super::diagnostics::{Kind, Problem, quote};
use super::login::{Throttle, delays};
use super::reader::{Fields, Given, List};
use super::rule::{count, one_of, parsed};
use super::sections::{distinct, secs};
use crate::name::{Role, Roles};

/// Bytes for counting tries: some 20,000 addresses. When they are full, the lowest counts give way.
const MEMORY: u64 = 1 << 20;

/// The role that is always privileged: the gateway's own, for the admin API.
pub const ADMIN_ROLE: &str = "admin";

/// `[registration]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Who may.
    pub mode: RegistrationMode,
    /// What users get who come without an invitation.
    pub default_roles: Roles,
    /// What they never get; `admin` is one of them in any case.
    pub privileged_roles: Roles,
    /// Users, clients included, from which on nobody can come without an invitation.
    pub max_users: usize,
    /// What slows it down. It counts by address only.
    pub throttle: Throttle,
}

/// `[registration] mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Nobody: there is no such endpoint.
    Off,
    /// Whom an administrator has invited.
    Invitation,
    /// Everybody, invited or not.
    Open,
}

impl RegistrationMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Invitation, Self::Open];

    /// The word in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Invitation => "invitation",
            Self::Open => "open",
        }
    }
}

/// Reads the section.
pub(super) fn read(mut fields: Fields<'_, '_, '_>) -> Registration {
    let f = &mut fields;
    let modes = RegistrationMode::ALL.map(|mode| (mode.name(), mode));
    let mode = f.or("mode", one_of(&modes), RegistrationMode::Off);
    let default_roles = roles(f, "default_roles").unwrap_or_default();
    let privileged = roles(f, "privileged_roles");
    for role in &default_roles {
        refuse_privileged(f, role, privileged.as_deref().unwrap_or_default());
    }
    let quick_tries = f.or("quick_tries", count(1..=1_000_000), 5);
    let (first_delay, max_delay) = delays(f, secs(10), secs(600));
    let only = |roles: Vec<Given<Role>>| roles.into_iter().map(|role| role.value).collect::<Roles>();
    let registration = Registration {
        mode,
        default_roles: only(default_roles),
        privileged_roles: privileged.map_or_else(admin, only),
        max_users: f.or("max_users", count(1..=1_000_000), 10_000),
        throttle: throttle(quick_tries, first_delay, max_delay),
    };
    fields.finish();
    registration
}

fn throttle(tries: u32, first_delay: Duration, max_delay: Duration) -> Throttle {
    Throttle { quick_tries: tries, address_quick_tries: tries, first_delay, max_delay, memory: MEMORY }
}

fn admin() -> Roles {
    Role::new(ADMIN_ROLE).into_iter().collect()
}

fn roles(fields: &mut Fields<'_, '_, '_>, name: &'static str) -> Option<Vec<Given<Role>>> {
    let role = |text: &str| Role::new(text).map_err(|error| error.to_string().into());
    let list = fields.list(name, List::Array, parsed("a role", role))?;
    distinct(fields, name, &list.items);
    Some(list.items)
}

/// Case matters in roles; but a backend may see that otherwise, so it does not count here.
fn refuse_privileged(fields: &mut Fields<'_, '_, '_>, role: &Given<Role>, privileged: &[Given<Role>]) {
    let text = role.value.as_str();
    let named = privileged.iter().find(|other| other.value.as_str().eq_ignore_ascii_case(text));
    if named.is_none() && !text.eq_ignore_ascii_case(ADMIN_ROLE) {
        return;
    }
    let message = format!("{} is a privileged role, and whoever registers would have it", quote(text));
    let problem = Problem::new(Kind::Value, fields.key("default_roles"), message).at(role.span.clone());
    let help = "leave it out, and give it to the users who need it: portcullis user roles NAME --role ...";
    let problem = problem.help(Some(help.into()));
    fields.problems.error(problem.also(named.and_then(|role| role.span.clone()), "privileged"));
}
