//! The API process.

use std::sync::Arc;

use futures::FutureExt as _;

use super::AppError;
use super::patience::patiently;
use super::process::{Process, bind};
use super::sso::sso;
use super::vault::Outside;
use crate::http::{self, Api, Browsers, Limits, Rate, Rates, ServerOptions, TlsFiles};
use crate::k8s::identity::KubeTokenReviewer;
use crate::service::Vault;
use crate::service::auth::Bootstrapped;
use crate::service::door::TokenReviewer;
use crate::service::error::Error;
use crate::settings::{self, Http, RateLimits, Settings};

/// Serves the API until told to stop.
///
/// # Errors
/// [`AppError`] if it cannot start, or a part of it died.
pub async fn api(settings: &Settings) -> Result<(), AppError> {
    let mut process = Process::start(settings, settings.metrics.listen)?;
    let listener = bind("api", settings.http.listen)?;
    let outside = Outside {
        reviewer: token_reviewer(settings).await?,
        sso: sso(settings)?,
    };
    let opened = process.open_vault(settings, "aether-vault api", &outside).await?;
    let Some(vault) = opened else {
        return Ok(());
    };
    let bootstrapped = patiently(&process.shutdown.drain, "making the first administrator", async || {
        Ok(bootstrap(&vault, settings).await)
    });
    if bootstrapped.await?.is_none() {
        return Ok(());
    }
    let seen = Arc::clone(&vault);
    process.ready_when(move || {
        let vault = Arc::clone(&seen);
        async move { vault.readiness().await }.boxed()
    });

    let limits = Limits {
        body: settings.http.body_limit.as_usize(),
        request_timeout: settings.http.request_timeout.get(),
        trusted_proxies: settings.http.trusted_proxies.clone(),
        rates: rates(&settings.http.rate_limits),
        browsers: Browsers {
            origins: settings.http.cors_origins.clone(),
            tls: settings.http.tls.cert_file.is_some(),
        },
    };
    let router = http::router(Api::new(
        vault,
        process.readiness(),
        limits,
        process.http_metrics.clone(),
    ));
    let options = server_options(&settings.http);
    let (metrics, drain, served) = (
        process.http_metrics.clone(),
        process.shutdown.drain.clone(),
        process.served.clone(),
    );
    process.parts.spawn("api listener", async move {
        let _served = served.drop_guard();
        listener.serve(router, options, &metrics, drain).await
    });
    tracing::info!("serving");
    process.run().await
}

/// The API server that is asked about tokens of workloads, if the settings say so.
async fn token_reviewer(settings: &Settings) -> Result<Option<Arc<dyn TokenReviewer>>, AppError> {
    if !settings.auth.kubernetes.token_review {
        return Ok(None);
    }
    let client = kube::Client::try_default().await.map_err(|error| {
        AppError::Failed(format!(
            "auth.kubernetes.token_review is set, and there is no Kubernetes to ask: {error}; run in a pod with a service account, or set \
             KUBECONFIG"
        ))
    })?;
    Ok(Some(Arc::new(KubeTokenReviewer::new(client))))
}

async fn bootstrap(vault: &Arc<Vault>, settings: &Settings) -> Result<(), Error> {
    let Some(file) = &settings.bootstrap.credential_file else {
        return Ok(());
    };
    if vault.auth().bootstrap(file).await? == Bootstrapped::Yes {
        tracing::warn!(
            file = %file.display(),
            "made the first administrator, 'admin'; the file holds a one-time password: log in with it and a password of your own"
        );
    }
    Ok(())
}

fn rates(settings: &RateLimits) -> Rates {
    let rate = |setting: &settings::Rate| Rate {
        per_second: setting.per_second,
        burst: setting.burst,
    };
    Rates {
        login: rate(&settings.login),
        address: rate(&settings.address),
        token: rate(&settings.token),
        account: rate(&settings.account),
    }
}

fn server_options(http: &Http) -> ServerOptions {
    let tls = http
        .tls
        .cert_file
        .clone()
        .zip(http.tls.key_file.clone())
        .map(|(cert, key)| TlsFiles { cert, key });
    ServerOptions {
        tls,
        max_connections: http.max_connections as usize,
        header_timeout: http.header_timeout.get(),
        idle_timeout: http.idle_timeout.get(),
        drain_timeout: http.drain_timeout.get(),
    }
}
