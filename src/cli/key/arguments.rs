//! What can be typed behind `portcullis key`.

use clap::Subcommand;

use crate::cli::arguments::Form;

/// `portcullis key`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Key {
    /// List all keys: the next one, the active one, and the retired ones whose tokens still live
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Replace the key that signs; no token is refused because of it
    #[command(
        after_help = "The next key is published at once and signs after token.publish_ahead; the old one verifies until its last \
                            token has expired.\nWith --now, for keys that somebody else may know, a new key signs at once, all \
                            others are gone, and every token is refused; on a terminal it asks first."
    )]
    Rotate {
        /// Remove all other keys at once: every access token ends
        #[arg(long)]
        now: bool,
        /// Do not ask
        #[arg(long, requires = "now")]
        yes: bool,
        #[command(flatten)]
        form: Form,
    },
}
