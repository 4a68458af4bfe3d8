//! Listening: plain or TLS, HTTP/1.1 and HTTP/2, bounded, drained on request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::HttpMetrics;
use super::connections::{Bounded, log_refused};
use super::tls::{self, TlsFiles};

/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// Bytes of a request's headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How to listen.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Certificate and key, for TLS.
    pub tls: Option<TlsFiles>,
    /// Most connections.
    pub max_connections: usize,
    /// How long a client may take to send the headers of its first request.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request, its headers included.
    pub idle_timeout: Duration,
    /// How long running requests may take after the drain began.
    pub drain_timeout: Duration,
}

/// A bound socket that does not serve yet, so that a port that is taken shows before anything else starts.
pub struct Listener {
    name: &'static str,
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address. The name tells listeners apart in metrics.
    ///
    /// # Errors
    /// If it is taken, or not ours.
    pub fn bind(name: &'static str, address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { name, socket, address })
    }

    /// The address, with the port that was found for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` is cancelled and the running requests have ended.
    ///
    /// # Errors
    /// If the certificate cannot be read, or the socket fails.
    pub async fn serve(
        self,
        router: Router,
        options: ServerOptions,
        metrics: &HttpMetrics,
        drain: CancellationToken,
    ) -> io::Result<()> {
        let handle = Handle::new();
        let stop = handle.clone();
        let draining = drain.clone();
        tokio::spawn(async move {
            draining.cancelled().await;
            stop.graceful_shutdown(Some(options.drain_timeout));
        });

        let mut server = axum_server::from_tcp(self.socket)?
            .handle(handle)
            .first_request_timeout(options.header_timeout)
            .accept_error_handler(log_refused);
        let builder = server.http_builder();
        builder
            .http1()
            .header_read_timeout(options.idle_timeout)
            .max_buf_size(MAX_HEADER_BYTES as usize * 2);
        builder
            .http2()
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));

        let bounded = Bounded::new(self.name, options.max_connections, metrics);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        match options.tls {
            None => server.acceptor(bounded).serve(service).await,
            Some(files) => {
                let config = tls::load(&files).await?;
                tokio::spawn(tls::reload_on_change(files, config.clone(), drain));
                let acceptor = RustlsAcceptor::new(config)
                    .handshake_timeout(HANDSHAKE_TIMEOUT)
                    .acceptor(bounded);
                server.acceptor(acceptor).serve(service).await
            }
        }
    }
}
