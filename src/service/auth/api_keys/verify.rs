//! From the text of a key to an [`OpContext`].
//!
//! A key that was verified is kept by the hash of its whole text, with the revision of its row: what is decided with it is confirmed
//! against that revision by the commit that follows. So the database is asked once, and a revocation holds at the very next call.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use super::PREFIX;
use crate::crypto::token::{self, TokenHash};
use crate::domain::actor::{Actor, ApiKeyIdentity};
use crate::domain::audit::{Action, Outcome};
use crate::domain::policy::{KeyScope, ScopeDocument};
use crate::service::auth::login::origin_of;
use crate::service::auth::{Auth, RequestInfo};
use crate::service::context::{Credential, Door, OpContext};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::api_keys::{self, BearerRow};
use crate::store::audit::Confirm;
use crate::store::{Pool, StoreError};

/// Uses that wait to be noted; what does not fit is noted at the next use.
const QUEUE: usize = 1024;
/// How long uses are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);
const SECONDS_OF_A_DAY: i64 = 86_400;

/// A key that was found, and what it stands for at its revision.
pub(in crate::service) struct VerifiedKey {
    id: Uuid,
    revision: i64,
    actor: Actor,
    networks: Vec<IpNet>,
    /// The day, since 1970, whose use is noted or about to be.
    noted: AtomicI64,
}

impl Auth<'_> {
    /// Whether a bearer token is meant as an API key.
    pub(in crate::service::auth) fn is_api_key(token: &str) -> bool {
        token.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('_'))
    }

    /// Verifies an API key and makes the context of its bearer.
    pub(in crate::service::auth) async fn authenticate_key(&self, text: &str, info: RequestInfo) -> Result<OpContext> {
        let hash = token::parse(PREFIX, text).map_err(|malformed| {
            Error::new(
                Reason::TokenInvalid,
                "this is no API key, or it was copied incompletely: its checksum is wrong",
            )
            .because(malformed)
        })?;
        let key = match self.vault.api_keys.get(&hash) {
            Some(key) => key,
            None => self.load_key(hash).await?,
        };
        let now = self.vault.clock.now();
        let ctx = OpContext {
            actor: key.actor.clone(),
            door: Door::Rest,
            now,
            request_id: info.request_id,
            origin: origin_of(&info),
            credential: Credential::ApiKey {
                id: key.id,
                revision: key.revision,
                hash,
            },
        };
        if !is_within(&key.networks, info.client) {
            return self.refuse_address(&ctx, &key).await;
        }
        let today = now.as_second().div_euclid(SECONDS_OF_A_DAY);
        if key.noted.swap(today, Ordering::Relaxed) != today && !self.vault.key_use.note(key.id) {
            key.noted.store(i64::MIN, Ordering::Relaxed);
        }
        Ok(ctx)
    }

    async fn load_key(&self, hash: TokenHash) -> Result<Arc<VerifiedKey>> {
        let row = api_keys::find_by_hash(&self.vault.pool, hash.as_bytes())
            .await
            .map_err(store_failed)?;
        // The index has compared already, in a time that tells of hashes, not of keys; this comparison tells nothing at all (R14).
        let row = row
            .filter(|row| hash.matches(&row.hash))
            .ok_or_else(|| Error::new(Reason::TokenInvalid, "this API key is not one of this vault's"))?;
        if !row.live {
            return Err(key_ended());
        }
        let key = Arc::new(self.verified(row).await?);
        self.vault.api_keys.insert(hash, Arc::clone(&key));
        Ok(key)
    }

    async fn verified(&self, row: BearerRow) -> Result<VerifiedKey> {
        let broken = |what: &str| Error::internal(format!("{what} of API key {} cannot be read", row.id));
        let documents: Vec<ScopeDocument> =
            serde_json::from_value(row.scopes.clone()).map_err(|_| broken("the scopes"))?;
        let scopes = KeyScope::compile(&documents).map_err(|_| broken("the scopes"))?;
        let networks = row
            .networks
            .iter()
            .map(|network| network.parse())
            .collect::<Result<Vec<IpNet>, _>>();
        let networks = networks.map_err(|_| broken("the networks"))?;
        let owner = self.identity_of(row.user_id).await?.ok_or_else(key_ended)?;
        Ok(VerifiedKey {
            id: row.id,
            revision: row.revision,
            networks,
            actor: Actor::ApiKey(ApiKeyIdentity {
                id: row.id,
                name: row.name,
                owner,
                scopes,
                administers: row.administers,
            }),
            noted: AtomicI64::new(row.last_used_on.as_deref().map_or(i64::MIN, day_of)),
        })
    }

    async fn refuse_address(&self, ctx: &OpContext, key: &VerifiedKey) -> Result<OpContext> {
        let entry = ctx
            .entry(Action::ApiKeyUse, &key.id.to_string())
            .ended(Outcome::Deny, Reason::AddressNotAllowed.as_str());
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Err(Error::new(
            Reason::AddressNotAllowed,
            "this API key may not be used from this address; its owner set the networks that it may be used from",
        ))
    }

    /// Whether the key behind a context still stands for what it stood for; asked of the database.
    pub(in crate::service::auth) async fn key_still_in_force(
        &self,
        id: Uuid,
        revision: i64,
        hash: TokenHash,
    ) -> Result<()> {
        match api_keys::state(&self.vault.pool, id).await.map_err(store_failed)? {
            Some((true, current)) if current == revision => Ok(()),
            Some((true, _)) => {
                self.vault.api_keys.invalidate(&hash);
                Err(Error::new(
                    Reason::Busy,
                    "the rights of this key's owner changed a moment ago; send the request again",
                ))
            }
            _ => {
                self.vault.api_keys.invalidate(&hash);
                Err(key_ended())
            }
        }
    }
}

