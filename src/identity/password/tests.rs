use std::path::Path;

use super::{
    Argon2Params, COMMON_PASSWORDS, HashError, PasswordHash, WeakPassword, check_new_password, hash,
    needs_rehash, verify,
};
use crate::config;
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
        assert!(matches!(verify(&hash, &secret("password")), Err(HashError::OutOfBounds(_))), "{params}");
    }
    let message = PasswordHash::import(format!("$argon2id$v=19$m=8,t=17,p=1{tail}")).unwrap_err().to_string();
    assert!(message.ends_with("at most 256 MiB, 16 passes and 16 lanes of argon2 are granted"), "{message}");
    let short = stored("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAA");
    assert!(matches!(verify(&short, &secret("password")), Err(HashError::OutOfBounds(_))));
}

#[test]
fn what_is_not_a_complete_hash_matches_nothing() {
    for text in [
        "",
        "password",
        "$argon2id$v=19$m=8,t=1,p=1",
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ0123",
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
        "$2b$12$abcdefghijklmnopqrst\u{fc}ABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$2b$+5$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$scrypt$ln=15,r=8$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=015,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$pbkdf2-sha256$i=1000,l=31$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$pbkdf2-sha256$1000$AAAAAAAAAAAAAAAAAAAAAA",
        "scrypt:1000:8:1$saltsaltsaltsalt$00112233445566778899aabbccddeeff",
        "pbkdf2:sha256:1000$saltsaltsaltsalt$00112233445566778899aabbccddeef",
    ] {
        let hash = stored(text);
        let error = verify(&hash, &secret("password")).unwrap_err();
        assert!(matches!(error, HashError::Unreadable(_) | HashError::Refused(_)), "{text}: {error:?}");
        assert!(verify(&hash, &secret(text)).is_err(), "the hash itself is no credential");
        assert!(needs_rehash(&hash, SMALL));
        assert!(text.len() < 10 || !error.to_string().contains(text), "{error}");
    }
}

/// Program, password and hash of each line.
fn vectors() -> Vec<[&'static str; 3]> {
    let lines = include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect::<Vec<_>>().try_into().unwrap()).collect()
}

#[test]
fn hashes_of_other_programs_match_their_passwords_and_no_other() {
    let vectors = vectors();
    assert!(vectors.len() > 20);
    for [program, password, hash] in vectors {
        let hash = PasswordHash::import(hash.to_owned()).unwrap_or_else(|error| panic!("{program}: {error}"));
        assert_eq!(verify(&hash, &secret(password)), Ok(true), "{program}");
        let wrong = [format!("{password}x"), format!("x{password}"), password.to_uppercase() + "?"];
        // Behind 72 bytes bcrypt sees nothing: see the test for that.
        let cut = program == "bcrypt 72";
        for wrong in wrong.iter().skip(if cut { 2 } else { 0 }) {
            assert_eq!(verify(&hash, &secret(wrong)), Ok(false), "{program}");
        }
        // SECURITY L8
        assert_eq!(verify(&hash, &secret(hash.expose())), Ok(false), "{program}");
        assert_ne!(hash.form(), "unreadable");
        assert!(needs_rehash(&hash, Argon2Params::default()), "{program}");
    }
}

fn vector(program: &str) -> PasswordHash {
    let found = vectors().into_iter().find(|[name, ..]| *name == program);
    stored(found.unwrap()[2])
}

/// SECURITY L6: where the original counted 72 bytes, we do too, until the first login; bcrypt-sha256 counts them all.
#[test]
fn behind_72_bytes_bcrypt_sees_nothing_and_bcrypt_sha256_all() {
    let (long, other) = (format!("{}tail", "x".repeat(72)), format!("{}other", "x".repeat(72)));
    let bcrypt = vector("bcrypt 72");
    assert_eq!(verify(&bcrypt, &secret(&long)), Ok(true));
    assert_eq!(verify(&bcrypt, &secret(&other)), Ok(true));
    assert_eq!(verify(&bcrypt, &secret(&"x".repeat(71))), Ok(false));
    let sha256 = vector("bcrypt_sha256 long");
    assert_eq!(verify(&sha256, &secret(&long)), Ok(true));
    assert_eq!(verify(&sha256, &secret(&other)), Ok(false));
}

/// SECURITY L6: bcrypt repeats its key behind the NUL that ends it, and HMAC fills its key up with them.
#[test]
fn a_nul_does_not_repeat_or_end_a_password() {
    let hash = vector("bcrypt abc");
    assert_eq!(verify(&hash, &secret("abc")), Ok(true));
    for other in ["abc\0", "abc\0abc", "abc\0abc\0abc", "abc\0def"] {
        assert_eq!(verify(&hash, &secret(other)), Ok(false), "{other:?}");
    }
    for program in ["passlib pbkdf2-sha256", "passlib scrypt", "bcrypt_sha256 v2"] {
        assert_eq!(verify(&vector(program), &secret("correct horse b\u{e4}ttery\0")), Ok(false), "{program}");
    }
}

