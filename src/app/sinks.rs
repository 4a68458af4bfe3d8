//! The sinks that the settings name for the audit log.

use std::sync::Arc;

use secrecy::SecretSlice;
use zeroize::Zeroize as _;

use super::AppError;
use crate::service::context::SystemClock;
use crate::service::sinks::{Sink, Stdout, Syslog, SyslogTarget, Webhook};
use crate::settings::Audit;

/// Bytes of a secret that can be guessed.
const SHORTEST_SECRET: usize = 16;

/// Makes them.
pub(super) fn of(audit: &Audit) -> Result<Vec<Arc<dyn Sink>>, AppError> {
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    if audit.stdout {
        sinks.push(Arc::new(Stdout));
    }
    if let Some(target) = audit.syslog.as_deref().and_then(target) {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        sinks.push(Arc::new(Syslog::new(target, host)));
    }
    if let (Some(url), Some(file)) = (&audit.webhook.url, &audit.webhook.secret_file) {
        let failed = |problem: &dyn std::fmt::Display| {
            AppError::Failed(format!("audit.webhook.secret_file: {}: {problem}", file.display()))
        };
        let mut text = std::fs::read(file).map_err(|error| failed(&error))?;
        let secret = text.trim_ascii().to_vec();
        text.zeroize();
        if secret.len() < SHORTEST_SECRET {
            return Err(failed(
                &"the secret has fewer than 16 bytes; make one with 'openssl rand -hex 32'",
            ));
        }
        let webhook = Webhook::new(url.clone(), SecretSlice::from(secret), Arc::new(SystemClock));
        sinks.push(Arc::new(webhook.map_err(|problem| failed(&problem))?));
    }
    Ok(sinks)
}

fn target(text: &str) -> Option<SyslogTarget> {
    let (scheme, rest) = text.split_once("://")?;
    Some(match scheme {
        "udp" => SyslogTarget::Udp(rest.to_owned()),
        "tcp" => SyslogTarget::Tcp(rest.to_owned()),
        _ => SyslogTarget::Unix(rest.into()),
    })
}
