//! The listener itself: bounds, draining, TLS, and the operators' port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aether_vault::http::{HttpMetrics, Listener, Readiness, ServerOptions, TlsFiles, operations_router};
use aether_vault::service::Check;
use axum::Router;
use axum::routing::get;
use futures::FutureExt as _;
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn options() -> ServerOptions {
    ServerOptions {
        tls: None,
        max_connections: 2,
        header_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(10),
    }
}

struct Served {
    address: SocketAddr,
    drain: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

fn serve(router: Router, options: ServerOptions) -> Served {
    // The provider of TLS is installed once in the process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = Listener::bind("test", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (address, drain) = (listener.address(), CancellationToken::new());
    let metrics = HttpMetrics::register(&Registry::new()).unwrap();
    let draining = drain.clone();
    let task = tokio::spawn(async move { listener.serve(router, options, &metrics, draining).await });
    Served { address, drain, task }
}

fn slow() -> Router {
    Router::new().route("/", get(async || "ok")).route(
        "/slow",
        get(async || {
            tokio::time::sleep(Duration::from_millis(700)).await;
            "done"
        }),
    )
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn r29_connections_beyond_the_bound_are_closed_and_others_served() {
    let server = serve(slow(), options());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        held.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_all(&mut third).await, "");
    held.pop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let url = format!("http://{}/", server.address);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn r29_a_client_that_dawdles_over_its_headers_is_closed() {
    let server = serve(slow(), options());
    for beginning in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let started = Instant::now();
        read_all(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(4), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_for_longer_than_headers_take_and_not_for_ever() {
    for (idle, answered) in [(60, true), (1, false)] {
        let idle_timeout = Duration::from_secs(idle);
        let server = serve(
            slow(),
            ServerOptions {
                idle_timeout,
                ..options()
            },
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        // What is left of the first answer comes before the second, or before the end.
        let sent = stream.write_all(request).await;
        let mut rest = vec![0; 4096];
        let mut text = String::new();
        while let Ok(count @ 1..) = stream.read(&mut rest).await {
            text.push_str(&String::from_utf8_lossy(&rest[..count]));
            if text.contains("HTTP/1.1 200 OK") {
                break;
            }
        }
        assert_eq!(
            sent.is_ok() && text.contains("HTTP/1.1 200 OK"),
            answered,
            "{idle}: {text}"
        );
    }
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_takes_nothing_new() {
    let server = serve(slow(), options());
    let url = format!("http://{}/slow", server.address);
    let running = tokio::spawn(async move { reqwest::get(url).await.unwrap().text().await.unwrap() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.drain.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    assert_eq!(running.await.unwrap(), "done");
    tokio::time::timeout(Duration::from_secs(5), server.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn tls_serves_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        cert: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    };
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&files.key)
        .arg("-out")
        .arg(&files.cert)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let authority = reqwest::Certificate::from_pem(&std::fs::read(&files.cert).unwrap()).unwrap();
    let server = serve(
        slow(),
        ServerOptions {
            tls: Some(files),
            ..options()
        },
    );
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .resolve("localhost", server.address)
        .no_proxy()
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/", server.address.port());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let files = TlsFiles {
        cert: "/nonexistent/tls.crt".into(),
        key: "/nonexistent/tls.key".into(),
    };
    let server = serve(
        slow(),
        ServerOptions {
            tls: Some(files),
            ..options()
        },
    );
    let error = server.task.await.unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with("the certificate /nonexistent/tls.crt with the key /nonexistent/tls.key cannot be used"),
        "{error}"
    );
}

#[tokio::test]
async fn the_operators_port_tells_of_life_readiness_and_metrics() {
    let registry = aether_vault::telemetry::metrics_registry().unwrap();
    let broken = CancellationToken::new();
    let seen = broken.clone();
    let readiness = Readiness::new(move || {
        let problem = seen.is_cancelled().then(|| "the database does not answer".to_owned());
        async move {
            vec![Check {
                name: "database",
                problem,
            }]
        }
        .boxed()
    });
    let server = serve(operations_router(registry, readiness), options());
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", server.address)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/livez").await, (200, "ok\n".into()));
    assert_eq!(
        get("/readyz").await,
        (200, r#"{"ready":true,"checks":[{"name":"database"}]}"#.into())
    );
    broken.cancel();
    // An answer holds for a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let expected = r#"{"ready":false,"checks":[{"name":"database","problem":"the database does not answer"}]}"#;
    assert_eq!(get("/readyz").await, (503, expected.into()));
    assert_eq!(get("/livez").await.0, 200);
    assert!(get("/metrics").await.1.contains("aether_vault_build_info"));
    assert_eq!(get("/api/v1/list").await.0, 404);
}
