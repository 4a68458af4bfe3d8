//! A person's own passkeys: registered, listed, renamed, removed. Another set of passkeys is another second factor, so adding and removing
//! one ends every session of theirs (R7); and takes a login or a second factor that is a few minutes old, so that nobody does it at a desk
//! that was left.

use uuid::Uuid;

use super::{PasskeyAnswer, PasskeyChallenge, PasskeyInfo};
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::service::auth::Auth;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::passkeys::{self, Kind, NewPasskey};
use crate::store::{self, StoreError, Tx, audit, second_factors, sessions};

/// Passkeys of one person.
const MAX_PASSKEYS: i64 = 20;
/// Characters of a passkey's name.
const MAX_NAME_CHARS: usize = 64;
/// How old a login or a second factor may be for a change of passkeys.
const RECENT_SECONDS: f64 = 900.0;

impl Auth<'_> {
    /// Begins to register a passkey.
    ///
    /// # Errors
    /// [`Reason::PasskeysOff`], [`Reason::SessionRequired`], [`Reason::StepUpRequired`], and those of the store.
    pub async fn start_passkey(&self, ctx: &OpContext) -> Result<PasskeyChallenge> {
        let (person, session) = ctx.person()?;
        let party = self.relying_party()?;
        self.still_in_force(ctx).await?;
        let recent = sessions::is_recent(&self.vault.pool, session, RECENT_SECONDS).await;
        if !recent.map_err(store_failed)? {
            return Err(step_up());
        }
        let existing = passkeys::credentials(&self.vault.pool, person.id)
            .await
            .map_err(store_failed)?;
        let existing: Vec<_> = existing.into_iter().map(|row| row.credential_id).collect();
        let ceremony = party.start_registration(person.id, &person.name, &person.name, &existing);
        self.begin_ceremony(Some(person.id), Kind::Register, ceremony).await
    }

    /// Registers the passkey that a browser made. Every session of the person ends, this one too.
    ///
    /// # Errors
    /// [`Reason::PasskeysOff`], [`Reason::SessionRequired`], [`Reason::InvalidRequest`], [`Reason::PasskeyRefused`],
    /// [`Reason::LimitReached`], and those of the store.
    pub async fn finish_passkey(&self, ctx: &OpContext, name: &str, answer: PasskeyAnswer) -> Result<PasskeyInfo> {
        let (person, _) = ctx.person()?;
        let name = parse_name(name)?;
        let party = self.relying_party()?;
        let state = passkeys::take(&self.vault.pool, answer.ceremony, Some(person.id), Kind::Register)
            .await
            .map_err(store_failed)?
            .ok_or_else(refused)?;
        let made = party
            .finish_registration(&state, &answer.credential)
            .map_err(|error| refused().because(error))?;
        let id = random::uuid_v7(ctx.now());
        let row = NewPasskey {
            id,
            user_id: person.id,
            name: &name,
            credential_id: &made.credential_id,
            credential: &made.credential,
            counter: made.counter.into(),
        };
        let mut tx = self.own_factors(ctx, person.id).await?;
        if passkeys::count(&mut tx, person.id).await.map_err(store_failed)? >= MAX_PASSKEYS {
            return Err(Error::new(
                Reason::LimitReached,
                format!("a person has at most {MAX_PASSKEYS} passkeys; remove one that is not used"),
            ));
        }
        let created_at = passkeys::insert(&mut tx, &row).await.map_err(registered)?;
        self.noted(tx, ctx, Action::PasskeyAdd, id).await?;
        Ok(PasskeyInfo {
            id,
            name,
            created_at,
            last_used_at: None,
            suspect_at: None,
        })
    }

    /// The caller's passkeys, the oldest first.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn own_passkeys(&self, ctx: &OpContext) -> Result<Vec<PasskeyInfo>> {
        let (person, _) = ctx.person()?;
        self.still_in_force(ctx).await?;
        passkeys::list(&self.vault.pool, person.id).await.map_err(store_failed)
    }

    /// Gives a passkey another name.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::InvalidRequest`], [`Reason::PasskeyNotFound`], and those of the store.
    pub async fn rename_passkey(&self, ctx: &OpContext, id: Uuid, name: &str) -> Result<()> {
        let (person, _) = ctx.person()?;
        let name = parse_name(name)?;
        let mut tx = self.vault.begin_held(ctx).await?;
        if !passkeys::rename(&mut tx, person.id, id, &name)
            .await
            .map_err(store_failed)?
        {
            return Err(not_found());
        }
        self.noted(tx, ctx, Action::PasskeyRename, id).await
    }

    /// Removes a passkey. Every session of the person ends, this one too.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::StepUpRequired`], [`Reason::PasskeyNotFound`], and those of the store.
    pub async fn remove_passkey(&self, ctx: &OpContext, id: Uuid) -> Result<()> {
        let (person, session) = ctx.person()?;
        let mut tx = self.own_factors(ctx, person.id).await?;
        if !passkeys::remove(&mut tx, person.id, id).await.map_err(store_failed)? {
            return Err(not_found());
        }
        let recent = sessions::is_recent(&mut *tx, session, RECENT_SECONDS).await;
        if !recent.map_err(store_failed)? {
            return Err(step_up());
        }
        self.noted(tx, ctx, Action::PasskeyRemove, id).await
    }

    /// A transaction that holds the account and the session, for a change of its second factors.
    async fn own_factors(&self, ctx: &OpContext, user: Uuid) -> Result<Tx<'static>> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        second_factors::hold(&mut tx, user).await.map_err(store_failed)?;
        self.vault.hold(&mut tx, ctx).await?;
        Ok(tx)
    }

    async fn noted(&self, mut tx: Tx<'_>, ctx: &OpContext, action: Action, id: Uuid) -> Result<()> {
        audit::insert(&mut tx, &ctx.entry(action, &id.to_string()))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

fn step_up() -> Error {
    Error::new(
        Reason::StepUpRequired,
        "a change of passkeys takes a login or a second factor of the last 15 minutes: POST /api/v1/auth/step-up, then try again",
    )
}

fn parse_name(name: &str) -> Result<String> {
    let name = name.trim();
    if (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Error::new(
        Reason::InvalidRequest,
        "a passkey's name has 1 to 64 characters on one line",
    ))
}

fn refused() -> Error {
    Error::new(
        Reason::PasskeyRefused,
        "the passkey was not registered: the challenge has ended or was answered, or the answer does not fit it; begin anew",
    )
}

fn registered(error: StoreError) -> Error {
    if error.is_constraint("passkeys_credential_id_key") {
        return refused();
    }
    store_failed(error)
}

fn not_found() -> Error {
    Error::new(
        Reason::PasskeyNotFound,
        "there is no such passkey of yours; the list of passkeys has their ids",
    )
}
