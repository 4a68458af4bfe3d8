//! The device authorization grant (RFC 8628): a device without a browser, or a command on another machine, shows a code; a person types it
//! where they are logged in, sees what they let in, and says yes or no.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::login::{LOCKOUT, login_failed, request_context, user_actor};
use super::{Auth, LoggedIn, Method, RequestInfo, SecondFactor, WayIn};
use crate::crypto::{random, token};
use crate::domain::audit::{Action, clean_user_agent};
use crate::domain::device::UserCode;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::device_grants::{self, GrantRow, NewGrant};
use crate::store::login_attempts::{self, Factor};
use crate::store::{self, Tx, audit, sessions};

/// What devices' codes begin with.
const DEVICE_PREFIX: &str = "avd";
/// How long a person may take.
const GRANT_SECONDS: f64 = 600.0;
/// Seconds between two questions of a device, at first.
const POLL_SECONDS: u32 = 5;
/// How often a code that is in use is drawn anew.
const DRAWS: usize = 5;

/// What a device shows and keeps.
pub struct DeviceGrant {
    /// What the device asks with.
    pub device_code: SecretString,
    /// What the person types.
    pub user_code: String,
    /// Where the person is told what to do with it; none if the settings do not say how browsers reach the vault.
    pub verification_uri: Option<String>,
    /// When both end.
    pub expires_at: Timestamp,
    /// Seconds between two questions.
    pub interval: u32,
}

/// A device that waits to be let in, as the person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDevice {
    /// Its address.
    pub client: Option<String>,
    /// Its name for itself, which may be a lie.
    pub user_agent: Option<String>,
    /// When it asked.
    pub asked_at: Timestamp,
    /// When its code ends.
    pub expires_at: Timestamp,
}

