//! A syslog server: RFC 5424 over UDP (RFC 5426), TCP with octet counting (RFC 6587), or a local socket.

use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use super::Sink;
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::audit::syslog::{framed, message};

/// How long a block may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// `udp://HOST:PORT`: a message that is lost is not noticed.
    Udp(String),
    /// `tcp://HOST:PORT`.
    Tcp(String),
    /// `unix:///dev/log`.
    Unix(PathBuf),
}

/// The sink.
pub struct Syslog {
    target: SyslogTarget,
    host: String,
}

impl Syslog {
    /// Sends to `target` as `host`.
    #[must_use]
    pub fn new(target: SyslogTarget, host: String) -> Self {
        Self { target, host }
    }

    async fn deliver(&self, messages: Vec<String>) -> std::io::Result<()> {
        match &self.target {
            SyslogTarget::Udp(address) => {
                let mut found = tokio::net::lookup_host(address).await?;
                let to = found
                    .next()
                    .ok_or_else(|| std::io::Error::other("the name has no address"))?;
                let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
                for message in messages {
                    socket.send_to(message.as_bytes(), to).await?;
                }
                Ok(())
            }
            SyslogTarget::Tcp(address) => {
                let mut stream = TcpStream::connect(address).await?;
                for message in messages {
                    stream.write_all(framed(&message).as_bytes()).await?;
                }
                stream.shutdown().await
            }
            SyslogTarget::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                for message in messages {
                    socket.send(message.as_bytes()).await?;
                }
                Ok(())
            }
        }
    }
}

impl Sink for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn send<'a>(&'a self, _: i64, entries: &'a [StoredEntry]) -> BoxFuture<'a, Result<(), String>> {
        let process = std::process::id();
        let messages = entries
            .iter()
            .map(|entry| message(entry, &self.host, process))
            .collect();
        Box::pin(async move {
            match tokio::time::timeout(TIMEOUT, self.deliver(messages)).await {
                Ok(delivered) => delivered.map_err(|error| error.to_string()),
                Err(_) => Err("the server did not take the entries in time".to_owned()),
            }
        })
    }
}
