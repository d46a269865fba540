//! Where to connect, as whom, and how patiently.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use message::{Code, Fault};

use super::TlsOptions;
use crate::jetstream::Api;

/// One server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How to prove who connects. `Debug` shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    User {
        user: String,
        password: String,
    },
    Token(String),
    /// A creds file: the JWT of a user and its seed. This and the next are read at every connect, so that a renewed
    /// one is taken up.
    Creds(PathBuf),
    /// A file with the seed of a user's NKey.
    Nkey(PathBuf),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::User { .. } => "User",
            Auth::Token(_) => "Token",
            Auth::Creds(_) => "Creds",
            Auth::Nkey(_) => "Nkey",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Tried in turn; never empty.
    pub servers: Vec<Server>,
    /// Whether to use the cluster's other servers too, which each server tells of. Without it only `servers` are used,
    /// for a cluster whose own addresses cannot be reached from here.
    pub discover: bool,
    pub auth: Auth,
    pub tls: TlsOptions,
    /// Where JetStream's API listens.
    pub api: Api,
    /// What the server's monitoring shows.
    pub name: String,
    /// For the first connect as a whole, of which each server has a part, and for each later try.
    pub connect_timeout: Duration,
    /// A ping goes out this often; two without any sign of life end the connection.
    pub ping_interval: Duration,
    /// Where there are other servers, one that gives no sign of life for so long after a ping is left.
    pub ping_timeout: Duration,
    /// The pause before the servers are tried again, once all of them were; it grows up to the next one.
    pub reconnect_min: Duration,
    pub reconnect_max: Duration,
    /// Tries in a row after which `turn` gives up; `None`: never.
    pub max_reconnects: Option<u32>,
    /// Bytes kept of what the server sends while it does not take what we send.
    pub read_ahead: usize,
}

const DEFAULT_PORT: u16 = 4222;

impl Options {
    /// `url`: `nats://user:password@host:port`, `nats://token@host`, `host`; several, separated by
    /// commas, are one cluster. `tls://` in one of them asks for TLS to all: each gets the same
    /// credentials. User names and passwords may be percent-encoded.
    ///
    /// # Errors
    /// `config/invalid-value` for anything else; the text names no credentials.
    pub fn new(url: &str) -> Result<Options, Fault> {
        let mut servers = Vec::new();
        let mut auth = Auth::None;
        let mut tls = TlsOptions::default();
        for part in url.split(',').map(str::trim) {
            let (secured, credentials, server) = split_url(part)?;
            tls.required |= secured;
            servers.push(server);
            if auth == Auth::None {
                auth = credentials;
            }
        }
        Ok(Options {
            servers,
            discover: true,
            auth,
            tls,
            api: Api::default(),
            name: "vrsky-fast".into(),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(3),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
            max_reconnects: None,
            read_ahead: 8 << 20,
        })
    }

    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// `tls://` in the URL stays what it was.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = TlsOptions { required: self.tls.required || tls.required, ..tls };
        self
    }

    #[must_use]
    pub fn user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.auth = Auth::User { user: user.into(), password: password.into() };
        self
    }

    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.auth = Auth::Token(token.into());
        self
    }
}

fn refuse(reason: impl Into<String>) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason)
}

/// Whether it asks for TLS, and the rest.
fn split_url(url: &str) -> Result<(bool, Auth, Server), Fault> {
    let (secured, rest) = match url.split_once("://") {
        Some(("nats", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        Some(_) => return Err(refuse("a NATS address begins with nats:// or tls://")),
        None => (false, url),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (auth, address) = match rest.rsplit_once('@') {
        Some((userinfo, address)) => (credentials(userinfo)?, address),
        None => (Auth::None, rest),
    };
    Ok((secured, auth, server_of(address)?))
}

fn credentials(userinfo: &str) -> Result<Auth, Fault> {
    Ok(match userinfo.split_once(':') {
        Some((user, password)) => Auth::User { user: percent_decoded(user)?, password: percent_decoded(password)? },
        None => Auth::Token(percent_decoded(userinfo)?),
    })
}

/// `host:port`, `host`, `[IPv6 address]:port`.
pub(super) fn server_of(address: &str) -> Result<Server, Fault> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| refuse("an IPv6 address lacks its `]`"))?;
            (host, port.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@')) {
        return Err(refuse("a NATS address is HOST:PORT"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) => digits.parse().map_err(|_| refuse("the port of a NATS address is no number up to 65535"))?,
    };
    Ok(Server { host: host.into(), port })
}

fn percent_decoded(text: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte =
            digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|d| u8::from_str_radix(d, 16).ok());
        bytes.push(
            byte.ok_or_else(|| refuse("a `%` in the credentials of a NATS address is not followed by two digits"))?,
        );
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| refuse("the credentials of a NATS address are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16) -> Server {
        Server { host: host.into(), port }
    }

    #[test]
    fn addresses_and_credentials() {
        let options = Options::new("nats://u%40x:p%3Aq:r@example.org:4333/").unwrap();
        assert_eq!(options.servers, [server("example.org", 4333)]);
        assert_eq!(options.auth, Auth::User { user: "u@x".into(), password: "p:q:r".into() });
        assert_eq!(Options::new("nats://t0ken@h").unwrap().auth, Auth::Token("t0ken".into()));
        assert_eq!(Options::new("h").unwrap().servers, [server("h", 4222)]);
        assert_eq!(
            Options::new("nats://[::1]:1, [fe80::2]").unwrap().servers,
            [server("::1", 1), server("fe80::2", 4222)]
        );
        assert_eq!(server("::1", 1).to_string(), "[::1]:1");
        let secured = Options::new("nats://h, tls://u:p@h:4333").unwrap();
        assert_eq!((secured.tls.required, &secured.servers[1]), (true, &server("h", 4333)));
        assert!(secured.tls(TlsOptions::default()).tls.required);
        assert!(!Options::new("h").unwrap().tls.required);
        assert_eq!(
            Options::new("h").unwrap().user("a", "b").auth,
            Auth::User { user: "a".into(), password: "b".into() }
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_a_secret() {
        for url in [
            "",
            "tls://",
            "http://h",
            "nats://",
            "h:x",
            "h:99999",
            "[::1",
            "a b",
            "u:secret%zz@h",
            "u:secret%4@h",
            "u:%ff@h",
            "h,",
        ] {
            let fault = Options::new(url).unwrap_err();
            assert_eq!(fault.code(), Code::ConfigInvalidValue, "{url}");
            assert!(!fault.to_string().contains("secret"), "{fault}");
        }
        assert!(!format!("{:?}", Options::new("u:secret@h").unwrap()).contains("secret"));
    }
}
