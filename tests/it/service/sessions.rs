//! Sessions: how they begin, go on by refresh tokens, and end.

use aether_vault::domain::actor::Role;
use aether_vault::service::auth::{IssuedSession, LoggedIn, LoginRequest, RequestInfo};
use aether_vault::service::error::{Error, Reason};
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::database::TestDatabase;
use crate::support::vault::{ADMIN_PASSWORD, TestVault};

async fn login(process: &TestVault) -> LoggedIn {
    let request = LoginRequest {
        name: "admin".to_owned(),
        password: ADMIN_PASSWORD.into(),
        new_password: None,
    };
    let auth = process.vault.auth();
    auth.login(request, RequestInfo::default()).await.unwrap()
}

async fn session(process: &TestVault) -> IssuedSession {
    login(process).await.session().unwrap()
}

async fn refresh(process: &TestVault, token: &SecretString) -> Result<IssuedSession, Error> {
    process.vault.auth().refresh(token, RequestInfo::default()).await
}

fn reason<T>(outcome: Result<T, Error>) -> Option<Reason> {
    outcome.err().map(|error| error.reason())
}

/// What a call with an access token comes to.
async fn call(process: &TestVault, token: &SecretString) -> Option<Reason> {
    let auth = process.vault.auth();
    match auth.authenticate(token.expose_secret(), RequestInfo::default()).await {
        Ok(ctx) => reason(auth.me(&ctx).await),
        Err(error) => Some(error.reason()),
    }
}

/// Makes every use of a refresh token older than the time in which it may be sent again.
async fn age(database: &TestDatabase) {
    database
        .execute("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")
        .await;
}

#[tokio::test]
async fn a_session_goes_on_by_tokens_that_are_good_once_and_stored_as_hashes() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let first = session(&one).await;
    let second = refresh(&two, &first.refresh_token).await.unwrap();
    let third = refresh(&one, &second.refresh_token).await.unwrap();
    assert_eq!(call(&two, &third.token).await, None);
    assert_eq!(
        call(&two, &first.token).await,
        None,
        "an access token is good for its time"
    );
    assert_eq!(first.ends_at, third.ends_at, "the session's last end does not move");
    assert!(third.idle_ends_at > first.idle_ends_at && third.idle_ends_at <= third.ends_at);
    for (table, secret) in [
        ("refresh_tokens", &first.refresh_token),
        ("sessions", &second.refresh_token),
        ("audit_entries", &third.refresh_token),
    ] {
        let text = secret.expose_secret();
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{text}%'");
        assert_eq!(database.count(&sql).await, 0, "R14: {table}");
    }
    let entries = database.audit().await;
    let refreshes = entries.iter().filter(|entry| entry.starts_with("auth.refresh allow"));
    assert_eq!(refreshes.count(), 2, "{entries:?}");
    for rubbish in ["", "avr_", "nonsense", first.token.expose_secret()] {
        assert_eq!(
            reason(refresh(&one, &rubbish.into()).await),
            Some(Reason::RefreshTokenInvalid)
        );
    }
}

#[tokio::test]
async fn a_token_used_again_ends_its_session_on_every_process() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let first = session(&one).await;
    let other = session(&one).await;
    let second = refresh(&one, &first.refresh_token).await.unwrap();
    assert_eq!(call(&two, &second.token).await, None);
    age(&database).await;
    assert_eq!(
        reason(refresh(&two, &first.refresh_token).await),
        Some(Reason::RefreshTokenInvalid)
    );
    assert_eq!(call(&one, &second.token).await, Some(Reason::SessionEnded));
    assert_eq!(call(&two, &second.token).await, Some(Reason::SessionEnded));
    assert_eq!(
        reason(refresh(&one, &second.refresh_token).await),
        Some(Reason::SessionEnded),
        "the thief's token and the owner's"
    );
    assert_eq!(call(&one, &other.token).await, None, "another session of the same user");
    let denied = "SELECT count(*) FROM audit_entries WHERE action = 'auth.refresh' AND decision = 'deny'";
    assert_eq!(database.count(denied).await, 1);
}

#[tokio::test]
async fn a_token_sent_again_within_moments_gets_a_successor_until_one_is_used() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let first = session(&process).await;
    let lost = refresh(&process, &first.refresh_token).await.unwrap();
    let again = refresh(&process, &first.refresh_token).await.unwrap();
    assert_ne!(lost.refresh_token.expose_secret(), again.refresh_token.expose_secret());
    let third = refresh(&process, &again.refresh_token).await.unwrap();
    assert_eq!(call(&process, &third.token).await, None);
    // Two hold successors of one token: whoever comes second shows it.
    assert_eq!(
        reason(refresh(&process, &lost.refresh_token).await),
        Some(Reason::RefreshTokenInvalid)
    );
    assert_eq!(call(&process, &third.token).await, Some(Reason::SessionEnded));

    let first = session(&process).await;
    let second = refresh(&process, &first.refresh_token).await.unwrap();
    refresh(&process, &second.refresh_token).await.unwrap();
    assert_eq!(
        reason(refresh(&process, &first.refresh_token).await),
        Some(Reason::RefreshTokenInvalid),
        "within moments, but its successor was used"
    );
    assert_eq!(call(&process, &second.token).await, Some(Reason::SessionEnded));
}

