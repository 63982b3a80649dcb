//! What was acknowledged is there after the worst.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use serde_json::json;

use crate::harness::{Gateway, PATIENCE, ROUTES, Setup, password_of};

/// Creates a user over the admin socket; whether the gateway acknowledged it.
fn create_user(socket: &Path, name: &str) -> bool {
    let body = json!({"username": name, "roles": ["reader"], "password": password_of(name)}).to_string();
    let request = format!(
        "POST /admin/v1/users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        Ok(String::from_utf8_lossy(&response).into_owned())
    };
    let Ok(response) = exchange() else { return false };
    let status = response.get(9..12).unwrap_or_default().to_owned();
    assert!(matches!(status.as_str(), "200" | "201" | ""), "{response}");
    !status.is_empty()
}

/// Creates users from several threads until the gateway dies; kills it after so many acknowledgements.
fn create_until_killed(gateway: &mut Gateway, round: usize, kill_after: usize) -> Vec<String> {
    let socket = gateway.site.admin_socket();
    let (next, acknowledged, enough) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Condvar::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let name = format!("user-{round}-{number}");
                    if number >= 1000 || !create_user(&socket, &name) {
                        break;
                    }
                    acknowledged.lock().unwrap().push(name);
                    enough.notify_all();
                }
            });
        }
        let waiting = |names: &mut Vec<String>| names.len() < kill_after;
        let (names, result) =
            enough.wait_timeout_while(acknowledged.lock().unwrap(), PATIENCE, waiting).unwrap();
        assert!(!result.timed_out(), "only {} users were created", names.len());
        drop(names);
        gateway.kill9();
    });
    acknowledged.into_inner().unwrap()
}

/// kill -9 in the middle of 1,000 creations, again and again: every acknowledged user is there, and the store opens.
///
/// `PORTCULLIS_KILL_ROUNDS` says how often; 20 unless it is set.
#[test]
fn every_acknowledged_user_outlives_kill_9() {
    let rounds =
        std::env::var("PORTCULLIS_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut gateway = Setup::new(ROUTES).set("login.queue", "1000").start();
    let mut all = HashSet::new();
    for round in 0..rounds {
        // From the very beginning to well into the thousand, in an order that is not monotone.
        let kill_after = 1 + round * 157 % 400;
        all.extend(create_until_killed(&mut gateway, round, kill_after));
        gateway.start_again();
        let list = gateway.cli(["user", "list", "--json"]).ok().json();
        let there: HashSet<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect();
        let lost: Vec<_> = all.difference(&there).collect();
        assert!(lost.is_empty(), "round {round} lost {} of {}: {lost:?}", lost.len(), all.len());
    }
    for name in all.iter().take(10) {
        assert_eq!(gateway.login_with(name, &password_of(name)).status, 200, "{name} is whole");
    }
}

#[test]
fn a_damaged_store_is_not_opened_and_the_way_out_is_named() {
    let mut gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    assert_eq!(gateway.terminate(), Some(0));
    let mut damaged = 0;
    let mut folders = vec![gateway.site.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.metadata().unwrap().len() > 0 {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, bytes.iter().map(|byte| byte ^ 0x55).collect::<Vec<_>>()).unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    let output = gateway.site.cli(["serve"]);
    assert_ne!(output.status, 0);
    assert!(output.stderr.contains("portcullis restore"), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}
