//! TLS to the server: whom to believe, who we are, and what a failure means.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use message::{Code, Fault};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage, RootCertStore};
use tokio::io::BufReader;
use tokio_rustls::TlsConnector;

use super::Socket;
use super::stream::Secured;

/// A file of certificates is read up to here; the system's whole store has a quarter of a megabyte.
const LARGEST_FILE: u64 = 4 << 20;
/// What is read from the socket at once.
const READ_AHEAD: usize = 64 << 10;

/// When TLS is used, and with which files, all PEM. They are read at every connect, so that renewed
/// ones are taken up by the next. With all of it left out, TLS is used when the server wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Without TLS there is no connection, and no credentials are sent. `tls://` sets it.
    pub required: bool,
    /// TLS from the first byte, for a server with `handshake_first`; else after its INFO.
    pub first: bool,
    /// Authorities to believe, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate to show, with its chain, and its key; both or none.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsOptions {
    /// Who names files, or wants TLS first, wants TLS.
    pub fn wanted(&self) -> bool {
        self.required || self.first || self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    /// Reads files; blocks.
    fn config(&self) -> Result<ClientConfig, Fault> {
        let roots = match &self.ca {
            Some(file) => authorities(file)?,
            None => systems_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots);
        let (cert, key) = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) => return Ok(builder.with_no_client_auth()),
            _ => return Err(refused("a client certificate and its key have to be named together")),
        };
        let unfit = |error| refused(format!("the key {} does not fit {}: {error}", key.display(), cert.display()));
        builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(unfit)
    }
}

/// Shakes hands over `socket`, whose server has to be `host`.
pub async fn secure(socket: Socket, host: &str, options: &TlsOptions) -> Result<Secured, Fault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Fault::new(Code::NatsTlsWrongName, "this is no name that a certificate can have"))?;
    let options = options.clone();
    // Not on this thread: others wait for it, and a network's file system may take its time.
    let config = tokio::task::spawn_blocking(move || options.config())
        .await
        .map_err(|error| Fault::new(Code::NatsTlsHandshake, format!("no thread to read certificates: {error}")))??;
    let socket = BufReader::with_capacity(READ_AHEAD, socket);
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|error| {
        fault(&error).unwrap_or_else(|| Fault::new(Code::NatsTlsHandshake, format!("the TLS handshake broke: {error}")))
    })
}

/// What an error of the stream says about TLS, if anything. A server refuses a client's certificate
/// after the handshake, so this is asked until the connection is accepted.
pub fn fault(error: &io::Error) -> Option<Fault> {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let code = match error {
        // Not signed by the one of that name that is trusted: an authority that was made anew.
        Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => Code::NatsTlsUnknownCa,
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => Code::NatsTlsWrongName,
        Error::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => Code::NatsTlsExpired,
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Code::NatsTlsClientCertificate,
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Code::NatsTlsMissing,
        _ => Code::NatsTlsHandshake,
    };
    Some(Fault::new(code, error.to_string()))
}

fn refused(reason: impl Into<String>) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason)
}

fn authorities(file: &Path) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| refused(format!("{}: {error}", file.display())))?;
    }
    Ok(roots)
}

/// A few of a system's certificates may be beyond what TLS takes; those are left out.
fn systems_authorities() -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(refused("this system has no certificates of authorities; name a CA file"));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let found = found.map_err(|error| refused(format!("{} is not PEM: {error}", file.display())))?;
    if found.is_empty() {
        return Err(refused(format!("{} has no certificate in PEM", file.display())));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    // The parser's own words may quote the file.
    PrivateKeyDer::from_pem_slice(&read(file)?)
        .map_err(|_| refused(format!("{} has no private key in PEM, or an encrypted one", file.display())))
}

fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| refused(format!("{} cannot be read: {error}", file.display())))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(refused(format!("{} is larger than 4 MiB", file.display())));
    }
    Ok(bytes)
}
