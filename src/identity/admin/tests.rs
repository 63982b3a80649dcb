use std::sync::Arc;
use std::time::Duration;

use super::{AdminError, Hashing, LocalUserAdmin, UserAdmin};
use crate::clock::UnixTime;
use crate::identity::hashing::HashPool;
use crate::identity::import::{IfExists, ImportRules, ImportedUser, Outcome};
use crate::identity::password::{Argon2Params, PasswordHash, verify};
use crate::identity::users::Users;
use crate::name::{Role, Roles, Username};
use crate::secret::Secret;
use crate::store::SledStore;
use crate::token::Revocations;

const SMALL: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };

struct House {
    users: Users,
    admin: LocalUserAdmin,
    data: tempfile::TempDir,
}

fn house() -> House {
    let data = tempfile::tempdir().unwrap();
    let store = SledStore::open(data.path(), 1 << 20, Duration::ZERO).unwrap();
    let users = Users::new(Arc::new(store), Arc::new(Revocations::new()));
    let admin = LocalUserAdmin::new(users.clone(), Hashing::Here(SMALL), || UnixTime::from_secs(86_400));
    House { users, admin, data }
}

fn name(text: &str) -> Username {
    Username::new(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn roles(names: &[&str]) -> Roles {
    names.iter().map(|name| Role::new(name).unwrap()).collect()
}

#[test]
fn a_user_goes_through_its_whole_life() {
    let House { users, admin, data: _data } = house();
    let added = admin.add(&name("Alice"), roles(&["reader"]), secret("correct horse")).unwrap();
    assert_eq!(admin.show(&name("alice")).unwrap(), added);
    assert_eq!(
        admin.set_roles(&name("alice"), roles(&["admin", "reader"])).unwrap().roles.to_string(),
        "admin,reader"
    );
    admin.set_password(&name("alice"), secret("battery staple")).unwrap();
    let hash = users.find("alice").unwrap().unwrap().password;
    assert_eq!(verify(&hash, &secret("battery staple")), Ok(true));
    assert!(!admin.set_enabled(&name("alice"), false).unwrap().enabled);
    assert!(admin.set_enabled(&name("alice"), true).unwrap().enabled);
    assert_eq!(admin.rename(&name("alice"), &name("bob")).unwrap().id, added.id);
    admin.remove(&name("BOB")).unwrap();
    assert_eq!(admin.list().unwrap(), []);
}

#[test]
fn the_list_is_sorted_by_name_and_whole() {
    let House { users, admin, data: _data } = house();
    let hash = crate::identity::password::hash(SMALL, &secret("correct horse")).unwrap();
    for user in ["carol", "Bob", "alice", "dave"] {
        users.add(&name(user), Roles::default(), hash.clone(), UnixTime::from_secs(1)).unwrap();
    }
    let names: Vec<_> = admin.list().unwrap().iter().map(|user| user.username.to_string()).collect();
    assert_eq!(names, ["alice", "Bob", "carol", "dave"]);
}

#[test]
fn weak_passwords_are_refused_with_the_reason() {
    let House { admin, data: _data, .. } = house();
    admin.add(&name("alice"), Roles::default(), secret("correct horse")).unwrap();
    for weak in ["short", "password", "Alice.Liddell"] {
        let user = name("alice.liddell");
        let error = admin.add(&user, Roles::default(), secret(weak)).unwrap_err();
        assert!(
            matches!(&error, AdminError::Invalid { reason } if reason.starts_with("the password is ")),
            "{error}"
        );
        assert!(matches!(admin.show(&user), Err(AdminError::NotFound { .. })));
    }
    assert!(matches!(
        admin.set_password(&name("alice"), secret("12345678")),
        Err(AdminError::Invalid { .. })
    ));
}

#[test]
fn errors_say_who_was_meant() {
    let House { admin, data: _data, .. } = house();
    admin.add(&name("Alice"), Roles::default(), secret("correct horse")).unwrap();
    let message = |error: AdminError| error.to_string();
    assert_eq!(
        message(admin.show(&name("alise")).unwrap_err()),
        "there is no user \"alise\"; did you mean \"alice\"?"
    );
    assert_eq!(message(admin.remove(&name("zoe")).unwrap_err()), "there is no user \"zoe\"");
    let taken = "there is already a user \"Alice\" (usernames compare without regard to case)";
    assert_eq!(message(admin.add(&name("ALICE"), Roles::default(), secret("x")).unwrap_err()), taken);
    let nobody = [
        admin.set_roles(&name("nobody"), Roles::default()).unwrap_err(),
        admin.set_password(&name("nobody"), secret("x")).unwrap_err(),
        admin.set_enabled(&name("nobody"), true).unwrap_err(),
        admin.rename(&name("nobody"), &name("bob")).unwrap_err(),
    ];
    assert!(
        nobody.iter().all(|error| matches!(error, AdminError::NotFound { similar: None, .. })),
        "{nobody:?}"
    );
}

#[test]
fn views_and_errors_survive_the_socket() {
    let House { admin, data: _data, .. } = house();
    let view = admin.add(&name("Alice"), roles(&["reader", "admin"]), secret("correct horse")).unwrap();
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["username"], "Alice");
    assert_eq!(json["roles"], serde_json::json!(["admin", "reader"]));
    assert_eq!(json["enabled"], true);
    assert_eq!(json["created"], "1970-01-02T00:00:00.000Z");
    assert!(json.get("password").is_none());
    assert_eq!(serde_json::from_value::<super::UserView>(json).unwrap(), view);
    for error in [
        admin.show(&name("alise")).unwrap_err(),
        admin.show(&name("zoe")).unwrap_err(),
        AdminError::Exists { username: name("Alice"), is_client: false },
        AdminError::Exists { username: name("robot"), is_client: true },
        AdminError::Invalid { reason: "why".into() },
        AdminError::Busy { reason: "why".into() },
        AdminError::Unavailable { reason: "why".into() },
    ] {
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<AdminError>(&json).unwrap(), error, "{json}");
    }
}

