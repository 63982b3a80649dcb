//! A file of users to import: JSON lines or htpasswd.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::identity::Lines;

fuzz_target!(|file: &[u8]| {
    let mut last = 0;
    for line in Lines::new(file, None) {
        let Ok(line) = line else { unreachable!("memory can be read") };
        assert!(line.number > last, "lines are counted upwards");
        last = line.number;
        if let Ok(user) = line.user {
            assert!(user.password.as_ref().is_none_or(|hash| hash.check() == Ok(())), "a hash is in bounds");
        }
    }
});