/// SECURITY L7, for the hashes that are imported.
#[test]
fn an_imported_hash_cannot_ask_for_too_much() {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    let bcrypt = |cost| format!("$2b${cost}${salt}{}", "A".repeat(31));
    for text in [
        bcrypt("16"),
        bcrypt("31"),
        bcrypt("99"),
        bcrypt("03"),
        format!("$bcrypt-sha256$v=2,t=2b,r=31${salt}${}", "A".repeat(31)),
        format!("$scrypt$ln=19,r=8,p=1${salt}${output}"),
        format!("$scrypt$ln=63,r=8,p=1${salt}${output}"),
        format!("$scrypt$ln=4294967295,r=4294967295,p=4294967295${salt}${output}"),
        format!("$scrypt$ln=1,r=33,p=1${salt}${output}"),
        format!("$scrypt$ln=1,r=8,p=17${salt}${output}"),
        format!("$scrypt$ln=18,r=8,p=16${salt}${output}"),
        format!("$scrypt$ln=0,r=8,p=1${salt}${output}"),
        format!("$pbkdf2-sha256$0${salt}${output}"),
        format!("$pbkdf2-sha256$5000001${salt}${output}"),
        format!("$pbkdf2-sha256$4294967295${salt}${output}"),
        format!("$pbkdf2-sha256$1000${salt}${}", "A".repeat(86)),
        format!("$pbkdf2-sha256$1000${salt}$AAAAAAAAAAAAAAAAAAAA"),
        format!("$pbkdf2-sha256$1000$AAAA${output}"),
        format!("$pbkdf2-sha256$1000${}${output}", "A".repeat(172)),
        format!("scrypt:4194304:8:1$saltsalt${}", "00".repeat(32)),
        format!("pbkdf2_sha256$5000001$saltsalt${output}="),
    ] {
        let error = PasswordHash::import(text.clone()).unwrap_err();
        assert!(matches!(error, HashError::OutOfBounds(_)), "{text}: {error:?}");
        assert!(matches!(verify(&stored(&text), &secret("x")), Err(HashError::OutOfBounds(_))), "{text}");
    }
    let endless = format!("$pbkdf2-sha256$1000${salt}${}", "A".repeat(100_000));
    assert!(PasswordHash::import(endless).is_err());
}

#[test]
fn what_is_weak_or_unknown_is_refused_with_a_way_out() {
    for (text, part) in [
        ("$apr1$UtEIiz26$yaTA2IMt.8P8qxAt0U2Ug1", "MD5"),
        ("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "SHA-1"),
        ("FUxNQIqbkR.T.", "DES"),
        ("$5$.UX02jW/vlvOBy4m$cL3wHDfKaHlghfXmSYzTuveJxjA5rCp8BGe7Xq1laY2", "SHA-256-crypt"),
        ("$6$aEo8mG68l.Y59rWh$XBEDp", "SHA-512-crypt"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "MD5"),
        ("correct horse", "plain text"),
        ("", "plain text"),
        ("$2x$05$EDYF8Q135J7Tq7nKVFml0eaWdsTvw6iMixKeVk2rpT.Q/0CmJKHrq", "faulty"),
        ("bcrypt_sha256$$2b$12$E8OXR742YyTuTxWwtIVJ1.H8WEMznjooK6z7HY9ssgVfIRmIiIcz.", "Django"),
    ] {
        let error = PasswordHash::import(text.to_owned()).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, HashError::Refused(_)), "{text}: {error:?}");
        assert!(told.contains(part) && told.contains("user passwd"), "{text}: {told}");
        assert!(text.is_empty() || !told.contains(text), "{told}");
    }
}

#[test]
fn a_kind_is_spent_for_every_work() {
    for [program, _, hash] in vectors() {
        let work = stored(hash).work().unwrap();
        super::Workspace::default()
            .spend(work, &secret("x"))
            .unwrap_or_else(|error| panic!("{program}: {error}"));
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,120}") {
        let _ = PasswordHash::import(text);
    }

    /// What is a real hash but for a few bytes is within bounds or refused: it must not panic, nor ask for much.
    #[test]
    fn a_damaged_hash_is_within_bounds_or_refused(index in 0..20_usize, at in 0..200_usize, with in "[$=,:0-9a-z./+]{0,4}") {
        let mut text = vectors()[index][2].to_owned();
        let at = at.min(text.len() - 1);
        text.replace_range(at..=at, &with);
        if let Some(work) = stored(&text).work() {
            proptest::prop_assert!(work.memory_kib() <= 256 * 1024);
        }
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

/// The bounds of the configuration are those of a stored hash. With more passes than these it was accepted, and every login failed.
#[test]
fn the_most_that_the_configuration_can_ask_for_is_hashed_and_checked() {
    let (least, most) = (64, config::Login::MAX_MEMORY_KIB);
    let (passes, lanes) = (config::Login::MAX_PASSES, config::Login::MAX_LANES);
    for (memory_kib, passes, lanes) in [(least, passes, 1), (8 * lanes, passes, lanes), (most, 1, lanes)] {
        let lines = format!("[login]\nmemory = '{memory_kib}KiB'\npasses = {passes}\nlanes = {lanes}");
        let login = config::parse(&lines, Path::new("config.toml")).unwrap().login;
        let params = Argon2Params::from(&login);
        assert_eq!(params, Argon2Params { memory_kib, passes, lanes });
        let hashed = hash(params, &secret("correct horse")).unwrap();
        assert_eq!(verify(&hashed, &secret("correct horse")), Ok(true), "{params:?}");
        assert!(!needs_rehash(&hashed, params), "{params:?}");
    }
}

#[test]
fn impossible_parameters_are_an_error() {
    let params = Argon2Params { memory_kib: 4, ..SMALL };
    assert!(matches!(hash(params, &secret("correct horse")), Err(HashError::Failed(_))));
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
