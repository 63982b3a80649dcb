use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KeyPolicy, Keys, KeysError, Rotation};
use crate::clock::{self, Moment, UnixTime};
use crate::config::Algorithm;
use crate::seal::{Seal, SealKey};
use crate::secret::Secret;
use crate::store::{Batch, Row, SledStore, Store, StoreError, Table};
use crate::token::{KeyRecord, KeyState};

const DAY: Duration = Duration::from_secs(86_400);
const T0: UnixTime = UnixTime::from_secs(1_700_000_000);
const POLICY: KeyPolicy = KeyPolicy {
    algorithm: Algorithm::Es256,
    lives: Duration::from_secs(4505),
    rotate_every: Some(Duration::from_secs(90 * 86_400)),
    publish_ahead: Duration::from_secs(900),
};
const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SECOND: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// A store that counts its commits and can be told to fail.
#[derive(Debug)]
struct Watched {
    store: SledStore,
    commits: AtomicUsize,
    fails: AtomicBool,
}

impl Store for Watched {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.store.scan(table, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::ReadOnly("told so".into()));
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit(batch)
    }

    fn writable(&self) -> Result<(), String> {
        self.store.writable()
    }
}

fn store(path: &Path) -> Arc<Watched> {
    let store = SledStore::open(path, 1 << 20, Duration::from_secs(30)).unwrap();
    Arc::new(Watched { store, commits: AtomicUsize::new(0), fails: AtomicBool::new(false) })
}

fn seal(key: Option<&str>, old: Option<&str>) -> Seal {
    let parse = |text: &str| SealKey::parse(&Secret::new(text.to_owned())).unwrap();
    Seal::new(key.map(parse), old.map(parse))
}

fn read(store: &Arc<Watched>) -> Keys {
    Keys::read(store.clone(), Seal::default(), &POLICY, T0).unwrap()
}

/// The start of a test, and later.
struct Clock(Moment);

impl Clock {
    fn new() -> Self {
        Self(Moment { wall: T0, steady: clock::monotonic() })
    }

    fn pass(&mut self, span: Duration) -> Moment {
        self.0 = Moment { wall: self.0.wall.after(span), steady: self.0.steady + span };
        self.0
    }
}

/// The states of all keys in the store, which are those in memory too.
#[track_caller]
fn states(keys: &Keys, store: &Arc<Watched>, now: Moment) -> Vec<String> {
    let views = keys.views(&POLICY, now);
    let stored = Keys::list(&**store, &POLICY, now.wall).unwrap();
    let pairs = |views: &[super::KeyView]| {
        views.iter().map(|view| (view.id.clone(), view.state.clone())).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&views), pairs(&stored));
    views.into_iter().map(|view| view.state).collect()
}

#[test]
fn a_key_goes_through_its_whole_life_each_step_in_one_batch() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let keys = read(&store);
    let mut clock = Clock::new();
    let step = |now: Moment, expected: &[&str], commits: usize| {
        let before = store.commits.load(Ordering::Relaxed);
        let ring = keys.settle(&POLICY, now).unwrap();
        assert_eq!(states(&keys, &store, now), expected);
        assert_eq!(store.commits.load(Ordering::Relaxed) - before, commits, "{expected:?}");
        assert_eq!(ring.all().len(), expected.len(), "every key verifies");
        ring.active().id().clone()
    };
    let first = step(clock.0, &["active"], 1);
    assert_eq!(step(clock.pass(89 * DAY), &["active"], 0), first);
    let published = clock.pass(DAY - POLICY.publish_ahead);
    assert_eq!(keys.idle(&POLICY, published), Some(Duration::ZERO));
    assert_eq!(step(published, &["next", "active"], 1), first);
    assert_eq!(keys.idle(&POLICY, published), Some(POLICY.publish_ahead));
    let active = clock.pass(POLICY.publish_ahead);
    let second = step(active, &["active", "retired"], 1);
    assert_ne!(first, second);
    assert_eq!(keys.idle(&POLICY, active), Some(POLICY.lives));
    assert_eq!(step(clock.pass(POLICY.lives - Duration::from_millis(1)), &["active", "retired"], 0), second);
    assert_eq!(step(clock.pass(Duration::from_millis(1)), &["active"], 1), second);
    assert_eq!(keys.figures().rotations, 1);
}

