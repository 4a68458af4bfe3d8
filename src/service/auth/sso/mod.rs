//! Single sign-on: a browser is sent to a provider and comes back, and whoever began it fetches what it came to.
//!
//! 1. `start`: state, nonce and PKCE verifier are made; the state is stored hashed, the others in the envelope, and a cookie binds the browser.
//! 2. `callback`: the browser is back with state and code. The flow is taken out, so that it is good once; the cookie must be the one of its
//!    browser; the code is exchanged and what the provider signed is verified. What it came to is kept for a moment under a one-time code,
//!    with which the browser goes on to an address of the allow-list: no token is ever in an address.
//! 3. `exchange`: whoever has the verifier of the challenge that `start` was given fetches it, and is logged in, or links it to the account
//!    that they are logged in to. Nobody else can use a code that is seen on its way.

mod callback;
mod exchange;
mod identities;
mod logout;
mod people;
mod start;

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use callback::SsoReturn;
pub use exchange::SsoExchange;
pub use identities::Identity;
pub use start::{SsoStart, SsoStarted};

use super::Auth;
use crate::crypto::envelope::RecordContext;
use crate::domain::path::RecordPath;
use crate::domain::record::Version;
use crate::domain::sso::{ClaimRules, Profile, RedirectRules};
use crate::service::error::{Error, Reason, Result};
use crate::service::identity_provider::{IdentityProvider, ProviderError};
use crate::service::keys::SYSTEM_ROOT;

/// What the states of flows begin with.
const STATE_PREFIX: &str = "avss";
/// What cookies of browsers begin with.
const BROWSER_PREFIX: &str = "avsb";
/// What one-time codes begin with.
const CODE_PREFIX: &str = "avsc";
/// How long a person may take to log in at the provider.
const FLOW_SECONDS: u32 = 600;
/// How long a one-time code is good for.
const CODE_SECONDS: f64 = 120.0;

/// How people log in by single sign-on.
#[derive(Clone, Default)]
pub struct SsoSettings {
    /// The address under which browsers reach the vault, without a slash at its end. Without it there is no single sign-on.
    pub public_url: Option<String>,
    /// The providers.
    pub providers: Vec<Arc<SsoProvider>>,
}

/// A provider, and what its word counts for.
pub struct SsoProvider {
    /// Its name: in addresses, and as the origin of memberships.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// What its claims mean.
    pub claims: ClaimRules,
    /// Where browsers may be sent afterwards.
    pub redirects: RedirectRules,
    /// Whether somebody who is nobody's identity yet becomes a user.
    pub just_in_time: bool,
    /// Whether somebody with the verified address of a user is that user.
    pub link_verified_email: bool,
    /// Whether a second factor that the provider saw counts as ours.
    pub trust_second_factor: bool,
    /// Where the provider sends browsers after they logged out.
    pub logout_redirect: Option<String>,
    /// How it is spoken to.
    pub client: Arc<dyn IdentityProvider>,
}

/// A provider, for people to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoChoice {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub display_name: String,
}

/// What a flow needs when its browser is back; sealed until then.
#[derive(Serialize, Deserialize)]
struct FlowSecrets {
    nonce: String,
    verifier: String,
}

impl Drop for FlowSecrets {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.nonce);
        zeroize::Zeroize::zeroize(&mut self.verifier);
    }
}

/// Who a flow came to; sealed until it is fetched, for it holds what the provider tells of a person.
#[derive(Serialize, Deserialize)]
struct Outcome {
    profile: Profile,
    /// The session at the provider, if it told.
    provider_session: Option<String>,
}

impl Auth<'_> {
    /// The providers that there are.
    #[must_use]
    pub fn sso_providers(&self) -> Vec<SsoChoice> {
        let providers = self.vault.sso.providers.iter();
        providers
            .map(|provider| SsoChoice {
                name: provider.name.clone(),
                display_name: provider.display_name.clone(),
            })
            .collect()
    }

    fn sso_provider(&self, name: &str) -> Result<&Arc<SsoProvider>> {
        let found = self.vault.sso.providers.iter().find(|provider| provider.name == name);
        found.ok_or_else(|| {
            Error::new(
                Reason::ProviderNotFound,
                "there is no such provider; GET /api/v1/auth/sso/providers lists those that there are",
            )
        })
    }

    /// Where a provider sends browsers back to: what is registered at it.
    fn callback_url(&self, provider: &SsoProvider) -> Result<String> {
        let base = self.vault.sso.public_url.as_deref();
        let base = base.ok_or_else(|| Error::internal("there are providers and no http.public_url"))?;
        Ok(format!("{base}/api/v1/auth/sso/{}/callback", provider.name))
    }
}

/// A provider's failure as the user sees it; the cause is for the log.
fn provider_failed(provider: &SsoProvider, error: ProviderError) -> Error {
    match error {
        ProviderError::Unavailable(_) => Error::new(
            Reason::ProviderUnavailable,
            format!(
                "'{}' cannot be used at the moment; try again shortly, or log in another way",
                provider.name
            ),
        ),
        ProviderError::Refused(_) => Error::new(
            Reason::ProviderRefused,
            format!("'{}' did not confirm the login; begin it anew", provider.name),
        ),
    }
    .because(error)
}

/// What is under way is bound to its row.
fn context<'a>(table: &'static str, id: Uuid, path: &'a RecordPath) -> RecordContext<'a> {
    RecordContext {
        root_id: SYSTEM_ROOT,
        table,
        record_id: id,
        version: Version::FIRST,
        path,
    }
}

/// Flows have no path; the envelope wants one all the same, and this one is theirs alone.
fn own_path() -> Result<RecordPath> {
    RecordPath::parse("system/sso").map_err(Error::internal)
}

/// One answer for everything that is wrong with a flow: a stranger learns nothing from it.
fn worthless() -> Error {
    Error::new(
        Reason::SsoFlowInvalid,
        "this login was used, is past its time, or was begun by somebody else or in another browser; begin it anew",
    )
}

fn expose(text: &SecretString) -> &str {
    secrecy::ExposeSecret::expose_secret(text)
}
