//! Going on with a session: a refresh token for the next access token and the next refresh token.
//!
//! A token is good once. Whoever sends one that was used shows that two have it, and the session ends (RFC 9700, section 4.14.2); unless it
//! is sent again within moments and nobody has used what it was answered with: then the answer was lost on its way.

use secrecy::{ExposeSecret as _, SecretString};

use super::begin::REFRESH_PREFIX;
use super::login::{request_context, user_actor};
use super::sessions::ended;
use super::{Auth, IssuedSession, RequestInfo};
use crate::crypto::{random, token};
use crate::domain::audit::{Action, Outcome};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::refresh_tokens::{self, Standing};
use crate::store::{self, audit, sessions};

/// For how long a used token may be sent again, as long as no successor of it was used.
const RETRY_SECONDS: f64 = 10.0;

impl Auth<'_> {
    /// Gives the next access token and the next refresh token of a session.
    ///
    /// # Errors
    /// [`Reason::RefreshTokenInvalid`] for a token that is not ours or was used before, which ends its session;
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn refresh(&self, refresh_token: &SecretString, info: RequestInfo) -> Result<IssuedSession> {
        let counted = |result: &str| self.vault.metrics.refreshes.with_label_values(&[result]).inc();
        let refused = || {
            counted("refused");
            worthless()
        };
        let hash = token::parse(REFRESH_PREFIX, refresh_token.expose_secret()).map_err(|_| refused())?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let row = refresh_tokens::hold(&mut tx, hash.as_bytes(), RETRY_SECONDS)
            .await
            .map_err(store_failed)?
            .ok_or_else(refused)?;
        let now = self.vault.clock.now();
        let actor = user_actor(row.user_id, &row.user_name, &row.role, None, Vec::new())?;
        let ctx = request_context(now, actor, &info);
        if !row.live {
            counted("refused");
            return Err(ended());
        }
        let resource = row.session_id.to_string();
        if row.standing == Standing::Reused {
            sessions::revoke(&mut tx, row.session_id).await.map_err(store_failed)?;
            let entry = ctx
                .entry(Action::Refresh, &resource)
                .ended(Outcome::Deny, Reason::RefreshTokenInvalid.as_str());
            audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
            store::commit(tx).await.map_err(store_failed)?;
            self.vault.actors.invalidate(&row.session_id);
            counted("reused");
            return Err(worthless());
        }
        let (refresh_token, hash) = token::generate(REFRESH_PREFIX);
        let idle = self.vault.sessions.idle_ttl.as_secs_f64();
        let (idle_ends_at, ends_at) =
            refresh_tokens::rotate(&mut tx, &row, random::uuid_v7(now), hash.as_bytes(), idle)
                .await
                .map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::Refresh, &resource))
            .await
            .map_err(store_failed)?;
        let (token, expires_at) = self.access_token(row.user_id, row.session_id, now, ends_at)?;
        store::commit(tx).await.map_err(store_failed)?;
        counted(if row.standing == Standing::Retry {
            "retried"
        } else {
            "ok"
        });
        Ok(IssuedSession {
            token,
            expires_at,
            refresh_token,
            idle_ends_at,
            ends_at,
        })
    }
}

fn worthless() -> Error {
    Error::new(
        Reason::RefreshTokenInvalid,
        "the refresh token was used before, or is not one of this vault's; its session has ended, log in again",
    )
}
