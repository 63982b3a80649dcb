//! TLS towards an issuer: rustls on aws-lc-rs, TLS 1.2 or 1.3, with the certificates of the system or those of a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto::aws_lc_rs};

/// Why no connection can be trusted.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("the system has no certificates of authorities: install ca-certificates, or set ca_file")]
    NoRoots,
    #[error("ca_file {} cannot be read", .0.display())]
    File(PathBuf, #[source] pem::Error),
    #[error("ca_file {} has no certificate that can be used", .0.display())]
    EmptyFile(PathBuf),
    #[error("the certificates of authorities could not be read")]
    Reading(#[source] io::Error),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    #[error("the host has no name that a certificate can have")]
    Name(#[from] InvalidDnsNameError),
}

/// What connects over TLS. The certificates are read each time, which takes milliseconds once an hour, so that none that was replaced
/// stays in memory.
pub(super) async fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let file = ca_file.map(Path::to_owned);
    let roots = tokio::task::spawn_blocking(move || match file {
        Some(file) => roots_in(file),
        None => roots_of_system(),
    });
    let roots = roots.await.map_err(|error| TlsError::Reading(io::Error::other(error)))??;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Whom the certificate has to name.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    Ok(ServerName::try_from(host.to_owned())?)
}

fn roots_in(file: PathBuf) -> Result<RootCertStore, TlsError> {
    let read = CertificateDer::pem_file_iter(&file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = match read {
        Ok(certificates) => certificates,
        Err(error) => return Err(TlsError::File(file, error)),
    };
    let mut roots = RootCertStore::empty();
    let (_, refused) = roots.add_parsable_certificates(certificates);
    if roots.is_empty() || refused > 0 { Err(TlsError::EmptyFile(file)) } else { Ok(roots) }
}

/// Some of a system's certificates are always odd; those that can be read serve.
fn roots_of_system() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}
