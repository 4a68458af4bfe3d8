//! What a browser answered, against the passkey as it is stored.

use uuid::Uuid;

use super::PasskeyAnswer;
use crate::crypto::passkey::{PasskeyError, RelyingParty};
use crate::service::auth::Auth;
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::store::passkeys::{self, CredentialRow, Kind};
use crate::store::{self, Tx};

/// A passkey that was shown, to be spent in the transaction of what it is shown for.
pub(in crate::service::auth) struct PasskeyUse {
    /// Whose it is.
    pub(in crate::service::auth) user: Uuid,
    id: Uuid,
    counter: i64,
}

impl Auth<'_> {
    /// Verifies an answer; `None` if it does not verify, whatever the reason. The challenge is used up either way. A passkey whose counter did
    /// not go up may have been copied, and is not taken any more.
    pub(in crate::service::auth) async fn verify_passkey(
        &self,
        user: Option<Uuid>,
        kind: Kind,
        answer: &PasskeyAnswer,
    ) -> Result<Option<PasskeyUse>> {
        let party = self.relying_party()?;
        let state = passkeys::take(&self.vault.pool, answer.ceremony, user, kind)
            .await
            .map_err(store_failed)?;
        let (Some(state), Ok((credential_id, claimed))) = (state, RelyingParty::claim(&answer.credential)) else {
            return Ok(None);
        };
        let row = passkeys::find(&self.vault.pool, &credential_id)
            .await
            .map_err(store_failed)?;
        let Some(row) = row.filter(|row| is_theirs(row, user, claimed)) else {
            return Ok(None);
        };
        let counter = match party.finish_assertion(&state, &answer.credential, &row.credential) {
            Ok(counter) => i64::from(counter),
            Err(error @ PasskeyError::Stored) => return Err(Error::internal(error)),
            Err(_) => return Ok(None),
        };
        if !went_up(row.counter, counter) {
            self.suspect(&row).await?;
            return Ok(None);
        }
        Ok(Some(PasskeyUse {
            user: row.user_id,
            id: row.id,
            counter,
        }))
    }

    /// Notes the use of a passkey; `false` if another use of the same counter came first.
    pub(in crate::service::auth) async fn spend_passkey(&self, tx: &mut Tx<'_>, shown: &PasskeyUse) -> Result<bool> {
        passkeys::used(tx, shown.id, shown.counter).await.map_err(store_failed)
    }

    async fn suspect(&self, row: &CredentialRow) -> Result<()> {
        tracing::warn!(
            passkey = %row.id,
            "the counter of a passkey did not go up: there may be a copy of it; it is not taken any more"
        );
        self.vault.metrics.passkeys_suspect.inc();
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        passkeys::suspect(&mut tx, row.id).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

/// Whether the answer is of the user whose passkey it is: a login says whose it claims to be, anything else knows.
fn is_theirs(row: &CredentialRow, user: Option<Uuid>, claimed: Option<Uuid>) -> bool {
    match user {
        Some(user) => row.user_id == user && claimed.is_none_or(|claimed| claimed == user),
        None => claimed == Some(row.user_id),
    }
}

/// The counter of each use is higher than the one before, or both are 0 (Web Authentication, section 7.2, step 22).
fn went_up(before: i64, now: i64) -> bool {
    now > before || (now == 0 && before == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_up_or_never_counts() {
        for (before, now, fits) in [
            (0, 0, true),
            (0, 1, true),
            (7, 8, true),
            (7, 7, false),
            (7, 6, false),
            (7, 0, false),
        ] {
            assert_eq!(went_up(before, now), fits, "{before} then {now}");
        }
    }

    #[test]
    fn a_passkey_is_of_the_user_that_is_asked_for_and_of_none_but_whom_it_says() {
        let (ann, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let row = CredentialRow {
            id: Uuid::nil(),
            user_id: ann,
            credential_id: Vec::new(),
            credential: serde_json::Value::Null,
            counter: 0,
        };
        for (user, claimed, fits) in [
            (None, Some(ann), true),
            (None, Some(bob), false),
            (None, None, false),
            (Some(ann), None, true),
            (Some(ann), Some(ann), true),
            (Some(ann), Some(bob), false),
            (Some(bob), None, false),
            (Some(bob), Some(bob), false),
        ] {
            assert_eq!(is_theirs(&row, user, claimed), fits, "{user:?} {claimed:?}");
        }
    }
}