#[tokio::test]
async fn two_processes_that_get_one_token_at_once_leave_one_line_of_successors() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let first = session(&one).await;
    let (a, b) = tokio::join!(refresh(&one, &first.refresh_token), refresh(&two, &first.refresh_token));
    let (a, b) = (a.unwrap(), b.unwrap());
    let (a, b) = tokio::join!(refresh(&one, &a.refresh_token), refresh(&two, &b.refresh_token));
    assert_eq!(
        [a.is_ok(), b.is_ok()].iter().filter(|ok| **ok).count(),
        1,
        "successors of one token used at once: one goes on, and the other shows that two hold it"
    );
    let live = "SELECT count(*) FROM sessions s JOIN refresh_tokens t ON t.session_id = s.id
                WHERE t.used_at IS NULL AND s.revoked_at IS NULL";
    assert_eq!(
        database.count(live).await,
        1,
        "the session that this test has nothing to do with"
    );
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_in_any_case() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let idle = session(&process).await;
    database
        .execute("UPDATE sessions SET expires_at = now() - interval '1 second'")
        .await;
    assert_eq!(
        reason(refresh(&process, &idle.refresh_token).await),
        Some(Reason::SessionEnded)
    );
    let old = session(&process).await;
    database
        .execute(
            "UPDATE sessions SET expires_at = now() + interval '90 seconds', ends_at = now() + interval '90 seconds'",
        )
        .await;
    let last = refresh(&process, &old.refresh_token).await.unwrap();
    assert!(
        last.idle_ends_at <= last.ends_at,
        "use moves the end, never past the last one"
    );
    assert!(last.expires_at <= last.ends_at, "nor does a token outlive its session");
}

#[tokio::test]
async fn r07_what_ends_a_session_ends_its_refresh_token() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    for change in [
        "UPDATE users SET role = 'auditor'",
        "UPDATE users SET role = 'admin'",
        "UPDATE users SET password_changed_at = now()",
        "UPDATE sessions SET revoked_at = now()",
        "UPDATE users SET second_factor_required = true",
    ] {
        let issued = session(&process).await;
        database.execute(change).await;
        let refused = refresh(&process, &issued.refresh_token).await;
        assert_eq!(reason(refused), Some(Reason::SessionEnded), "{change}");
    }
    database
        .execute("UPDATE users SET second_factor_required = false")
        .await;
    let issued = session(&process).await;
    database.execute("UPDATE users SET disabled_at = now()").await;
    assert_eq!(
        reason(refresh(&process, &issued.refresh_token).await),
        Some(Reason::SessionEnded)
    );
}

#[tokio::test]
async fn r02_an_account_that_needs_a_second_factor_gets_a_challenge_and_no_session() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let demanding = process.demanding(&database, &[Role::Admin]).await;
    let before = database.count("SELECT count(*) FROM sessions").await;
    for name in ["admin", " ADMIN ", "ａｄｍｉｎ"] {
        let request = LoginRequest {
            name: name.to_owned(),
            password: ADMIN_PASSWORD.into(),
            new_password: None,
        };
        let outcome = demanding.vault.auth().login(request, RequestInfo::default()).await;
        let challenge = outcome.unwrap().challenge().expect(name);
        assert!(challenge.enrols && challenge.methods.is_empty());
    }
    assert_eq!(database.count("SELECT count(*) FROM sessions").await, before);
    database.execute("UPDATE users SET second_factor_required = true").await;
    assert!(login(&process).await.challenge().is_some(), "an administrator said so");
}

#[tokio::test]
async fn signing_keys_are_made_anew_when_they_are_old_by_one_process_of_several() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let before = session(&one).await;
    let keys = "SELECT count(*) FROM signing_keys";
    let (a, b) = (one.vault.auth(), two.vault.auth());
    assert_eq!(database.count(keys).await, 1);
    database
        .execute("UPDATE signing_keys SET created_at = now() - interval '31 days'")
        .await;
    let upkeep = async |process: &TestVault| process.vault.auth().keep_signing_keys().await.unwrap();
    tokio::join!(upkeep(&one), upkeep(&two));
    assert_eq!(database.count(keys).await, 2, "one new key, whoever made it");
    assert_eq!(a.jwks(), b.jwks());
    let after = session(&one).await;
    assert_eq!(call(&two, &before.token).await, None, "the key before verifies");
    assert_eq!(call(&two, &after.token).await, None);
    // The last token that the key before signed has ended.
    database
        .execute("UPDATE signing_keys SET retired_at = now() - interval '2 hours' WHERE retired_at IS NOT NULL")
        .await;
    upkeep(&one).await;
    assert_eq!(database.count(keys).await, 1);
    assert_eq!(call(&one, &before.token).await, Some(Reason::TokenInvalid));
    assert_eq!(call(&one, &after.token).await, None);
}
