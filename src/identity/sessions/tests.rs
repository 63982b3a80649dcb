use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Begun, Lifetimes, Origin, RefreshError, Refreshed, Session, SessionError, Sessions};
use crate::clock::UnixTime;
use crate::identity::clients::{ClientAdmin, ClientCredential, Clients, LocalClientAdmin};
use crate::identity::password::PasswordHash;
use crate::identity::testing::Disturbed;
use crate::identity::users::{User, Users};
use crate::name::{Roles, Username};
use crate::seal::{Seal, SealKey};
use crate::secret::{Secret, SecretBytes};
use crate::store::{Batch, SledStore, Store, Table};
use crate::token::testing::verified;
use crate::token::{Revocations, Verified};

const T0: UnixTime = UnixTime::from_secs(1_000_000);
const LIFETIMES: Lifetimes = Lifetimes {
    idle: Duration::from_secs(1_000),
    most: Duration::from_secs(3_000),
    grace: Duration::from_secs(10),
    per_user: 4,
};

struct House {
    users: Users,
    sessions: Sessions,
    store: Arc<dyn Store>,
    revocations: Arc<Revocations>,
}

impl House {
    fn open(path: &Path) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SledStore::open(path, 1 << 20, Duration::from_secs(30)).unwrap());
        Self::on(store)
    }

    fn on(store: Arc<dyn Store>) -> Self {
        let revocations = Arc::new(Revocations::new());
        let users = Users::new(store.clone(), revocations.clone());
        let sessions = Sessions::open(store.clone(), users.clone(), &Seal::default()).unwrap();
        Self { users, sessions, store, revocations }
    }

    fn begin(&self, name: &str) -> (Session, Secret) {
        let user = self.users.find(name).unwrap().unwrap_or_else(|| self.add(name));
        let begun = self.begin_at(&user, T0);
        (begun.session, begun.token)
    }

    fn begin_at(&self, user: &User, now: UnixTime) -> Begun {
        self.sessions.begin(user, None, origin(), &LIFETIMES, now).unwrap()
    }

    fn add(&self, name: &str) -> User {
        self.users.add(&username(name), Roles::default(), hash("first"), T0).unwrap()
    }

    fn refresh(&self, token: &Secret, now: UnixTime) -> Result<Refreshed, RefreshError> {
        self.sessions.refresh(token, None, &origin(), &LIFETIMES, now)
    }

    fn add_client(&self, name: &str, now: UnixTime) -> User {
        let clients = Clients::new(self.users.clone());
        clients.add(&username(name), Roles::default(), ClientCredential::Secret, now).unwrap().0
    }

    /// A session of alice, who logs in by way of this client.
    fn begin_by(&self, client: &User) -> Result<(Session, Secret), SessionError> {
        let alice = self.users.find("alice").unwrap().unwrap_or_else(|| self.add("alice"));
        let begun = self.sessions.begin(&alice, Some(client), origin(), &LIFETIMES, T0)?;
        Ok((begun.session, begun.token))
    }

    fn refresh_by(&self, client: &User, token: &Secret) -> Result<Refreshed, RefreshError> {
        self.sessions.refresh(token, Some(client), &origin(), &LIFETIMES, at(1))
    }

    fn disable(&self, client: &User) -> usize {
        let client = self.users.set_enabled(&client.username, false, at(1)).unwrap();
        self.sessions.end_all_of(&client, at(1)).unwrap()
    }

    fn refuses(&self, session: &Session) -> bool {
        self.revocations.refuses(&Verified { session: session.id, ..verified() })
    }

    fn alive(&self, now: UnixTime) -> Vec<Session> {
        self.sessions
            .list(None, 100, &LIFETIMES, now)
            .unwrap()
            .alive
            .into_iter()
            .map(|(session, _)| session)
            .collect()
    }

    /// Those in the index by user are the same.
    #[track_caller]
    fn rows(&self) -> usize {
        let count = |table| self.store.scan(table, None, 1000).unwrap().len();
        assert_eq!(count(Table::Sessions), count(Table::UserSessions));
        count(Table::Sessions)
    }
}

fn origin() -> Origin {
    Origin::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(b"curl/8\n"))
}

fn username(name: &str) -> Username {
    Username::new(name).unwrap()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(format!("$argon2id${text}"))
}

