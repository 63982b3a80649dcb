//! What every store must do. Each implementation runs the whole suite through `contract_tests!`.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::{Batch, Store, StoreError, Table};

/// Opens the store in a directory; called again on the same directory after the first one was dropped.
pub(crate) type Open = fn(&Path) -> Arc<dyn Store>;

/// One `#[test]` for each case of the contract.
macro_rules! contract_tests {
    ($open:expr, $($case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::store::contract::$case($open, ::tempfile::tempdir().unwrap().path());
            }
        )*
    };
    ($open:expr) => {
        $crate::store::contract::contract_tests!(
            $open,
            absent_until_written_and_again_after_deletion,
            a_batch_spans_tables_and_applies_in_order,
            tables_do_not_see_each_other,
            a_failed_expectation_leaves_nothing,
            every_kind_of_expectation_is_checked,
            a_batch_may_only_expect,
            scans_in_key_order_and_in_pages,
            reopening_keeps_everything,
            values_of_any_size_and_content_come_back,
            concurrent_commits_lose_no_update,
            of_concurrent_creations_one_wins,
        );
    };
}
pub(crate) use contract_tests;

pub(crate) fn absent_until_written_and_again_after_deletion(open: Open, path: &Path) {
    let store = open(path);
    assert_eq!(store.get(Table::Users, b"a").unwrap(), None);
    store.commit(Batch::new().put(Table::Users, "a", "1")).unwrap();
    assert_eq!(store.get(Table::Users, b"a").unwrap(), Some(b"1".to_vec()));
    store.commit(Batch::new().delete(Table::Users, "a").delete(Table::Users, "never there")).unwrap();
    assert_eq!(store.get(Table::Users, b"a").unwrap(), None);
    assert_eq!(store.writable(), Ok(()));
}

pub(crate) fn a_batch_spans_tables_and_applies_in_order(open: Open, path: &Path) {
    let store = open(path);
    let batch = Batch::new().put(Table::Users, "id", "alice").put(Table::Usernames, "alice", "id");
    store
        .commit(batch.put(Table::Users, "id", "Alice").put(Table::Keys, "k", "x").delete(Table::Keys, "k"))
        .unwrap();
    assert_eq!(store.get(Table::Users, b"id").unwrap(), Some(b"Alice".to_vec()));
    assert_eq!(store.get(Table::Usernames, b"alice").unwrap(), Some(b"id".to_vec()));
    assert_eq!(store.get(Table::Keys, b"k").unwrap(), None);
}

pub(crate) fn tables_do_not_see_each_other(open: Open, path: &Path) {
    let store = open(path);
    store.commit(Batch::new().put(Table::Users, "a", "1").put(Table::Keys, "", "empty key")).unwrap();
    assert_eq!(store.get(Table::Usernames, b"a").unwrap(), None);
    assert_eq!(store.scan(Table::Usernames, None, 10).unwrap(), []);
    assert_eq!(store.scan(Table::Keys, None, 10).unwrap(), [(vec![], b"empty key".to_vec())]);
    assert_eq!(store.scan(Table::Users, None, 10).unwrap(), [(b"a".to_vec(), b"1".to_vec())]);
}

pub(crate) fn a_failed_expectation_leaves_nothing(open: Open, path: &Path) {
    let store = open(path);
    store.commit(Batch::new().put(Table::Users, "a", "1")).unwrap();
    let batch =
        Batch::new().put(Table::Users, "a", "2").put(Table::Users, "b", "2").delete(Table::Users, "a");
    let batch = batch.expect(Table::Users, "a", Some(b"1".to_vec())).expect(Table::Keys, "a", Some(vec![]));
    assert!(matches!(store.commit(batch), Err(StoreError::Conflict)));
    assert_eq!(store.scan(Table::Users, None, 10).unwrap(), [(b"a".to_vec(), b"1".to_vec())]);
    assert_eq!(store.writable(), Ok(()), "a conflict is not a failure");
}

pub(crate) fn every_kind_of_expectation_is_checked(open: Open, path: &Path) {
    let store = open(path);
    store.commit(Batch::new().put(Table::Users, "a", "1").put(Table::Users, "empty", "")).unwrap();
    let cases = [
        ("a", Some("1"), true),
        ("a", Some("2"), false),
        ("a", Some(""), false),
        ("a", None, false),
        ("absent", None, true),
        ("absent", Some(""), false),
        ("empty", Some(""), true),
        ("empty", None, false),
    ];
    for (key, expected, holds) in cases {
        let expected_bytes = expected.map(|text| text.as_bytes().to_vec());
        let batch = Batch::new().expect(Table::Users, key, expected_bytes).put(Table::Keys, "k", "v");
        assert_eq!(store.commit(batch).is_ok(), holds, "{key} {expected:?}");
    }
}

