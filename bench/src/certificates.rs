//! A certificate authority for the run, which both sides trust, and a certificate for the fakes.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Writes the authority's certificate to a file, and returns a server configuration signed by it.
///
/// ECDSA P-256 without an intermediate. AWS's chains are longer, which affects both sides equally.
pub(crate) fn acceptor(authority_file: &Path) -> anyhow::Result<TlsAcceptor> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "ecsrunner bench");
    std::fs::write(authority_file, authority.self_signed(&key)?.pem())
        .with_context(|| format!("cannot write {}", authority_file.display()))?;
    let issuer = Issuer::new(authority, key);

    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Returns a private key in PEM, like that of a GitHub App.
pub(crate) fn app_key() -> anyhow::Result<String> {
    Ok(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?.serialize_pem())
}