fn at(seconds: u64) -> UnixTime {
    T0.after(Duration::from_secs(seconds))
}

#[test]
fn each_refresh_gives_the_next_token_and_a_restart_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (session, mut token) = House::open(data.path()).begin("alice");
    for round in 1..5 {
        let house = House::open(data.path());
        let refreshed = house.refresh(&token, at(round * 100)).unwrap();
        assert_eq!((refreshed.session.id, refreshed.user.username.as_str()), (session.id, "alice"));
        assert_ne!(refreshed.token.expose(), token.expose());
        assert_eq!(house.alive(at(round * 100)).len(), 1);
        token = refreshed.token;
    }
}

#[test]
fn a_retried_refresh_gets_the_same_token_within_the_grace() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, token) = house.begin("alice");
    let next = house.refresh(&token, at(100)).unwrap().token;
    for seconds in [100, 105, 110, 95] {
        assert_eq!(house.refresh(&token, at(seconds)).unwrap().token.expose(), next.expose(), "{seconds}");
    }
    assert!(house.refresh(&next, at(110)).is_ok(), "it is the one chain of the session");
    assert!(!house.refuses(&session));
}

#[test]
fn cve_2024_refresh_reuse_ends_the_whole_session() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (other, other_token) = house.begin("alice");
    // Right behind the grace, and however old.
    for later in [111, 900] {
        let (session, token) = house.begin("alice");
        let next = house.refresh(&token, at(100)).unwrap().token;
        let Err(RefreshError::Reused(ended, user)) = house.refresh(&token, at(later)) else {
            panic!("{later}")
        };
        assert_eq!((ended, user.username.as_str()), (session.id, "alice"));
        assert!(house.refuses(&session), "its access tokens too");
        assert!(matches!(house.refresh(&next, at(later)), Err(RefreshError::Ended(_))));
    }
    // Two places back there is no grace.
    let (_, first) = house.begin("alice");
    let second = house.refresh(&first, at(100)).unwrap().token;
    house.refresh(&second, at(101)).unwrap();
    assert!(matches!(house.refresh(&first, at(102)), Err(RefreshError::Reused(..))));
    assert!(
        !house.refuses(&other) && house.refresh(&other_token, at(103)).is_ok(),
        "another session lives on"
    );
}

#[test]
fn of_twenty_refreshes_at_the_same_time_one_chain_is_left() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (_, token) = house.begin("alice");
    let tokens: Vec<String> = thread::scope(|scope| {
        let work = || house.refresh(&token, at(100)).unwrap().token.expose().to_owned();
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|next| *next == tokens[0]));
    assert!(house.refresh(&Secret::new(tokens[0].clone()), at(100)).is_ok());
    assert_eq!(house.rows(), 1);
}

#[test]
fn a_session_ends_when_it_is_idle_or_old() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (_, idle) = house.begin("alice");
    assert!(matches!(house.refresh(&idle, at(1_000)), Err(RefreshError::Expired(_))));
    let (_, mut token) = house.begin("alice");
    for seconds in [999, 1_998, 2_997] {
        token = house.refresh(&token, at(seconds)).unwrap().token;
    }
    assert!(matches!(house.refresh(&token, at(3_000)), Err(RefreshError::Expired(_))));
    assert_eq!((house.rows(), house.alive(at(999)).len()), (2, 2));
    house.sessions.forget_ended(&LIFETIMES, at(2_999)).unwrap();
    assert_eq!((house.rows(), house.alive(at(2_999)).len()), (1, 1));
    house.sessions.forget_ended(&LIFETIMES, at(3_000)).unwrap();
    assert_eq!(house.rows(), 0);
}

#[test]
fn an_ended_session_stays_ended() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, token) = house.begin("alice");
    assert!(house.sessions.end(session.id, at(1)).unwrap());
    assert!(!house.sessions.end(session.id, at(2)).unwrap(), "it was not there any more");
    assert!(house.refuses(&session) && matches!(house.refresh(&token, at(3)), Err(RefreshError::Ended(_))));
    drop(house);
    let house = House::open(data.path());
    house.users.revoked().restore(at(3), Duration::from_secs(900)).unwrap();
    assert!(house.refuses(&session) && matches!(house.refresh(&token, at(4)), Err(RefreshError::Ended(_))));
}

