//! What can be typed behind `portcullis audit`.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::arguments::Form;
use crate::config;
use crate::name::Username;
use crate::observe::audit::{Action, Link};

/// `portcullis audit`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Audit {
    /// Print records, the newest last
    Show(Records),
    /// Check that no record was changed, removed, moved or cut off
    #[command(
        after_help = "Exit status: 0 the chain is intact, 1 it is not; the first line that is wrong is named.\nWhoever can write as the \
                            gateway's user can make a new chain. Note the last record elsewhere, and give it as --expect later."
    )]
    Verify {
        /// A record that has to be in the chain, as an earlier run has printed it: NUMBER:HASH
        #[arg(long, value_name = "RECORD", value_parser = link)]
        expect: Option<Link>,
        #[command(flatten)]
        form: Form,
    },
}

/// `portcullis audit show`
#[derive(Debug, Args)]
pub(in crate::cli) struct Records {
    /// Not older than this: 30m, 12h, 7d, 2026-01-31 or 2026-01-31T12:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(super) since: Option<Since>,
    /// What this user did, or what was done to this user
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<Username>,
    /// What was done: login, user_add, config_reload, ...
    #[arg(long, value_name = "ACTION", value_parser = action)]
    pub(super) action: Option<Action>,
    /// At most so many, the newest ones
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) form: Form,
}

/// How old a record may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Since {
    /// So long before now.
    Ago(Duration),
    /// The beginning of an RFC 3339 time in UTC. Such times sort as texts do.
    Time(String),
}

fn action(text: &str) -> Result<Action, String> {
    let found = Action::ALL.iter().find(|action| action.name() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

fn since(text: &str) -> Result<Since, String> {
    const TEMPLATE: &[u8] = b"0000-00-00T00:00:00.000Z";
    if let Ok(span) = config::duration(text) {
        return Ok(Since::Ago(span));
    }
    let alike = |(byte, of): (u8, &u8)| if *of == b'0' { byte.is_ascii_digit() } else { byte == *of };
    let time = text.strip_suffix('Z').filter(|time| time.len() > 10).unwrap_or(text);
    let whole = [10, 13, 16, 19, 23].contains(&time.len()) && time.bytes().zip(TEMPLATE).all(alike);
    if whole {
        Ok(Since::Time(time.to_owned()))
    } else {
        Err("write 12h, 7d, 2026-01-31 or 2026-01-31T12:00".into())
    }
}

fn link(text: &str) -> Result<Link, String> {
    let parsed = text.split_once(':').and_then(|(seq, hash)| {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        Some(Link { seq: seq.parse().ok()?, hash: is_hash.then(|| hash.to_owned())? })
    });
    parsed.ok_or_else(|| "write the number of a record, a colon, and the 64 digits of its hash".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Since, link, since};

    #[test]
    fn times_are_spans_or_the_beginning_of_a_time() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(since(text), Ok(Since::Ago(Duration::from_secs(seconds))));
        }
        for (text, time) in [
            ("2026-01-31", "2026-01-31"),
            ("2026-01-31T12:00", "2026-01-31T12:00"),
            ("2026-01-31T12:00:05Z", "2026-01-31T12:00:05"),
            ("2026-01-31T12:00:05.123Z", "2026-01-31T12:00:05.123"),
        ] {
            assert_eq!(since(text), Ok(Since::Time(time.into())));
        }
        for text in
            ["", "d", "-1d", "1w", "99999999999999999d", "2026-1-1", "2026-01-31 12:00", "2026-01-31Z", "ä"]
        {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_is_a_number_and_a_hash() {
        let hash = "0f".repeat(32);
        assert_eq!(link(&format!("7:{hash}")).map(|link| (link.seq, link.hash)), Ok((7, hash.clone())));
        for text in ["", "7", "7:", ":7", &format!("x:{hash}"), &format!("7:{hash}0"), &hash.to_uppercase()] {
            assert!(link(text).is_err(), "{text}");
        }
    }
}