pub(crate) fn a_batch_may_only_expect(open: Open, path: &Path) {
    let store = open(path);
    store.commit(Batch::new()).unwrap();
    store.commit(Batch::new().expect(Table::Users, "a", None)).unwrap();
    let batch = Batch::new().expect(Table::Users, "a", Some(vec![]));
    assert!(matches!(store.commit(batch), Err(StoreError::Conflict)));
}

pub(crate) fn scans_in_key_order_and_in_pages(open: Open, path: &Path) {
    let store = open(path);
    let keys =
        [vec![], vec![0], vec![0, 0], vec![1], vec![127, 255], vec![128], vec![255], vec![255, 255, 255]];
    let batch = keys
        .iter()
        .rev()
        .fold(Batch::new(), |batch, key| batch.put(Table::Usernames, key.clone(), key.clone()));
    store.commit(batch.put(Table::Users, [255, 255], "before").put(Table::Keys, "", "after")).unwrap();
    let mut seen = Vec::new();
    loop {
        let rows = store.scan(Table::Usernames, seen.last().map(Vec::as_slice), 3).unwrap();
        assert!(rows.len() <= 3 && rows.iter().all(|(key, value)| key == value));
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.into_iter().map(|(key, _)| key));
    }
    assert_eq!(seen, keys);
    assert_eq!(
        store.scan(Table::Usernames, Some(&[1, 1]), 1).unwrap()[0].0,
        [127, 255],
        "after a key that is absent"
    );
    assert_eq!(store.scan(Table::Usernames, None, 0).unwrap(), []);
    assert_eq!(store.scan(Table::Usernames, None, usize::MAX).unwrap().len(), keys.len());
}

pub(crate) fn reopening_keeps_everything(open: Open, path: &Path) {
    for round in 0..3_u8 {
        let store = open(path);
        for number in 0..100_u8 {
            let before = (round > 0).then(|| vec![round - 1]);
            store
                .commit(Batch::new().expect(Table::Users, [number], before).put(
                    Table::Users,
                    [number],
                    [round],
                ))
                .unwrap();
        }
        store.commit(Batch::new().delete(Table::Keys, [round]).put(Table::Keys, [round + 1], "k")).unwrap();
    }
    let store = open(path);
    let users = store.scan(Table::Users, None, 1000).unwrap();
    assert!(users.len() == 100 && users.iter().all(|(_, value)| *value == [2]));
    assert_eq!(store.scan(Table::Keys, None, 1000).unwrap(), [(vec![3], b"k".to_vec())]);
}

pub(crate) fn values_of_any_size_and_content_come_back(open: Open, path: &Path) {
    let value = |size: usize| (0..size).map(|index| (index % 251) as u8).collect::<Vec<_>>();
    let sizes = [0, 1, 300, 5_000, 100_000, 1_000_000];
    for round in 0..2 {
        let store = open(path);
        for (key, size) in sizes.into_iter().enumerate() {
            let key = [u8::try_from(key).unwrap()];
            if round == 0 {
                store.commit(Batch::new().put(Table::Meta, key, value(size))).unwrap();
            }
            assert!(
                store.get(Table::Meta, &key).unwrap() == Some(value(size)),
                "{size} bytes, round {round}"
            );
        }
    }
}

pub(crate) fn concurrent_commits_lose_no_update(open: Open, path: &Path) {
    let (threads, increments) = (4, 50_u32);
    {
        let store = open(path);
        store.commit(Batch::new().put(Table::Meta, "count", 0_u32.to_be_bytes())).unwrap();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..increments).for_each(|_| increment(store.as_ref())));
            }
        });
    }
    let count = open(path).get(Table::Meta, b"count").unwrap().unwrap();
    assert_eq!(count, (threads * increments).to_be_bytes());
}

fn increment(store: &dyn Store) {
    loop {
        let old = store.get(Table::Meta, b"count").unwrap().unwrap();
        let new = u32::from_be_bytes(old.as_slice().try_into().unwrap()) + 1;
        let batch = Batch::new().expect(Table::Meta, "count", Some(old));
        match store.commit(batch.put(Table::Meta, "count", new.to_be_bytes())) {
            Ok(()) => return,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn of_concurrent_creations_one_wins(open: Open, path: &Path) {
    let store = open(path);
    let create = |who: u8| {
        let batch =
            Batch::new().expect(Table::Usernames, "alice", None).put(Table::Usernames, "alice", [who]);
        store.commit(batch.put(Table::Users, [who], "alice")).is_ok()
    };
    let winners: Vec<u8> = thread::scope(|scope| {
        let tries: Vec<_> = (0..8).map(|who| (who, scope.spawn(move || create(who)))).collect();
        tries.into_iter().filter_map(|(who, thread)| thread.join().unwrap().then_some(who)).collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get(Table::Usernames, b"alice").unwrap(), Some(winners.clone()));
    assert_eq!(store.scan(Table::Users, None, 10).unwrap(), [(winners, b"alice".to_vec())]);
}
