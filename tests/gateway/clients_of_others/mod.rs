//! OAuth and JWT libraries that others have written: what their users write runs against the gateway unchanged.
//!
//! `install` beside this file installs them, and `.ci/run` runs it. Without them these tests say so and pass, but not where `CI` is set.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::clients::{Client, add};
use crate::harness::{Gateway, Process, ROUTES, Setup, password_of};

/// What has to be installed, as `install` writes it down.
const WANTED: &str = concat!(include_str!("requirements.txt"), include_str!("package-lock.json"));

/// What runs a script that comes on standard input.
#[derive(Clone, Copy)]
enum Interpreter {
    Python,
    Node,
}

/// Where the libraries are. `None` without them, said loudly.
#[track_caller]
fn libraries() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients_of_others");
    if std::fs::read_to_string(folder.join("installed")).is_ok_and(|installed| installed == WANTED) {
        return Some(folder);
    }
    let missing = "Authlib, PyJWT, openid-client and jose are not installed in the versions that the tests want:\n\
                   run tests/gateway/clients_of_others/install";
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{missing}");
    // Past the capture of the test runner, which shows what a test prints only when it fails.
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {missing}");
    None
}

/// A gateway whose issuer is the address that it really has, with alice, who is a reader.
fn gateway(algorithm: &str) -> (Gateway, String) {
    let gateway = Setup::new(ROUTES).set("token.algorithm", &format!("'{algorithm}'")).start();
    let issuer = format!("http://{}", gateway.addr());
    gateway.reload(|text| text.replace("'http://localhost'", &format!("'{issuer}'")));
    gateway.add_user("alice", "reader");
    (gateway, issuer)
}

/// Runs a script, which fails by itself if something is not as it should be.
#[track_caller]
fn run(folder: &Path, interpreter: Interpreter, script: &str, what: &Value) {
    let mut command = match interpreter {
        Interpreter::Python => {
            let mut command = Command::new(folder.join("python/bin/python"));
            command.arg("-");
            command
        }
        Interpreter::Node => {
            let mut command = Command::new("node");
            command.args(["--input-type=module", "-"]);
            command
        }
    };
    // Node looks for packages from here upwards. A proxy of the machine is not for loopback.
    command.arg(what.to_string()).current_dir(folder).env("NO_PROXY", "*").env("no_proxy", "*");
    let output = Process::spawn(&mut command, script).output();
    assert!(output.status == 0, "{what}\n{}\n{}", output.stdout, output.stderr);
    assert_eq!(output.stdout, "everything holds\n", "it ran to its end");
}

/// Discovery, all grants, a resource, introspection and revocation, by both ways in which a client authenticates.
#[track_caller]
fn live_and_die(interpreter: Interpreter, script: &str) {
    let Some(folder) = libraries() else { return };
    let (gateway, issuer) = gateway("ES256");
    let Client { id, secret } = add(&gateway, "shop", &["reader"]);
    for auth in ["client_secret_basic", "client_secret_post"] {
        let what = json!({
            "issuer": issuer, "resource": format!("{issuer}/orders/7"), "auth": auth,
            "client_id": id, "client_secret": secret,
            "username": "alice", "password": password_of("alice"),
        });
        run(&folder, interpreter, script, &what);
        assert_eq!(gateway.backend.last().header_values("x-role"), ["reader"]);
    }
}

/// A token of each asymmetric algorithm, verified by the keys that are published.
#[track_caller]
fn verify(interpreter: Interpreter, script: &str) {
    let Some(folder) = libraries() else { return };
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let (gateway, issuer) = gateway(algorithm);
        let what = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/.well-known/jwks.json"), "algorithm": algorithm,
            "audience": "portcullis", "username": "alice", "token": gateway.login("alice"),
        });
        run(&folder, interpreter, script, &what);
    }
}

#[test]
fn authlib_logs_in_refreshes_introspects_and_revokes() {
    live_and_die(Interpreter::Python, include_str!("with_authlib.py"));
}

#[test]
fn openid_client_logs_in_refreshes_introspects_and_revokes() {
    live_and_die(Interpreter::Node, include_str!("with_openid_client.mjs"));
}

#[test]
fn pyjwt_verifies_our_tokens_by_the_published_keys() {
    verify(Interpreter::Python, include_str!("with_pyjwt.py"));
}

#[test]
fn jose_verifies_our_tokens_by_the_published_keys() {
    verify(Interpreter::Node, include_str!("with_jose.mjs"));
}
