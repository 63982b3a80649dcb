use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Newcomer, Registration, RegistrationError};
use crate::clock::{Moment, UnixTime, monotonic};
use crate::config;
use crate::identity::hashing::HashPool;
use crate::identity::password::{Argon2Params, PasswordHash};
use crate::identity::testing::Disturbed;
use crate::identity::users::{Registered, Users};
use crate::name::{Roles, Username};
use crate::peer::ClientIp;
use crate::secret::Secret;
use crate::store::{SledStore, Store, Table};
use crate::token::Revocations;

const SMALL: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };
const NOW: UnixTime = UnixTime::from_secs(1_000_000);

struct House {
    store: Arc<Disturbed>,
    users: Users,
    registration: Arc<Registration>,
    now: Moment,
    _data: tempfile::TempDir,
}

fn house() -> House {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(Arc::new(SledStore::open(data.path(), 1 << 20, Duration::ZERO).unwrap()));
    let users = Users::new(store.clone(), Arc::new(Revocations::new()));
    let pool = Arc::new(HashPool::new(1, 64, SMALL).unwrap());
    let now = Moment { wall: NOW, steady: monotonic() };
    let settings = config::Throttle {
        quick_tries: 3,
        address_quick_tries: 3,
        first_delay: Duration::from_secs(10),
        max_delay: Duration::from_secs(600),
        memory: 64 << 10,
    };
    let registration = Registration::new(store.clone(), users.clone(), pool, &settings, now.steady);
    let registration = Arc::new(registration);
    House { store, users, registration, now, _data: data }
}

fn name(text: &str) -> Username {
    Username::new(text).unwrap()
}

impl House {
    /// From an address that nobody else has.
    async fn register(
        &self,
        text: &str,
        max_users: usize,
        address: u32,
    ) -> Result<Registered, RegistrationError> {
        let password = Secret::new("a pass phrase of some length".to_owned());
        let new = Newcomer { username: name(text), password, roles: Roles::default() };
        self.registration.register(new, max_users, ClientIp(Ipv4Addr::from(address).into()), self.now).await
    }
}

#[tokio::test]
async fn a_name_that_is_taken_costs_as_much_and_changes_nobody() {
    let house = house();
    assert!(matches!(house.register("alice", 100, 1).await, Ok(Registered::Added(_))));
    let alice = house.users.find("alice").unwrap().unwrap();
    let users = |house: &House| {
        [Table::Users, Table::Usernames].map(|table| house.store.scan(table, None, 100).unwrap())
    };
    let before = users(&house);
    let mut nobodies = Vec::new();
    for address in [2, 3] {
        let taken = house.register("ALICE", 100, address).await;
        assert!(matches!(taken, Ok(Registered::Taken(user)) if user == alice));
        assert_eq!(users(&house), before);
        nobodies.push(house.store.scan(Table::Meta, Some(b"registered"), 100).unwrap());
    }
    let sizes: Vec<_> = nobodies[0].iter().map(|(_, value)| value.len()).collect();
    assert_eq!(sizes, [before[0][0].1.len(), before[1][0].1.len()]);
    assert!(
        nobodies[0].iter().zip(&nobodies[1]).all(|(first, second)| first.1 != second.1),
        "or sled writes nothing"
    );
}

#[tokio::test]
async fn who_is_faster_by_a_moment_has_the_name() {
    let house = house();
    let users = house.users.clone();
    house.store.before_commit(move || {
        users.add(&name("alice"), Roles::default(), PasswordHash::default(), NOW).unwrap();
    });
    assert!(
        matches!(house.register("Alice", 100, 1).await, Ok(Registered::Taken(user)) if user.username == name("alice"))
    );
}

#[tokio::test]
async fn of_twenty_who_want_a_name_at_once_one_gets_it() {
    let house = Arc::new(house());
    let mut all = JoinSet::new();
    for address in 0..20 {
        let house = house.clone();
        all.spawn(async move { house.register("alice", 100, address).await });
    }
    let all = all.join_all().await;
    assert_eq!(all.iter().filter(|it| matches!(it, Ok(Registered::Added(_)))).count(), 1);
    assert_eq!(all.iter().filter(|it| matches!(it, Ok(Registered::Taken(_)))).count(), 19);
}

#[tokio::test]
async fn there_is_a_most_and_it_is_the_same_for_every_name() {
    let house = house();
    house.users.add(&name("first"), Roles::default(), PasswordHash::default(), NOW).unwrap();
    for (address, text) in ["b", "b", "B", "c"].into_iter().enumerate() {
        assert!(house.register(text, 3, address as u32).await.is_ok(), "{text}");
    }
    for (address, text) in ["d", "b", "first"].into_iter().enumerate() {
        let refused = house.register(text, 3, 10 + address as u32).await;
        assert!(matches!(refused, Err(RegistrationError::Full)), "{text}: {refused:?}");
    }
    house.users.remove(&name("c"), NOW).unwrap();
    let later =
        House { now: Moment { steady: house.now.steady + Duration::from_secs(61), ..house.now }, ..house };
    assert!(matches!(later.register("e", 3, 20).await, Ok(Registered::Added(_))), "they are counted anew");
    assert!(matches!(later.register("f", 3, 21).await, Err(RegistrationError::Full)));
}

#[tokio::test]
async fn each_address_has_a_few_quick_ones_whatever_becomes_of_them() {
    let house = house();
    for text in ["a", "a", "b"] {
        assert!(house.register(text, 100, 1).await.is_ok());
    }
    for text in ["a", "c"] {
        let refused = house.register(text, 100, 1).await;
        assert!(
            matches!(refused, Err(RegistrationError::Throttled(wait)) if wait == Duration::from_secs(10))
        );
    }
    assert!(house.register("c", 100, 2).await.is_ok(), "another address");
    let later =
        House { now: Moment { steady: house.now.steady + Duration::from_secs(10), ..house.now }, ..house };
    assert!(later.register("d", 100, 1).await.is_ok());
    let refused = later.register("e", 100, 1).await;
    assert!(matches!(refused, Err(RegistrationError::Throttled(wait)) if wait == Duration::from_secs(20)));
}
