//! A running gateway with a backend of its own.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::backend::Backend;
use super::client::{Client, Response};
use super::process::Process;
use super::request::Request;
use super::site::{Setup, Site};

/// The real binary, its files and its backend.
pub(crate) struct Gateway {
    pub(crate) backend: Backend,
    pub(crate) site: Site,
    pub(crate) process: Process,
    addr: SocketAddr,
}

impl Gateway {
    /// Starts a gateway with these routes; their upstream is called `backend`.
    pub(crate) fn start(routes: &str) -> Self {
        Setup::new(routes).start()
    }

    pub(super) fn with(setup: Setup) -> Self {
        let backend = Backend::start();
        let site = setup.site_with(backend.addr());
        let (process, addr) = serve(&site);
        Self { backend, site, process, addr }
    }

    /// The public listener.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A new connection to the public listener.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Sends a request over a connection of its own and reads the response.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Response {
        self.connect().exchange(request)
    }

    /// GET with a bearer token.
    #[track_caller]
    pub(crate) fn get(&self, target: &str, token: &str) -> Response {
        self.send(&Request::get(target).bearer(token))
    }

    /// Adds a user with these roles, separated by spaces, by the command line.
    #[track_caller]
    pub(crate) fn add_user(&self, name: &str, roles: &str) {
        let roles: Vec<&str> = roles.split_whitespace().collect();
        self.site.cli_add_user(name, &roles, &password_of(name)).ok();
    }

    /// Asks for a token with this password.
    #[track_caller]
    pub(crate) fn login_with(&self, name: &str, password: &str) -> Response {
        let fields = [("grant_type", "password"), ("username", name), ("password", password)];
        self.send(&Request::form("/token", &fields))
    }

    /// Logs a user of [`Self::add_user`] in and returns the access token.
    #[track_caller]
    pub(crate) fn login(&self, name: &str) -> String {
        let response = self.login_with(name, &password_of(name));
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["access_token"].as_str().expect("an access token").to_owned()
    }

    /// Adds a user and logs in.
    #[track_caller]
    pub(crate) fn token_for(&self, name: &str, roles: &str) -> String {
        self.add_user(name, roles);
        self.login(name)
    }

    /// Runs a command on this gateway's configuration and fails the test unless it succeeds.
    #[track_caller]
    pub(crate) fn cli<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> super::process::Output {
        self.site.cli(args)
    }

    /// Waits for a log record like this.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, is: impl Fn(&Value) -> bool) -> Value {
        self.process.wait_for_stderr("such log record", is)
    }

    /// Waits for an access record like this.
    #[track_caller]
    pub(crate) fn wait_for_access(&self, is: impl Fn(&Value) -> bool) -> Value {
        self.process.wait_for_stdout("such access record", is)
    }

    /// Waits for the access record of a request for this path, query included.
    #[track_caller]
    pub(crate) fn access_of(&self, path: &str) -> Value {
        self.wait_for_access(|record| record["path"] == path)
    }

    /// Changes the configuration file, asks for a reload and waits until the log says what came of it.
    #[track_caller]
    pub(crate) fn reload(&self, change: impl Fn(&str) -> String) {
        self.site.write_config(&change(&self.site.config_text()));
        let mark = self.process.stderr_lines().len();
        self.process.signal(Signal::HUP);
        let about_it = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("reload"));
        self.process.wait_for_stderr_after(mark, "log record of a reload", about_it);
    }

    /// Asks for an orderly end, without waiting for it.
    pub(crate) fn begin_shutdown(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Asks for an orderly end, waits for it and returns the exit status.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.begin_shutdown();
        self.process.wait().code()
    }

    /// Ends the process as a power cut would, but for the disk.
    pub(crate) fn kill9(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait();
    }

    /// Starts the gateway again on the same files, on another port.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        (self.process, self.addr) = serve(&self.site);
    }

    /// The same by another command, which ends in ours.
    #[track_caller]
    pub(crate) fn start_again_by(&mut self, command: &mut Command) {
        (self.process, self.addr) = listening(Process::spawn(command, ""));
    }

    /// An orderly end and a new start.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        assert_eq!(self.terminate(), Some(0));
        self.start_again();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.process.stderr_text());
            return;
        }
        assert_eq!(self.backend.violations(), [""; 0], "the gateway sent what it must not send");
    }
}

/// The password of a user that [`Gateway::add_user`] made.
pub(crate) fn password_of(name: &str) -> String {
    format!("the long pass phrase of {name}")
}

#[track_caller]
fn serve(site: &Site) -> (Process, SocketAddr) {
    listening(Process::spawn(&mut site.command(["serve"]), ""))
}

#[track_caller]
fn listening(process: Process) -> (Process, SocketAddr) {
    let listening = process.wait_for_stderr("\"listening\"", |line| line["message"] == "listening");
    process.wait_for_stderr("\"ready\"", |line| line["message"] == "ready");
    let addr = listening["listen.addr"].as_str().expect("listen.addr").parse().expect("an address");
    (process, addr)
}
