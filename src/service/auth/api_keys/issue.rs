//! Making a key, and making its successor.

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{
    ApiKey, IssuedApiKey, MAX_KEYS, MAX_NAME_CHARS, MAX_NETWORKS, MAX_OVERLAP_SECONDS, Need, NewApiKey, Owner, PREFIX,
    no_owner, not_found,
};
use crate::crypto::{random, token};
use crate::domain::actor::Role;
use crate::domain::audit::Action;
use crate::domain::policy::KeyScope;
use crate::service::auth::Auth;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::api_keys::{self, NewApiKeyRow};
use crate::store::{self, Tx, audit};

/// Characters of a key that are kept for people to tell their keys apart: of 56 random ones, six.
const HINT_CHARS: usize = PREFIX.len() + 1 + 6;

impl Auth<'_> {
    /// Makes a key for the caller, or for a machine user, as an administrator. What its scopes name counts only as far as the owner holds
    /// it, at each decision.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] with what to change, [`Reason::SessionRequired`], [`Reason::AdministratorRequired`],
    /// [`Reason::UserNotFound`], [`Reason::LimitReached`], [`Reason::SessionEnded`], and those of the store.
    pub async fn create_api_key(&self, ctx: &OpContext, owner: Owner, new: NewApiKey) -> Result<IssuedApiKey> {
        let user = self.key_owner(ctx, owner, Need::Make).await?;
        check_name(&new.name)?;
        KeyScope::compile(&new.scopes).map_err(|problem| Error::new(Reason::InvalidRequest, problem.to_string()))?;
        let scopes = serde_json::to_value(&new.scopes).map_err(Error::internal)?;
        let wanted = Wanted {
            name: new.name,
            scopes,
            networks: networks(&new.networks)?,
            administers: new.administers,
            expires_at: self.end(ctx.now(), new.expires_at)?,
            replaces: None,
        };
        let mut tx = self.vault.begin_held(ctx).await?;
        let issued = self.issue_key(&mut tx, ctx, user, owner, wanted).await?;
        audit::insert(&mut tx, &ctx.entry(Action::ApiKeyCreate, &issued.key.id.to_string()))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(issued)
    }

    /// Makes a key like another one and lets that one end after `overlap_seconds`. The successor lives as long as the other was made for,
    /// unless an end is given. It has an id of its own: a policy that names the key has to name the successor too.
    ///
    /// # Errors
    /// [`Reason::ApiKeyNotFound`] also if the key has ended, and those of [`Auth::create_api_key`].
    pub async fn rotate_api_key(
        &self,
        ctx: &OpContext,
        owner: Owner,
        id: Uuid,
        overlap_seconds: u32,
        expires_at: Option<Timestamp>,
    ) -> Result<IssuedApiKey> {
        let user = self.key_owner(ctx, owner, Need::Make).await?;
        if overlap_seconds > MAX_OVERLAP_SECONDS {
            let message = format!("'overlapSeconds' is 0 to {MAX_OVERLAP_SECONDS}: the old key ends after it");
            return Err(Error::new(Reason::InvalidRequest, message));
        }
        let given = expires_at.map(|end| self.end(ctx.now(), Some(end))).transpose()?;
        let mut tx = self.vault.begin_held(ctx).await?;
        let lifetime = api_keys::lifetime(&mut tx, user, id)
            .await
            .map_err(store_failed)?
            .ok_or_else(not_found)?;
        let old = api_keys::shorten(&mut tx, user, id, f64::from(overlap_seconds))
            .await
            .map_err(store_failed)?
            .ok_or_else(not_found)?;
        let wanted = Wanted {
            name: old.name,
            scopes: old.scopes,
            networks: old.networks,
            administers: old.administers,
            expires_at: given.unwrap_or_else(|| {
                self.latest_end(ctx.now())
                    .min(after(ctx.now(), SignedDuration::from_secs(lifetime)))
            }),
            replaces: Some(id),
        };
        let issued = self.issue_key(&mut tx, ctx, user, owner, wanted).await?;
        let entry = ctx.entry(Action::ApiKeyRotate, &format!("{id} by {}", issued.key.id));
        audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(issued)
    }

    async fn issue_key(
        &self,
        tx: &mut Tx<'_>,
        ctx: &OpContext,
        user: Uuid,
        owner: Owner,
        wanted: Wanted,
    ) -> Result<IssuedApiKey> {
        let row = api_keys::lock_owner(tx, user)
            .await
            .map_err(store_failed)?
            .filter(|row| row.live)
            .ok_or_else(no_owner)?;
        if matches!(owner, Owner::User(_)) && !row.machine {
            let message =
                "administrators make keys for machine users only; a person makes their own, at /api/v1/me/api-keys";
            return Err(Error::new(Reason::InvalidRequest, message));
        }
        if wanted.administers && Role::parse(&row.role) != Some(Role::Admin) {
            let message = "'administers' is for keys of administrators; this owner's role is another";
            return Err(Error::new(Reason::InvalidRequest, message));
        }
        if row.keys >= MAX_KEYS {
            let message = format!("a user has at most {MAX_KEYS} keys at a time; revoke those that are not used");
            return Err(Error::new(Reason::LimitReached, message));
        }
        let (text, hash) = token::generate(PREFIX);
        let hint: String = text.expose_secret().chars().take(HINT_CHARS).collect();
        let id = random::uuid_v7(ctx.now());
        let created_at = api_keys::insert(
            tx,
            &NewApiKeyRow {
                id,
                user_id: user,
                name: &wanted.name,
                hash: hash.as_bytes(),
                hint: &hint,
                scopes: &wanted.scopes,
                networks: &wanted.networks,
                administers: wanted.administers,
                expires_at: wanted.expires_at,
                replaces: wanted.replaces,
            },
        )
        .await
        .map_err(store_failed)?;
        let key = ApiKey {
            id,
            name: wanted.name,
            hint,
            scopes: wanted.scopes,
            networks: wanted.networks,
            administers: wanted.administers,
            created_at,
            expires_at: wanted.expires_at,
            revoked_at: None,
            last_used_on: None,
            replaces: wanted.replaces,
        };
        Ok(IssuedApiKey { key, text })
    }

    /// The end of a new key: the one that was asked for, if it lies in the future and no further than the settings allow.
    fn end(&self, now: Timestamp, wanted: Option<Timestamp>) -> Result<Timestamp> {
        let latest = self.latest_end(now);
        match wanted {
            None => Ok(latest),
            Some(end) if end > now && end <= latest => Ok(end),
            Some(_) => {
                let message = format!("'expiresAt' must lie in the future, and at {latest} at the latest");
                Err(Error::new(Reason::InvalidRequest, message))
            }
        }
    }

    fn latest_end(&self, now: Timestamp) -> Timestamp {
        let most = SignedDuration::try_from(self.vault.api_key_max_ttl).unwrap_or(SignedDuration::MAX);
        after(now, most)
    }
}

