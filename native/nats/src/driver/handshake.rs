//! From an address to a connection the server has accepted.
//!
//! ```text
//! TCP ──► INFO ──► TLS, if one of both wants it ──► CONNECT, PING ──► PONG
//!     └─► TLS ──► INFO, with `tls.first` ───────────────▲
//! ```

use std::time::Duration;

use message::{Code, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::pool::Candidate;
use super::read_buffer::ReadBuffer;
use super::stream::Stream;
use super::{Auth, Network, Options, Proof, tls};
use crate::protocol::{Connect, Frame, ParserLimits, ServerError, ServerInfo, encode_connect, encode_ping, parse};

/// An accepted connection: CONNECT was answered, and nothing else has been said.
pub struct Accepted {
    pub stream: Stream,
    pub read: ReadBuffer,
    pub info: ServerInfo,
    /// Nobody in between could have written `info`, or there is no TLS.
    pub proven: bool,
}

/// One try at one server, within `limit`.
pub async fn connect(
    network: &dyn Network,
    candidate: &Candidate,
    options: &Options,
    limit: Duration,
) -> Result<Accepted, Fault> {
    match timeout(limit, dial(network, candidate, options)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::new(Code::NatsConnect, format!("{} did not answer within {limit:?}", candidate.server))),
    }
}

async fn dial(network: &dyn Network, candidate: &Candidate, options: &Options) -> Result<Accepted, Fault> {
    let server = &candidate.server;
    let unreachable = |error: std::io::Error| Fault::new(Code::NatsConnect, format!("{server}: {error}"));
    let socket = network.dial(server).await.map_err(unreachable)?;
    let (stream, read) = (Stream::Plain(socket), ReadBuffer::new());
    let heard = Accepted { stream, read, info: ServerInfo::default(), proven: false };
    heard.shake_hands(&candidate.tls_name, options).await.map_err(|fault| {
        let reason = format!("{server}: {}", fault.reason());
        Fault::new(fault.code(), reason)
    })
}

/// What a frame means to the handshake.
enum Heard {
    Info(ServerInfo),
    Pong,
    Ping,
    Nothing,
}

impl Accepted {
    async fn shake_hands(mut self, host: &str, options: &Options) -> Result<Accepted, Fault> {
        if options.tls.first {
            self = self.secured(host, options).await?;
        }
        let Heard::Info(info) = self.hear().await.map_err(|fault| silent(fault, options))? else {
            return Err(Fault::new(Code::NatsProtocol, "the server did not begin with INFO"));
        };
        if !info.headers {
            return Err(Fault::new(Code::NatsConnect, "the server does not take headers; 2.2 or later is needed"));
        }
        let wants_certificate = info.tls_verify;
        let secured = info.tls_required || options.tls.wanted();
        if secured && !options.tls.first && !info.tls_required && !info.tls_available {
            // Credentials have not been sent, and are not.
            return Err(Fault::new(Code::NatsTlsMissing, "the server does not offer TLS"));
        }
        self.info = info;
        self.proven = !secured || options.tls.first;
        if secured {
            self = self.secured(host, options).await?;
        }
        match self.greet(options).await {
            Ok(()) => Ok(self),
            // Its alert is lost when the end of the connection overtakes it.
            Err(fault) if wants_certificate && fault.code() == Code::NatsConnect => {
                let reason = "the server hung up after TLS; it wants a client certificate that it trusts";
                Err(Fault::new(Code::NatsTlsClientCertificate, reason))
            }
            Err(fault) => Err(fault),
        }
    }

    /// In TLS from here on.
    async fn secured(self, host: &str, options: &Options) -> Result<Accepted, Fault> {
        let Stream::Plain(socket) = self.stream else { return Ok(self) };
        if !self.read.held().is_empty() {
            // Somebody in between could have put it there, to be taken for something said in TLS.
            return Err(Fault::new(Code::NatsProtocol, "the server went on in plain text where TLS begins"));
        }
        let stream = Stream::Tls(Box::new(tls::secure(socket, host, &options.tls).await?));
        Ok(Accepted { stream, ..self })
    }

