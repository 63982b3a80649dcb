//! The key set of a foreign issuer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::config::ForeignAlgorithm;
use portcullis::token::KeySet;

fuzz_target!(|json: &[u8]| {
    let Ok((set, ignored)) = KeySet::parse(json, &ForeignAlgorithm::ALL) else { return };
    assert!(set.count() > 0 && set.count() + ignored.len() <= 100, "within the bound");
    let Ok((again, _)) = KeySet::parse(json, &ForeignAlgorithm::ALL) else { unreachable!("it was read before") };
    assert_eq!(set.id(), again.id(), "the same text has the same keys");
});
