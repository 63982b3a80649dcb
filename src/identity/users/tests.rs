use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{User, UserError, Users};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::password::PasswordHash;
use crate::identity::testing::Disturbed;
use crate::name::{Role, Roles, Username};
use crate::store::{Batch, SledStore, Store, Table};
use crate::token::testing::verified;
use crate::token::{Revocations, Verified};

const T0: UnixTime = UnixTime::from_secs(1_000_000);
const T1: UnixTime = UnixTime::from_secs(1_000_100);
const TTL: Duration = Duration::from_secs(900);

struct House {
    users: Users,
    store: Arc<dyn Store>,
    revocations: Arc<Revocations>,
}

impl House {
    fn open(path: &Path) -> Self {
        Self::on(Arc::new(SledStore::open(path, 1 << 20, Duration::from_secs(30)).unwrap()))
    }

    fn on(store: Arc<dyn Store>) -> Self {
        let revocations = Arc::new(Revocations::new());
        Self { users: Users::new(Arc::clone(&store), Arc::clone(&revocations)), store, revocations }
    }

    fn add(&self, username: &str) -> User {
        self.users.add(&name(username), roles(&["reader"]), hash("first"), T0).unwrap()
    }

    fn refuses(&self, user: UserId, version: u64) -> bool {
        self.revocations.refuses(&Verified { user, version, ..verified() })
    }

    /// Whether a token that was issued to the user as it was then would pass now.
    fn passes(&self, user: &User) -> bool {
        !self.refuses(user.id, user.version)
    }
}

fn name(text: &str) -> Username {
    Username::new(text).unwrap()
}

fn roles(names: &[&str]) -> Roles {
    names.iter().map(|name| Role::new(name).unwrap()).collect()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(format!("$argon2id${text}"))
}

#[test]
fn a_user_is_found_by_name_in_any_case_and_by_identifier() {
    let data = tempfile::tempdir().unwrap();
    let alice = {
        let house = House::open(data.path());
        house.add("Alice")
    };
    let house = House::open(data.path());
    assert_eq!((alice.enabled, alice.version, alice.created, alice.updated), (true, 1, T0, T0));
    for written in ["Alice", "alice", "ALICE"] {
        assert_eq!(house.users.find(written).unwrap(), Some(alice.clone()));
    }
    assert_eq!(house.users.by_id(alice.id).unwrap(), Some(alice));
    for nobody in ["bob", "alic", "alice2", "", "no such name", "aliceé"] {
        assert_eq!(house.users.find(nobody).unwrap(), None, "{nobody}");
    }
    assert_eq!(house.users.by_id(UserId::from_bytes([0; 16])).unwrap(), None);
}

#[test]
fn a_name_belongs_to_one_user_whatever_its_case() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let alice = house.add("Alice");
    let again = house.users.add(&name("aLICE"), Roles::default(), hash("x"), T1).unwrap_err();
    assert!(matches!(again, UserError::Exists(taken) if taken.as_str() == "Alice"));
    house.add("bob");
    let taken = house.users.rename(&name("bob"), &name("ALICE"), T1).unwrap_err();
    assert!(matches!(taken, UserError::Exists(taken) if taken.as_str() == "Alice"));
    assert_eq!(house.users.find("alice").unwrap(), Some(alice));
    assert_eq!(house.users.list(None, 10).unwrap().len(), 2);
}

#[test]
fn changes_that_must_end_older_tokens_do_and_no_others() {
    type Change = fn(&Users) -> Result<User, UserError>;
    let changes: [(&str, bool, Change); 9] = [
        ("other roles", true, |users| users.set_roles(&name("alice"), &roles(&["admin"]), T1)),
        ("the same roles", false, |users| users.set_roles(&name("alice"), &roles(&["reader"]), T1)),
        ("a password", true, |users| users.set_password(&name("alice"), &hash("second"), T1)),
        ("the same password again", true, |users| users.set_password(&name("alice"), &hash("first"), T1)),
        ("disabled", true, |users| users.set_enabled(&name("alice"), false, T1)),
        ("enabled, as before", false, |users| users.set_enabled(&name("alice"), true, T1)),
        ("renamed", true, |users| users.rename(&name("alice"), &name("bob"), T1)),
        ("renamed in case only", true, |users| users.rename(&name("alice"), &name("ALICE"), T1)),
        ("renamed to the same", false, |users| users.rename(&name("alice"), &name("alice"), T1)),
    ];
    for (what, ends_tokens, change) in changes {
        let data = tempfile::tempdir().unwrap();
        let house = House::open(data.path());
        let (before, other) = (house.add("alice"), house.add("other"));
        let after = change(&house.users).unwrap();
        assert_eq!(house.passes(&before), !ends_tokens, "{what}: a token from before");
        assert!(
            house.passes(&after) && house.passes(&other),
            "{what}: a token from after, and another user's"
        );
        assert_eq!(after.updated == T1, ends_tokens, "{what}");
        assert_eq!(house.users.by_id(before.id).unwrap(), Some(after.clone()), "{what}: what is stored");
        assert_eq!(
            house.users.find(after.username.as_str()).unwrap(),
            Some(after),
            "{what}: found by its name"
        );
    }
}

