use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::clock::UnixTime;
use crate::http1::testing::for_all;

const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

struct House {
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn audit_of(&self, max_size: u64, max_files: usize) -> Audit {
        Audit::new(&config::Audit { path: Some(self.log()), max_size, max_files })
    }

    fn audit(&self) -> Audit {
        self.audit_of(1 << 20, 10)
    }

    fn with_records(count: usize) -> Self {
        let house = Self::new();
        write(&house.audit(), count);
        house
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.log()).unwrap().lines().map(str::to_owned).collect()
    }

    fn put(&self, lines: &[String]) {
        fs::write(self.log(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }

    fn verify(&self) -> Result<Summary, VerifyError> {
        verify(&self.log(), None)
    }

    /// The line of the file in use at which the chain is broken, and how.
    #[track_caller]
    fn broken(&self) -> (u64, Fault) {
        match self.verify() {
            Err(VerifyError::Broken(broken)) => {
                assert_eq!(broken.file, self.log());
                (broken.line, broken.fault)
            }
            other => panic!("not broken: {other:?}"),
        }
    }

    fn actions(&self) -> Vec<String> {
        let mut actions = Vec::new();
        read(&self.log(), |record| actions.push(record.action)).unwrap();
        actions
    }
}

fn login() -> Event {
    Event::success(Action::Login, NOW)
}

fn refused(address: &str) -> Event {
    let origin = Origin { client: address.parse().unwrap(), request_id: None };
    Event::refused(Action::Login, "wrong_password", NOW).from(origin)
}

fn write(audit: &Audit, count: usize) {
    for number in 0..count {
        audit.record_blocking(login().detail(format!("number {number}"))).unwrap();
    }
}

#[test]
fn a_chain_goes_on_where_it_was_left() {
    let house = House::with_records(3);
    write(&house.audit(), 2);
    let summary = house.verify().unwrap();
    assert_eq!((summary.records, summary.first, summary.last.seq), (5, 1, 5));
    assert_eq!(house.actions(), ["login"; 5]);
    for name in ["audit.log", "audit.log.head"] {
        let mode = fs::metadata(house.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_log_that_does_not_exist_is_empty() {
    let house = House::new();
    assert_eq!(house.verify().unwrap().records, 0);
    assert_eq!(house.actions(), [""; 0]);
    assert_eq!(verify(Path::new("/nonexistent/audit.log"), None).unwrap().records, 0);
}

#[test]
fn every_kind_of_tampering_is_found_where_it_is() {
    let is_found = |tamper: &dyn Fn(&mut Vec<String>), line, fault| {
        let house = House::with_records(9);
        let mut lines = house.lines();
        tamper(&mut lines);
        house.put(&lines);
        assert_eq!(house.broken(), (line, fault));
    };
    is_found(&|lines| lines[3] = lines[3].replace("number 3", "number 4"), 4, Fault::Changed);
    is_found(&|lines| lines[3].push(' '), 4, Fault::NoRecord);
    is_found(&|lines| lines[3] = String::new(), 4, Fault::NoRecord);
    is_found(&|lines| drop(lines.remove(3)), 4, Fault::OutOfPlace);
    is_found(&|lines| drop(lines.remove(0)), 1, Fault::OutOfPlace);
    is_found(&|lines| lines.swap(3, 4), 4, Fault::OutOfPlace);
    is_found(&|lines| lines.insert(3, lines[3].clone()), 5, Fault::OutOfPlace);
    is_found(&|lines| lines.insert(3, "a remark".into()), 4, Fault::NoRecord);
    is_found(&|lines| lines.push("a remark".into()), 10, Fault::NoRecord);
    is_found(&|lines| drop(lines.pop()), 9, Fault::CutOff);
    is_found(&Vec::clear, 1, Fault::CutOff);
}

/// A record with a right hash of its own, as somebody makes it who knows the format.
#[test]
fn a_record_that_is_made_anew_breaks_the_chain_behind_it() {
    let house = House::with_records(5);
    let mut lines = house.lines();
    let forged = lines[2].replace("number 2", "number 9");
    let body = forged.split(",\"hash\":").next().unwrap();
    lines[2] = format!("{body},\"hash\":\"{}\"}}", line::sha256(body.as_bytes()));
    house.put(&lines);
    assert_eq!(house.broken(), (4, Fault::OutOfPlace));
}

#[test]
fn without_its_head_nobody_knows_how_long_a_log_was() {
    let house = House::with_records(3);
    let head = files::with_suffix(&house.log(), "head");
    for text in [None, Some(""), Some("3 abc\n"), Some("x")] {
        match text {
            None => fs::remove_file(&head).unwrap(),
            Some(text) => fs::write(&head, text).unwrap(),
        }
        assert!(matches!(house.verify(), Err(VerifyError::NoHead { .. })), "{text:?}");
    }
    write(&house.audit(), 1);
    assert_eq!(house.actions(), ["login", "login", "login", "log_damage", "login"]);
}

#[test]
fn a_note_that_was_kept_elsewhere_convicts_a_log_that_was_made_anew() {
    let house = House::with_records(3);
    let noted = house.verify().unwrap().last;
    assert_eq!(verify(&house.log(), Some(&noted)).unwrap().records, 3);
    let other = House::with_records(2);
    write(&other.audit(), 3);
    assert!(other.verify().is_ok());
    // Its third record has the same contents, but for those that went before.
    let mut lines = other.lines();
    lines.truncate(2);
    assert!(verify(&other.log(), Some(&noted)).is_err());
}

#[test]
fn what_a_killed_gateway_left_unfinished_is_kept_and_explained() {
    for left in ["{\"seq\":4,\"ti", "\0\0\0\0", "x\ny", "{}\n", "x"] {
        let house = House::with_records(3);
        let mut bytes = fs::read(house.log()).unwrap();
        bytes.extend_from_slice(left.as_bytes());
        fs::write(house.log(), &bytes).unwrap();
        if !left.contains('\n') {
            assert!(house.verify().unwrap().unfinished, "{left:?}");
        }
        write(&house.audit(), 1);
        let summary = house.verify().unwrap_or_else(|error| panic!("{left:?}: {error}"));
        assert_eq!((summary.records, summary.unfinished), (5, false), "{left:?}");
        assert!(fs::read(house.log()).unwrap().starts_with(&bytes), "nothing was removed");
        assert_eq!(house.actions().last().map(String::as_str), Some("login"));
        assert!(house.actions().contains(&"log_recover".to_owned()));
        // Nor can the unfinished line be taken out afterwards.
        let without: Vec<String> = house.lines().into_iter().filter(|line| line.len() > 100).collect();
        house.put(&without);
        assert_eq!(house.broken(), (4, Fault::OutOfPlace), "{left:?}");
    }
}

/// Killed behind the record and before its line end, or before the head was written.
#[test]
fn a_record_that_the_head_does_not_know_yet_belongs_to_the_chain() {
    let house = House::with_records(2);
    let head = fs::read(files::with_suffix(&house.log(), "head")).unwrap();
    write(&house.audit(), 2);
    fs::write(files::with_suffix(&house.log(), "head"), head).unwrap();
    let mut bytes = fs::read(house.log()).unwrap();
    assert_eq!(bytes.pop(), Some(b'\n'));
    fs::write(house.log(), bytes).unwrap();
    assert_eq!(house.verify().unwrap().records, 4);
    write(&house.audit(), 1);
    assert_eq!(house.verify().unwrap().records, 5);
    assert_eq!(house.actions(), ["login"; 5]);
}

#[test]
fn records_that_are_gone_at_the_start_stay_missed() {
    let house = House::with_records(5);
    house.put(&house.lines()[..3]);
    write(&house.audit(), 2);
    let Err(VerifyError::Broken(broken)) = house.verify() else { panic!() };
    assert_eq!((broken.line, broken.fault), (1, Fault::OutOfPlace));
    assert_eq!(house.actions(), ["login", "login", "login", "log_damage", "login", "login"]);
}

#[test]
fn a_full_file_is_set_aside_and_the_chain_goes_on_through_all_that_are_kept() {
    for max_files in [2, 3, 5] {
        let house = House::new();
        let audit = house.audit_of(2_000, max_files);
        write(&audit, 60);
        drop(audit);
        write(&house.audit_of(2_000, max_files), 2);
        let aside = files::set_aside(&house.log()).unwrap();
        assert_eq!(aside.len(), max_files - 1, "{aside:?}");
        let summary = house.verify().unwrap();
        assert_eq!((summary.files, summary.first), (max_files, aside[0].0));
        assert!(summary.first > 1);
        // One file less than the last rotation kept.
        fs::remove_file(&aside[0].1).unwrap();
        let Err(VerifyError::Broken(broken)) = house.verify() else { panic!() };
        let next = aside.get(1).map_or_else(|| house.log(), |(_, path)| path.clone());
        assert_eq!((broken.file, broken.line, broken.fault), (next, 1, Fault::OutOfPlace));
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let house = House::with_records(1);
    let settings = Settings { log: house.log(), max_size: 1 << 20, max_files: 2 };
    let first = Writer::open(settings.clone(), Duration::ZERO, NOW).unwrap();
    let error = Writer::open(settings.clone(), Duration::ZERO, NOW).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    Writer::open(settings, Duration::ZERO, NOW).unwrap();
}

#[test]
fn nothing_is_acknowledged_that_cannot_be_written() {
    let missing = Audit::new(&config::Audit {
        path: Some("/nonexistent/audit.log".into()),
        max_size: 1 << 20,
        max_files: 2,
    });
    let error = missing.record_blocking(login()).unwrap_err();
    assert!(
        error.to_string().starts_with("the audit log /nonexistent/audit.log cannot be opened"),
        "{error}"
    );
    let house = House::new();
    let audit = house.audit();
    audit.close();
    assert_eq!(audit.record_blocking(login()), Err(AuditError::Closed));
    let off = Audit::new(&config::Audit { path: None, max_size: 1 << 20, max_files: 2 });
    assert_eq!(off.record_blocking(login()), Ok(()));
}

#[test]
fn a_flood_of_failures_shares_a_record() {
    let house = House::new();
    let audit = house.audit();
    for _ in 0..1_000 {
        audit.record_blocking(refused("192.0.2.7")).unwrap();
    }
    audit.record_blocking(refused("192.0.2.8")).unwrap();
    assert_eq!(audit.counters().unwrap().read(), [("written", 11), ("counted", 990), ("failed", 0)]);
    drop(audit);
    let mut last = None;
    read(&house.log(), |record| last = Some(record)).unwrap();
    let last = last.unwrap();
    assert_eq!(
        (last.count, last.client.as_deref(), last.outcome.as_str()),
        (990, Some("192.0.2.7"), "refused")
    );
    assert_eq!(house.verify().unwrap().records, 12);
}

#[test]
fn records_that_come_together_all_come_into_the_chain() {
    let house = House::new();
    let audit = house.audit_of(5_000, 100);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| write(&audit, 50));
        }
        // Whoever reads meanwhile sees a whole chain.
        for _ in 0..50 {
            house.verify().unwrap();
        }
    });
    drop(audit);
    assert_eq!(house.actions().iter().filter(|action| *action == "login").count(), 400);
    house.verify().unwrap();
}

/// Whatever is at the end when the log is opened, what comes afterwards is in a chain behind what was acknowledged.
#[test]
fn any_rest_of_a_line_is_survived() {
    // Each case waits for the disk a few times.
    for_all(200, (proptest::collection::vec(any::<u8>(), 0..300), 0..400_usize), |(rest, cut)| {
        let house = House::with_records(2);
        let head = fs::read(files::with_suffix(&house.log(), "head")).unwrap();
        write(&house.audit(), 1);
        // A kill in the middle of the third record.
        fs::write(files::with_suffix(&house.log(), "head"), head).unwrap();
        let lines = house.lines();
        let mut bytes = format!("{}\n{}\n", lines[0], lines[1]).into_bytes();
        bytes.extend_from_slice(&lines[2].as_bytes()[..cut.min(lines[2].len())]);
        bytes.extend_from_slice(&rest);
        fs::write(house.log(), &bytes).unwrap();
        write(&house.audit(), 1);
        let summary = house.verify();
        prop_assert!(summary.is_ok(), "{summary:?}");
        Ok(())
    });
}

/// A byte of the file that is changed is found, wherever it is.
#[test]
fn any_byte_that_is_changed_is_found() {
    for_all(200, (any::<prop::sample::Index>(), any::<u8>()), |(at, byte)| {
        let house = House::with_records(3);
        let mut bytes = fs::read(house.log()).unwrap();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte && at + 1 < bytes.len());
        bytes[at] = byte;
        fs::write(house.log(), bytes).unwrap();
        prop_assert!(house.verify().is_err());
        Ok(())
    });
}
