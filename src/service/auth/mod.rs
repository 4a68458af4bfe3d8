//! Who is there: logging in, and turning a token into an [`OpContext`].

mod api_keys;
mod background;
mod begin;
mod bootstrap;
mod device;
mod login;
mod passkeys;
mod passwords;
mod profile;
mod refresh;
mod rehash;
mod second_factor;
mod session_list;
mod sessions;
mod signing_keys;
mod sso;
mod tokens;
mod workload;

pub use api_keys::{ApiKey, IssuedApiKey, MAX_OVERLAP_SECONDS, NewApiKey, Owner};
pub(super) use api_keys::{KeyUse, VerifiedKey};
pub use begin::{IssuedSession, LoggedIn, LoginChallenge, Method, SecondFactorSettings, SessionSettings};
pub(in crate::service) use begin::{SecondFactor, WayIn};
pub use bootstrap::Bootstrapped;
pub(super) use bootstrap::write_credential;
pub use device::{DeviceGrant, WaitingDevice};
pub(super) use login::request_context;
pub use login::{AccessToken, LoginRequest};
pub use passkeys::{PasskeyAnswer, PasskeyChallenge, PasskeyInfo};
pub use passwords::{PasswordPool, PasswordSettings};
pub use profile::{Me, ProfileChange};
pub use second_factor::{CompletedLogin, SecondFactorState, ShownFactor};
pub use session_list::{Session, SessionPage};
pub(super) use sessions::KnownSession;
pub(super) use signing_keys::CHANGE as SIGNING_KEYS_CHANGE;
pub use sso::{Identity, SsoChoice, SsoExchange, SsoProvider, SsoReturn, SsoSettings, SsoStart, SsoStarted};
pub use tokens::TokenSettings;
pub(super) use tokens::Tokens;
pub(super) use workload::Workloads;
pub use workload::{WorkloadLogin, WorkloadSettings};

use std::net::IpAddr;

use uuid::Uuid;

use super::Vault;
pub use crate::crypto::totp::Enrolment;

/// What the door knows of a request before it knows who sent it.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// The id under which the log and the audit entry stand.
    pub request_id: Uuid,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's name for itself.
    pub user_agent: Option<String>,
}

/// Use cases on identity.
pub struct Auth<'v> {
    vault: &'v Vault,
}

impl<'v> Auth<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }
}