/// CVE-2026-16103: a grant that goes on for somebody who may not log in any more.
#[test]
fn cve_2026_16103_no_refresh_for_disabled_and_removed_users_and_old_passwords() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let names = ["disabled", "enabled-again", "removed", "new-password", "signed-out"];
    let tokens = names.map(|name| house.begin(name).1);
    house.users.set_enabled(&username("disabled"), false, at(1)).unwrap();
    house.users.set_enabled(&username("enabled-again"), false, at(1)).unwrap();
    house.users.set_enabled(&username("enabled-again"), true, at(2)).unwrap();
    house.users.remove(&username("removed"), at(1)).unwrap();
    house.users.set_password(&username("new-password"), &hash("second"), at(1)).unwrap();
    house.users.end_sessions(&username("signed-out"), at(1)).unwrap();
    for (name, token) in names.iter().zip(&tokens) {
        assert!(matches!(house.refresh(token, at(3)), Err(RefreshError::Ended(_))), "{name}");
    }
    assert_eq!(house.alive(at(3)), []);
    house.sessions.forget_ended(&LIFETIMES, at(3)).unwrap();
    assert_eq!(house.rows(), 0);
    assert!(house.refresh(&house.begin("new-password").1, at(4)).is_ok());
}

#[test]
fn other_roles_and_another_name_are_in_the_next_token() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (_, token) = house.begin("alice");
    house
        .users
        .set_roles(&username("alice"), &["admin".parse().unwrap()].into_iter().collect(), at(1))
        .unwrap();
    house.users.rename(&username("alice"), &username("alina"), at(1)).unwrap();
    let user = house.refresh(&token, at(2)).unwrap().user;
    assert_eq!((user.username.as_str(), user.roles.to_string()), ("alina", "admin".to_owned()));
}

#[test]
fn a_new_password_ends_the_other_sessions_only() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let ((own, own_token), (_, other)) = (house.begin("alice"), house.begin("alice"));
    let before = house.users.find("alice").unwrap().unwrap();
    let (_, after) =
        house.sessions.change_password(own.id, &before, &hash("second"), &LIFETIMES, at(1)).unwrap().unwrap();
    assert_eq!((after.password, after.version), (hash("second"), before.version + 1));
    let token = Verified { user: before.id, version: before.version, ..verified() };
    assert!(house.revocations.refuses(&token), "all older access tokens end, also those of this session");
    assert!(house.refresh(&own_token, at(2)).is_ok());
    assert!(matches!(house.refresh(&other, at(2)), Err(RefreshError::Ended(_))));
    house.sessions.end(own.id, at(3)).unwrap();
    assert!(
        house.sessions.change_password(own.id, &before, &hash("third"), &LIFETIMES, at(4)).unwrap().is_none()
    );
}

#[test]
fn a_password_is_not_changed_in_a_session_that_ends_meanwhile() {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(House::open(data.path()).store);
    let house = House::on(store.clone());
    let (session, token) = house.begin("alice");
    let alice = house.users.find("alice").unwrap().unwrap();
    let users = house.users.clone();
    store.before_commit(move || {
        users.set_password(&username("alice"), &hash("by the administrator"), at(1)).unwrap();
    });
    assert!(
        house
            .sessions
            .change_password(session.id, &alice, &hash("second"), &LIFETIMES, at(1))
            .unwrap()
            .is_none()
    );
    assert_eq!(house.users.find("alice").unwrap().unwrap().password, hash("by the administrator"));
    assert!(matches!(house.refresh(&token, at(2)), Err(RefreshError::Ended(_))));
}

/// Its access token passes for as long as the leeway says, and bought another one that had expired when it was issued.
#[test]
fn a_password_is_not_changed_in_a_session_that_has_ended_by_itself() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, _) = house.begin("alice");
    let alice = house.users.find("alice").unwrap().unwrap();
    let change = |now| house.sessions.change_password(session.id, &alice, &hash("second"), &LIFETIMES, now);
    assert!(change(at(1_000)).unwrap().is_none());
    assert_eq!(house.users.find("alice").unwrap().unwrap().password, hash("first"));
    assert!(change(at(999)).unwrap().is_some());
}

