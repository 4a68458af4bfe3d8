//! What the vault asks of a provider of single sign-on. Implemented in `oidc`; the vault decides what follows from the answers.

use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

pub use crate::crypto::id_token::LoggedOut;

/// A provider of single sign-on, spoken to by OpenID Connect with the authorization code flow and PKCE.
pub trait IdentityProvider: Send + Sync {
    /// Where to send a browser to log in.
    fn authorization_url<'a>(
        &'a self,
        request: AuthorizationRequest<'a>,
    ) -> BoxFuture<'a, Result<String, ProviderError>>;

    /// Exchanges the code that the browser came back with for the verified claims of whoever logged in.
    fn redeem<'a>(&'a self, redemption: Redemption<'a>) -> BoxFuture<'a, Result<Map<String, Value>, ProviderError>>;

    /// Where to send a browser to log out; `None` if the provider has no such place.
    fn end_session_url<'a>(&'a self, back_to: Option<&'a str>) -> BoxFuture<'a, Result<Option<String>, ProviderError>>;

    /// Who logged out at the provider, by a token that it signed.
    fn logged_out<'a>(
        &'a self,
        token: &'a SecretString,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<LoggedOut, ProviderError>>;
}

/// A login that begins.
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Where the browser is to come back to: registered at the provider.
    pub redirect_uri: &'a str,
    /// What it has to bring back.
    pub state: &'a str,
    /// What the ID token has to hold.
    pub nonce: &'a str,
    /// The challenge of the verifier that the code is exchanged with (RFC 7636, S256).
    pub challenge: &'a str,
}

/// A code to be exchanged.
#[derive(Clone, Copy)]
pub struct Redemption<'a> {
    /// The code.
    pub code: &'a SecretString,
    /// Where the browser came back to.
    pub redirect_uri: &'a str,
    /// The verifier of the challenge.
    pub verifier: &'a SecretString,
    /// What the ID token has to hold.
    pub nonce: &'a str,
    /// The issuer that the browser brought back (RFC 9207), if it did.
    pub issuer: Option<&'a str>,
    /// Claims to ask for elsewhere if the ID token does not have them.
    pub wanted: &'a [&'a str],
    /// The time.
    pub now: Timestamp,
}

/// Why a provider gave no answer that helps. The texts are for the log; they hold no code, token, secret or claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, or does not answer as a provider does.
    #[error("the provider cannot be used: {0}")]
    Unavailable(String),
    /// It did not accept the code, or what it answered does not verify.
    #[error("the login is refused: {0}")]
    Refused(String),
}
