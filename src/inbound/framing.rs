//! Framing that the HTTP parser lets through but that another parser behind us could read in another way (RFC 9112 §6, §11.2).

use http::{HeaderName, Version, header};

use crate::http1::{Ambiguous, Length};
use crate::message::{Fields, Head};
use crate::reject::Reject;

/// Refuses a head whose message length or expectation could be read in two ways.
pub(super) fn check(head: &Head) -> Result<(), Reject> {
    // One pass over the names costs less than a look-up for each of these three, which most requests do not have.
    let is_framing = |name: &HeaderName| {
        *name == header::TRANSFER_ENCODING || *name == header::CONTENT_LENGTH || *name == header::EXPECT
    };
    if head.fields.names().any(is_framing) {
        length(head)?;
        expectation(&head.fields)?;
    }
    if head.version == Version::HTTP_2 && has_connection_fields(&head.fields) {
        return Err(Reject::BadRequest("connection-specific header fields have no place in HTTP/2"));
    }
    Ok(())
}

fn length(head: &Head) -> Result<(), Reject> {
    Length::of_request(head.version, &head.fields).map(drop).map_err(|ambiguous| match ambiguous {
        Ambiguous::Coding => Reject::UnknownTransferCoding,
        Ambiguous::OldCoding => Reject::BadRequest("HTTP/1.0 has no Transfer-Encoding"),
        Ambiguous::Both => Reject::BadRequest("the request has both Transfer-Encoding and Content-Length"),
        Ambiguous::Length => Reject::BadRequest("Content-Length must be given once, in digits"),
    })
}

/// RFC 9110 §10.1.1: the only expectation there is.
fn expectation(headers: &Fields) -> Result<(), Reject> {
    let unknown = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(&header::EXPECT).any(unknown) {
        return Err(Reject::UnknownExpectation);
    }
    Ok(())
}

/// Whether RFC 9113 §8.2.2 keeps a field out of HTTP/2.
#[must_use]
pub fn is_connection_specific(name: &HeaderName) -> bool {
    CONNECTION_FIELDS.contains(name)
}

static CONNECTION_FIELDS: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// RFC 9113 §8.2.2.
fn has_connection_fields(headers: &Fields) -> bool {
    let te_is_more = headers.get_all(&header::TE).any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    te_is_more || headers.names().any(is_connection_specific)
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::check;

    fn refused(fields: &[(&str, &str)]) -> bool {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0.into()).is_err()
    }

    #[test]
    fn a_length_that_could_be_read_in_two_ways_is_refused() {
        let (te, cl) = ("transfer-encoding", "content-length");
        assert!(
            !refused(&[])
                && !refused(&[(te, "chunked")])
                && !refused(&[(te, "Chunked")])
                && !refused(&[(cl, "5")])
        );
        let cases: [&[(&str, &str)]; 11] = [
            &[(te, "chunked"), (cl, "5")],
            &[(te, "gzip, chunked")],
            &[(te, "chunked, chunked")],
            &[(te, "chunked"), (te, "chunked")],
            &[(te, "chunked;q=1")],
            &[(te, "xchunked")],
            &[(cl, "5"), (cl, "5")],
            &[(cl, "5, 5")],
            &[(cl, "+5")],
            &[(cl, "")],
            &[(cl, "18446744073709551616")],
        ];
        for case in cases {
            assert!(refused(case), "{case:?}");
        }
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        assert!(!refused(&[("expect", "100-Continue")]));
        assert!(refused(&[("expect", "200-ok")]) && refused(&[("expect", "100-continue"), ("expect", "x")]));
    }

    #[test]
    fn connection_fields_have_no_place_in_http2() {
        let refused = |name: &str, value: &str| {
            let request =
                Request::builder().version(Version::HTTP_2).header("accept", "*/*").header(name, value);
            check(&request.body(()).unwrap().into_parts().0.into()).is_err()
        };
        for name in ["Connection", "Keep-Alive", "Proxy-Connection", "Upgrade"] {
            assert!(refused(name, "x"), "{name}");
        }
        assert!(refused("transfer-encoding", "chunked") && refused("te", "gzip"));
        let both = Request::builder().version(Version::HTTP_2).header("te", "trailers").header("te", "gzip");
        assert!(check(&both.body(()).unwrap().into_parts().0.into()).is_err(), "te in two lines");
        assert!(!refused("te", "trailers") && !refused("x-connection", "close"));
    }
}
