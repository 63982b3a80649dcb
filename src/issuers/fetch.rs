//! One GET, for a document of an issuer. Over a connection of its own: it happens once an hour.
//!
//! What comes back is trusted to say whose tokens are good, so nothing leads anywhere else: no redirect is followed, no proxy is asked.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::tls::{self, TlsError};
use crate::config::{FetchUrl, InvalidUrl};
use crate::token::{Fault, KeySetError};

/// Bytes of a document. Key sets have a few KiB; those with certificates in them tens.
pub(super) const MAX_DOCUMENT: usize = 1 << 20;
/// Bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it took longer than timeout = {0:?}")]
    Timeout(Duration),
    #[error("cannot connect to {0}")]
    Connect(String, #[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the server speaks no HTTP/1.1, or broke off")]
    Http(#[from] hyper::Error),
    #[error("{0} cannot be asked for")]
    Request(String),
    #[error("{0} answered {1}")]
    Status(String, StatusCode),
    #[error("{0} answered {1}: a redirect is not followed, so the address of its end has to be configured")]
    Redirect(String, StatusCode),
    #[error("{0} answered in a coding that was not asked for (Content-Encoding)")]
    Coding(String),
    #[error("the document is longer than {MAX_DOCUMENT} bytes")]
    TooLong,
    #[error("the file cannot be read")]
    File(#[source] io::Error),
    #[error("jwks_file is not a file")]
    NotAFile,
    #[error("the metadata of the issuer {0}")]
    Metadata(Fault),
    #[error("the metadata is that of another issuer")]
    OtherIssuer,
    #[error("the jwks_uri in the metadata cannot be used")]
    KeySetUrl(#[from] InvalidUrl),
    #[error("the jwks_uri in the metadata leads from https to http")]
    Downgrade,
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

/// The document at `url`, from a server that the certificates in `ca_file`, or those of the system, vouch for.
pub(super) async fn get(url: &FetchUrl, ca_file: Option<&Path>) -> Result<Vec<u8>, FetchError> {
    let failed = |error| FetchError::Connect(url.authority().to_owned(), error);
    let connector = if url.is_https() { Some(tls::connector(ca_file).await?) } else { None };
    let addresses = resolve(url.host(), url.port()).await.map_err(failed)?;
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(failed)?;
    match connector {
        Some(connector) => {
            let stream = connector.connect(tls::server_name(url.host())?, stream).await.map_err(failed)?;
            exchange(url, stream).await
        }
        None => exchange(url, stream).await,
    }
}

/// The addresses of a host. The system's resolver takes half a minute if no name server answers, and cannot be told to stop. So it has a
/// thread of its own: it takes none from those who wait for the disk, of whom there are few, and nobody waits for it at the end.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, found) = oneshot::channel();
    let host = host.to_owned();
    let look_up = move || {
        let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Who asked may have given up.
        let _ = sender.send(addresses);
    };
    thread::Builder::new().name("portcullis-names".to_owned()).spawn(look_up)?;
    found.await.unwrap_or_else(|_| Err(io::Error::other("the resolver failed")))
}

async fn exchange(
    url: &FetchUrl,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<Vec<u8>, FetchError> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let request = Request::get(url.path_and_query())
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"))
        .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .header(header::USER_AGENT, HeaderValue::from_static("portcullis"))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Request(url.to_string()))?;
    let response = async move {
        let response = sender.send_request(request).await?;
        document(url, response).await
    };
    let (mut response, connection) = (Box::pin(response), std::pin::pin!(connection));
    tokio::select! {
        document = &mut response => document,
        // It ends when all is read, or cannot be: what it handed over has still to be looked at.
        _ = connection => response.await,
    }
}

async fn document(url: &FetchUrl, response: http::Response<Incoming>) -> Result<Vec<u8>, FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(url.to_string(), status));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(url.to_string(), status));
    }
    let coding = response.headers().get(header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Coding(url.to_string()));
    }
    let (mut body, mut document) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if document.len() + data.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLong);
        }
        document.extend_from_slice(&data);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::get;
    use crate::config::FetchUrl;

    /// A resolver that hangs would otherwise hold the threads by which the store is written.
    #[test]
    fn a_name_is_looked_up_without_the_threads_that_wait_for_the_disk() {
        let listener = TcpListener::bind(("localhost", 0)).unwrap();
        let url = format!("http://localhost:{}/jwks", listener.local_addr().unwrap().port());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        });
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        let document = runtime.block_on(async {
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let url = FetchUrl::parse(&url).unwrap();
            let document = tokio::time::timeout(Duration::from_secs(20), get(&url, None)).await;
            drop(release);
            let _ = busy.await;
            document
        });
        assert_eq!(document.unwrap().unwrap(), b"{}");
        server.join().unwrap();
    }
}