#[test]
fn enabling_again_does_not_revive_tokens() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let before = house.add("alice");
    assert!(!house.users.set_enabled(&name("alice"), false, T1).unwrap().enabled);
    let after = house.users.set_enabled(&name("alice"), true, T1).unwrap();
    assert!(after.enabled && !house.passes(&before) && house.passes(&after));
}

#[test]
fn renaming_frees_the_old_name() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let alice = house.add("alice");
    house.users.rename(&name("alice"), &name("Alicia"), T1).unwrap();
    assert_eq!(house.users.find("alice").unwrap(), None);
    assert_eq!(house.users.find("alicia").unwrap().unwrap().id, alice.id);
    house.add("alice");
    assert!(matches!(house.users.rename(&name("carol"), &name("dave"), T1), Err(UserError::NotFound(_))));
}

#[test]
fn a_removed_user_is_gone_and_its_name_starts_anew() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let old = house.add("alice");
    house.users.remove(&name("ALICE"), T1).unwrap();
    assert_eq!((house.users.find("alice").unwrap(), house.users.by_id(old.id).unwrap()), (None, None));
    assert!(house.refuses(old.id, u64::MAX - 1), "whatever its version");
    assert!(matches!(house.users.remove(&name("alice"), T1), Err(UserError::NotFound(_))));
    let new = house.add("alice");
    assert_ne!(new.id, old.id);
    assert!(house.passes(&new) && !house.passes(&old));
}

#[test]
fn users_are_listed_in_pages() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    for number in 0..7_u64 {
        let username = name(&format!("user{}", 7 - number));
        house.users.add(&username, Roles::default(), hash("x"), UnixTime::from_secs(number)).unwrap();
    }
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = house.users.list(after, 3).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        assert!(page.len() <= 3);
        names.extend(page.into_iter().map(|user| user.username.to_string()));
    }
    assert_eq!(names, ["user7", "user6", "user5", "user4", "user3", "user2", "user1"]);
}

#[test]
fn of_many_who_add_the_same_name_one_succeeds() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let added = AtomicBool::new(false);
    thread::scope(|scope| {
        for spelling in ["alice", "Alice", "ALICE", "aliCE"] {
            let (users, added) = (&house.users, &added);
            scope.spawn(move || match users.add(&name(spelling), Roles::default(), hash(spelling), T0) {
                Ok(_) => assert!(!added.swap(true, Ordering::SeqCst), "two of them"),
                Err(error) => assert!(matches!(error, UserError::Exists(_)), "{error}"),
            });
        }
    });
    assert!(added.into_inner());
    assert_eq!(house.users.list(None, 10).unwrap().len(), 1);
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    house.add("alice");
    let (threads, rounds) = (4_u64, 10_u64);
    thread::scope(|scope| {
        for thread in 0..threads {
            let users = &house.users;
            scope.spawn(move || {
                for round in 0..rounds {
                    users.set_password(&name("alice"), &hash(&format!("{thread}.{round}")), T1).unwrap();
                }
            });
        }
    });
    let alice = house.users.find("alice").unwrap().unwrap();
    assert_eq!(alice.version, 1 + threads * rounds);
    assert!(house.refuses(alice.id, alice.version - 1) && house.passes(&alice));
}

