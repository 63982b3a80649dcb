use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Login, LoginError};
use crate::clock::{self, UnixTime};
use crate::config;
use crate::identity::hashing::HashPool;
use crate::identity::password::{Argon2Params, PasswordHash, Work, hash, needs_rehash};
use crate::identity::throttle::Throttle;
use crate::identity::users::{User, Users};
use crate::name::{Roles, Username};
use crate::peer::ClientIp;
use crate::secret::Secret;
use crate::store::SledStore;
use crate::token::Revocations;

const SMALL: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };
const THROTTLE: config::Throttle = config::Throttle {
    quick_tries: 5,
    address_quick_tries: 50,
    first_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(60),
    memory: 64 << 10,
};
const NOW: UnixTime = UnixTime::from_secs(1_000);

struct House {
    users: Users,
    login: Login,
    pool: Arc<HashPool>,
    _data: tempfile::TempDir,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn alice() -> Username {
    Username::new("alice").unwrap()
}

/// A store with one user, alice, whose password is "correct horse".
fn house(queue: usize) -> House {
    let data = tempfile::tempdir().unwrap();
    let store = SledStore::open(data.path(), 1 << 20, std::time::Duration::ZERO).unwrap();
    let users = Users::new(Arc::new(store), Arc::new(Revocations::new()));
    let password = hash(SMALL, &secret("correct horse")).unwrap();
    users.add(&alice(), Roles::default(), password, NOW).unwrap();
    let pool = Arc::new(HashPool::new(1, queue, SMALL).unwrap());
    let throttle = Arc::new(Throttle::new(&THROTTLE, clock::monotonic()));
    House { login: Login::new(users.clone(), Arc::clone(&pool), throttle), users, pool, _data: data }
}

impl House {
    /// A login from one and the same address, all of them at the same time.
    async fn log_in(&self, name: &str, password: Secret) -> Result<User, LoginError> {
        self.log_in_at(name, password, clock::monotonic()).await
    }