#[test]
fn a_password_is_changed_for_the_user_who_has_shown_it() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, _) = house.begin("alice");
    house.users.rename(&username("alice"), &username("alina"), at(1)).unwrap();
    let other = house.add("alice");
    assert!(
        house
            .sessions
            .change_password(session.id, &other, &hash("second"), &LIFETIMES, at(1))
            .unwrap()
            .is_none()
    );
    for name in ["alice", "alina"] {
        assert_eq!(house.users.find(name).unwrap().unwrap().password, hash("first"), "{name}");
    }
}

#[test]
fn a_retried_refresh_promises_no_more_than_the_disk_has() {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(House::open(data.path()).store);
    let house = House::on(store.clone());
    let (_, token) = house.begin("alice");
    store.fail();
    for attempt in ["first", "retried"] {
        assert!(matches!(house.refresh(&token, at(1)), Err(RefreshError::Failed(_))), "{attempt}");
    }
}

#[test]
fn a_second_revocation_at_the_same_time_promises_no_more_than_the_disk_has() {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(House::open(data.path()).store);
    let house = House::on(store.clone());
    let (session, token) = house.begin("alice");
    let of_token = || house.sessions.of_refresh_token(&token, at(1)).map(|found| found.map(|found| found.id));
    assert_eq!(of_token().unwrap(), Some(session.id));
    store.fail();
    assert!(house.sessions.end(session.id, at(1)).is_err(), "the first one");
    assert!(of_token().is_err(), "the session is gone, but nobody knows for how long");
}

#[test]
fn a_second_revocation_at_the_same_time_is_in_force_when_it_returns() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, token) = house.begin("alice");
    // What the first one has done before it announces.
    let row = Batch::new().delete(Table::Sessions, session.id.as_bytes().as_slice());
    house.store.commit(row).unwrap();
    assert!(house.sessions.of_refresh_token(&token, at(1)).unwrap().is_none());
    assert!(house.refuses(&session));
}

#[test]
fn with_one_session_too_many_the_least_recently_used_one_gives_way() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (alice, bob) = (house.add("alice"), house.add("bob"));
    let of_bob = house.begin_at(&bob, at(0)).session;
    let begun: Vec<Begun> = (1..=4).map(|second| house.begin_at(&alice, at(second))).collect();
    house.refresh(&begun[0].token, at(10)).unwrap();
    for (later, least) in [(11, 1), (12, 2), (13, 3), (14, 0)] {
        let next = house.begin_at(&alice, at(later));
        assert_eq!(next.gone, [begun[least].session.id], "{later}");
        assert!(!house.refuses(&begun[least].session), "its access token lives until it expires: {later}");
        assert_eq!((house.alive(at(later)).len(), house.rows()), (5, 5), "{later}");
    }
    assert!(matches!(house.refresh(&begun[2].token, at(15)), Err(RefreshError::Ended(_))));
    assert!(house.alive(at(15)).contains(&of_bob), "others are not concerned");
}

#[test]
fn sessions_that_have_ended_do_not_count() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let alice = house.add("alice");
    let first: Vec<Begun> = (1..=4).map(|second| house.begin_at(&alice, at(second))).collect();
    house.sessions.end(first[1].session.id, at(5)).unwrap();
    assert_eq!(house.begin_at(&alice, at(5)).gone, []);
    // The first three have expired, and nobody has deleted them yet.
    let next = house.begin_at(&alice, at(1_004));
    assert_eq!(next.gone, []);
    assert_eq!(house.rows(), 2);
    let alice = house.users.end_sessions(&username("alice"), at(1_005)).unwrap();
    for second in 1_006..1_010 {
        assert_eq!(house.begin_at(&alice, at(second)).gone, []);
    }
}

/// What a login has to read does not grow with the sessions that a lower bound finds, and each login brings it nearer.
#[test]
fn a_user_with_far_too_many_sessions_comes_down_to_the_bound() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let alice = house.add("alice");
    let many = Lifetimes { per_user: 1_000, ..LIFETIMES };
    for _ in 0..150 {
        house.sessions.begin(&alice, None, origin(), &many, at(1)).unwrap();
    }
    assert_eq!(house.begin_at(&alice, at(2)).gone.len(), 101);
    assert_eq!(house.begin_at(&alice, at(3)).gone.len(), 47);
    assert_eq!((house.alive(at(3)).len(), house.rows()), (4, 4));
}

