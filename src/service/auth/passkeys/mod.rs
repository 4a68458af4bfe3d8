//! Passkeys (Web Authentication): a factor that cannot be phished, as the second one or alone. One of them stands for two factors, since
//! the authenticator verifies its user, so a login by it alone is asked for nothing else.
//!
//! A ceremony is two requests: a challenge that is good once, for five minutes, and its answer. It lives in the database, so that any
//! process may see its end.

mod login;
mod register;
mod verify;

pub(super) use verify::PasskeyUse;

use serde_json::Value;
use uuid::Uuid;

use super::Auth;
use crate::crypto::passkey::{Ceremony, RelyingParty};
use crate::crypto::random;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::passkeys::{self, Kind, PasskeyRow};

/// For how long a challenge is good.
const CEREMONY_SECONDS: f64 = 300.0;

/// A passkey as its owner sees it.
pub type PasskeyInfo = PasskeyRow;

/// A challenge for a browser.
pub struct PasskeyChallenge {
    /// To be sent with the answer.
    pub ceremony: Uuid,
    /// For `navigator.credentials.create` or `get`, as JSON.
    pub options: Value,
}

/// What a browser answered.
pub struct PasskeyAnswer {
    /// The ceremony.
    pub ceremony: Uuid,
    /// What `navigator.credentials` gave, as JSON.
    pub credential: Value,
}

impl Auth<'_> {
    fn relying_party(&self) -> Result<&RelyingParty> {
        self.vault.passkeys.as_ref().ok_or_else(|| {
            Error::new(
                Reason::PasskeysOff,
                "passkeys are not set up here: 'auth.passkeys' of the settings names the domain that they are for",
            )
        })
    }

    /// Keeps a ceremony until it is answered.
    async fn begin_ceremony(&self, user: Option<Uuid>, kind: Kind, ceremony: Ceremony) -> Result<PasskeyChallenge> {
        let id = random::uuid_v7(self.vault.clock.now());
        passkeys::begin(&self.vault.pool, id, user, kind, &ceremony.state, CEREMONY_SECONDS)
            .await
            .map_err(store_failed)?;
        Ok(PasskeyChallenge {
            ceremony: id,
            options: ceremony.options,
        })
    }
}
