use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::SledStore;
use crate::store::contract::contract_tests;
use crate::store::{Batch, Store, StoreError, Table};

const CACHE: u64 = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(SledStore::open(path, CACHE, PATIENCE).unwrap())
}

contract_tests!(open);

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn directory_and_files_are_for_the_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("deep").join("data");
    let big = vec![7; 1_000_000];
    open(&data).commit(Batch::new().put(Table::Meta, "big", big)).unwrap();
    assert_eq!(fs::read_dir(data.join("blobs")).unwrap().count(), 1, "the blob that must be synced is there");
    for name in ["db", "conf", "lock"] {
        fs::set_permissions(data.join(name), Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    drop(open(&data));
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("blobs")), 0o700);
    let files = fs::read_dir(&data).unwrap().chain(fs::read_dir(data.join("blobs")).unwrap());
    for file in files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_store_in_the_same_directory_is_refused_until_the_first_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path());
    let second = SledStore::open(data.path(), CACHE, Duration::from_millis(60));
    let error = second.unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path } if Path::new(path) == data.path()), "{error:?}");
    assert!(error.to_string().ends_with("is in use by another process"));
    drop(first);
    open(data.path());
}

/// sled opens such a log as an empty one; the gateway started with no users and made itself new keys.
#[test]
fn a_store_whose_records_are_lost_is_not_taken_for_a_new_one() {
    let data = tempfile::tempdir().unwrap();
    drop(open(data.path()));
    for file in fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("snap.") {
            fs::remove_file(file).unwrap();
        }
    }
    let mut database = File::options().write(true).open(data.path().join("db")).unwrap();
    database.write_all(&[0x5a; 40_000]).unwrap();
    let error = SledStore::open(data.path(), CACHE, PATIENCE).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("`portcullis restore FILE`"), "{error}");
}

#[test]
fn a_store_of_a_later_version_is_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    open(data.path()).commit(Batch::new().put(Table::Meta, "format", "2")).unwrap();
    let message = SledStore::open(data.path(), CACHE, PATIENCE).unwrap_err().to_string();
    assert!(message.contains("store format 2; this version reads up to 1"), "{message}");
}

#[test]
fn a_foreign_database_is_refused_and_not_marked_as_ours() {
    let data = tempfile::tempdir().unwrap();
    open(data.path()).commit(Batch::new().put(Table::Keys, "k", "v").delete(Table::Meta, "format")).unwrap();
    for _ in 0..2 {
        let message = SledStore::open(data.path(), CACHE, PATIENCE).unwrap_err().to_string();
        assert!(message.contains("not a store of Portcullis"), "{message}");
    }
}

#[test]
fn damage_gives_a_message_that_names_restore() {
    for name in ["conf", "snap."] {
        let data = tempfile::tempdir().unwrap();
        fill(data.path());
        let files = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path());
        let file =
            files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name)).max().unwrap();
        fs::write(file, [0xff; 4096]).unwrap();
        let error = SledStore::open(data.path(), CACHE, PATIENCE).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains("`portcullis restore FILE`"), "{name}: {error}");
    }
}

#[test]
fn no_damage_to_the_database_file_escapes_as_a_panic() {
    for at in [0, 20, 100, 400, 2_000, 9_000] {
        let data = tempfile::tempdir().unwrap();
        fill(data.path());
        let mut file = File::options().write(true).open(data.path().join("db")).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xa5; 300]).unwrap();
        drop(file);
        // Damage to what sled no longer needs is not noticed, and that is fine; anything else must be one of our errors.
        match SledStore::open(data.path(), CACHE, PATIENCE) {
            Ok(store) => drop(store.scan(Table::Users, None, 1000)),
            Err(StoreError::Damaged { .. } | StoreError::Failed { .. }) => {}
            Err(other) => panic!("damage at {at}: {other:?}"),
        }
    }
}

fn fill(path: &Path) {
    for round in 0..3_u8 {
        let store = open(path);
        for number in 0..100_u8 {
            store.commit(Batch::new().put(Table::Users, [number], vec![round; 200])).unwrap();
        }
    }
}

#[test]
fn a_failed_fsync_makes_the_store_read_only_and_reads_go_on() {
    let data = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(data.path(), CACHE, PATIENCE).unwrap();
    store.commit(Batch::new().put(Table::Users, "a", "1")).unwrap();
    // A pipe cannot be synced: EINVAL.
    let (pipe, _writer) = std::io::pipe().unwrap();
    store.database = File::from(OwnedFd::from(pipe));
    let error = store.commit(Batch::new().put(Table::Users, "b", "2")).unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    let reason = store.writable().unwrap_err();
    let error = store.commit(Batch::new().put(Table::Users, "c", "3")).unwrap_err();
    assert!(matches!(&error, StoreError::ReadOnly(why) if *why == reason), "{error:?}");
    assert_eq!(store.get(Table::Users, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(Table::Users, b"c").unwrap(), None);
}

#[test]
fn debug_prints_no_record() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    store.commit(Batch::new().put(Table::Users, "a", "hunter2hunter2")).unwrap();
    let printed = format!("{store:?}");
    assert!(
        printed.starts_with("SledStore") && !printed.contains("hunter2") && !printed.contains("104, 117")
    );
}
