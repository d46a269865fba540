//! Authorities, certificates and keys that live as long as a test: nothing secret is in the
//! repository, and each test has the names and dates it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nats::TlsOptions;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{WantsServerCert, WebPkiClientVerifier};
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};
use tokio_rustls::TlsAcceptor;

use crate::Folder;

/// A folder of PEM files, of one authority.
pub struct Certificates {
    folder: Folder,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// With `ca.pem` and, for `names`, `server.pem` and `server-key.pem`.
    pub fn new(names: &[&str]) -> Certificates {
        let folder = Folder::new();
        let mut params = named(&[], "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let certificates = Certificates { folder, authority };
        certificates.issue("server", names);
        certificates
    }

    /// Writes NAME.pem and NAME-key.pem, or overwrites them.
    pub fn issue(&self, name: &str, names: &[&str]) {
        self.sign(name, named(names, name));
    }

    /// The same, with a certificate that ended long ago.
    pub fn issue_expired(&self, name: &str, names: &[&str]) {
        let mut params = named(names, name);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        self.sign(name, params);
    }

    fn sign(&self, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        fs::write(self.file(name), params.signed_by(&key, &self.authority).unwrap().pem()).unwrap();
        fs::write(self.file(&format!("{name}-key")), key.serialize_pem()).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pem"))
    }

    /// The authority's certificate, as PEM.
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    /// The server's end of TLS, for a server that a test writes by hand.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_that(|builder| builder.with_no_client_auth())
    }

    /// The same, for clients alone that this authority has certified.
    pub fn acceptor_of_known(&self) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        self.acceptor_that(|builder| builder.with_client_cert_verifier(verifier))
    }

    fn acceptor_that(
        &self,
        clients: impl FnOnce(ConfigBuilder<ServerConfig, WantsVerifier>) -> ConfigBuilder<ServerConfig, WantsServerCert>,
    ) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_file(self.file("server")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.file("server-key")).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = clients(builder.with_safe_default_protocol_versions().unwrap());
        let config = builder.with_single_cert(chain, key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// For nats-server's configuration; `more` goes into its `tls` block.
    pub fn server(&self, more: &str) -> String {
        let (cert, key, ca) = (self.file("server"), self.file("server-key"), self.file("ca"));
        format!("tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, {more} }}\n")
    }

    /// A client that believes this authority.
    pub fn client(&self) -> TlsOptions {
        TlsOptions { ca: Some(self.file("ca")), ..TlsOptions::default() }
    }

    /// One that also shows the certificate `name`.
    pub fn client_with(&self, name: &str) -> TlsOptions {
        TlsOptions { cert: Some(self.file(name)), key: Some(self.file(&format!("{name}-key"))), ..self.client() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn named(names: &[&str], common: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    params
}
