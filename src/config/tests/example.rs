//! `config.toml.example` holds every key, and what it calls a default is one.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::diagnostics::Problems;
use super::super::{Machine, read};
use super::{assert_same, config};

const EXAMPLE: &str = include_str!("../../../config.toml.example");

/// The key of a line `key = value`, commented or not.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(key)
}

fn uncommented() -> String {
    let uncomment = |line| if key(line).is_some() { str::trim_start_matches(line, '#') } else { line };
    EXAMPLE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

/// The keys that stand in each section of the example.
fn written() -> BTreeSet<(String, String)> {
    let mut section = String::new();
    let mut written = BTreeSet::new();
    for line in EXAMPLE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).split('.').next().unwrap().to_owned();
        } else if let Some(key) = key(line) {
            written.insert((section.clone(), key.to_owned()));
        }
    }
    written
}

fn known() -> BTreeSet<(String, String)> {
    let mut problems = Problems::default();
    let machine = Machine { base: "/base".into(), cores: 4 };
    assert!(read(EXAMPLE, &machine, &mut problems).is_some());
    problems.known.iter().map(|(section, key)| ((*section).to_owned(), (*key).to_owned())).collect()
}

#[test]
fn every_key_that_the_reader_knows_stands_in_the_example() {
    let known = known();
    assert!(known.len() > 40 && known.contains(&("server".into(), "listen".into())), "{known:?}");
    assert_eq!(written(), known);
}

#[test]
fn every_default_in_the_example_is_the_default() {
    let as_it_stands = config(EXAMPLE);
    assert_eq!(as_it_stands.warnings, [] as [&str; 0]);
    assert_same(&as_it_stands, &config(&uncommented()));
    assert!(uncommented().contains("\nworkers = 0\n"));
}

/// The second route is there to show `host` and `access`; the rest of its keys are explained above it.
#[test]
fn every_key_has_a_sentence() {
    let mut explained = BTreeSet::new();
    let mut section = "";
    let mut before = "";
    for line in EXAMPLE.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some(key) = key(line) {
            assert!(before.starts_with("# ") || explained.contains(&(section, key)), "{section} {key}");
            explained.insert((section, key));
        }
        before = line;
    }
}

#[test]
fn it_loads_as_a_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml.example");
    let config = crate::config::load(&path).unwrap();
    assert_eq!(config.store.path, Path::new(env!("CARGO_MANIFEST_DIR")).join("data"));
}