/// What a key is to be, checked.
struct Wanted {
    name: String,
    scopes: serde_json::Value,
    networks: Vec<String>,
    administers: bool,
    expires_at: Timestamp,
    replaces: Option<Uuid>,
}

/// To the microsecond, as Postgres keeps it.
fn after(now: Timestamp, duration: SignedDuration) -> Timestamp {
    let end = now.saturating_add(duration).unwrap_or(Timestamp::MAX);
    end.round(jiff::Unit::Microsecond).unwrap_or(end)
}

fn check_name(name: &str) -> Result<()> {
    let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    let message = format!(
        "'name' has 1 to {MAX_NAME_CHARS} characters, none of them a control character, and no space around it"
    );
    Err(Error::new(Reason::InvalidRequest, message))
}

fn networks(networks: &[IpNet]) -> Result<Vec<String>> {
    if networks.len() > MAX_NETWORKS {
        let message = format!("a key has at most {MAX_NETWORKS} networks");
        return Err(Error::new(Reason::InvalidRequest, message));
    }
    Ok(networks.iter().map(|network| network.trunc().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r23_names_and_networks_are_bounded() {
        assert!(check_name("deploy pipeline").is_ok());
        for name in ["", " deploy", "de\0ploy", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        let network: IpNet = "10.1.2.3/8".parse().unwrap();
        assert_eq!(networks(&[network]).unwrap(), ["10.0.0.0/8"]);
        assert!(networks(&[network; 33]).is_err());
    }
}