    async fn greet(&mut self, options: &Options) -> Result<(), Fault> {
        let proof = prove(&self.info.nonce, options).await?;
        self.say(&greeting(options, proof.as_ref())).await?;
        loop {
            match self.hear().await? {
                Heard::Pong => return Ok(()),
                Heard::Info(info) => (self.info, self.proven) = (info, true),
                Heard::Ping => self.say(b"PONG\r\n").await?,
                Heard::Nothing => {}
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let stream = &mut self.stream;
        let said = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let Err(error) = said.await else { return Ok(()) };
        // Why it does not listen is said in what it sent before, if at all.
        match self.hear().await {
            Err(fault) => Err(fault),
            Ok(_) => Err(broken(error)),
        }
    }

    /// The next frame.
    async fn hear(&mut self) -> Result<Heard, Fault> {
        let limits = ParserLimits::default();
        loop {
            if let Some((frame, used)) = parse(self.read.held(), &limits)? {
                let heard = match frame {
                    Frame::Info(json) => Ok(Heard::Info(ServerInfo::parse(json)?)),
                    Frame::Err(text) => Err(ServerError::parse(text).fault()),
                    Frame::Ping => Ok(Heard::Ping),
                    Frame::Pong => Ok(Heard::Pong),
                    Frame::Ok | Frame::Message(_) => Ok(Heard::Nothing),
                };
                self.read.consume(used);
                return heard;
            }
            let count = self.stream.read(self.read.room(limits.info + 2)).await.map_err(broken)?;
            if count == 0 {
                return Err(Fault::new(Code::NatsConnect, "the server closed the connection"));
            }
            self.read.filled(count);
        }
    }
}

fn broken(error: std::io::Error) -> Fault {
    tls::fault(&error).unwrap_or_else(|| Fault::new(Code::NatsConnect, error.to_string()))
}

/// The end came before INFO, as it does when server and client wait for each other.
fn silent(fault: Fault, options: &Options) -> Fault {
    if options.tls.first || fault.code() != Code::NatsConnect {
        return fault;
    }
    let reason = format!("{} before it said anything; one with `handshake_first` needs TLS first", fault.reason());
    Fault::new(fault.code(), reason)
}

/// Signs the nonce, if the server has one. One that has none asks nobody for a signature.
async fn prove(nonce: &str, options: &Options) -> Result<Option<Proof>, Fault> {
    if nonce.is_empty() || !matches!(options.auth, Auth::Creds(_) | Auth::Nkey(_)) {
        return Ok(None);
    }
    let (nonce, auth) = (nonce.to_owned(), options.auth.clone());
    // Not on this thread: others wait for it, and a network's file system may take its time.
    tokio::task::spawn_blocking(move || auth.prove(&nonce))
        .await
        .map_err(|error| Fault::new(Code::NatsConnect, format!("no thread to read credentials: {error}")))?
}

/// CONNECT, and the PING whose PONG says that it was accepted.
fn greeting(options: &Options, proof: Option<&Proof>) -> Vec<u8> {
    let mut connect = Connect::new(&options.name);
    match &options.auth {
        Auth::None | Auth::Creds(_) | Auth::Nkey(_) => {}
        Auth::User { user, password } => {
            connect.user = Some(user);
            connect.pass = Some(password);
        }
        Auth::Token(token) => connect.auth_token = Some(token),
    }
    if let Some(proof) = proof {
        (connect.jwt, connect.nkey) = (proof.jwt.as_deref(), proof.nkey.as_deref());
        connect.sig = Some(&proof.signature);
    }
    let mut out = Vec::new();
    encode_connect(&mut out, &connect);
    encode_ping(&mut out);
    out
}
