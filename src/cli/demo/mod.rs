//! `portcullis demo`: a gateway, a backend and users, all in this process; prints the commands to try them with.

mod arguments;
mod home;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

pub(super) use self::arguments::Demo;
use self::home::Home;
use super::administration::Administration;
use super::echo::Echo;
use super::failure::{Failure, Status};
use super::serve::control_plane;
use super::signals::Signals;
use crate::app::Gateway;
use crate::config::{Config, LogFormat};
use crate::id::{NoRandomness, fill_random};
use crate::identity::AdminError;
use crate::name::{Role, Roles, Username};
use crate::observe;
use crate::secret::Secret;

/// The users, each with one role.
const USERS: [(&str, &str); 2] = [("alice", "reader"), ("bob", "admin")];

/// Runs until Ctrl-C, or until the terminal is closed.
///
/// # Errors
/// [`Failure`] when something is in the way of starting; nothing is left behind then either.
pub(super) fn run(options: &Demo, out: &mut dyn Write) -> Result<Status, Failure> {
    let broken = |error: io::Error| Failure::because(&error);
    observe::init("warn", LogFormat::Auto).map_err(|error| Failure::because(&error))?;
    let control = control_plane().map_err(broken)?;
    // From here on Ctrl-C is an order to clean up.
    let mut signals = control.block_on(async { Signals::listen() }).map_err(broken)?;
    check_free(options.listen)?;
    let echo = Echo::bind().map_err(broken)?;
    let home = Home::make(options.data.as_deref(), &settings(options.listen, echo.address()))?;
    let config = super::load(home.config())?;
    let passwords = add_users(&config)?;
    control.block_on(async {
        let backend = tokio::spawn(echo.run());
        let gateway = Gateway::start(config).map_err(|error| Failure::because(&error))?;
        let address = gateway.addresses().first().map_or(options.listen, |address| reachable(*address));
        let told = out.write_all(tour(address, &passwords, &home).as_bytes()).and_then(|()| out.flush());
        if told.is_ok() {
            signals.next().await;
        }
        gateway.stop().await;
        backend.abort();
        Ok::<_, Failure>(told?)
    })?;
    drop(control);
    drop(home);
    Ok(Status::Done)
}

/// The gateway itself would share the port with another Portcullis, and each would get a part of the requests.
fn check_free(address: SocketAddr) -> Result<(), Failure> {
    if address.port() == 0 {
        return Ok(());
    }
    TcpListener::bind(address).map(drop).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::failed(format!("another program listens on {address}")).with_help(
            format!("this takes a free port: portcullis demo --listen {}", SocketAddr::new(address.ip(), 0)),
        ),
        _ => Failure::failed(format!("cannot listen on {address}: {error}"))
            .with_help("name an address of this machine: portcullis demo --listen 127.0.0.1:0"),
    })
}

/// The configuration file: three routes, one for each kind of rule.
fn settings(listen: SocketAddr, backend: SocketAddr) -> String {
    let port = match listen.port() {
        0 => String::new(),
        port => format!(":{port}"),
    };
    format!(
        r#"[server]
listen = ["{listen}"]
workers = 2
shutdown_grace = "2s"

[store]
path = "store"

[token]
issuer = "http://localhost{port}"

[log]
level = "warn"
access = "off"

[upstream.echo]
servers = ["http://{backend}"]

[[route]]
path = "/public/*"
access = "public"
upstream = "echo"

[[route]]
path = "/orders/*"
roles = ["reader", "admin"]
upstream = "echo"

[[route]]
path = "/admin/*"
roles = ["admin"]
upstream = "echo"
"#
    )
}

/// Adds the users, or gives those of an earlier run new passwords, by the same way as `portcullis user`.
fn add_users(config: &Config) -> Result<Vec<String>, Failure> {
    let administration = Administration::open(config)?;
    let users = administration.users();
    let mut passwords = Vec::new();
    for (name, role) in USERS {
        let wrong = |error: &dyn Error| Failure::because(error);
        let name = Username::new(name).map_err(|error| wrong(&error))?;
        let roles: Roles = [Role::new(role).map_err(|error| wrong(&error))?].into_iter().collect();
        let password = random_password().map_err(|error| wrong(&error))?;
        match users.add(&name, roles.clone(), Secret::new(password.clone())) {
            Err(AdminError::Exists { .. }) => {
                users.set_password(&name, Secret::new(password.clone()))?;
                users.set_roles(&name, roles)?;
                users.set_enabled(&name, true)?;
            }
            added => drop(added?),
        }
        passwords.push(password);
    }
    Ok(passwords)
}

/// 100 random bits, in characters that need no quotes anywhere and that nobody mistakes for others.
fn random_password() -> Result<String, NoRandomness> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    fill_random(&mut bytes)?;
    let mut password = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(password)
}

/// An address that a client on this machine can call.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What is printed. Each command works as it is in any shell; its explanation stands above it and is no command.
fn tour(address: SocketAddr, passwords: &[String], home: &Home) -> String {
    let mut text = format!(
        "\nPortcullis listens on {address}. Behind it is a sample backend that answers with what it gets.\n\
         There are two users: alice is a reader, bob an admin. Try it from another terminal:\n"
    );
    let mut step = |title: &str, commands: &[String]| {
        let _ = write!(text, "\n  {title}\n");
        for command in commands {
            let _ = writeln!(text, "    {command}");
        }
    };
    let url = |path: &str| quoted(&format!("http://{address}{path}"));
    let [alice, bob] = [0, 1].map(|index| passwords.get(index).map_or("", String::as_str));
    let (as_alice, as_bob) = ("-H \"Authorization: Bearer $ALICE\"", "-H \"Authorization: Bearer $BOB\"");
    step("A public route: nobody is asked who they are.", &[format!("curl {}", url("/public/hello"))]);
    step("Everything else wants a token; without one: 401.", &[format!("curl -i {}", url("/orders/7"))]);
    step(
        "alice logs in and passes. Look at x-user and x-role: the backend needs no login of its own.",
        &[login("ALICE", &url("/token"), "alice", alice), format!("curl {} {as_alice}", url("/orders/7"))],
    );
    step("alice is no admin: 403.", &[format!("curl -i {} {as_alice}", url("/admin/panel"))]);
    step(
        "bob is one.",
        &[login("BOB", &url("/token"), "bob", bob), format!("curl {} {as_bob}", url("/admin/panel"))],
    );
    let config = quoted(&home.config().display().to_string());
    let tool = |command: &str| format!("{} {command} --config {config}", program());
    step("Why may alice not pass there?", &[tool("explain GET /admin/panel --user alice")]);
    step(
        "Lock alice out: the token from above is refused on its very next use.",
        &[tool("user disable alice")],
    );
    let what = if home.is_kept() { "The files stay where they are." } else { "Nothing stays behind." };
    let _ = writeln!(text, "\nCtrl-C ends the demo. {what}");
    text
}

fn login(variable: &str, url: &str, name: &str, password: &str) -> String {
    format!(
        "{variable}=$(curl -s {url} -d grant_type=password -d username={name} -d password={password} \
         | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')"
    )
}

/// This program, as it was called.
fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_else(|| "portcullis".into());
    quoted(&name.to_string_lossy())
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests;
