//! A configuration file and a data directory of a test's own, with or without a gateway running on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::store::{Batch, SledStore, Store, Table};
use serde_json::Value;
use tempfile::TempDir;

use super::gateway::Gateway;
use super::process::{Output, Process};
use super::{PATIENCE, token};

/// What a test wants of its gateway.
pub(crate) struct Setup {
    routes: String,
    /// Table, then key, then value in TOML.
    tables: BTreeMap<String, BTreeMap<String, String>>,
    servers: Option<Vec<SocketAddr>>,
}

impl Setup {
    /// Port 0, two workers, JSON logs, cheap password hashes, and these routes. Their upstream is called `backend`.
    pub(crate) fn new(routes: &str) -> Self {
        let setup = Self { routes: routes.into(), tables: BTreeMap::new(), servers: None };
        setup
            .set("server.listen", "['127.0.0.1:0']")
            .set("server.workers", "2")
            .set("store.path", "'data'")
            .set("token.issuer", "'http://localhost'")
            .set("login.memory", "'64KiB'")
            .set("login.passes", "1")
            .set("log.format", "'json'")
    }

    /// Sets a key, as `server.workers`, to a value in TOML. The last one counts.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let (table, key) = key.rsplit_once('.').expect("table.key");
        self.tables.entry(table.into()).or_default().insert(key.into(), value.into());
        self
    }

    /// The servers of the upstream, instead of the gateway's own backend.
    pub(crate) fn servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.servers = Some(servers.into_iter().collect());
        self
    }

    /// Starts a gateway, and a backend for it.
    pub(crate) fn start(self) -> Gateway {
        Gateway::with(self)
    }

    /// Writes the files and starts nothing. Without servers of its own the upstream is one that refuses connections.
    pub(crate) fn site(self) -> Site {
        let discard = SocketAddr::from(([127, 0, 0, 1], 9));
        self.site_with(discard)
    }

    pub(super) fn site_with(mut self, backend: SocketAddr) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let servers = self.servers.take().unwrap_or_else(|| vec![backend]);
        let servers: Vec<String> = servers.iter().map(|addr| format!("'http://{addr}'")).collect();
        let setup = self.set("upstream.backend.servers", &format!("[{}]", servers.join(", ")));
        let site = Site { config: dir.path().join("config.toml"), dir };
        site.write_config(&setup.text());
        site
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (table, keys) in &self.tables {
            text.push_str(&format!("[{table}]\n"));
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text.push_str(&self.routes);
        text
    }
}

/// The files of one gateway, in a directory that is removed at the end.
pub(crate) struct Site {
    config: PathBuf,
    dir: TempDir,
}

impl Site {
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The HMAC key that the gateway on these files signs with, out of its store. No gateway may be running.
    #[track_caller]
    pub(crate) fn hmac_key(&self) -> Vec<u8> {
        let [record] = &self.edit_keys(|_| {})[..] else { panic!("not one key") };
        assert_eq!(record["alg"], "HS256");
        let sealed = token::decode(record["key"].as_str().unwrap());
        assert_eq!(sealed[0], 0, "the key is in clear");
        sealed[1..].to_vec()
    }

    /// Changes the records of the signing keys, and returns them. No gateway may be running.
    #[track_caller]
    pub(crate) fn edit_keys(&self, edit: impl Fn(&mut Value)) -> Vec<Value> {
        let store = self.store();
        let rows = store.scan(Table::Keys, None, 1000).unwrap();
        let edited = rows.into_iter().map(|(id, record)| {
            let mut record: Value = serde_json::from_slice(&record).unwrap();
            edit(&mut record);
            store.commit(Batch::new().put(Table::Keys, id, record.to_string())).unwrap();
            record
        });
        edited.collect()
    }

    /// A fact about the store itself. No gateway may be running.
    #[track_caller]
    pub(crate) fn meta(&self, key: &str) -> Option<String> {
        let value = self.store().get(Table::Meta, key.as_bytes()).unwrap();
        value.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Changes a fact about the store itself. No gateway may be running.
    #[track_caller]
    pub(crate) fn set_meta(&self, key: &str, value: &str) {
        self.store().commit(Batch::new().put(Table::Meta, key, value)).unwrap();
    }

    fn store(&self) -> SledStore {
        SledStore::open(&self.data(), 1024 * 1024, PATIENCE).unwrap()
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.data().join("admin.sock")
    }

    pub(crate) fn config_text(&self) -> String {
        std::fs::read_to_string(&self.config).unwrap()
    }

    /// Replaces the configuration file at once, as careful tools do.
    pub(crate) fn write_config(&self, text: &str) {
        let new = self.dir.path().join("config.toml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &self.config).unwrap();
    }

    /// The binary with these arguments and `--config`.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = binary();
        command.args(args).arg("--config").arg(&self.config).current_dir(self.dir.path());
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn cli<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Output {
        self.cli_with_stdin(args, "")
    }

    /// Runs a command to its end with this standard input.
    #[track_caller]
    pub(crate) fn cli_with_stdin<'a>(&self, args: impl IntoIterator<Item = &'a str>, stdin: &str) -> Output {
        Process::spawn(&mut self.command(args), stdin).output()
    }

    /// Runs `user add` with this password.
    #[track_caller]
    pub(crate) fn cli_add_user(&self, name: &str, roles: &[&str], password: &str) -> Output {
        let roles = roles.iter().flat_map(|role| ["--role", role]);
        let args = ["user", "add", name].into_iter().chain(roles).chain(["--password-stdin"]);
        self.cli_with_stdin(args, &format!("{password}\n"))
    }
}

/// The binary under test, with nothing of our environment that could lead it to another configuration.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_remove("PORTCULLIS_CONFIG").env_remove("RUST_LOG");
    command
}
