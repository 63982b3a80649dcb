use super::{
    Argon2Params, COMMON_PASSWORDS, HashError, PasswordHash, WeakPassword, check_new_password, hash,
    needs_rehash, unmatchable, verify,
};
use crate::name::Username;
use crate::secret::Secret;

const SMALL: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn stored(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

#[test]
fn a_hash_matches_its_password_and_no_other() {
    let password = secret("correct horse");
    let hashed = hash(SMALL, &password).unwrap();
    assert_eq!(verify(&hashed, &password), Ok(true));
    for other in ["correct hors", "correct horse ", "Correct horse", "", "correct horse\0", hashed.expose()] {
        assert_eq!(verify(&hashed, &secret(other)), Ok(false), "{other:?}");
    }
    assert_ne!(hash(SMALL, &password).unwrap(), hashed, "the salt is fresh each time");
}

#[test]
fn nothing_of_a_long_password_is_ignored() {
    let long = "x".repeat(1023);
    let hashed = hash(SMALL, &secret(&format!("{long}a"))).unwrap();
    assert_eq!(verify(&hashed, &secret(&format!("{long}b"))), Ok(false));
    let nul = hash(SMALL, &secret("before\0after")).unwrap();
    assert_eq!(verify(&nul, &secret("before\0other")), Ok(false));
}

#[test]
fn the_hash_says_how_it_was_made() {
    let text = hash(Argon2Params::default(), &secret("correct horse")).unwrap();
    let fields: Vec<_> = text.expose().split('$').collect();
    assert_eq!(fields[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
    assert_eq!((fields[4].len(), fields[5].len()), (22, 43), "16 bytes of salt and 32 of output in base64");
}

/// The test vector of the reference implementation, so that our hashes are the standard's (RFC 9106).
#[test]
fn a_hash_of_another_implementation_is_accepted() {
    let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert_eq!(verify(&stored(text), &secret("password")), Ok(true));
    assert_eq!(verify(&stored(text), &secret("passwore")), Ok(false));
    assert!(needs_rehash(&stored(text), Argon2Params::default()));
}

#[test]
fn a_stored_hash_cannot_ask_for_too_much() {
    let tail = "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for params in [
        "m=4194304,t=1,p=1",
        "m=262145,t=1,p=1",
        "m=8,t=17,p=1",
        "m=1024,t=1,p=17",
        "m=4294967295,t=4294967295,p=1",
    ] {
        let hash = stored(&format!("$argon2id$v=19${params}{tail}"));
        assert_eq!(verify(&hash, &secret("password")), Err(HashError::OutOfBounds), "{params}");
    }
    let short = stored("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAA");
    assert_eq!(verify(&short, &secret("password")), Err(HashError::OutOfBounds));
}

#[test]
fn what_is_not_a_complete_argon2_hash_matches_nothing() {
    for text in [
        "",
        "password",
        "$argon2id$v=19$m=8,t=1,p=1",
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let hash = stored(text);
        assert!(matches!(verify(&hash, &secret("password")), Err(HashError::Unreadable(_))), "{text}");
        assert!(verify(&hash, &secret(text)).is_err(), "the hash itself is no credential");
        assert!(needs_rehash(&hash, SMALL));
    }
}

#[test]
fn other_parameters_ask_for_a_new_hash() {
    let hashed = hash(SMALL, &secret("correct horse")).unwrap();
    assert!(!needs_rehash(&hashed, SMALL));
    assert!(needs_rehash(&hashed, Argon2Params { memory_kib: 9, ..SMALL }));
    assert!(needs_rehash(&hashed, Argon2Params { passes: 2, ..SMALL }));
    assert!(needs_rehash(&hashed, Argon2Params { lanes: 2, ..SMALL }));
    assert!(needs_rehash(&stored(&hashed.expose().replace("argon2id", "argon2i")), SMALL));
}

#[test]
fn impossible_parameters_are_an_error() {
    let params = Argon2Params { memory_kib: 4, ..SMALL };
    assert!(matches!(hash(params, &secret("correct horse")), Err(HashError::Failed(_))));
}

#[test]
fn the_unmatchable_hash_costs_what_the_parameters_say_and_matches_nothing() {
    let dummy = unmatchable(SMALL).unwrap();
    assert_eq!(verify(&dummy, &secret("")), Ok(false));
    assert!(!needs_rehash(&dummy, SMALL), "the same algorithm, parameters and sizes as a real one");
}

#[test]
fn debug_is_redacted() {
    let hashed = hash(SMALL, &secret("correct horse")).unwrap();
    assert_eq!(format!("{hashed:?}"), "PasswordHash(redacted)");
}

#[test]
fn new_passwords_are_judged_by_length_and_commonness_alone() {
    let alice = Username::new("alice.liddell").unwrap();
    let cases = [
        ("", Err(WeakPassword::TooShort)),
        ("sevench", Err(WeakPassword::TooShort)),
        ("äöüßäöü", Err(WeakPassword::TooShort)),
        ("äöüßäöüß", Ok(())),
        ("eightchr", Ok(())),
        ("all lower case words", Ok(())),
        ("password", Err(WeakPassword::Common)),
        ("PassWord", Err(WeakPassword::Common)),
        ("12345678", Err(WeakPassword::Common)),
        ("qwertyuiop", Err(WeakPassword::Common)),
        ("Alice.Liddell", Err(WeakPassword::IsUsername)),
    ];
    for (password, verdict) in cases {
        assert_eq!(check_new_password(&secret(password), &alice), verdict, "{password}");
    }
    assert_eq!(check_new_password(&secret(&"x".repeat(1024)), &alice), Ok(()));
    assert_eq!(check_new_password(&secret(&"x".repeat(1025)), &alice), Err(WeakPassword::TooLong));
}

#[test]
fn the_list_of_common_passwords_is_clean() {
    let lines: Vec<_> = COMMON_PASSWORDS.lines().collect();
    assert!(lines.len() >= 300, "{}", lines.len());
    for line in &lines {
        assert!(
            line.chars().count() >= 8 && *line == line.trim() && *line == line.to_lowercase(),
            "{line:?}"
        );
    }
    let mut unique = lines.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), lines.len());
}