impl From<GrantRow> for WaitingDevice {
    fn from(row: GrantRow) -> Self {
        Self {
            client: row.client,
            user_agent: row.user_agent,
            asked_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

impl Auth<'_> {
    /// A device asks to be let in.
    ///
    /// # Errors
    /// [`Reason::Busy`] if too many ask, and those of the store.
    pub async fn begin_device(&self, info: &RequestInfo) -> Result<DeviceGrant> {
        let client = info.client.map(|address| address.to_string());
        let user_agent = info.user_agent.as_deref().map(clean_user_agent);
        for _ in 0..DRAWS {
            let (device_code, device_hash) = token::generate(DEVICE_PREFIX);
            let Some(user_code) = UserCode::from_random(random::bytes::<32>()) else {
                continue;
            };
            let grant = NewGrant {
                id: random::uuid_v7(self.vault.clock.now()),
                device_hash: device_hash.as_bytes(),
                user_hash: &hash(&user_code),
                client: client.as_deref(),
                user_agent: user_agent.as_deref(),
            };
            let expires_at = match device_grants::insert(&self.vault.pool, &grant, GRANT_SECONDS).await {
                Err(error) if error.is_constraint("device_grants_user_hash_key") => continue,
                inserted => inserted.map_err(store_failed)?,
            };
            let busy = || Error::new(Reason::Busy, "too many devices ask to be let in; try again shortly");
            let public_url = self.vault.sso.public_url.as_deref();
            return Ok(DeviceGrant {
                device_code,
                user_code: user_code.shown(),
                verification_uri: public_url.map(|base| format!("{base}/device")),
                expires_at: expires_at.ok_or_else(busy)?,
                interval: POLL_SECONDS,
            });
        }
        Err(Error::internal("no code for a device could be drawn"))
    }

    /// What a code would let in, for the person to compare with what they have before them.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::UserCodeUnknown`] also for a caller who has guessed too often, and those of the store.
    pub async fn waiting_device(&self, ctx: &OpContext, code: &str) -> Result<WaitingDevice> {
        let (mut tx, grant) = self.open_grant(ctx, code).await?;
        self.vault.hold(&mut tx, ctx).await?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(grant.into())
    }

    /// Lets a device in: it gets a session of the caller.
    ///
    /// # Errors
    /// As [`Auth::waiting_device`].
    pub async fn approve_device(&self, ctx: &OpContext, code: &str) -> Result<()> {
        let (user, session) = ctx.person()?;
        let user = user.id;
        let (mut tx, grant) = self.open_grant(ctx, code).await?;
        self.vault.hold(&mut tx, ctx).await?;
        device_grants::approve(&mut tx, grant.id, user, session)
            .await
            .map_err(store_failed)?;
        self.decided(tx, ctx, Action::DeviceApprove, grant.id).await
    }

    /// Refuses a device.
    ///
    /// # Errors
    /// As [`Auth::waiting_device`].
    pub async fn deny_device(&self, ctx: &OpContext, code: &str) -> Result<()> {
        let (mut tx, grant) = self.open_grant(ctx, code).await?;
        self.vault.hold(&mut tx, ctx).await?;
        device_grants::deny(&mut tx, grant.id).await.map_err(store_failed)?;
        self.decided(tx, ctx, Action::DeviceDeny, grant.id).await
    }

    /// A device asks whether it was let in. It gets a session once.
    ///
    /// # Errors
    /// [`Reason::AuthorizationPending`], [`Reason::SlowDown`], [`Reason::DeviceDenied`], [`Reason::DeviceCodeExpired`] also for a code that
    /// is not ours or was used, [`Reason::LoginFailed`] if the person may not log in by now, and those of the store.
    pub async fn poll_device(&self, device_code: &SecretString, info: &RequestInfo) -> Result<LoggedIn> {
        let hash = token::parse(DEVICE_PREFIX, device_code.expose_secret()).map_err(|_| device_code_expired())?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let polled = device_grants::poll(&mut tx, hash.as_bytes())
            .await
            .map_err(store_failed)?;
        let polled = polled.ok_or_else(device_code_expired)?;
        let refusal = match polled.approved {
            _ if polled.expired => Some(device_code_expired()),
            _ if polled.denied => Some(Error::new(
                Reason::DeviceDenied,
                "the person refused to let this device in",
            )),
            _ if polled.too_soon => Some(Error::new(
                Reason::SlowDown,
                format!(
                    "the device asks too often; wait {} seconds between two questions",
                    polled.poll_seconds
                ),
            )),
            None => Some(Error::new(
                Reason::AuthorizationPending,
                "nobody has decided yet; ask again after the interval",
            )),
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            // That it asked is kept in any case, or nobody could ask too often.
            store::commit(tx).await.map_err(store_failed)?;
            return Err(refusal);
        }
        let (user, session) = polled.approved.ok_or_else(device_code_expired)?;
        self.let_in(tx, polled.id, user, session, info).await
    }

    /// Begins the device's session, if the one that let it in is still in force: who was locked out meanwhile lets nobody in.
    async fn let_in(
        &self,
        mut tx: Tx<'_>,
        grant: Uuid,
        user: Uuid,
        session: Uuid,
        info: &RequestInfo,
    ) -> Result<LoggedIn> {
        device_grants::remove(&mut tx, grant).await.map_err(store_failed)?;
        let approving = device_grants::approving_session(&mut tx, session)
            .await
            .map_err(store_failed)?;
        let bearer = sessions::bearer_of(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        let (Some(second_factor_at), Some((name, role, _))) = (approving, bearer) else {
            store::commit(tx).await.map_err(store_failed)?;
            return Err(login_failed());
        };
        let actor = user_actor(user, &name, &role, None, Vec::new())?;
        let ctx = request_context(self.vault.clock.now(), actor, info);
        // The person's second factor counts for the device too; who has shown none is asked like at any other login (R2).
        let second_factor = match second_factor_at {
            Some(at) => SecondFactor::Settled(Some(at)),
            None => SecondFactor::Open,
        };
        self.proceed(tx, &ctx, WayIn::by(Method::Device), second_factor).await
    }

    /// The grant of a code that a person types. A guess is counted before anything is looked up, by the account (R6): after ten wrong ones
    /// it is locked for a while, and a right code looks wrong. A right one takes back its own count alone: else whoever asks with a device of
    /// their own would have ten more guesses each time.
    async fn open_grant(&self, ctx: &OpContext, code: &str) -> Result<(Tx<'static>, GrantRow)> {
        let user = ctx.person()?.0.id;
        let pool = &self.vault.pool;
        let admitted = login_attempts::count(pool, user, Factor::DeviceCode, LOCKOUT)
            .await
            .map_err(store_failed)?;
        let unknown = || {
            Error::new(
                Reason::UserCodeUnknown,
                "no device waits with this code: it may be mistyped, used or past its time, or there were too many wrong codes; have the \
                 device show a new one, and try again shortly",
            )
        };
        let code = UserCode::parse(code).map_err(|_| unknown())?;
        let mut tx = store::begin(pool).await.map_err(store_failed)?;
        let found = device_grants::find_open(&mut tx, &hash(&code))
            .await
            .map_err(store_failed)?;
        let grant = found.filter(|_| admitted).ok_or_else(unknown)?;
        login_attempts::refund(&mut tx, user, Factor::DeviceCode)
            .await
            .map_err(store_failed)?;
        Ok((tx, grant))
    }

    async fn decided(&self, mut tx: Tx<'_>, ctx: &OpContext, action: Action, grant: Uuid) -> Result<()> {
        audit::insert(&mut tx, &ctx.entry(action, &grant.to_string()))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

fn hash(code: &UserCode) -> [u8; 32] {
    token::sha256(code.canonical().as_bytes())
}

fn device_code_expired() -> Error {
    Error::new(
        Reason::DeviceCodeExpired,
        "the device's code is past its time, was used, or is not one of this vault's; begin anew",
    )
}
