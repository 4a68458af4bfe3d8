//! OpenID Connect, as the relying party: discovery, the authorization request, the exchange of a code, and what a provider signed.
//!
//! Composed by `app`; used by `service` through [`crate::service::identity_provider`], which is all that it knows of the vault. A provider
//! is somebody else's server: every answer is bounded in size and time, redirects are not followed, and one that is slow or down keeps
//! nothing but its own logins waiting.

mod cached;
mod discovery;
mod fetch;
mod provider;

pub use provider::{BadProvider, OidcProvider, ProviderConfig};
