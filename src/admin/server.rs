//! The listening end of the admin socket.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::TokenView;
use super::api::{self, VerifyFn};
use super::metrics::{self, PageFn};
use crate::clock;
use crate::control::Control;
use crate::identity::{AdminError, Administered, Recorder};
use crate::observe::audit::{Actor, Audit};
use crate::observe::metrics::Format;
use crate::shutdown::Signal;

/// Bytes of a request body.
const MAX_BODY: usize = 64 * 1024;

/// The admin socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on the admin socket {path}: {source}{hint}")]
pub struct SocketError {
    path: String,
    source: io::Error,
    hint: &'static str,
}

/// The admin API of a running gateway.
pub struct AdminServer {
    listener: UnixListener,
    path: PathBuf,
    answers: Answers,
    audit: Audit,
}

/// What requests are answered with.
#[derive(Clone)]
struct Answers {
    administered: Administered,
    verify: Arc<VerifyFn>,
    page: Arc<PageFn>,
    control: Control,
}

impl Answers {
    /// The same, with the process at the other end as the actor of every change.
    fn to(&self, stream: &UnixStream, audit: &Audit) -> Self {
        let actor = stream.peer_cred().map_or(Actor::Anonymous, |peer| Actor::Uid(peer.uid()));
        let recorder = Recorder::new(audit.clone(), actor, clock::now);
        Self { administered: self.administered.recorded(&recorder), ..self.clone() }
    }
}

impl AdminServer {
    /// Listens on the socket, mode 0600. Changes are recorded in `audit`, `page` makes what `/metrics` shows, and what a request asks for
    /// is done on `control`. One that a dead gateway has left is replaced: who holds the store's lock is the only gateway on this
    /// directory.
    ///
    /// # Errors
    /// [`SocketError`] names the path.
    pub fn bind(
        path: &Path,
        administered: Administered,
        audit: Audit,
        verify: impl Fn(&str) -> Result<TokenView, AdminError> + Send + Sync + 'static,
        page: impl Fn(Format) -> Option<String> + Send + Sync + 'static,
        control: Control,
    ) -> Result<Self, SocketError> {
        let fail = |source: io::Error| {
            // The kernel's limit for the path of a socket is 107 bytes.
            let too_long = path.as_os_str().len() > 107;
            let hint =
                if too_long { "; the path is over 107 bytes long: choose a shorter store.path" } else { "" };
            SocketError { path: path.display().to_string(), source, hint }
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(fail)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
        let answers = Answers { administered, verify: Arc::new(verify), page: Arc::new(page), control };
        Ok(Self { listener, path: path.to_owned(), answers, audit })
    }

    /// Serves until the signal comes, then removes the socket once what is being done is finished, within `grace`: a caller that
    /// stops in the middle of its request does not keep the gateway from stopping.
    pub async fn run(self, mut signal: Signal, grace: Duration) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = signal.wait() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let answers = self.answers.to(&stream, &self.audit);
                        connections.spawn(serve(stream, answers, signal.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "cannot accept on the admin socket");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(
                "requests on the admin socket did not finish within server.shutdown_grace; they are broken off"
            );
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(error = %error, "the admin socket could not be removed");
        }
    }
}

async fn serve(stream: UnixStream, answers: Answers, mut signal: Signal) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(respond(request, answers).await) }
    });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = signal.wait() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "an admin connection ended badly");
    }
}

async fn respond(request: Request<Incoming>, answers: Answers) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Answers { administered, verify, page, control } = answers;
    if head.uri.path() == metrics::PATH {
        return metrics::answer(&head.method, &head.headers, page).await;
    }
    let (status, bytes) = match Limited::new(body, MAX_BODY).collect().await {
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, Vec::new()),
        Ok(body) => {
            let body = zeroize::Zeroizing::new(body.to_bytes().to_vec());
            // Hashes passwords and waits for the disk; to its end, even if the caller goes away.
            let work = move || api::answer(&administered, &*verify, &head.method, head.uri.path(), &body);
            control.spawn_blocking(work).await.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Vec::new()))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
