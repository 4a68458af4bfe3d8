//! Providers of single sign-on, from the settings.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::AppError;
use crate::crypto::{pkce, token};
use crate::domain::sso::RedirectRules;
use crate::oidc::{OidcProvider, ProviderConfig};
use crate::service::auth::{SsoProvider, SsoSettings};
use crate::settings::{self, Settings};

/// The providers of the settings. None is asked anything yet: one that is down keeps nobody from starting.
pub(super) fn sso(settings: &Settings) -> Result<SsoSettings, AppError> {
    let providers = settings.auth.sso.providers.iter().map(provider);
    Ok(SsoSettings {
        public_url: settings.http.public_url.clone(),
        providers: providers.collect::<Result<_, _>>()?,
    })
}

fn provider(settings: &settings::SsoProvider) -> Result<Arc<SsoProvider>, AppError> {
    let failed = |problem: &dyn std::fmt::Display| {
        AppError::Failed(format!("auth.sso.providers: provider '{}': {problem}", settings.name))
    };
    let client = OidcProvider::new(ProviderConfig {
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        client_secret_file: settings.client_secret_file.clone(),
        scopes: settings.scopes.clone(),
        ca_file: settings.ca_file.clone(),
    })
    .map_err(|problem| failed(&problem))?;
    Ok(Arc::new(SsoProvider {
        name: settings.name.clone(),
        display_name: settings.display_name.clone().unwrap_or_else(|| settings.name.clone()),
        claims: settings.claim_rules(),
        redirects: RedirectRules::new(&settings.redirects, settings.loopback).map_err(|problem| failed(&problem))?,
        just_in_time: settings.just_in_time,
        link_verified_email: settings.link_verified_email,
        trust_second_factor: settings.second_factor.trust,
        logout_redirect: settings.logout_redirect.clone(),
        client: Arc::new(client),
    }))
}

/// What a command proves with that it began a login: the verifier, and its challenge (RFC 7636).
#[must_use]
pub fn login_proof() -> (SecretString, String) {
    let (verifier, _) = token::generate("avsv");
    let challenge = pkce::challenge(verifier.expose_secret());
    (verifier, challenge)
}