#[test]
fn a_restart_at_any_step_goes_on_from_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut clock = Clock::new();
    let mut before = None;
    for (pass, expected) in [
        (Duration::ZERO, &["active"][..]),
        (90 * DAY, &["next", "active"]),
        // Published once more for the whole time: who knows how long nobody could fetch it.
        (DAY, &["next", "active"]),
        (Duration::ZERO, &["next", "active"]),
    ] {
        let store = store(directory.path());
        let keys = read(&store);
        let now = clock.pass(pass);
        let active = keys.settle(&POLICY, now).unwrap().active().id().clone();
        assert_eq!(states(&keys, &store, now), expected);
        assert_eq!(*before.get_or_insert(active.clone()), active);
    }
    let store = store(directory.path());
    let keys = read(&store);
    keys.settle(&POLICY, clock.0).unwrap();
    let now = clock.pass(POLICY.publish_ahead);
    assert_ne!(Some(keys.settle(&POLICY, now).unwrap().active().id()), before.as_ref());
}

#[test]
fn a_write_that_fails_changes_nothing_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let keys = read(&store);
    let clock = Clock::new();
    let before = keys.settle(&POLICY, clock.0).unwrap().id();
    store.fails.store(true, Ordering::Relaxed);
    for rotation in [Rotation::Graceful, Rotation::Now] {
        assert!(matches!(keys.rotate(rotation, &POLICY, T0), Err(KeysError::Store(_))));
    }
    let other = KeyPolicy { algorithm: Algorithm::EdDsa, ..POLICY };
    assert!(matches!(keys.settle(&other, clock.0), Err(KeysError::Store(_))));
    assert_eq!(keys.settle(&POLICY, clock.0).unwrap().id(), before);
    assert_eq!(keys.ring().unwrap().id(), before);
    store.fails.store(false, Ordering::Relaxed);
    keys.rotate(Rotation::Graceful, &POLICY, T0).unwrap();
    assert_eq!(states(&keys, &store, clock.0), ["next", "active"]);
}

#[test]
fn a_rotation_that_was_begun_is_not_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let keys = read(&store);
    assert!(matches!(keys.rotate(Rotation::Graceful, &POLICY, T0), Err(KeysError::None)));
    let mut clock = Clock::new();
    keys.settle(&POLICY, clock.0).unwrap();
    for _ in 0..3 {
        keys.rotate(Rotation::Graceful, &POLICY, T0).unwrap();
        assert_eq!(states(&keys, &store, clock.0), ["next", "active"]);
    }
    let now = clock.pass(Duration::from_secs(300));
    let views = keys.views(&POLICY, now);
    assert_eq!(views[0].signs_at.as_deref(), Some(&*T0.after(POLICY.publish_ahead).to_string()));
    assert_eq!(views[1].replaced_at, views[0].signs_at);
}

#[test]
fn rotating_now_leaves_one_key_that_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let keys = read(&store);
    let mut clock = Clock::new();
    let first = keys.settle(&POLICY, clock.0).unwrap();
    keys.rotate(Rotation::Graceful, &POLICY, T0).unwrap();
    keys.settle(&POLICY, clock.0).unwrap();
    keys.settle(&POLICY, clock.pass(POLICY.publish_ahead)).unwrap();
    keys.rotate(Rotation::Graceful, &POLICY, clock.0.wall).unwrap();
    assert_eq!(states(&keys, &store, clock.0), ["next", "active", "retired"]);
    let old = keys.ring().unwrap();
    let commits = store.commits.load(Ordering::Relaxed);
    keys.rotate(Rotation::Now, &POLICY, clock.0.wall).unwrap();
    assert_eq!(store.commits.load(Ordering::Relaxed), commits + 1);
    assert_eq!(states(&keys, &store, clock.0), ["active"]);
    let new = keys.ring().unwrap();
    assert!(first.all().iter().chain(old.all()).all(|key| new.find(key.id().as_str()).is_none()));
}

