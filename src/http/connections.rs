//! A bound on open connections, so that one peer cannot exhaust the process (R29). What comes beyond it is closed at once.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use prometheus::{IntCounter, IntGauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpMetrics;
use super::metrics::Counted;

/// Accepts as many connections as there are permits.
#[derive(Clone)]
pub(super) struct Bounded {
    permits: Arc<Semaphore>,
    open: IntGauge,
    refused: IntCounter,
}

impl Bounded {
    pub(super) fn new(listener: &str, connections: usize, metrics: &HttpMetrics) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections)),
            open: metrics.connections.with_label_values(&[listener]),
            refused: metrics.connections_refused.with_label_values(&[listener]),
        }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Connection;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => {
                // Answers are small and written at once: waiting to fill a packet only delays them.
                let connection = Connection {
                    stream,
                    _permit: permit,
                    _counted: Counted::new(self.open.clone()),
                };
                connection.stream.set_nodelay(true).map(|()| (connection, service))
            }
            Err(_) => {
                self.refused.inc();
                Err(io::Error::other("too many connections"))
            }
        })
    }
}

/// A connection that gives its permit back when it closes.
pub(super) struct Connection {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A peer's address, to log what was refused.
pub(super) fn log_refused(peer: Option<&SocketAddr>, error: &io::Error) {
    tracing::debug!(peer = peer.map(ToString::to_string), %error, "connection refused");
}
