//! A foreign issuer: keys of its own, a server that publishes them, tokens that it signs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::clock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::backend::Backend;
use super::gateway::Gateway;
use super::token::{encode, signing_input};
use super::wait_until;

/// A key of an issuer.
pub(crate) struct IssuerKey {
    pub(crate) kid: String,
    alg: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl IssuerKey {
    /// A new key for one of ES256, ES384, EdDSA, RS256, PS256.
    pub(crate) fn new(kid: &str, alg: &'static str) -> Self {
        let ec = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
        let pair = match alg {
            "ES256" => Pair::Ec(ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
            "ES384" => Pair::Ec(ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
            "EdDSA" => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            "RS256" | "PS256" => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            _ => panic!("no key for {alg}"),
        };
        Self { kid: kid.into(), alg, pair }
    }

    /// Its public half.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = if self.alg == "ES256" { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
            }
        };
        for (name, value) in [("use", "sig"), ("alg", self.alg), ("kid", &self.kid)] {
            jwk[name] = json!(value);
        }
        jwk
    }

    /// The header of its tokens.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.alg, "kid": self.kid, "typ": "JWT"})
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    /// A token with this header, which may say anything.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let input = signing_input(header, claims);
        let (header, claims) = input.split_once('.').unwrap();
        self.sign_text(header, claims)
    }

    /// A token with this header and these claims, both encoded already.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let (input, random) = (format!("{header}.{claims}"), SystemRandom::new());
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, input.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding =
                    if self.alg == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{input}.{}", encode(signature))
    }
}

/// The server of an issuer, and its keys.
pub(crate) struct Issuer {
    pub(crate) server: Backend,
    pub(crate) key: IssuerKey,
    name: &'static str,
}

impl Issuer {
    /// An issuer with one key for ES256.
    pub(crate) fn start(name: &'static str) -> Self {
        Self::with(name, IssuerKey::new("one", "ES256"))
    }

    /// An issuer with this key.
    pub(crate) fn with(name: &'static str, key: IssuerKey) -> Self {
        let issuer = Self { server: Backend::start(), key, name };
        issuer.publish(&[&issuer.key]);
        issuer
    }

    /// Its `iss`.
    pub(crate) fn iss(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// Its table in the configuration, where the keys are at `/jwks`, with these lines more.
    pub(crate) fn table(&self, lines: &str) -> String {
        self.table_with(&format!("jwks_url = '{}/jwks'\n{lines}", self.iss()))
    }

    /// The same without a place for the keys. Unless the lines say otherwise the gateway waits for longer than the harness: with the
    /// default of 10 seconds, a test whose server was held up for so long failed for another reason than it was looking for.
    pub(crate) fn table_with(&self, lines: &str) -> String {
        let (name, iss) = (self.name, self.iss());
        let timeout = if lines.contains("timeout") { "" } else { "timeout = '1m'\n" };
        format!(
            "[[issuer]]\nname = '{name}'\nissuer = '{iss}'\naudience = 'api'\nroles_claim = 'realm_access.roles'\n\
             roles = {{ staff = ['reader'], boss = 'admin' }}\n{timeout}{lines}\n"
        )
    }

    /// Answers with these keys from now on.
    pub(crate) fn publish(&self, keys: &[&IssuerKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.answer("/jwks", 200, &json!({"keys": keys}).to_string());
    }

    /// Answers at this path with this text from now on.
    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        let length = body.len();
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
        self.server.reply_raw(path, response);
    }

    /// The claims of a good token of somebody with these roles.
    pub(crate) fn claims(&self, sub: &str, roles: &[&str]) -> Value {
        let now = clock::now().as_secs();
        json!({
            "iss": self.iss(), "aud": ["api", "other"], "sub": sub, "iat": now, "exp": now + 3600,
            "realm_access": {"roles": roles},
        })
    }

    /// A good token of somebody with these roles.
    pub(crate) fn token(&self, sub: &str, roles: &[&str]) -> String {
        self.key.sign(&self.claims(sub, roles))
    }

    /// Waits until the gateway has its keys, and returns a good token.
    #[track_caller]
    pub(crate) fn ready(&self, gateway: &Gateway) -> String {
        let token = self.token("alice", &["staff"]);
        wait_until("the keys of the issuer are there", || gateway.get("/auth/me", &token).status == 200);
        token
    }
}

/// A server that answers everything with the same text over TLS, for the name `localhost`, and the certificate that vouches for it.
pub(crate) struct TlsServer {
    pub(crate) addr: SocketAddr,
    /// In PEM.
    pub(crate) authority: String,
}

impl TlsServer {
    /// Serves to the end of the test.
    pub(crate) fn start(body: String) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let session = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(session, stream.unwrap());
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                // A client that does not trust us goes away, which is its business.
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(count) if count > 0 => head.extend_from_slice(&buffer[..count]),
                        _ => break,
                    }
                }
                let length = body.len();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
                let _ = stream.flush();
            }
        });
        Self { addr, authority: pem(authority.der()) }
    }
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}
