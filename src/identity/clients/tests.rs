use std::sync::Arc;
use std::time::Duration;

use super::{ClientAdmin, ClientCredential, Clients, LocalClientAdmin, NewSecret, Shown};
use crate::clock::UnixTime;
use crate::identity::admin::{AdminError, Hashing, LocalUserAdmin, UserAdmin};
use crate::identity::password::{Argon2Params, PasswordHash};
use crate::identity::sessions::Sessions;
use crate::identity::testing::Disturbed;
use crate::identity::users::Users;
use crate::name::{Roles, Username};
use crate::secret::Secret;
use crate::store::{SledStore, Store, Table};
use crate::token::Revocations;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);

struct House {
    users: Users,
    clients: Clients,
    admin: LocalClientAdmin,
    store: Arc<Disturbed>,
    _data: tempfile::TempDir,
}

fn house() -> House {
    let data = tempfile::tempdir().unwrap();
    let store = SledStore::open(data.path(), 1 << 20, Duration::ZERO).unwrap();
    let store = Disturbed::new(Arc::new(store));
    let users = Users::new(store.clone(), Arc::new(Revocations::new()));
    let sessions = Sessions::without_tokens(store.clone(), users.clone()).unwrap();
    let admin = LocalClientAdmin::new(users.clone(), sessions, || NOW);
    House { clients: Clients::new(users.clone()), users, admin, store, _data: data }
}

fn name(text: &str) -> Username {
    Username::new(text).unwrap()
}

impl NewSecret {
    fn text(&self) -> String {
        let (Shown::ClientSecret(text) | Shown::ApiKey(text)) = &self.shown;
        text.clone()
    }
}

impl House {
    fn add_key(&self, name: &Username) -> NewSecret {
        self.admin.add_client(name, Roles::default(), ClientCredential::ApiKey { lifetime: None }).unwrap()
    }

    fn passes(&self, key: &str) -> bool {
        self.users.api_keys().find(key.as_bytes(), NOW).is_ok()
    }

    fn accepts(&self, client: &str, secret: &str) -> bool {
        self.clients.authenticate(client, &Secret::new(secret.to_owned())).unwrap().is_some()
    }
}

#[test]
fn a_client_is_known_by_its_secret_only() {
    let house = house();
    let new = house.admin.add_client(&name("reports"), Roles::default(), ClientCredential::Secret).unwrap();
    assert!(new.text().starts_with("pcs_") && new.text().len() == 4 + 43);
    assert!(house.accepts("reports", &new.text()) && house.accepts("REPORTS", &new.text()));
    for secret in ["", "x", &new.text()[..46], &format!("{}x", new.text())] {
        assert!(!house.accepts("reports", secret), "{secret}");
    }
    assert!(!house.accepts("other", &new.text()));
    let stored = serde_json::to_string(&house.clients.find("reports").unwrap().unwrap().program).unwrap();
    // SECURITY L8: who knows what is stored knows no secret.
    assert!(!stored.contains(&new.text()[4..]));
    let digest = stored.split('"').find(|part| part.len() == 43).unwrap().to_owned();
    assert!(!house.accepts("reports", &digest) && !house.accepts("reports", &format!("pcs_{digest}")));
    assert!(!format!("{new:?}").contains(&new.text()));
}

#[test]
fn two_secrets_live_while_they_are_rotated() {
    let house = house();
    let first =
        house.admin.add_client(&name("a"), Roles::default(), ClientCredential::Secret).unwrap().text();
    let second = house.admin.rotate_secret(&name("a"), None, true).unwrap();
    assert_eq!(second.client.secrets.len(), 2);
    let second = second.text();
    assert!(house.accepts("a", &first) && house.accepts("a", &second));
    let third = house.admin.rotate_secret(&name("a"), None, true).unwrap().text();
    assert!(!house.accepts("a", &first) && house.accepts("a", &second) && house.accepts("a", &third));
    let fourth = house.admin.rotate_secret(&name("a"), None, false).unwrap().text();
    assert!(!house.accepts("a", &second) && !house.accepts("a", &third) && house.accepts("a", &fourth));
}

#[test]
fn a_disabled_or_removed_client_is_unknown() {
    let house = house();
    let secret =
        house.admin.add_client(&name("a"), Roles::default(), ClientCredential::Secret).unwrap().text();
    house.admin.set_client_enabled(&name("a"), false).unwrap();
    assert!(!house.accepts("a", &secret));
    house.admin.set_client_enabled(&name("a"), true).unwrap();
    assert!(house.accepts("a", &secret));
    house.admin.remove_client(&name("a")).unwrap();
    assert!(!house.accepts("a", &secret) && house.admin.clients().unwrap().is_empty());
}

