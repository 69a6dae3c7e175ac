//! Whose certificates a client trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig as TlsConfig, RootCertStore, crypto};
use thiserror::Error;
use url::Url;

/// Where the trusted certificates are.
#[derive(Clone, Copy, Debug)]
pub enum Roots<'p> {
    /// Nowhere: the service is asked without TLS.
    None,
    /// The machine's.
    System,
    /// In this text of PEM, and nowhere else.
    Pem(&'p [u8]),
}

impl<'p> Roots<'p> {
    /// Those in `pem`, if there is a file of them; else the machine's, if `url` asks for TLS.
    pub fn of(pem: Option<&'p [u8]>, url: &Url) -> Self {
        match pem {
            Some(pem) => Self::Pem(pem),
            None if url.scheme() == "https" => Self::System,
            None => Self::None,
        }
    }
}

/// Why no connection could ever be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// Install the system's certificates (`ca-certificates`), or name a file.
    #[error("this machine has no certificates to trust: {0}")]
    System(String),
    /// The file is not what it should be.
    #[error("the file of certificates has none that can be read: {0}")]
    Pem(String),
}

/// TLS that trusts `roots`.
///
/// # Errors
/// There are none.
pub fn trust(roots: Roots<'_>) -> Result<Arc<TlsConfig>, TrustError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::None => {}
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
                return Err(TrustError::System(why.join("; ")));
            }
        }
        Roots::Pem(text) => {
            for certificate in CertificateDer::pem_slice_iter(text) {
                let certificate = certificate.map_err(|error| TrustError::Pem(error.to_string()))?;
                store.add(certificate).map_err(|error| TrustError::Pem(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(TrustError::Pem("there is no certificate in it".to_owned()));
            }
        }
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = TlsConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("ring speaks the versions that are default");
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}