#[test]
fn a_gateway_hashes_in_its_pool() {
    let House { users, data: _data, .. } = house();
    let pool = Arc::new(HashPool::new(1, 1, SMALL).unwrap());
    let admin = LocalUserAdmin::new(users, Hashing::Pool(pool), || UnixTime::from_secs(1));
    admin.add(&name("alice"), Roles::default(), secret("correct horse")).unwrap();
    assert!(matches!(
        admin.add(&name("bob"), Roles::default(), secret("short")),
        Err(AdminError::Invalid { .. })
    ));
}

/// A file that is imported again and again, for its new users, must not make every failed login slower by what its old users had once.
#[test]
fn hashes_that_are_not_imported_cost_nobody_anything() {
    let House { users, data: _data, .. } = house();
    let pool = Arc::new(HashPool::new(1, 1, SMALL).unwrap());
    let admin = LocalUserAdmin::new(users.clone(), Hashing::Pool(pool.clone()), || UnixTime::from_secs(1));
    admin.add(&name("alice"), Roles::default(), secret("correct horse")).unwrap();
    let kinds = || (pool.works().all().len(), users.works().unwrap().len());
    let before = kinds();
    let user = |username: &str| ImportedUser {
        username: name(username),
        roles: None,
        password: Some(
            PasswordHash::import("$2b$04$GGvQGcXjPNZxstDgrGjp2.HDPf2wMJ/emainaxm9LOYDtVdLxulga".into())
                .unwrap(),
        ),
        enabled: None,
    };
    let import = |username: &str, if_exists| {
        let rules = ImportRules { if_exists, default_roles: Roles::default(), dry_run: false };
        admin.import(&[user(username)], &rules).unwrap()
    };
    assert_eq!(import("Alice", IfExists::Skip), [Outcome::Skipped]);
    assert!(matches!(import("alice", IfExists::Refuse)[..], [Outcome::Refused { .. }]));
    assert_eq!(kinds(), before);
    assert_eq!(import("alice", IfExists::Update), [Outcome::Updated]);
    assert_eq!(kinds(), (before.0 + 1, before.1 + 1));
}
