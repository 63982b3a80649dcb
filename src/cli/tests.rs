//! What can be typed, through the front door.

use std::ffi::OsString;

use clap::CommandFactory;

use super::arguments::Arguments;

/// Exit status, standard output, standard error.
fn portcullis(args: &[&str]) -> (u8, String, String) {
    let args = ["portcullis"].iter().chain(args).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = super::run(args, &mut out, &mut err);
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn the_commands_are_consistent() {
    Arguments::command().debug_assert();
}

/// A line that goes on in the source must not bring its indentation along.
#[test]
fn what_stands_below_the_help_has_no_gaps() {
    let mut commands = vec![Arguments::command()];
    while let Some(command) = commands.pop() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(!after.contains("  "), "{}: {after}", command.get_name());
        commands.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn wrong_usage_is_told_on_standard_error_with_status_2() {
    let cases: [(&[&str], &str); 19] = [
        (&[], "Usage"),
        (&["sevre"], "'serve'"),
        (&["user"], "Usage"),
        (&["user", "ad", "x"], "'add'"),
        (&["user", "add"], "<NAME>"),
        (&["user", "add", "a b"], "a username must be"),
        (&["user", "add", "a", "--role", "a,b"], "a role must be"),
        (&["user", "add", "a", "--password", "x"], "--password-stdin"),
        (&["user", "roles", "a"], "--none"),
        (&["user", "roles", "a", "--role", "x", "--none"], "cannot be used with"),
        (&["user", "list", "more"], "more"),
        (&["key"], "Usage"),
        (&["key", "rotate", "--yes"], "--now"),
        (&["explain", "GET"], "<URL>"),
        (&["explain", "GET", "/", "--user", "a", "--role", "b"], "cannot be used with"),
        (&["explain", "GET", "/", "--header", "x"], "Name: value"),
        (&["demo", "--listen", "8080"], "invalid"),
        (&["demo", "--config", "c.toml"], "leave out --config"),
        (&["completions", "dos"], "bash"),
    ];
    for (args, part) in cases {
        let (status, out, err) = portcullis(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains(part), "{args:?}: no {part} in {err}");
    }
}

#[test]
fn help_and_version_are_results() {
    for (args, part) in [
        (&["--help"][..], "demo"),
        (&["help", "user"], "rename"),
        (&["user", "add", "--help"], "--password-stdin"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "zsh"], "#compdef portcullis"),
    ] {
        let (status, out, err) = portcullis(args);
        assert_eq!((status, err.as_str()), (0, ""), "{args:?}");
        assert!(out.contains(part), "{args:?}: no {part} in {out}");
    }
}

#[test]
fn the_configuration_can_be_named_before_and_after_the_command() {
    for args in [
        &["--config", "/nonexistent/c.toml", "user", "list"][..],
        &["user", "--config", "/nonexistent/c.toml", "list"],
        &["user", "list", "--config", "/nonexistent/c.toml"],
    ] {
        let (status, out, err) = portcullis(args);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(err.starts_with("error: no configuration file; tried /nonexistent/c.toml"), "{err}");
    }
}

/// `portcullis --help | head -1`
#[test]
fn a_reader_that_has_enough_is_no_failure() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for args in [["portcullis", "--help"].as_slice(), &["portcullis", "completions", "bash"]] {
        let mut err = Vec::new();
        let status = super::run(args.iter().map(OsString::from), &mut Closed, &mut err);
        assert_eq!((status, err.as_slice()), (0, b"".as_slice()));
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let mut full = &mut [0_u8; 8][..];
    let mut err = Vec::new();
    let status = super::run(["portcullis", "--help"].map(OsString::from), &mut full, &mut err);
    assert_eq!(status, 1);
    assert!(String::from_utf8(err).unwrap().starts_with("error: cannot write the result"));
}
