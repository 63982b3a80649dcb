//! `portcullis demo`: all that is needed to try it, and nothing left behind.

use std::collections::HashSet;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Client, Process, Request, binary};

/// The value of `name=` in a printed command, up to what ends it in a shell or a form.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = &text[text.find(&format!("{name}="))? + name.len() + 1..];
    rest.split(['&', '\'', '"', ' ', '\n']).next().filter(|value| !value.is_empty())
}

#[test]
fn the_demo_shows_a_login_a_pass_a_401_and_a_403_and_cleans_up() {
    let temp = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", temp.path()).current_dir(temp.path());
    let mut demo = Process::spawn(&mut command, "");
    let text = |line: &Value| line.as_str().unwrap_or_default().to_owned();
    demo.wait_for_stdout("\"Ctrl-C\"", |line| text(line).contains("Ctrl-C"));
    let printed: String = demo.stdout_lines().iter().map(|line| text(line) + "\n").collect();
    assert!(std::fs::read_dir(temp.path()).unwrap().count() > 0, "it keeps its data there");

    let urls: Vec<&str> =
        printed.split(['\'', '"', ' ', '\n', ')']).filter_map(|word| word.strip_prefix("http://")).collect();
    let (host, _) = urls.first().and_then(|url| url.split_once('/')).expect("a URL");
    let addr = host.parse().expect("an address");
    let mut tokens = Vec::new();
    for command in printed.split("curl").skip(1).filter(|command| command.contains("/token")) {
        let (username, password) = (field(command, "username").unwrap(), field(command, "password").unwrap());
        let form = [("grant_type", "password"), ("username", username), ("password", password)];
        let response = Client::connect(addr).exchange(&Request::form("/token", &form));
        assert_eq!(response.status, 200, "{}", response.text());
        tokens.push(response.json()["access_token"].as_str().unwrap().to_owned());
    }
    assert!(!tokens.is_empty(), "it shows a login:\n{printed}");

    let mut statuses = HashSet::new();
    for path in
        urls.iter().filter_map(|url| url.find('/').map(|at| &url[at..])).filter(|path| *path != "/token")
    {
        statuses.insert(Client::connect(addr).exchange(&Request::get(path)).status);
        for token in &tokens {
            statuses.insert(Client::connect(addr).exchange(&Request::get(path).bearer(token)).status);
        }
    }
    for status in [200, 401, 403] {
        assert!(statuses.contains(&status), "no {status} among {statuses:?}:\n{printed}");
    }

    demo.signal(Signal::INT);
    assert_eq!(demo.wait().code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(temp.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_demos_have_different_passwords() {
    let passwords: HashSet<String> = (0..2)
        .map(|_| {
            let temp = tempfile::tempdir().unwrap();
            let mut command = binary();
            command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", temp.path());
            let demo = Process::spawn(&mut command, "");
            let line = demo.wait_for_stdout("a password", |line| {
                field(line.as_str().unwrap_or_default(), "password").is_some()
            });
            field(line.as_str().unwrap(), "password").unwrap().to_owned()
        })
        .collect();
    assert_eq!(passwords.len(), 2);
}
