//! Logging in with a password.

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::begin::{LoggedIn, Method, SecondFactor, WayIn};
use super::{Auth, RequestInfo};
use crate::domain::actor::{Actor, GroupName, Role, UserIdentity};
use crate::domain::audit::{Action, Outcome};
use crate::domain::policy::canonical_name;
use crate::service::context::{Credential, Door, OpContext, Origin};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::{self, Confirm};
use crate::store::login_attempts::{self, Factor, Lockout};
use crate::store::users::{self, UserRow};
use crate::store::{self, second_factors};

/// Ten attempts, then locks of half a minute up to a quarter of an hour (NIST SP 800-63B, section 5.2.2, asks for 100 at most).
pub(super) const LOCKOUT: Lockout = Lockout {
    failures: 10,
    first_seconds: 30.0,
    most_seconds: 900.0,
};

/// What a person sends to log in.
pub struct LoginRequest {
    /// The name, in any spelling.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The password to replace a one-time password with.
    pub new_password: Option<SecretString>,
}

/// An access token of a workload, whose session has no refresh token: it logs in again.
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Auth<'_> {
    /// Logs in: to a session, or to a challenge for the second factor. A one-time password has to be replaced in the same call.
    ///
    /// # Errors
    /// [`Reason::LoginFailed`] for an unknown name, a wrong password and a disabled user alike, after the same work (R3);
    /// [`Reason::PasswordChangeRequired`], [`Reason::PasswordTooWeak`], [`Reason::Busy`], and those of the store.
    pub async fn login(&self, request: LoginRequest, info: RequestInfo) -> Result<LoggedIn> {
        let user = match self.look(&request.name, request.password.clone()).await? {
            Looked::Right(user) => user,
            Looked::Wrong(user) => return self.failed(user.as_ref(), &info).await,
        };
        let ctx = self.context_of(&user, &info)?;
        if !user.must_change_password {
            return self.first_factor(&ctx, &user, None).await;
        }
        let Some(new) = request.new_password else {
            self.vault.metrics.logins.with_label_values(&["change_required"]).inc();
            let message = "the one-time password is right; log in with it and a 'newPassword' of your own";
            return Err(Error::new(Reason::PasswordChangeRequired, message));
        };
        self.vault.passwords.check_new(&new, Some(&request.password)).await?;
        let new_hash = self.vault.passwords.hash(new).await?;
        self.first_factor(&ctx, &user, Some(&new_hash)).await
    }

    /// The user whose name and password these are, if that user may log in.
    ///
    /// # Errors
    /// [`Reason::Busy`], and those of the store.
    pub(in crate::service) async fn person_by_password(
        &self,
        name: &str,
        password: SecretString,
    ) -> Result<Option<UserRow>> {
        Ok(match self.look(name, password).await? {
            Looked::Right(user) => Some(user),
            Looked::Wrong(_) => None,
        })
    }

    /// Looks at a name and a password. The attempt is counted before anything is compared, and exactly one verification runs, whatever
    /// the name is and however the account stands (R3, R6).
    async fn look(&self, name: &str, password: SecretString) -> Result<Looked> {
        let name = canonical_name(name);
        // Postgres takes no NUL in a text, so nobody has such a name.
        let user = if name.contains('\0') {
            None
        } else {
            users::find_by_name(&self.vault.pool, &name)
                .await
                .map_err(store_failed)?
        };
        let admitted = match &user {
            Some(user) => login_attempts::count(&self.vault.pool, user.id, Factor::Password, LOCKOUT)
                .await
                .map_err(store_failed)?,
            None => false,
        };
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let right = self.vault.passwords.verify(password.clone(), hash).await?;
        Ok(match user {
            Some(user) if right && admitted && !user.disabled => Looked::Right(self.renew_hash(user, &password).await),
            user => Looked::Wrong(user),
        })
    }

    /// The first factor is right: goes on in one transaction with whatever else the login changes (R11).
    async fn first_factor(&self, ctx: &OpContext, user: &UserRow, new_hash: Option<&str>) -> Result<LoggedIn> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = second_factors::hold(&mut tx, user.id).await.map_err(store_failed)?;
        // The password that was verified may have been replaced by now; its hash may have been renewed by another login.
        if standing.is_none_or(|standing| standing.password_changed_at != user.password_changed_at) {
            return Err(login_failed());
        }
        if let Some(new_hash) = new_hash {
            let replaced = users::replace_password(&mut tx, user.id, user.password_hash.as_deref(), new_hash).await;
            if !replaced.map_err(store_failed)? {
                return Err(login_failed());
            }
            let entry = ctx.entry(Action::PasswordChange, &user.name);
            audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        }
        login_attempts::forget(&mut tx, user.id, Factor::Password)
            .await
            .map_err(store_failed)?;
        self.proceed(tx, ctx, WayIn::by(Method::Password), SecondFactor::Open)
            .await
    }

    async fn failed(&self, user: Option<&UserRow>, info: &RequestInfo) -> Result<LoggedIn> {
        self.vault.metrics.logins.with_label_values(&["failed"]).inc();
        // What was sent as a name may be a password typed into the wrong field: only names that exist are written down.
        let name = user.map_or("unknown", |user| user.name.as_str());
        if !self.vault.has_own_entry(info.client, name) {
            return Err(login_failed());
        }
        let ctx = request_context(self.vault.clock.now(), Actor::System, info);
        let mut entry = ctx
            .entry(Action::Login, name)
            .ended(Outcome::Deny, Reason::LoginFailed.as_str());
        entry.actor_kind = "anonymous";
        entry.actor_id = user.map_or_else(String::new, |user| user.id.to_string());
        entry.actor_name = name.to_owned();
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Err(login_failed())
    }

    fn context_of(&self, user: &UserRow, info: &RequestInfo) -> Result<OpContext> {
        let actor = user_actor(user.id, &user.name, &user.role, None, Vec::new())?;
        Ok(request_context(self.vault.clock.now(), actor, info))
    }
}

/// What a look at a name and a password found.
enum Looked {
    /// They belong together, and their user may log in.
    Right(UserRow),
    /// They do not; the user of that name, if there is one.
    Wrong(Option<UserRow>),
}

/// The context of a request whose sender has no session yet.
pub(in crate::service) fn request_context(now: Timestamp, actor: Actor, info: &RequestInfo) -> OpContext {
    OpContext {
        actor,
        door: Door::Rest,
        now,
        request_id: info.request_id,
        origin: origin_of(info),
        credential: Credential::Own,
    }
}

/// The actor that a stored user is.
pub(super) fn user_actor(
    id: Uuid,
    name: &str,
    role: &str,
    name_since: Option<Timestamp>,
    groups: Vec<GroupName>,
) -> Result<Actor> {
    let role = Role::parse(role).ok_or_else(|| Error::internal(format!("user {id} has an unknown role")))?;
    Ok(Actor::User(UserIdentity {
        id,
        name: name.to_owned(),
        name_since,
        role,
        groups,
    }))
}

/// Where a REST request came from.
pub(super) fn origin_of(info: &RequestInfo) -> Origin {
    Origin {
        client: info.client,
        user_agent: info.user_agent.clone(),
        resource: None,
    }
}

pub(super) fn login_failed() -> Error {
    Error::new(
        Reason::LoginFailed,
        "the name or the password is wrong, or the account may not log in",
    )
}