#[test]
fn revocations_come_back_after_a_restart_and_old_ones_go() {
    let data = tempfile::tempdir().unwrap();
    let (disabled, removed, old) = {
        let house = House::open(data.path());
        let users = [house.add("disabled"), house.add("removed"), house.add("old")];
        house.users.set_enabled(&name("old"), false, T0).unwrap();
        house.users.set_enabled(&name("disabled"), false, T1).unwrap();
        house.users.remove(&name("removed"), T1).unwrap();
        users.into()
    };
    // At the very end of the lifetime the revocation still counts; a moment later it need not.
    let house = House::open(data.path());
    assert!(house.passes(&disabled), "nothing is known before the restoration");
    assert_eq!(house.users.revoked().restore(T0.after(TTL), TTL).unwrap(), TTL);
    assert!(!house.passes(&disabled) && !house.passes(&removed) && !house.passes(&old));
    drop(house);
    let house = House::open(data.path());
    house.users.revoked().restore(T1.after(TTL), TTL).unwrap();
    assert!(!house.passes(&disabled) && !house.passes(&removed) && house.passes(&old));
    assert_eq!(house.store.scan(Table::Revocations, None, 10).unwrap().len(), 2);
    house.users.revoked().forget(T1.after(2 * TTL), TTL).unwrap();
    assert_eq!(house.store.scan(Table::Revocations, None, 10).unwrap(), []);
    assert!(house.revocations.is_empty());
}

#[test]
fn a_shorter_lifetime_does_not_shorten_the_memory_of_longer_tokens() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    assert_eq!(house.users.revoked().restore(T0, 10 * TTL).unwrap(), 10 * TTL);
    let alice = house.add("alice");
    house.users.set_enabled(&name("alice"), false, T0).unwrap();
    let again = House::on(house.store);
    assert_eq!(again.users.revoked().restore(T0.after(9 * TTL), TTL).unwrap(), 10 * TTL);
    assert!(!again.passes(&alice), "a token of the old lifetime is still alive");
}

#[test]
fn more_revocations_than_fit_in_a_page_are_restored_and_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let row = format!(r#"{{"v":1,"min_version":2,"at":{}}}"#, T0.as_millis());
    let id = |number: u32| [&[7; 12][..], &number.to_be_bytes()].concat();
    let batch =
        (0..2_500).fold(Batch::new(), |batch, number| batch.put(Table::Revocations, id(number), row.clone()));
    house.store.commit(batch).unwrap();
    house.users.revoked().restore(T0, TTL).unwrap();
    assert_eq!(house.revocations.len(), 2_500);
    house.users.revoked().forget(T0.after(TTL), TTL).unwrap();
    assert_eq!(house.revocations.len(), 2_500);
    house.users.revoked().forget(T1.after(TTL), TTL).unwrap();
    assert!(house.revocations.is_empty());
    assert_eq!(house.store.scan(Table::Revocations, None, 10).unwrap(), []);
}

#[test]
fn records_tolerate_new_fields_and_refuse_new_versions() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let alice = house.add("alice");
    let key = alice.id.as_bytes().as_slice();
    let text = String::from_utf8(house.store.get(Table::Users, key).unwrap().unwrap()).unwrap();
    assert!(
        text.starts_with(r#"{"v":1,"username":"alice","password":"$argon2id$first","roles":["reader"]"#),
        "{text}"
    );
    let put = |text: String| house.store.commit(Batch::new().put(Table::Users, key, text)).unwrap();
    put(text.replacen('{', r#"{"a_later_field":[1,2],"#, 1));
    assert_eq!(house.users.find("alice").unwrap(), Some(alice.clone()));
    put(text.replacen("\"v\":1", "\"v\":2", 1));
    let message = house.users.find("alice").unwrap_err().to_string();
    assert!(message.contains("later version") && message.contains("record version 2"), "{message}");
    put(text.replacen("\"enabled\":true", "\"enabled\":\"$argon2id$first\"", 1));
    let message = house.users.find("alice").unwrap_err().to_string();
    assert!(message.contains("cannot be read") && !message.contains("argon2id"), "{message}");
}

#[test]
fn what_may_have_been_written_is_revoked_too() {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(House::open(data.path()).store);
    let house = House::on(Arc::clone(&store) as Arc<dyn Store>);
    let (alice, bob) = (house.add("alice"), house.add("bob"));
    store.fail();
    assert!(matches!(house.users.set_enabled(&name("alice"), false, T1), Err(UserError::Store(_))));
    assert!(matches!(house.users.remove(&name("bob"), T1), Err(UserError::Store(_))));
    assert!(!house.passes(&alice) && !house.passes(&bob));
}