    async fn log_in_at(&self, name: &str, password: Secret, now: Instant) -> Result<User, LoginError> {
        self.login.with_password(name, password, ClientIp(Ipv4Addr::LOCALHOST.into()), now).await
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn the_right_password_logs_in_in_any_case_of_the_name() {
    let house = house(4);
    for name in ["alice", "ALICE", "Alice"] {
        let user = run(house.log_in(name, secret("correct horse"))).unwrap();
        assert_eq!(user.username, alice());
    }
}

#[test]
fn every_failure_looks_the_same() {
    let house = house(4);
    let bob = Username::new("bob").unwrap();
    house.users.add(&bob, Roles::default(), hash(SMALL, &secret("correct horse")).unwrap(), NOW).unwrap();
    house.users.set_enabled(&bob, false, NOW).unwrap();
    let stored = house.users.find("alice").unwrap().unwrap().password.expose().to_owned();
    let long = "x".repeat(1025);
    for (name, password) in [
        ("alice", "battery staple"),
        ("alice", ""),
        ("alice", stored.as_str()),
        ("alice", long.as_str()),
        ("bob", "correct horse"),
        ("carol", "correct horse"),
        ("no such name!", "correct horse"),
        ("", ""),
    ] {
        let error = run(house.log_in(name, secret(password))).unwrap_err();
        assert!(matches!(error, LoginError::BadCredentials(_)), "{name}: {error:?}");
    }
}

/// SECURITY L1: in a store without users, with some, and with hashes of two kinds.
#[test]
fn a_failed_login_costs_the_same_work_whoever_was_asked_for() {
    let computed = |house: &House, name: &str| {
        let error = run(house.log_in(name, secret("a guess"))).unwrap_err();
        assert!(matches!(error, LoginError::BadCredentials(_)), "{name}: {error:?}");
        let mut computed = house.pool.take_computed();
        computed.sort_by_key(|work| format!("{work:?}"));
        computed
    };
    let house = house(4);
    house.users.remove(&alice(), NOW).unwrap();
    let ours = Work::from(SMALL);
    for name in ["alice", "nobody", "no such name!", ""] {
        assert_eq!(computed(&house, name), [ours], "{name:?} in a store without users");
    }

    let add = |name: &str, password| {
        house.users.add(&Username::new(name).unwrap(), Roles::default(), password, NOW).unwrap()
    };
    let other = Argon2Params { passes: 3, ..SMALL };
    add("alice", hash(SMALL, &secret("correct horse")).unwrap());
    add("bob", hash(SMALL, &secret("correct horse")).unwrap());
    house.users.set_enabled(&Username::new("bob").unwrap(), false, NOW).unwrap();
    add("carol", PasswordHash::default());
    add("dave", PasswordHash::from_stored("no hash".into()));
    add("erin", hash(other, &secret("correct horse")).unwrap());
    drop(house.pool.works().add([other.into()]));
    for name in ["alice", "bob", "carol", "dave", "erin", "nobody", "no such name!", ""] {
        assert_eq!(computed(&house, name), [ours, other.into()], "{name:?}");
    }
    run(house.log_in("alice", secret("correct horse"))).unwrap();
    assert_eq!(house.pool.take_computed(), [ours], "the right password costs its own work");
}

#[test]
fn whoever_may_not_log_in_goes_through_the_same_queue() {
    let house = house(0);
    let slow = Argon2Params { memory_kib: 4096, passes: 16, lanes: 1 };
    let hog = hash(slow, &secret("x")).unwrap();
    run(async {
        let pool = Arc::clone(&house.pool);
        let running = tokio::spawn(async move { pool.verify(Some(hog), secret("x")).await });
        while house.pool.depth() == 0 {
            tokio::task::yield_now().await;
        }
        for name in ["alice", "carol", "no such name!"] {
            let error = house.log_in(name, secret("correct horse")).await.unwrap_err();
            assert!(matches!(error, LoginError::Busy), "{name}: {error:?}");
        }
        running.await.unwrap().unwrap();
    });
}

#[test]
fn a_hash_of_other_parameters_is_replaced_and_tokens_stay_good() {
    let house = house(4);
    let old = hash(Argon2Params { passes: 3, ..SMALL }, &secret("correct horse")).unwrap();
    let before = house.users.set_password(&alice(), &old, NOW).unwrap();
    run(house.log_in("alice", secret("battery staple"))).unwrap_err();
    assert_eq!(house.users.find("alice").unwrap().unwrap(), before, "a wrong password changes nothing");
    run(house.log_in("alice", secret("correct horse"))).unwrap();
    let after = house.users.find("alice").unwrap().unwrap();
    assert!(!needs_rehash(&after.password, SMALL) && after.version == before.version);
    run(house.log_in("alice", secret("correct horse"))).unwrap();
    assert_eq!(house.users.find("alice").unwrap().unwrap(), after, "once is enough");
}

#[test]
fn what_happened_during_the_check_counts() {
    let house = house(4);
    let claimed = house.users.find("alice").unwrap().unwrap();
    let again = || run(house.login.still_the_same(&claimed));
    let renewed = hash(SMALL, &secret("correct horse")).unwrap();
    house.users.replace_hash(claimed.id, &claimed.password, &renewed).unwrap();
    again().expect("the same password in another form");
    house.users.set_password(&alice(), &hash(SMALL, &secret("new password")).unwrap(), NOW).unwrap();
    assert!(matches!(again(), Err(LoginError::BadCredentials(_))));
    let claimed = house.users.find("alice").unwrap().unwrap();
    let again = || run(house.login.still_the_same(&claimed));
    house.users.set_enabled(&alice(), false, NOW).unwrap();
    assert!(matches!(again(), Err(LoginError::BadCredentials(_))));
    house.users.set_enabled(&alice(), true, NOW).unwrap();
    again().expect("enabled again, with the password that was checked");
    house.users.remove(&alice(), NOW).unwrap();
    assert!(matches!(again(), Err(LoginError::BadCredentials(_))));
}

#[test]
fn what_is_throttled_is_not_verified() {
    let house = house(4);
    let begin = clock::monotonic();
    let at = |seconds| begin + Duration::from_secs(seconds);
    for _ in 0..5 {
        let error = run(house.log_in_at("alice", secret("a guess"), begin)).unwrap_err();
        assert!(matches!(error, LoginError::BadCredentials(_)), "{error:?}");
    }
    let error = run(house.log_in_at("alice", secret("correct horse"), begin)).unwrap_err();
    assert!(matches!(error, LoginError::Throttled(wait) if wait == Duration::from_secs(1)), "{error:?}");
    let error = run(house.log_in_at("nobody", secret("correct horse"), begin)).unwrap_err();
    assert!(matches!(error, LoginError::BadCredentials(_)), "{error:?}");
    run(house.log_in_at("alice", secret("correct horse"), at(1))).unwrap();
    run(house.log_in_at("alice", secret("a guess"), at(1))).unwrap_err();
    run(house.log_in_at("alice", secret("correct horse"), at(1))).expect("a success clears the counter");
}

#[test]
fn a_full_queue_costs_no_try() {
    let house = house(0);
    let slow = Argon2Params { memory_kib: 4096, passes: 16, lanes: 1 };
    let hog = hash(slow, &secret("x")).unwrap();
    run(async {
        let pool = Arc::clone(&house.pool);
        let running = tokio::spawn(async move { pool.verify(Some(hog), secret("x")).await });
        while house.pool.depth() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            let error = house.log_in("alice", secret("correct horse")).await.unwrap_err();
            assert!(matches!(error, LoginError::Busy), "{error:?}");
        }
        running.await.unwrap().unwrap();
        while house.pool.depth() > 0 {
            tokio::task::yield_now().await;
        }
        house.log_in("alice", secret("correct horse")).await.unwrap();
    });
}
