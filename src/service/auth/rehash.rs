//! Passwords whose hash cost less than it should by now get another one when their bearer logs in, for only then they are known.

use secrecy::SecretString;

use super::Auth;
use crate::store::users::{self, UserRow};

impl Auth<'_> {
    /// Replaces the hash of the password that was just verified if today's settings ask for another. Nothing of the account changes by
    /// it, so no session ends. A failure is left for the next login: this one was right.
    pub(super) async fn renew_hash(&self, mut user: UserRow, password: &SecretString) -> UserRow {
        let Some(old) = user.password_hash.clone() else {
            return user;
        };
        if !self.vault.passwords.needs_rehash(&old) {
            return user;
        }
        let Ok(new) = self.vault.passwords.hash(password.clone()).await else {
            return user;
        };
        match users::renew_hash(&self.vault.pool, user.id, &old, &new).await {
            Ok(true) => {
                self.vault.metrics.password_rehashes.inc();
                user.password_hash = Some(new);
            }
            // Somebody set another password in between: what was verified is not it any more, and the login finds out by itself.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(cause = %error, "a password hash could not be renewed; the next login tries again");
            }
        }
        user
    }
}
