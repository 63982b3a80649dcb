use std::sync::Arc;
use std::time::Duration;

use super::{Invitation, Invitations};
use crate::clock::UnixTime;
use crate::identity::password::PasswordHash;
use crate::identity::testing::Disturbed;
use crate::identity::users::{User, UserError, Users};
use crate::name::{Role, Roles, Username};
use crate::secret::Secret;
use crate::store::{SledStore, Store, Table};
use crate::token::Revocations;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);
const HOUR: Duration = Duration::from_secs(3600);

struct House {
    store: Arc<Disturbed>,
    users: Users,
    invitations: Invitations,
    _data: tempfile::TempDir,
}

fn house() -> House {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(Arc::new(SledStore::open(data.path(), 1 << 20, Duration::ZERO).unwrap()));
    let users = Users::new(store.clone(), Arc::new(Revocations::new()));
    House { invitations: Invitations::new(store.clone(), users.clone()), store, users, _data: data }
}

fn name(text: &str) -> Username {
    Username::new(text).unwrap()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

impl House {
    fn invite(&self, text: &str) -> (User, Invitation, Secret) {
        let roles: Roles = [Role::new("reader").unwrap()].into_iter().collect();
        self.invitations.add_user(&name(text), roles, HOUR, NOW).unwrap()
    }

    fn is_good(&self, token: &Secret) -> bool {
        self.invitations.find(token, NOW).unwrap().is_some()
    }

    fn rows(&self) -> usize {
        self.store.scan(Table::Invitations, None, 100).unwrap().len()
    }
}

#[test]
fn it_sets_the_first_password_once() {
    let house = house();
    let (alice, invitation, token) = house.invite("Alice");
    assert!(alice.password.is_none() && alice.enabled);
    assert_eq!(invitation.expires, NOW.after(HOUR));
    assert_eq!(house.invitations.find(&token, NOW).unwrap(), Some(alice.clone()));
    let accepted = house.invitations.accept(&token, &hash("x"), NOW).unwrap().unwrap();
    assert_eq!((accepted.id, accepted.password.expose()), (alice.id, "x"));
    assert_eq!(house.invitations.accept(&token, &hash("y"), NOW).unwrap(), None);
    assert_eq!(house.users.by_id(alice.id).unwrap().unwrap().password.expose(), "x");
    assert_eq!((house.rows(), house.is_good(&token)), (0, false));
}

#[test]
fn the_store_does_not_hold_the_token() {
    let house = house();
    let (_, _, token) = house.invite("alice");
    let rows = house.store.scan(Table::Invitations, None, 10).unwrap();
    let text = String::from_utf8(rows[0].1.clone()).unwrap();
    assert!(
        !text.contains(&token.expose()["pinv_".len()..]) && !text.contains(&token.expose()[27..]),
        "{text}"
    );
    // SECURITY L8: nor is what it does hold a token.
    let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    for guess in [
        stored["sha256"].as_str().unwrap().to_owned(),
        format!("pinv_{}", stored["sha256"].as_str().unwrap()),
    ] {
        assert!(!house.is_good(&Secret::new(guess)));
    }
}

#[test]
fn it_ends_with_its_time() {
    let house = house();
    let (_, invitation, token) = house.invite("alice");
    let last = UnixTime::from_millis(invitation.expires.as_millis() - 1);
    assert!(house.invitations.find(&token, last).unwrap().is_some());
    assert!(house.invitations.find(&token, invitation.expires).unwrap().is_none());
    assert_eq!(house.invitations.accept(&token, &hash("x"), invitation.expires).unwrap(), None);
    assert_eq!(house.invitations.list(invitation.expires).unwrap(), []);
    house.invitations.forget_dead(last).unwrap();
    assert_eq!(house.rows(), 1);
    house.invitations.forget_dead(invitation.expires).unwrap();
    assert_eq!(house.rows(), 0);
}

#[test]
fn what_ends_the_sessions_of_its_user_ends_it_too() {
    type Change = fn(&Users, &Username) -> Result<(), UserError>;
    let ends: [Change; 5] = [
        |users, name| users.remove(name, NOW),
        |users, name| users.set_enabled(name, false, NOW).map(drop),
        |users, name| {
            users.set_enabled(name, false, NOW)?;
            users.set_enabled(name, true, NOW).map(drop)
        },
        |users, name| users.set_password(name, &hash("other"), NOW).map(drop),
        |users, name| {
            users.remove(name, NOW)?;
            users.add(name, Roles::default(), hash("another user"), NOW).map(drop)
        },
    ];
    for (index, change) in ends.into_iter().enumerate() {
        let house = house();
        let (_, _, token) = house.invite("alice");
        change(&house.users, &name("alice")).unwrap();
        assert!(!house.is_good(&token), "{index}");
        assert_eq!(house.invitations.accept(&token, &hash("x"), NOW).unwrap(), None, "{index}");
        assert_eq!(house.invitations.list(NOW).unwrap(), []);
        house.invitations.forget_dead(NOW).unwrap();
        assert_eq!(house.rows(), 0);
    }
    let house = house();
    let (_, _, token) = house.invite("alice");
    house.users.rename(&name("alice"), &name("alicia"), NOW).unwrap();
    house.users.set_roles(&name("alicia"), &Roles::default(), NOW).unwrap();
    assert!(house.is_good(&token), "other roles and another name are no reason");
    assert_eq!(house.invitations.accept(&token, &hash("x"), NOW).unwrap().unwrap().username, name("alicia"));
}

#[test]
fn another_one_takes_its_place_and_it_can_be_taken_back() {
    let house = house();
    let (alice, _, first) = house.invite("alice");
    let (_, second) = house.invitations.add(&alice, HOUR, NOW).unwrap();
    assert_eq!((house.is_good(&first), house.is_good(&second), house.rows()), (false, true, 1));
    assert!(house.invitations.remove(&alice, NOW).unwrap());
    assert!(!house.invitations.remove(&alice, NOW).unwrap());
    assert!(!house.is_good(&second));
}

#[test]
fn the_name_of_another_user_is_not_given_away() {
    let house = house();
    let (_, _, token) = house.invite("alice");
    let users = house.users.clone();
    house.store.before_commit(move || {
        users.rename(&name("alice"), &name("alicia"), NOW).unwrap();
        users.add(&name("alice"), Roles::default(), hash("hers"), NOW).unwrap();
    });
    // She has to try again; nobody else gets her password.
    assert_eq!(house.invitations.accept(&token, &hash("x"), NOW).unwrap(), None);
    assert_eq!(house.users.find("alice").unwrap().unwrap().password, hash("hers"));
    assert!(house.is_good(&token));
}

#[test]
fn a_name_that_is_taken_gets_no_invitation() {
    let house = house();
    house.invite("alice");
    let again = house.invitations.add_user(&name("ALICE"), Roles::default(), HOUR, NOW);
    assert!(matches!(again, Err(UserError::Exists(known)) if known == name("alice")));
    assert_eq!(house.rows(), 1);
}
