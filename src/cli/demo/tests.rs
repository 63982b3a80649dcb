//! The pure parts. The demo as a whole is tested from the outside, and by `.ci/run`.

use std::path::Path;

use super::{Home, quoted, random_password, reachable, settings, tour};
use crate::config;

#[test]
fn the_configuration_is_right_wherever_it_listens() {
    for listen in ["127.0.0.1:8080", "127.0.0.1:0", "0.0.0.0:80", "[::1]:8080"] {
        let text = settings(listen.parse().unwrap(), "127.0.0.1:9".parse().unwrap());
        let config = config::parse(&text, Path::new("/nowhere/config.toml")).unwrap();
        assert!(config.warnings.is_empty(), "{listen}: {:?}", config.warnings);
    }
}

#[test]
fn passwords_are_long_plain_and_different() {
    let (one, other) = (random_password().unwrap(), random_password().unwrap());
    assert_ne!(one, other);
    assert_eq!(one.len(), 23);
    assert!(
        one.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
        "{one}"
    );
}

#[test]
fn every_step_of_the_tour_can_be_pasted_and_ctrl_c_comes_last() {
    let home = Home::make(None, "").unwrap();
    let text = tour("127.0.0.1:8080".parse().unwrap(), &["pass-a".into(), "pass-b".into()], &home);
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(commands.iter().filter(|line| line.contains("curl ")).count(), 7);
    assert!(
        commands.iter().all(|line| line.starts_with("curl ")
            || line.contains("=$(curl ")
            || line.contains(" --config "))
    );
    assert!(
        text.contains("-d username=alice -d password=pass-a |")
            && text.contains("-d username=bob -d password=pass-b |")
    );
    assert!(text.lines().last().unwrap().starts_with("Ctrl-C"));
}

#[test]
fn addresses_are_those_that_can_be_called_and_words_are_quoted() {
    for (address, called) in
        [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
    {
        assert_eq!(reachable(address.parse().unwrap()), called.parse().unwrap());
    }
    for (word, shell) in
        [("/a/b-c.toml", "/a/b-c.toml"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")]
    {
        assert_eq!(quoted(word), shell);
    }
}
