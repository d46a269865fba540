//! TLS of what connects to others: whom servers may be certified by, and who we are.

use std::fmt;
use std::sync::{Arc, LazyLock};

use message::{Code, Fault};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::kind::Secrets;
use crate::options::Secret;

/// PEM texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The only authorities that count.
    pub ca: Option<String>,
    /// Our certificate, and its key.
    pub certificate: Option<String>,
    pub key: Option<String>,
}

impl TlsOptions {
    /// With the values of the secrets that name an authority, a certificate, and its key.
    ///
    /// # Errors
    /// `secret/not-found`
    pub fn of(secrets: &dyn Secrets, [ca, certificate, key]: [&Option<Secret>; 3]) -> Result<TlsOptions, Fault> {
        let pem = |named: &Option<Secret>| {
            named.as_ref().map(|named| secrets.get(&named.secret).map(str::to_owned)).transpose()
        };
        Ok(TlsOptions { ca: pem(ca)?, certificate: pem(certificate)?, key: pem(key)? })
    }

    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == TlsOptions::default()
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsOptions(..)")
    }
}

/// Whom an https server may be certified by. Made once, shared by all sinks of a process.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Mozilla's roots, those of the system, and those of `extra_ca_pem`: one or more certificates in PEM. What the
    /// system has and cannot be read is passed over.
    ///
    /// # Errors
    /// `config/invalid-value` when there is none in `extra_ca_pem`, or one that is no CA's.
    pub fn new(extra_ca_pem: Option<&[u8]>) -> Result<Tls, Fault> {
        let Some(pem) = extra_ca_pem else { return PLAIN.clone() };
        let mut roots = ROOTS.clone();
        add(&mut roots, pem)?;
        Tls::with(roots, None)
    }

    /// Of one out alone.
    ///
    /// # Errors
    /// `config/invalid-value` for PEM that has not what it should have.
    pub fn of(options: &TlsOptions) -> Result<Tls, Fault> {
        let mut roots = RootCertStore::empty();
        match &options.ca {
            Some(pem) => add(&mut roots, pem.as_bytes())?,
            None => roots = ROOTS.clone(),
        }
        Tls::with(roots, options.certificate.as_deref().zip(options.key.as_deref()))
    }

    /// For a client of any protocol.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    fn with(roots: RootCertStore, own: Option<(&str, &str)>) -> Result<Tls, Fault> {
        let refused = |what: &str, error: &dyn fmt::Display| unusable(&format!("the {what} cannot be used: {error}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused("TLS versions", &error))?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
                let chain = chain.map_err(|error| refused("client certificate", &error))?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|_| unusable("the client certificate's key is no private key in PEM"))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| refused("client certificate", &error))?
            }
        };
        Ok(Tls(Arc::new(config)))
    }
}

fn unusable(reason: &str) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason)
}

/// Mozilla's, and those of the system as they are when they are first asked for.
static ROOTS: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// With nothing but these.
static PLAIN: LazyLock<Result<Tls, Fault>> = LazyLock::new(|| Tls::with(ROOTS.clone(), None));

/// All certificates of a PEM text, one at least.
fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), Fault> {
    let refused = |reason: String| unusable(&format!("the CA certificates: {reason}"));
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| refused(format!("not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| refused(format!("an unusable one: {error}")))?;
    }
    if roots.len() == before { Err(refused("there is none".into())) } else { Ok(()) }
}
