//! A place in the network between a process and a server, as a Service of a cluster is one: it leads elsewhere when a test says so, and holds
//! back what is on its way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes TCP connections on, for as long as it lives.
pub struct Forwarder {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    target: watch::Sender<SocketAddr>,
    /// How much more each connection may send to the server before the rest waits.
    allowance: watch::Sender<Option<usize>>,
    held: AtomicUsize,
}

impl Forwarder {
    /// Passes connections on to a server of this machine.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: watch::Sender::new(target),
            allowance: watch::Sender::new(None),
            held: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// New connections lead there from now on; those that stand are left alone.
    pub fn switch(&self, target: SocketAddr) {
        self.shared.target.send_replace(target);
    }

    /// From now on, each connection may send so many bytes more; the rest waits.
    pub fn hold_after(&self, bytes: usize) {
        self.shared.allowance.send_replace(Some(bytes));
    }

    /// How many connections have something that waits.
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Lets everything pass.
    pub fn release(&self) {
        self.shared.allowance.send_replace(None);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let target = *shared.target.borrow();
            // Nobody there: the client's connection ends, as one to a dead server does.
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::join!(
                upwards(from_client, to_server, &shared),
                downwards(from_server, to_client)
            );
        });
    }
}

async fn upwards(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut allowance = shared.allowance.subscribe();
    let mut left = *allowance.borrow_and_update();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        if allowance.has_changed().unwrap_or(false) {
            left = *allowance.borrow_and_update();
        }
        if left.is_some_and(|left| left < read) {
            shared.held.fetch_add(1, Ordering::SeqCst);
            let _ = allowance.wait_for(Option::is_none).await;
            shared.held.fetch_sub(1, Ordering::SeqCst);
            left = None;
        }
        left = left.map(|left| left - read);
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn downwards(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}
