//! What a user sees when the file is wrong.

use std::fs;
use std::path::Path;

use super::{REST, error, errors, parse};
use crate::config::load;

#[test]
fn a_misspelt_key_is_shown_as_a_compiler_would() {
    let text = "[server]\nlisten = \"127.0.0.1:80\"\nworker = 2\n";
    let expected = r#"error: server.worker: unknown key
 --> config.toml:3:1
  |
3 | worker = 2
  | ^^^^^^
  |
  = help: did you mean "workers"?"#;
    let diagnostics = parse(text).unwrap_err();
    assert_eq!(diagnostics.to_string(), expected);
    assert_eq!(
        diagnostics.iter().collect::<Vec<_>>(),
        ["config.toml:3:1: server.worker: unknown key; did you mean \"workers\"?"]
    );
    assert!(diagnostics.render(true).contains("\u{1b}["));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}

#[test]
fn both_places_of_a_conflict_are_underlined() {
    let text = "[server]\nhealth_path = \"/h\"\nready_path = \"/h\"\n";
    let expected = r#"error: server.ready_path: "/h" is the path of health_path already
 --> config.toml:3:14
  |
2 | health_path = "/h"
  |               ---- the other one
3 | ready_path = "/h"
  |              ^^^^"#;
    assert_eq!(parse(text).unwrap_err().to_string(), expected);
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "[sevrer]\n[store]\nx = 1\n[token]\nleeway = \"1h\"\n[[route]]\npath = \"y\"\n";
    assert_eq!(
        errors(text),
        [
            "config.toml:1:2: sevrer: unknown table; did you mean \"server\"?",
            "config.toml:3:1: store.x: unknown key; known here: path, cache_size, encryption_key, encryption_key_old",
            "config.toml:5:10: token.leeway: must be 0s to 1m, not \"1h\"",
            "config.toml:6:1: route[0]: says nothing about who may pass; write roles = [\"reader\"], access = \
             \"authenticated\" or access = \"public\"",
            "config.toml:6:1: route[0].upstream: this key is missing; name one of the [upstream.NAME] tables",
            "config.toml:7:8: route[0].path: a path begins with `/`",
        ]
    );
}

#[test]
fn syntax_errors_are_told_together_with_the_rest() {
    let text = "[server]\nworkers = = 2\nlistn = \"x\"\n[store\npath = 3\n[[route]]\nupstream \"a\"\n";
    let errors = errors(text);
    let lines: Vec<&str> = errors.iter().map(|error| error.split(':').nth(1).unwrap()).collect();
    assert!(lines.contains(&"2") && lines.contains(&"3") && lines.contains(&"4"), "{errors:#?}");
    // What is missing may be missing because of the syntax errors.
    assert!(
        !errors.iter().any(|error| error.contains("missing") || error.contains("who may pass")),
        "{errors:#?}"
    );
}

#[test]
fn duplicate_keys_are_refused() {
    assert!(
        error(&format!("[store]\npath = \"a\"\npath = \"b\"\n{REST}"))
            .starts_with("config.toml:3:1: duplicate key")
    );
    assert!(error(&format!("[store]\n[store]\n{REST}")).contains("duplicate key"));
}

#[test]
fn tables_of_the_wrong_shape_are_told() {
    for (text, expected) in [
        ("server = 3", "config.toml:1:10: server: expected a table, found an integer"),
        ("[[server]]", "server: expected a table, found an array"),
        ("route = 3", "route: expected tables [[route]], found an integer"),
        ("route = [3]", "route[0]: expected a table, found an integer"),
        ("upstream = []", "upstream: expected tables [upstream.NAME], found an array"),
        ("[upstream]\nservers = []", "upstream.servers: expected a table [upstream.NAME], found an array"),
        ("[upstream.\"a b\"]\nservers = [\"http://a\"]", "upstream.\"a b\": an upstream name must be"),
        ("[upstream.a]", "upstream.a.servers: this key is missing"),
        ("[upstream.a]\nservers = []", "upstream.a.servers: expected at least one server"),
        ("[tls]", "config.toml:1:2: tls: not supported by this version"),
        ("[[trace]]", "config.toml:1:3: trace: not supported by this version"),
        ("listen = \"x\"", "listen: unknown table; known: server, "),
    ] {
        let errors = errors(text);
        assert!(errors[0].contains(expected), "{text}\n{errors:#?}");
    }
}

#[test]
fn a_route_in_single_brackets_gets_a_hint() {
    let text = REST.replace("[[route]]", "[route]");
    assert!(error(&text).ends_with("; write [[route]], in double brackets, before each route"));
}

#[test]
fn messages_stay_on_one_line() {
    let message = error(
        &format!("[log]\nlevel = \"a\\nb\\u001b[31m\"\n\"x\\ny\" = 1\n{REST}").replace("\"x\\ny\" = 1\n", ""),
    );
    assert!(!message.contains(char::is_control), "{message:?}");
    let errors = errors(&format!("[log]\n\"x\\ny\" = 1\n{REST}"));
    assert!(errors[0].contains("log.\"x\\ny\": unknown key"), "{errors:?}");
}

#[test]
fn a_flood_of_errors_is_counted() {
    let text: String = (0..500).map(|number| format!("x{number} = 1\n")).collect();
    assert!(parse(&text).unwrap_err().to_string().ends_with("and 400 more errors"));
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let message = load(&missing).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("error: {}: cannot be read: No such file", missing.display())),
        "{message}"
    );
    assert!(load(directory.path()).unwrap_err().to_string().ends_with("is not a file"));
    let latin = directory.path().join("latin.toml");
    fs::write(&latin, b"[log]\n# gr\xfc\xdfe\n").unwrap();
    assert!(load(&latin).unwrap_err().to_string().ends_with("is not UTF-8 at line 2, column 5"));
    assert!(load(Path::new("")).is_err());
}