#[test]
fn there_is_an_end_to_the_number_of_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let policy = KeyPolicy { publish_ahead: Duration::ZERO, algorithm: Algorithm::Hs256, ..POLICY };
    let keys = Keys::read(store, Seal::default(), &policy, T0).unwrap();
    let clock = Clock::new();
    keys.settle(&policy, clock.0).unwrap();
    let refused = (0..200).find_map(|_| {
        let refused = keys.rotate(Rotation::Graceful, &policy, T0).err();
        keys.settle(&policy, clock.0).unwrap();
        refused
    });
    assert!(matches!(refused, Some(KeysError::TooMany(100))), "{refused:?}");
    keys.rotate(Rotation::Now, &policy, T0).unwrap();
    assert_eq!(keys.ring().unwrap().all().len(), 1);
}

#[test]
fn records_of_version_1_become_a_ring() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let mut ids = Vec::new();
    for (key, created) in [("A", 3), ("B", 1), ("C", 2)] {
        let (id, record) = record_of_version_1(&(key.repeat(42) + "A"), T0.before(DAY * created));
        store.commit(Batch::new().put(Table::Keys, id.as_str(), record)).unwrap();
        ids.push(id);
    }
    let policy = KeyPolicy { algorithm: Algorithm::Hs256, ..POLICY };
    let keys = Keys::read(store.clone(), seal(Some(FIRST), None), &policy, T0).unwrap();
    assert_eq!(store.commits.load(Ordering::Relaxed), 3, "reading writes nothing");
    let ring = keys.settle(&policy, Clock::new().0).unwrap();
    assert_eq!(ring.active().id().as_str(), ids[1], "the newest");
    assert_eq!(ring.all().len(), 3);
    for (_, bytes) in store.scan(Table::Keys, None, 10).unwrap() {
        let record = KeyRecord::read(&bytes).unwrap();
        assert!(matches!(record.state(), Some(KeyState::Active { .. } | KeyState::Retired { .. })));
        assert!(record.open(&Seal::default()).is_err(), "and encrypted");
    }
}

/// A record of an HMAC key, as the first version wrote it, and its place.
fn record_of_version_1(key: &str, created: UnixTime) -> (String, String) {
    let text = [b"portcullis key id for HS256\0".as_slice(), &URL_SAFE_NO_PAD.decode(key).unwrap()].concat();
    let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, &text));
    let created = created.as_millis();
    let record = format!(r#"{{"v":1,"alg":"HS256","kid":"{id}","created":{created},"key":"{key}"}}"#);
    (id, record)
}

#[test]
fn a_rotation_of_records_of_version_1_keeps_the_key_that_signs() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let (id, record) = record_of_version_1(&"A".repeat(43), T0);
    store.commit(Batch::new().put(Table::Keys, id.as_str(), record)).unwrap();
    let policy = KeyPolicy { algorithm: Algorithm::Hs256, ..POLICY };
    let keys = Keys::read(store.clone(), Seal::default(), &policy, T0).unwrap();
    keys.rotate(Rotation::Graceful, &policy, T0).unwrap();
    let again = Keys::read(store.clone(), Seal::default(), &policy, T0).unwrap();
    assert_eq!(again.settle(&policy, Clock::new().0).unwrap().active().id().as_str(), id);
    assert_eq!(states(&again, &store, Clock::new().0), ["next", "active"]);
}

#[test]
fn the_encryption_key_can_come_change_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let clock = Clock::new();
    let first = read(&store).settle(&POLICY, clock.0).unwrap().id();
    let open = |key: Option<&str>, old: Option<&str>| Keys::read(store.clone(), seal(key, old), &POLICY, T0);
    for (key, old) in [
        (Some(FIRST), None),
        (Some(FIRST), None),
        (Some(SECOND), Some(FIRST)),
        (Some(SECOND), None),
        (None, Some(SECOND)),
        (None, None),
    ] {
        assert_eq!(open(key, old).unwrap().settle(&POLICY, clock.0).unwrap().id(), first);
        if let Some(key) = key {
            let other = key.replace('1', "f");
            for (wrong, reason) in [(None, "no key is configured"), (Some(&*other), "another key")] {
                let error = open(wrong, None).unwrap_err();
                assert!(error.to_string().contains(reason), "{error}");
                assert!(matches!(error, KeysError::Sealed { .. }));
            }
            Keys::list(&*store, &POLICY, T0).unwrap();
        }
    }
}