#[test]
fn sessions_from_before_there_was_an_index_count_too() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let alice = house.add("alice");
    let begun: Vec<Begun> = (1..=4).map(|second| house.begin_at(&alice, at(second))).collect();
    let mut batch = Batch::new().delete(Table::Meta, "sessions_by_user");
    for (key, _) in house.store.scan(Table::UserSessions, None, 100).unwrap() {
        batch = batch.delete(Table::UserSessions, key);
    }
    house.store.commit(batch).unwrap();
    drop(house);
    let house = House::open(data.path());
    assert_eq!(house.rows(), 4);
    assert_eq!(house.begin_at(&alice, at(5)).gone, [begun[0].session.id]);
}

/// The secret lay in the store in clear, with `store.encryption_key` or without.
#[test]
fn the_secret_of_refresh_tokens_is_sealed_and_follows_the_encryption_key() {
    let key = |byte: char| {
        let text: String = (0..32).map(|place| format!("{byte}{:x}", place % 16)).collect();
        SealKey::parse(&Secret::new(text)).unwrap()
    };
    let data = tempfile::tempdir().unwrap();
    let (session, token) = House::open(data.path()).begin("alice");
    let stored = |house: &House| house.store.get(Table::Meta, b"refresh_token_key").unwrap().unwrap();
    let house = House::open(data.path());
    let secret = Seal::default().open("refresh token key", &stored(&house)).unwrap().secret;
    // As it was in older stores.
    house.store.commit(Batch::new().put(Table::Meta, b"refresh_token_key", secret.expose())).unwrap();
    let steps = [
        (None, None),
        (Some('a'), None),
        (Some('a'), None),
        (Some('b'), Some('a')),
        (Some('b'), None),
        (None, Some('b')),
        (None, None),
    ];
    for (number, (now, old)) in steps.into_iter().enumerate() {
        let seal = Seal::new(now.map(key), old.map(key));
        let sessions = Sessions::open(house.store.clone(), house.users.clone(), &seal).unwrap();
        let found = sessions.of_refresh_token(&token, at(1)).unwrap().map(|found| found.id);
        assert_eq!(found, Some(session.id), "step {number}");
        let bytes = SecretBytes::new(stored(&house));
        let in_clear = bytes.expose().windows(8).any(|part| part == &secret.expose()[8..16]);
        assert_eq!(in_clear, now.is_none(), "step {number}");
        assert_eq!(seal.encrypts(), now.is_some());
    }
    let seal = Seal::new(Some(key('a')), None);
    Sessions::open(house.store.clone(), house.users.clone(), &seal).unwrap();
    for wrong in [Seal::default(), Seal::new(Some(key('c')), None)] {
        let refused = Sessions::open(house.store.clone(), house.users.clone(), &wrong);
        assert!(matches!(refused, Err(SessionError::Sealed(_))));
    }
    let listing = Sessions::without_tokens(house.store.clone(), house.users.clone()).unwrap();
    assert_eq!(listing.list(None, 10, &LIFETIMES, at(1)).unwrap().alive.len(), 1, "that takes no key");
}

#[test]
fn a_token_is_for_its_client_and_for_its_store() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, token) = house.begin("alice");
    let other = house.refresh_by(&house.add_client("other", T0), &token);
    assert!(matches!(other, Err(RefreshError::OtherClient(_))));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(House::open(elsewhere.path()).refresh(&token, at(1)), Err(RefreshError::Unknown)));
    assert!(!house.refuses(&session) && house.refresh(&token, at(2)).is_ok());
}

