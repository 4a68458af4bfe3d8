//! Access tokens: short-lived EdDSA JWTs bound to a session.

use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use secrecy::SecretString;
use uuid::Uuid;

use crate::crypto::envelope::RecordContext;
use crate::crypto::jwt::{self, Claims, SigningKey, VerifyError, VerifyingKeys};
use crate::crypto::{random, token};
use crate::domain::path::RecordPath;
use crate::domain::record::Version;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::keys::{Lineages, SYSTEM_ROOT};
use crate::store::{Pool, signing_keys};

/// The table that envelopes of signing keys are bound to.
const TABLE: &str = "signing_keys";
/// Verified tokens kept by hash: a verification costs a hundred microseconds, a look-up one.
const CACHED_TOKENS: u64 = 20_000;

/// What tokens say of themselves.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// How long one is good for.
    pub ttl: Duration,
}

/// Issues and verifies access tokens.
pub(in crate::service) struct Tokens {
    settings: TokenSettings,
    key: SigningKey,
    keys: VerifyingKeys,
    verified: Cache<[u8; 32], Claims>,
}

impl Tokens {
    /// Loads the signing key, or makes the first one.
    pub(in crate::service) async fn open(
        pool: &Pool,
        lineages: &Lineages,
        settings: TokenSettings,
        now: Timestamp,
    ) -> Result<Self> {
        let mut rows = signing_keys::load(pool).await.map_err(store_failed)?;
        if rows.is_empty() {
            let fresh = sealed_key(lineages, now).await?;
            signing_keys::insert_first(pool, &fresh).await.map_err(store_failed)?;
            rows = signing_keys::load(pool).await.map_err(store_failed)?;
        }
        let path = key_path()?;
        let mut opened = Vec::with_capacity(rows.len());
        for row in rows {
            let plaintext = lineages
                .unseal(&key_context(row.id, &path), &row.wrapped_dek, &row.ciphertext)
                .await?;
            opened.push(SigningKey::from_pkcs8(&plaintext).map_err(Error::internal)?);
        }
        // Public halves come out of the envelope too: a row that somebody added to the table must not verify anything.
        let publics = opened
            .iter()
            .map(|key| (key.kid().to_owned(), key.public_key().to_vec()));
        let keys = VerifyingKeys::new(publics).map_err(Error::internal)?;
        let Some(key) = opened.into_iter().next() else {
            return Err(Error::internal("the signing key that was just made is gone"));
        };
        Ok(Self {
            settings,
            key,
            keys,
            verified: Cache::new(CACHED_TOKENS),
        })
    }

    /// How long a token of a person is good for.
    pub(super) fn ttl(&self) -> Duration {
        self.settings.ttl
    }

    /// Issues a token for a session that is good for as long as the caller says.
    pub(super) fn issue_for(&self, user: Uuid, session: Uuid, now: Timestamp, ttl: Duration) -> Result<SecretString> {
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            aud: self.settings.audience.clone(),
            sub: user,
            sid: session,
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: now
                .as_second()
                .saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
        };
        jwt::issue(&self.key, &claims).map_err(Error::internal)
    }

    /// Verifies a token's signature, issuer, audience and times.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let hash = token::sha256(token.as_bytes());
        let claims = match self.verified.get(&hash) {
            Some(claims) => claims,
            None => {
                let claims = jwt::verify(token, &self.keys, &self.settings.issuer, &self.settings.audience, now)
                    .map_err(refused)?;
                self.verified.insert(hash, claims.clone());
                claims
            }
        };
        // A cached token grows old like any other.
        if claims.exp <= now.as_second() {
            return Err(refused(VerifyError::Expired));
        }
        Ok(claims)
    }
}

fn refused(error: VerifyError) -> Error {
    match error {
        VerifyError::Expired => Error::new(Reason::TokenExpired, "the access token is past its time; log in again"),
        _ => Error::new(
            Reason::TokenInvalid,
            "the access token is not one of this vault's; log in to get one",
        ),
    }
}

async fn sealed_key(lineages: &Lineages, now: Timestamp) -> Result<signing_keys::SigningKeyRow> {
    let key = SigningKey::generate().map_err(Error::internal)?;
    let id = random::uuid_v7(now);
    let path = key_path()?;
    let sealed = lineages.seal_own(&key_context(id, &path), key.pkcs8()).await?;
    Ok(signing_keys::SigningKeyRow {
        kid: key.kid().to_owned(),
        id,
        wrapped_dek: sealed.wrapped_dek,
        ciphertext: sealed.ciphertext,
    })
}

fn key_context(id: Uuid, path: &RecordPath) -> RecordContext<'_> {
    RecordContext {
        root_id: SYSTEM_ROOT,
        table: TABLE,
        record_id: id,
        version: Version::FIRST,
        path,
    }
}

/// Signing keys have no path; the envelope wants one all the same, and this one is theirs alone.
fn key_path() -> Result<RecordPath> {
    RecordPath::parse("system/signing-key").map_err(Error::internal)
}
