//! The root key file and the files of TLS.

use std::sync::Arc;

use super::Finding;
use crate::app::vault;
use crate::crypto::provider::{FileKeyProvider, KeyProvider as _};
use crate::settings::Settings;

/// Looks at files. Answers the root keys as well, for whoever checks what they open.
pub(super) fn examine(settings: &Settings) -> (Option<Arc<FileKeyProvider>>, Vec<Finding>) {
    const NAME: &str = "root keys";
    let (provider, finding) = match vault::root_keys(settings) {
        Ok(provider) => {
            let ids: Vec<_> = provider.ids().iter().map(ToString::to_string).collect();
            (Some(provider), Finding::fine(NAME, ids.join(", ")))
        }
        Err(error) => {
            let remedy = "set keys.file to the file that 'aether-vault keys init --file FILE' made, mode 0600";
            (None, Finding::failed(NAME, error.to_string(), remedy))
        }
    };
    (provider, vec![finding, tls(settings)])
}

fn tls(settings: &Settings) -> Finding {
    const NAME: &str = "tls";
    let http = &settings.http;
    let (Some(cert), Some(key)) = (&http.tls.cert_file, &http.tls.key_file) else {
        return if http.listen.ip().is_loopback() {
            Finding::fine(
                NAME,
                format!("off; {} is reachable from this machine alone", http.listen),
            )
        } else {
            let remedy = "make sure that a proxy or a mesh encrypts, or set http.tls.cert_file and http.tls.key_file";
            Finding::warning(NAME, format!("off, and others can reach {}", http.listen), remedy)
        };
    };
    for file in [cert, key] {
        if let Err(error) = std::fs::read(file) {
            let remedy = "http.tls.cert_file and http.tls.key_file must be PEM files that the process may read";
            return Finding::failed(NAME, format!("cannot read {}: {error}", file.display()), remedy);
        }
    }
    Finding::fine(NAME, cert.display().to_string())
}
