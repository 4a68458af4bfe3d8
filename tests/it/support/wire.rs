//! Between a vault and its Postgres: counts the statements that go over the wire, so that tests can count round trips.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections, and notes what is executed.
pub struct Wire {
    address: SocketAddr,
    executed: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Listens on loopback for connections to the server of `dsn`.
    pub async fn to(dsn: &str) -> Self {
        let options = PgConnectOptions::from_str(dsn).unwrap();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let executed = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&executed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, noted) = (server.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.unwrap();
                    forward(client, server, &noted).await;
                });
            }
        });
        Self { address, executed }
    }

    /// The DSN that leads through here, in clear, so that the statements can be read.
    pub fn dsn(&self, dsn: &str) -> String {
        let options = PgConnectOptions::from_str(dsn).unwrap();
        let there = format!("@{}:{}", options.get_host(), options.get_port());
        let through = dsn.replace(&there, &format!("@{}", self.address));
        assert_ne!(through, dsn, "the DSN names its server as host:port");
        let separator = if through.contains('?') { '&' } else { '?' };
        format!("{through}{separator}sslmode=disable")
    }

    /// What was executed since the last call, but for the change feed, whose passes come by themselves.
    pub fn take(&self) -> Vec<String> {
        let mut executed = std::mem::take(&mut *self.executed.lock().unwrap());
        executed.retain(|sql| !sql.contains("pg_current_snapshot") && !sql.contains("pg_notify"));
        executed
    }
}

async fn forward(client: TcpStream, server: TcpStream, noted: &Mutex<Vec<String>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut statements: HashMap<Vec<u8>, String> = HashMap::new();
    let mut bound = String::new();
    let mut started = false;
    while let Some(message) = next(&mut from_client, started).await {
        if started {
            let body = &message[5..];
            match message[0] {
                // Parse: name and text of a statement.
                b'P' => {
                    let (name, rest) = text(body);
                    statements.insert(name.to_vec(), String::from_utf8_lossy(text(rest).0).into_owned());
                }
                // Bind: portal, and the statement's name.
                b'B' => {
                    let (_, rest) = text(body);
                    bound = statements.get(text(rest).0).cloned().unwrap_or_default();
                }
                b'E' => noted.lock().unwrap().push(bound.clone()),
                b'Q' => noted
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(text(body).0).into_owned()),
                _ => {}
            }
        }
        started = true;
        if to_server.write_all(&message).await.is_err() {
            return;
        }
    }
}

/// A whole message: the first of a connection has no type.
async fn next(stream: &mut (impl tokio::io::AsyncRead + Unpin), started: bool) -> Option<Vec<u8>> {
    let head = if started { 5 } else { 4 };
    let mut message = vec![0; head];
    stream.read_exact(&mut message).await.ok()?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap());
    let mut rest = vec![0; length as usize - 4];
    stream.read_exact(&mut rest).await.ok()?;
    message.extend_from_slice(&rest);
    Some(message)
}

/// A text that ends with a zero, and what follows it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
