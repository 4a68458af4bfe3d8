//! Sinks: every sealed entry arrives at least once, in order, signed; a sink that does not answer holds up nobody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aether_vault::crypto::mac::webhook_signature;
use aether_vault::domain::audit::leaf::StoredEntry;
use aether_vault::domain::record::Expect;
use aether_vault::service::context::SystemClock;
use aether_vault::service::sinks::{Sink, Syslog, SyslogTarget, Webhook};
use futures::future::BoxFuture;
use secrecy::SecretSlice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

const SECRET: &[u8] = b"a secret of the receiver";

fn webhook(address: std::net::SocketAddr) -> Webhook {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let secret = SecretSlice::from(SECRET.to_vec());
    Webhook::new(format!("http://{address}/in"), secret, Arc::new(SystemClock)).unwrap()
}

/// Heads and bodies of requests.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Takes requests; answers the first `failing` of them with 500. Their heads and bodies go to the list.
async fn receiver(failing: usize) -> (std::net::SocketAddr, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Taken::default();
    let list = Arc::clone(&taken);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let list = Arc::clone(&list);
            tokio::spawn(async move {
                let (mut bytes, mut chunk) = (Vec::new(), vec![0; 65_536]);
                loop {
                    let Ok(read @ 1..) = stream.read(&mut chunk).await else {
                        return;
                    };
                    bytes.extend_from_slice(&chunk[..read]);
                    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                        continue;
                    };
                    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
                    let length: usize = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "))
                        .unwrap()
                        .parse()
                        .unwrap();
                    if bytes.len() < end + 4 + length {
                        continue;
                    }
                    let body = bytes[end + 4..end + 4 + length].to_vec();
                    bytes.drain(..end + 4 + length);
                    let number = {
                        let mut list = list.lock().unwrap();
                        list.push((head, body));
                        list.len()
                    };
                    let status = if number <= failing {
                        "500 Broken"
                    } else {
                        "204 No Content"
                    };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (address, taken)
}

#[tokio::test]
async fn a_webhook_gets_every_entry_signed_and_again_after_a_failure() {
    let database = TestDatabase::new().await;
    let (address, taken) = receiver(2).await;
    let process = TestVault::with_sinks(&database, vec![Arc::new(webhook(address))]).await;
    let admin = process.admin().await;
    // A sink begins with what comes after it: let it take its place first.
    let placed = "SELECT count(*) FROM audit_sinks WHERE name = 'webhook'";
    while database.count(placed).await == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for n in 0..5 {
        let at = path(&format!("shared/{n}"));
        process
            .vault
            .records()
            .write(&admin, &at, &record(&[("k", "v")]), Expect::Any)
            .await
            .unwrap();
    }
    let mut resources = Vec::new();
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        resources = taken.lock().unwrap()[..]
            .iter()
            .skip(2)
            .flat_map(|(_, body)| {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                serde_json::from_value::<Vec<StoredEntry>>(body["entries"].clone()).unwrap()
            })
            .filter(|entry| entry.action == "record.write")
            .map(|entry| entry.resource)
            .collect();
        if resources.len() >= 5 {
            break;
        }
    }
    assert_eq!(resources, (0..5).map(|n| format!("shared/{n}")).collect::<Vec<_>>());
    for (head, body) in taken.lock().unwrap().iter() {
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        let time = header("x-aether-vault-timestamp: ").parse().unwrap();
        assert_eq!(
            header("x-aether-vault-signature: "),
            format!("v1={}", webhook_signature(SECRET, time, body))
        );
    }
}

/// Takes nothing, for ever.
struct Stuck(Arc<Mutex<u64>>);

impl Sink for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn send<'a>(&'a self, _: i64, _: &'a [StoredEntry]) -> BoxFuture<'a, Result<(), String>> {
        *self.0.lock().unwrap() += 1;
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn r26_a_sink_that_never_answers_holds_up_nobody() {
    let database = TestDatabase::new().await;
    let asked = Arc::new(Mutex::new(0));
    let process = TestVault::with_sinks(&database, vec![Arc::new(Stuck(Arc::clone(&asked)))]).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let mut n = 0;
    // It is being waited for, and everything goes on all the same.
    while *asked.lock().unwrap() == 0 {
        n += 1;
        records
            .write(
                &admin,
                &path(&format!("shared/{n}")),
                &record(&[("k", "v")]),
                Expect::Any,
            )
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sealed = database.count("SELECT COALESCE(max(total), 0) FROM audit_blocks").await;
    for n in 0..20 {
        let at = path(&format!("later/{n}"));
        records
            .write(&admin, &at, &record(&[("k", "v")]), Expect::Any)
            .await
            .unwrap();
        records.read(&admin, &at, None).await.unwrap();
    }
    // Whoever would wait for the sink would wait for ever.
    let log = process.vault.audit_log();
    let sealed_all = tokio::time::timeout(Duration::from_secs(60), log.seal());
    sealed_all.await.expect("sealing waits for nobody").unwrap();
    assert!(database.count("SELECT max(total) FROM audit_blocks").await >= sealed + 40);
    assert_eq!(*asked.lock().unwrap(), 1);
    assert!(process.metric("aether_vault_audit_sink_lag_entries") > 0.0);
}

#[tokio::test]
async fn syslog_takes_messages_by_each_transport() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    process.vault.audit_log().seal().await.unwrap();
    let proof = process
        .vault
        .audit_log()
        .proof(database.count("SELECT min(id) FROM audit_entries").await)
        .await
        .unwrap();
    let entries = [proof.entry.clone(), proof.entry];
    let send = |target: SyslogTarget| {
        let entries = entries.clone();
        async move { Syslog::new(target, "host".to_owned()).send(1, &entries).await }
    };

    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    send(SyslogTarget::Udp(udp.local_addr().unwrap().to_string()))
        .await
        .unwrap();
    let mut bytes = vec![0; 65_536];
    let length = udp.recv(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
    assert!(
        text.starts_with("<110>1 ") && text.contains(" host aether-vault "),
        "{text}"
    );

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = SyslogTarget::Tcp(tcp.local_addr().unwrap().to_string());
    let (sent, taken) = futures::join!(send(target), async {
        let mut all = Vec::new();
        tcp.accept().await.unwrap().0.read_to_end(&mut all).await.unwrap();
        String::from_utf8(all).unwrap()
    });
    sent.unwrap();
    let (length, rest) = taken.split_once(' ').unwrap();
    assert_eq!(
        rest.len(),
        2 * length.parse::<usize>().unwrap() + length.len() + 1,
        "two messages, each behind its length"
    );

    let folder = tempfile::tempdir().unwrap();
    let unix = UnixDatagram::bind(folder.path().join("log")).unwrap();
    send(SyslogTarget::Unix(folder.path().join("log"))).await.unwrap();
    let length = unix.recv(&mut bytes).await.unwrap();
    assert!(bytes[..length].starts_with(b"<110>1 "));
    assert!(send(SyslogTarget::Unix(folder.path().join("none"))).await.is_err());
}
