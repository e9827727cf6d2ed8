//! `Tls`: the certificate of this server, read from two files and read again when they change.
//!
//! A renewed certificate is used by the next connection, without a restart. Files that are no good are explained; while a server
//! runs it keeps the certificate that it has. Knows no HTTP beyond the name of its version.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;

/// The files are looked at no more often than this.
const LOOK: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used. The text is for the person who starts the server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the file {} of `{setting}` cannot be read: {error}", path.display())]
    Unreadable { setting: &'static str, path: PathBuf, error: io::Error },
    #[error(
        "the file {} of `tls.certificate` has no certificate: it must be PEM, with lines `-----BEGIN CERTIFICATE-----`, your \
         certificate first and those of its issuers after it",
        path.display()
    )]
    NoCertificate { path: PathBuf },
    #[error(
        "the file {} of `tls.key` has no private key: it must be PEM, with a line such as `-----BEGIN PRIVATE KEY-----`, and \
         without a password",
        path.display()
    )]
    NoKey { path: PathBuf },
    #[error("the file {} of `{setting}` is damaged: {error}", path.display())]
    Damaged { setting: &'static str, path: PathBuf, error: String },
    #[error("{} and {} do not fit together: {error}", certificate.display(), key.display())]
    Unfit { certificate: PathBuf, key: PathBuf, error: rustls::Error },
}

/// See the module's text.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// Held for a look at two files, once in `LOOK`.
    current: Mutex<LoadedCertificate>,
}

struct LoadedCertificate {
    acceptor: TlsAcceptor,
    looked: Instant,
    /// The files when they were read last, whether they were good or not.
    seen: [FileState; 2],
}

/// A file is another one when this has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState(Option<[i64; 3]>);

impl FileState {
    fn of(path: &Path) -> FileState {
        // Follows links: renewing programs exchange the link.
        let seen =
            std::fs::metadata(path).map(|file| [file.mtime(), file.mtime_nsec(), file.ino().cast_signed()]);
        FileState(seen.ok())
    }
}

impl Tls {
    /// `None` where no certificate is set.
    pub fn load(config: &TlsConfig) -> Result<Option<Tls>, TlsError> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else { return Ok(None) };
        let seen = [FileState::of(certificate), FileState::of(key)];
        let loaded =
            LoadedCertificate { acceptor: acceptor(certificate, key)?, looked: Instant::now(), seen };
        Ok(Some(Tls { certificate: certificate.clone(), key: key.clone(), current: Mutex::new(loaded) }))
    }

    /// For one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock();
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            self.look(&mut current);
        }
        current.acceptor.clone()
    }

    fn look(&self, current: &mut LoadedCertificate) {
        let seen = [FileState::of(&self.certificate), FileState::of(&self.key)];
        if seen == current.seen {
            return;
        }
        current.seen = seen;
        match acceptor(&self.certificate, &self.key) {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                tracing::info!("the TLS certificate was read again");
            }
            // One file may have been replaced a moment before the other; the second change is seen as well.
            Err(error) => {
                tracing::error!(%error, "the changed TLS certificate is not used; the server keeps the one it has")
            }
        }
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let (chain, private) = (chain(certificate)?, private_key(key)?);
    let unfit = |error| TlsError::Unfit { certificate: certificate.to_owned(), key: key.to_owned(), error };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, "tls.certificate")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| damaged(path, "tls.certificate", &error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(chain) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, "tls.key")?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            TlsError::NoKey { path: path.to_owned() }
        } else {
            damaged(path, "tls.key", &error)
        }
    })
}

fn read(path: &Path, setting: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable { setting, path: path.to_owned(), error })
}

fn damaged(path: &Path, setting: &'static str, error: &pem::Error) -> TlsError {
    TlsError::Damaged { setting, path: path.to_owned(), error: error.to_string() }
}
