//! The text of a stored or imported password hash.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::identity::PasswordHash;

fuzz_target!(|text: &str| {
    let Ok(hash) = PasswordHash::import(text.to_owned()) else { return };
    assert!(hash.check().is_ok() && !hash.is_none());
    assert!(!matches!(hash.form(), "none" | "unreadable"));
});