#[test]
fn clients_and_users_share_their_names_and_nothing_else() {
    let house = house();
    let hash = PasswordHash::from_stored("$argon2id$x".into());
    house.users.add(&name("alice"), Roles::default(), hash, NOW).unwrap();
    house.admin.add_client(&name("robot"), Roles::default(), ClientCredential::Secret).unwrap();
    let people = LocalUserAdmin::new(house.users.clone(), Hashing::Here(Argon2Params::default()), || NOW);
    assert!(matches!(
        house.admin.add_client(&name("Alice"), Roles::default(), ClientCredential::Secret),
        Err(AdminError::Exists { .. })
    ));
    let taken = people.add(&name("Robot"), Roles::default(), Secret::new("a long enough one".into()));
    assert!(matches!(taken, Err(AdminError::Exists { .. })));
    let names = |list: Vec<Username>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(people.list().unwrap().into_iter().map(|user| user.username).collect()), ["alice"]);
    assert_eq!(names(house.admin.clients().unwrap().into_iter().map(|it| it.client_id).collect()), ["robot"]);
    assert!(matches!(people.set_enabled(&name("robot"), false), Err(AdminError::Invalid { .. })));
    assert!(matches!(people.rename(&name("robot"), &name("x")), Err(AdminError::Invalid { .. })));
    assert!(matches!(house.admin.rotate_secret(&name("alice"), None, true), Err(AdminError::Invalid { .. })));
    assert!(matches!(house.admin.remove_client(&name("alice")), Err(AdminError::Invalid { .. })));
    assert!(matches!(
        house.admin.add_client(&name("Password"), Roles::default(), ClientCredential::Secret),
        Err(AdminError::Invalid { .. })
    ));
}

/// SECURITY L8: who knows what is stored knows no key.
#[test]
fn the_store_has_no_key_in_it() {
    let house = house();
    let key = house.add_key(&name("a")).text();
    let row = serde_json::to_string(&house.clients.find("a").unwrap().unwrap().program).unwrap();
    let digest = row.split('"').find(|part| part.len() == 43).unwrap();
    assert!(!row.contains(&key[3..]) && house.passes(&key));
    for guess in [digest.to_owned(), format!("pk_{digest}"), format!("pk_{digest}AAAAA")] {
        assert!(!house.passes(&guess), "{guess}");
    }
    assert!(house.store.get(Table::ApiKeys, key.as_bytes()).unwrap().is_none());
    assert_eq!(house.store.scan(Table::ApiKeys, None, 10).unwrap().len(), 1);
    house.admin.remove_client(&name("a")).unwrap();
    assert!(house.store.scan(Table::ApiKeys, None, 10).unwrap().is_empty());
}

#[test]
fn a_key_has_an_end_within_bounds_and_keeps_its_length_of_life() {
    let house = house();
    let key = |days: u64| ClientCredential::ApiKey { lifetime: Some(Duration::from_secs(days * 86_400)) };
    for days in [0, 366] {
        let refused = house.admin.add_client(&name("a"), Roles::default(), key(days));
        assert!(matches!(refused, Err(AdminError::Invalid { .. })), "{days}");
    }
    let ends = |new: &NewSecret| new.client.api_keys[0].expires.clone();
    let after = |days: u64| NOW.after(Duration::from_secs(days * 86_400)).to_string();
    assert_eq!(ends(&house.add_key(&name("a"))), after(90));
    assert_eq!(ends(&house.admin.rotate_secret(&name("a"), Some(key(365)), true).unwrap()), after(365));
    assert_eq!(ends(&house.admin.rotate_secret(&name("a"), None, true).unwrap()), after(365));
    house.admin.rotate_secret(&name("a"), Some(ClientCredential::Secret), true).unwrap();
    assert!(matches!(house.admin.rotate_secret(&name("a"), None, true), Err(AdminError::Invalid { .. })));
}

#[test]
fn a_key_whose_end_may_be_on_the_disk_is_refused() {
    let house = house();
    let key = house.add_key(&name("a")).text();
    house.store.fail();
    assert!(house.admin.set_client_enabled(&name("a"), false).is_err());
    assert!(!house.passes(&key));
}

/// Whoever was slower has read the record before the other has changed it.
#[test]
fn of_two_changes_at_once_the_keys_follow_the_last() {
    let house = house();
    let first = house.add_key(&name("a")).text();
    let (clients, at_once) = (house.clients.clone(), name("a"));
    house.store.before_commit(move || {
        clients.rotate(&at_once, ClientCredential::ApiKey { lifetime: None }, true, NOW).unwrap();
    });
    let last = house.admin.rotate_secret(&name("a"), None, false).unwrap().text();
    assert!(!house.passes(&first) && house.passes(&last));
    assert_eq!(house.store.scan(Table::ApiKeys, None, 10).unwrap().len(), 1);
}
