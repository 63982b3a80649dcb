//! Fills stores and makes tokens for `benches/compare`, with the gateway's own code instead of a hundred thousand requests.
//!
//! `prepare store CONFIG USERS REVOKED` adds `alice`, who has the role `user` and the password of the first line of standard input,
//! and USERS more users; the first REVOKED of these are disabled, so that each leaves a revocation. No gateway may run.
//!
//! `prepare tokens CONFIG COUNT FILE` writes COUNT access tokens for `alice`, one on each line.
//!
//! `prepare peer HS256|ES256 COUNT DIRECTORY` makes a key and COUNT tokens as another issuer would: `tokens`, and `key`, which is the
//! secret itself for HS256 and the public key in PEM for ES256.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use serde::Serialize;

use portcullis::app::{longest_token, open_keys, open_store};
use portcullis::clock::{self, UnixTime};
use portcullis::config::{self, Config};
use portcullis::id::{SessionId, TokenId, fill_random};
use portcullis::identity::{Argon2Params, KeyPolicy, PasswordHash, User, Users, hash};
use portcullis::name::{Role, Roles, Username};
use portcullis::secret::Secret;
use portcullis::store::Store;
use portcullis::token::{Issuer, Revocations, Subject};

/// Writers at the same time. Those that wait together share one fsync, so a hundred thousand writes take seconds.
const WRITERS: usize = 256;
/// How long a peer's tokens live.
const PEER_TTL: Duration = Duration::from_secs(30 * 86_400);

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["store", file, users, revoked] => fill(&load(file)?, users.parse()?, revoked.parse()?),
        ["tokens", file, count, to] => own_tokens(&load(file)?, count.parse()?, Path::new(to)),
        ["peer", algorithm, count, to] => peer_tokens(algorithm, count.parse()?, Path::new(to)),
        _ => Err("usage: prepare store CONFIG USERS REVOKED | tokens CONFIG COUNT FILE | peer HS256|ES256 COUNT DIRECTORY".into()),
    }
}

fn load(file: &str) -> Result<Config, Box<dyn Error>> {
    Ok(config::load(Path::new(file)).map_err(|errors| errors.to_string())?)
}

/// A store with a signing key, `alice`, and many more users, all with the same password.
fn fill(config: &Config, users: usize, revoked: usize) -> Done {
    let store: Arc<dyn Store> = Arc::new(open_store(config, Duration::ZERO)?);
    let now = clock::now();
    open_keys(config, store.clone())?.settle(&KeyPolicy::from(&config.token), clock::moment())?;
    let house = Users::new(store, Revocations::new().into());
    house.revoked().restore(now, longest_token(config))?;

    let login = &config.login;
    let params = Argon2Params::from(login);
    let password = hash(params, &Secret::new(std::io::stdin().lines().next().ok_or("no password")??))?;
    let roles: Roles = [Role::new("user")?].into_iter().collect();
    house.add(&Username::new("alice")?, roles.clone(), password.clone(), now)?;
    let write = |first| write_users(&house, &roles, &password, (first..users).step_by(WRITERS), revoked);
    std::thread::scope(|scope| {
        let start = |first| scope.spawn(move || write(first));
        let writers: Vec<_> = (0..WRITERS).map(start).collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().map_err(|_| "a writer panicked")?.map_err(Into::into))
    })
}

fn write_users(
    house: &Users,
    roles: &Roles,
    password: &PasswordHash,
    numbers: impl Iterator<Item = usize>,
    revoked: usize,
) -> Result<(), String> {
    for number in numbers {
        let name = Username::new(&format!("user-{number}")).map_err(|error| error.to_string())?;
        let now = clock::now();
        house.add(&name, roles.clone(), password.clone(), now).map_err(|error| error.to_string())?;
        if number < revoked {
            house.set_enabled(&name, false, now).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Tokens as the token endpoint gives them, each of a login of its own.
fn own_tokens(config: &Config, count: usize, to: &Path) -> Done {
    let store: Arc<dyn Store> = Arc::new(open_store(config, Duration::ZERO)?);
    let now = clock::now();
    let ring = open_keys(config, store.clone())?.settle(&KeyPolicy::from(&config.token), clock::moment())?;
    let users = Users::new(store, Revocations::new().into());
    let User { id, username, roles, version, .. } = users.find("alice")?.ok_or("there is no alice")?;
    let issuer = Issuer::new(&config.token.issuer, &config.token.audience, config.token.access_ttl);
    let mut text = String::new();
    for _ in 0..count {
        let session = SessionId::generate(now)?;
        let subject =
            Subject { user_id: id, username: &username, roles: &roles, version, session, client_id: "bench" };
        writeln!(text, "{}", issuer.issue(ring.active(), &subject, now)?.token)?;
    }
    Ok(fs::write(to, text)?)
}

/// The claims that the peers of the comparison check and pass on.
#[derive(Serialize)]
struct PeerClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    role: &'a str,
    iat: u64,
    exp: u64,
    jti: TokenId,
}

fn peer_tokens(algorithm: &str, count: usize, to: &Path) -> Done {
    let (algorithm, (signer, key)) = match algorithm {
        "HS256" => (jsonwebtoken::Algorithm::HS256, peer_secret()?),
        "ES256" => (jsonwebtoken::Algorithm::ES256, peer_pair()?),
        _ => return Err("the algorithm is HS256 or ES256".into()),
    };
    let header = jsonwebtoken::Header::new(algorithm);
    let now: UnixTime = clock::now();
    let mut text = String::new();
    for _ in 0..count {
        let claims = PeerClaims {
            iss: "https://auth.example.com",
            aud: "api",
            sub: "alice@example.com",
            role: "user",
            iat: now.as_secs(),
            exp: now.after(PEER_TTL).as_secs(),
            jti: TokenId::generate(now)?,
        };
        writeln!(text, "{}", jsonwebtoken::encode(&header, &claims, &signer)?)?;
    }
    fs::create_dir_all(to)?;
    fs::write(to.join("key"), key)?;
    Ok(fs::write(to.join("tokens"), text)?)
}

/// 24 random bytes, in hexadecimal digits, which are the key: it has to stand in HAProxy's configuration.
fn peer_secret() -> Result<(EncodingKey, String), Box<dyn Error>> {
    let mut bytes = [0; 24];
    fill_random(&mut bytes)?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((EncodingKey::from_secret(text.as_bytes()), text))
}

fn peer_pair() -> Result<(EncodingKey, String), Box<dyn Error>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(public.as_ref())
    );
    Ok((EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref()), pem))
}