#[test]
fn the_store_has_no_token_in_it() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (session, token) = house.begin("alice");
    let next = house.refresh(&token, at(1)).unwrap().token;
    let row = house.store.get(Table::Sessions, session.id.as_bytes()).unwrap().unwrap();
    let text = String::from_utf8(row).unwrap();
    assert!(text.contains(r#""agent":"curl/8""#), "{text}");
    for token in [&token, &next] {
        let secret = token.expose().as_bytes();
        assert!(!secret.windows(16).any(|part| text.as_bytes().windows(16).any(|there| there == part)));
    }
}

/// Writes the session as versions did that knew its client by name only.
fn forget_client(house: &House, session: &Session) {
    let key = session.id.as_bytes().as_slice();
    let row = house.store.get(Table::Sessions, key).unwrap().unwrap();
    let mut row: serde_json::Value = serde_json::from_slice(&row).unwrap();
    row.as_object_mut().unwrap().remove("client").unwrap();
    house.store.commit(Batch::new().put(Table::Sessions, key, row.to_string())).unwrap();
}

#[test]
fn a_session_is_that_of_its_client_and_not_of_who_takes_the_name_later() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let shop = house.add_client("Shop", T0);
    let (session, token) = house.begin_by(&shop).unwrap();
    let (old, old_token) = house.begin_by(&shop).unwrap();
    forget_client(&house, &old);
    assert_eq!(session.client_id, "Shop");
    assert!(matches!(house.refresh(&token, at(1)), Err(RefreshError::OtherClient(_))));
    let token = house.refresh_by(&shop, &token).unwrap().token;
    let old_token = house.refresh_by(&shop, &old_token).unwrap().token;
    assert_eq!(house.alive(at(1)).len(), 2);
    // Not by way of the administration, which ends the sessions: nothing but the name is left.
    house.users.remove(&shop.username, at(1)).unwrap();
    let thief = house.add_client("Shop", at(2));
    for token in [&token, &old_token] {
        assert!(house.refresh_by(&thief, token).is_err());
        assert!(house.sessions.of_newest(token, &thief, &LIFETIMES, at(2)).unwrap().is_none());
    }
    assert_eq!(house.sessions.end_all_of(&thief, at(3)).unwrap(), 0);
    assert!(house.alive(at(1)).is_empty());
    house.sessions.forget_ended(&LIFETIMES, at(3)).unwrap();
    assert_eq!(house.rows(), 0);
}

#[test]
fn the_sessions_of_a_disabled_client_end_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let (shop, other) = (house.add_client("shop", T0), house.add_client("other", T0));
    let (mine, token) = house.begin_by(&shop).unwrap();
    let (old, _) = house.begin_by(&shop).unwrap();
    forget_client(&house, &old);
    let (others, others_token) = house.begin_by(&other).unwrap();
    let (direct, direct_token) = house.begin("alice");
    assert_eq!(house.disable(&shop), 2);
    assert!(
        house.refuses(&mine) && house.refuses(&old) && !house.refuses(&others) && !house.refuses(&direct)
    );
    let enabled = house.users.set_enabled(&shop.username, true, at(1)).unwrap();
    assert!(matches!(house.refresh_by(&enabled, &token), Err(RefreshError::Ended(_))), "for good");
    assert!(house.refresh_by(&other, &others_token).is_ok() && house.refresh(&direct_token, at(1)).is_ok());
    assert_eq!((house.rows(), house.disable(&shop)), (2, 0));
}

#[test]
fn no_session_begins_behind_the_back_of_who_disables_its_client() {
    let data = tempfile::tempdir().unwrap();
    let store = Disturbed::new(House::open(data.path()).store);
    let house = Arc::new(House::on(store.clone()));
    house.add("alice");
    let shop = house.add_client("shop", T0);
    let (clients, name) = (Clients::new(house.users.clone()), shop.username.clone());
    store.before_commit(move || {
        clients.rotate(&name, ClientCredential::Secret, true, at(1)).unwrap();
    });
    assert!(house.begin_by(&shop).is_ok(), "a new secret is no reason");
    let (inner, client) = (house.clone(), shop.clone());
    store.before_commit(move || assert_eq!(inner.disable(&client), 1));
    assert!(matches!(house.begin_by(&shop), Err(SessionError::ClientEnded)));
    assert_eq!(house.rows(), 0);
}

/// Killed between the two, a gateway had disabled the client and left its sessions.
#[test]
fn a_client_that_is_enabled_again_finds_no_session_of_before() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path());
    let shop = house.add_client("shop", T0);
    let (session, token) = house.begin_by(&shop).unwrap();
    house.users.set_enabled(&shop.username, false, at(1)).unwrap();
    let admin = LocalClientAdmin::new(house.users.clone(), house.sessions.clone(), || at(2));
    admin.set_client_enabled(&shop.username, true).unwrap();
    assert!(matches!(house.refresh_by(&shop, &token), Err(RefreshError::Ended(_))));
    assert!(house.revocations.refuses(&Verified { session: session.id, ..verified() }));
    let (_, token) = house.begin_by(&shop).unwrap();
    admin.set_client_enabled(&shop.username, true).unwrap();
    assert!(house.refresh_by(&shop, &token).is_ok(), "it was not disabled");
}
