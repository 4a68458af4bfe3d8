//! The server's certificate, read again when its files change: cert-manager and Kubernetes replace them under a running process.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Where certificate and key lie, in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, then its chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Reads the files and makes a configuration for HTTP/2 and HTTP/1.1.
pub(super) async fn load(files: &TlsFiles) -> io::Result<RustlsConfig> {
    RustlsConfig::from_pem_file(&files.cert, &files.key)
        .await
        .map_err(|error| {
            let (cert, key) = (files.cert.display(), files.key.display());
            io::Error::new(
                error.kind(),
                format!("the certificate {cert} with the key {key} cannot be used: {error}"),
            )
        })
}

/// Looks at the files until the drain; what cannot be used leaves the certificate in force as it is.
pub(super) async fn reload_on_change(files: TlsFiles, config: RustlsConfig, drain: CancellationToken) {
    let mut in_force = fingerprint(&files).await.ok();
    let mut complained = None;
    loop {
        tokio::select! {
            () = drain.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let Ok(found) = fingerprint(&files).await else { continue };
        if Some(found) == in_force || Some(found) == complained {
            continue;
        }
        match config.reload_from_pem_file(&files.cert, &files.key).await {
            Ok(()) => {
                in_force = Some(found);
                tracing::info!("the certificate was replaced");
            }
            Err(error) => {
                complained = Some(found);
                tracing::error!(%error, "the new certificate cannot be used; the old one stays in force");
            }
        }
    }
}

async fn fingerprint(files: &TlsFiles) -> io::Result<[u8; 32]> {
    let cert = tokio::fs::read(&files.cert).await?;
    let key = Zeroizing::new(tokio::fs::read(&files.key).await?);
    let mut hash = Sha256::new();
    hash.update(cert.len().to_be_bytes());
    hash.update(&cert);
    hash.update(&*key);
    Ok(hash.finalize().into())
}
