//! The TLS configuration and the certificate authorities to trust.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::ConnectionError;

/// Creates a client configuration that trusts Mozilla's authorities, which are
/// built in: loading the system's would cost milliseconds of a Lambda's start. If
/// a file is given, only its authorities are trusted, as with the AWS CLI.
pub(super) fn config(ca_bundle: Option<&Path>) -> Result<ClientConfig, ConnectionError> {
    let roots = match ca_bundle {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(path) => bundle(path)?,
    };
    // The provider is passed here and not installed, so other libraries are not affected.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(ConnectionError::Tls)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn bundle(path: &Path) -> Result<RootCertStore, ConnectionError> {
    let unreadable = |source| ConnectionError::Bundle { path: path.to_owned(), source };
    let faulty = |fault: String| ConnectionError::Certificate { path: path.to_owned(), fault };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|error| faulty(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(faulty("it holds no certificate".to_owned()));
    }
    Ok(roots)
}
