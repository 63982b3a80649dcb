//! An error as a person reads it. `Display` of ours prints one level only; whoever logs or prints an error wants all of them.

use std::error::Error;

/// An error with its causes on one line. A cause that an error quotes itself is not told twice.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
