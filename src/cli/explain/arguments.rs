//! What can be typed behind `portcullis explain`.

use clap::Args;
use http::{HeaderName, HeaderValue, Method};

use crate::name::{Role, Username};

/// `portcullis explain`
#[derive(Debug, Args)]
#[command(
    after_help = "It decides as the gateway does, by the same code, for a request that comes from this machine. A path alone is \
                        asked of the host in token.issuer.\nWithout --user, --role and --token the caller has not logged in. Only \
                        --user and --token look into the store.\nThe exit status is 0 whatever the decision."
)]
pub(in crate::cli) struct Question {
    /// GET, POST, ...
    #[arg(value_name = "METHOD")]
    pub(super) method: Method,
    /// A path such as /orders/7, or http://host/path
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// As this user, with a fresh token
    #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "token"])]
    pub(super) user: Option<Username>,
    /// As somebody with this role; may be given several times
    #[arg(long, value_name = "ROLE", conflicts_with = "token")]
    pub(super) role: Vec<Role>,
    /// With this access token
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// A header field of the request, "Name: value"; may be given several times
    #[arg(long = "header", value_name = "FIELD", value_parser = header_field)]
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

fn header_field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as \"Name: value\"")?;
    let name =
        HeaderName::try_from(name).map_err(|_| format!("{name:?} is not the name of a header field"))?;
    let value = HeaderValue::try_from(value.trim())
        .map_err(|_| "the value has a character that no field can have")?;
    Ok((name, value))
}
