use std::sync::Arc;
use std::time::Duration;

use super::{ClientAdmin, ClientCredential, Clients, LocalClientAdmin, NewSecret, Shown};
use crate::clock::UnixTime;
use crate::identity::admin::{AdminError, Hashing, LocalUserAdmin, UserAdmin};
use crate::identity::password::{Argon2Params, PasswordHash};
use crate::identity::sessions::Sessions;
use crate::identity::users::Users;
use crate::name::{Roles, Username};
use crate::secret::Secret;
use crate::store::SledStore;
use crate::token::Revocations;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);

struct House {
    users: Users,
    clients: Clients,
    admin: LocalClientAdmin,
    _data: tempfile::TempDir,
}

fn house() -> House {
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(SledStore::open(data.path(), 1 << 20, Duration::ZERO).unwrap());
    let users = Users::new(store.clone(), Arc::new(Revocations::new()));
    let sessions = Sessions::open(store, users.clone()).unwrap();
    let admin = LocalClientAdmin::new(users.clone(), sessions, || NOW);
    House { clients: Clients::new(users.clone()), users, admin, _data: data }
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
