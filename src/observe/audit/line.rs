//! One record as one line, and back.
//!
//! ```text
//! {"seq":7,"time":"2026-01-31T12:00:00.000Z","action":"login","outcome":"success","actor":"user:alice",...,"prev":"HEX","hash":"HEX"}
//! ```
//!
//! `hash` is SHA-256 over all bytes of the line before `,"hash":`, and `prev` is the `hash` of the record before, 64 zeros in the
//! first one. So a line that is changed has a wrong hash, and one that is taken out, put in or moved breaks the chain at the next.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::event::{Event, clipped};
use crate::observe::json;

/// Bytes of a line. Ours stay far below.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// Between what is hashed and the hash.
const SEAL: &str = ",\"hash\":\"";
/// What ends a line, without its line end.
const END: &str = "\"}";

/// A place in the chain: a record and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The number of the record; 0 stands before the first one.
    pub seq: u64,
    /// Its hash: 64 hexadecimal digits.
    pub hash: String,
}

impl Link {
    /// Before the first record.
    pub(super) fn origin() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }

    /// Whether the record is the next one.
    pub(super) fn leads_to(&self, record: &Record) -> bool {
        record.seq == self.seq.wrapping_add(1) && record.prev == self.hash
    }
}

/// A record, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number. The first one has 1.
    pub seq: u64,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// [`super::Action::name`]
    pub action: String,
    /// [`super::Outcome::name`]
    pub outcome: String,
    /// Who.
    pub actor: String,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The stable id of the user that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The session that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// For how many events it stands.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// In a record of [`super::Action::LogRotate`]: the oldest record that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
    /// In a record of [`super::Action::LogRecover`]: SHA-256 of the unfinished line that stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<String>,
    /// The hash of the record before.
    pub prev: String,
    /// Its own hash.
    pub hash: String,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

/// What the records of the log about itself say besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) oldest: Option<u64>,
    pub(super) torn: Option<String>,
}

/// Appends the event as the record behind `link`, which becomes that record.
pub(super) fn append(out: &mut Vec<u8>, link: &mut Link, event: &Event, extra: &Extra) {
    let start = out.len();
    link.seq += 1;
    json::write_to(out, format_args!("{{\"seq\":{},\"time\":\"{}\"", link.seq, event.time));
    text(out, "action", event.action.name());
    text(out, "outcome", event.outcome.name());
    text(out, "actor", &event.actor.to_string());
    optional(out, "target", event.target.as_ref());
    optional(out, "user_id", event.user_id.as_ref());
    optional(out, "session", event.session.as_ref());
    optional(out, "client", event.origin.as_ref().map(|origin| origin.client));
    optional(
        out,
        "request_id",
        event.origin.as_ref().and_then(|origin| origin.request_id.as_deref()).map(clipped),
    );
    optional(out, "reason", event.reason.as_deref().map(clipped));
    optional(out, "detail", event.detail.as_deref().map(clipped));
    if event.count != 1 {
        json::write_to(out, format_args!(",\"count\":{}", event.count));
    }
    if let Some(oldest) = extra.oldest {
        json::write_to(out, format_args!(",\"oldest\":{oldest}"));
    }
    optional(out, "torn", extra.torn.as_ref());
    text(out, "prev", &link.hash);
    link.hash = sha256(out.get(start..).unwrap_or_default());
    json::write_to(out, format_args!("{SEAL}{}{END}\n", link.hash));
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    json::write_to(out, format_args!(",\"{name}\":"));
    json::string(out, value.as_bytes());
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        text(out, name, &value.to_string());
    }
}

/// Why a line is no record, or not the one that belongs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no record at all.
    #[error("this line is no audit record")]
    NoRecord,
    /// Its bytes do not have the hash that stands at its end.
    #[error("this record was changed: its hash is not that of its contents")]
    Changed,
    /// Whole in itself, but not the one behind the record before.
    #[error("a record is missing, or stands in another place: this one does not follow the one before it")]
    OutOfPlace,
    /// The last record that was noted in the file `.head` is not there.
    #[error("records are missing from the end: the log was longer when it was last written")]
    CutOff,
}

/// Reads one line, without its line end.
///
/// # Errors
/// [`Fault::NoRecord`] and [`Fault::Changed`].
pub(super) fn read(line: &[u8]) -> Result<Record, Fault> {
    if line.len() > MAX_LINE {
        return Err(Fault::NoRecord);
    }
    let record: Record = serde_json::from_slice(line).map_err(|_| Fault::NoRecord)?;
    let end = SEAL.len() + record.hash.len() + END.len();
    let body = line.len().checked_sub(end).and_then(|at| line.split_at_checked(at));
    let (body, seal) = body.ok_or(Fault::NoRecord)?;
    // Nothing may stand behind what is hashed but the hash: no second member, no blank.
    if seal != format!("{SEAL}{}{END}", record.hash).as_bytes() {
        return Err(Fault::NoRecord);
    }
    if sha256(body) == record.hash { Ok(record) } else { Err(Fault::Changed) }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