fn key_ended() -> Error {
    Error::new(
        Reason::ApiKeyEnded,
        "this API key was revoked, is past its end, or its owner may not act any more; use another key",
    )
}

/// No networks are all networks. An address that is not known lies in none.
fn is_within(networks: &[IpNet], client: Option<IpAddr>) -> bool {
    networks.is_empty()
        || client
            .map(|address| address.to_canonical())
            .is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
}

fn day_of(date: &str) -> i64 {
    let date: Option<jiff::civil::Date> = date.parse().ok();
    date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map_or(i64::MIN, |midnight| {
            midnight.timestamp().as_second().div_euclid(SECONDS_OF_A_DAY)
        })
}

/// Notes the days on which keys are used, once a day for each, away from the requests.
pub(in crate::service) struct KeyUse {
    queue: mpsc::Sender<Uuid>,
    waiting: Mutex<mpsc::Receiver<Uuid>>,
}

impl KeyUse {
    pub(in crate::service) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self {
            queue,
            waiting: Mutex::new(waiting),
        }
    }

    /// `false` if there is no room: then it is for the next use to be noted.
    fn note(&self, id: Uuid) -> bool {
        self.queue.try_send(id).is_ok()
    }

    /// Writes down what was noted, until the process ends.
    pub(in crate::service) async fn run(&self, pool: &Pool) {
        let mut waiting = self.waiting.lock().await;
        loop {
            let mut ids = Vec::new();
            if waiting.recv_many(&mut ids, QUEUE).await == 0 {
                return;
            }
            tokio::time::sleep(GATHER).await;
            while let Ok(more) = waiting.try_recv() {
                ids.push(more);
            }
            ids.sort_unstable();
            ids.dedup();
            let written: Result<u64, StoreError> = api_keys::touch(pool, &ids).await;
            if let Err(error) = written {
                tracing::warn!(%error, "the last use of API keys was not noted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_addresses_in_either_notation() {
        let networks: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let within = |address: &str| is_within(&networks, Some(address.parse().unwrap()));
        assert!(within("10.1.2.3") && within("::ffff:10.1.2.3") && within("fd00::1"));
        assert!(!within("11.0.0.1") && !within("::1"));
        assert!(!is_within(&networks, None) && is_within(&[], None));
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!((day_of("1970-01-02"), day_of("2026-11-24")), (1, 20_781));
        assert_eq!(day_of("never"), i64::MIN);
    }
}
