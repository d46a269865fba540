//! From an address to a connection the server has accepted.

use std::time::Duration;

use message::{Code, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::read_buffer::ReadBuffer;
use super::{Auth, Options, Server};
use crate::protocol::{Connect, Frame, ParserLimits, ServerError, ServerInfo, encode_connect, encode_ping, parse};

/// An accepted connection: CONNECT was answered, and nothing else has been said.
pub struct Accepted {
    pub stream: TcpStream,
    pub read: ReadBuffer,
    pub info: ServerInfo,
}

/// One try at one server, within `limit`.
pub async fn connect(server: &Server, options: &Options, limit: Duration) -> Result<Accepted, Fault> {
    match timeout(limit, dial(server, options)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::new(Code::NatsConnect, format!("{server} did not answer within {limit:?}"))),
    }
}

async fn dial(server: &Server, options: &Options) -> Result<Accepted, Fault> {
    let unreachable = |error: std::io::Error| Fault::new(Code::NatsConnect, format!("{server}: {error}"));
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let mut accepted = Accepted { stream, read: ReadBuffer::new(), info: ServerInfo::default() };
    accepted.shake_hands(options).await.map_err(|fault| {
        let reason = format!("{server}: {}", fault.reason());
        Fault::new(fault.code(), reason)
    })?;
    Ok(accepted)
}

/// What a frame means to the handshake.
enum Heard {
    Info(ServerInfo),
    Pong,
    Ping,
    Nothing,
}

impl Accepted {
    async fn shake_hands(&mut self, options: &Options) -> Result<(), Fault> {
        let Heard::Info(info) = self.hear().await? else {
            return Err(Fault::new(Code::NatsProtocol, "the server did not begin with INFO"));
        };
        if info.tls_required {
            return Err(Fault::new(Code::NatsConnect, "the server wants TLS, which is not supported"));
        }
        if !info.headers {
            return Err(Fault::new(Code::NatsConnect, "the server does not take headers; 2.2 or later is needed"));
        }
        self.info = info;
        self.say(&greeting(options)).await?;
        loop {
            match self.hear().await? {
                Heard::Pong => return Ok(()),
                Heard::Info(info) => self.info = info,
                Heard::Ping => self.say(b"PONG\r\n").await?,
                Heard::Nothing => {}
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.stream.write_all(bytes).await.map_err(broken)
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
    Fault::new(Code::NatsConnect, error.to_string())
}

/// CONNECT, and the PING whose PONG says that it was accepted.
fn greeting(options: &Options) -> Vec<u8> {
    let mut connect = Connect::new(&options.name);
    match &options.auth {
        Auth::None => {}
        Auth::User { user, password } => {
            connect.user = Some(user);
            connect.pass = Some(password);
        }
        Auth::Token(token) => connect.auth_token = Some(token),
    }
    let mut out = Vec::new();
    encode_connect(&mut out, &connect);
    encode_ping(&mut out);
    out
}
