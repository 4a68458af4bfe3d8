//! The second factor: how it is enrolled, asked for, shown and lost.

use aether_vault::domain::actor::Role;
use aether_vault::service::auth::{
    CompletedLogin, IssuedSession, LoggedIn, LoginChallenge, LoginRequest, RequestInfo, ShownFactor,
};
use aether_vault::service::context::OpContext;
use aether_vault::service::error::{Error, Reason};
use aether_vault::service::users::UserChange;
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::authenticator::{Authenticator, next_step, recovery};
use crate::support::database::TestDatabase;
use crate::support::vault::{ADMIN_PASSWORD, TestVault};

async fn login_as(process: &TestVault, name: &str) -> LoggedIn {
    let request = LoginRequest {
        name: name.to_owned(),
        password: ADMIN_PASSWORD.into(),
        new_password: None,
    };
    let auth = process.vault.auth();
    auth.login(request, RequestInfo::default()).await.unwrap()
}

async fn challenge(process: &TestVault) -> LoginChallenge {
    login_as(process, "admin").await.challenge().unwrap()
}

async fn complete(
    process: &TestVault,
    challenge: &LoginChallenge,
    shown: &ShownFactor,
) -> Result<CompletedLogin, Error> {
    let auth = process.vault.auth();
    auth.complete_login(&challenge.token, shown, RequestInfo::default())
        .await
}

async fn context(process: &TestVault, session: &IssuedSession) -> Result<OpContext, Error> {
    let auth = process.vault.auth();
    auth.authenticate(session.token.expose_secret(), RequestInfo::default())
        .await
}

fn reason<T>(outcome: Result<T, Error>) -> Option<Reason> {
    outcome.err().map(|error| error.reason())
}

/// Enrols an authenticator for the administrator; answers it and the recovery codes. The session that did it has ended.
async fn enrol(process: &TestVault) -> (Authenticator, Vec<SecretString>) {
    let session = login_as(process, "admin").await.session().unwrap();
    let ctx = context(process, &session).await.unwrap();
    let auth = process.vault.auth();
    let enrolment = auth.enrol_totp(&ctx, Some(ADMIN_PASSWORD.into())).await.unwrap();
    let authenticator = Authenticator::set_up(&enrolment);
    let codes = auth.confirm_totp(&ctx, &authenticator.shown(process)).await.unwrap();
    (authenticator, codes)
}

/// A session that has shown a second factor just now.
async fn session(process: &TestVault, authenticator: &Authenticator, all: &[&TestVault]) -> IssuedSession {
    next_step(all);
    let challenge = challenge(process).await;
    complete(process, &challenge, &authenticator.shown(process))
        .await
        .unwrap()
        .session
}

const SESSIONS: &str = "SELECT count(*) FROM sessions";
const ATTEMPTS: &str = "SELECT coalesce(sum(failures), 0)::bigint FROM login_attempts WHERE factor = 'second_factor'";

#[tokio::test]
async fn r02_every_spelling_and_every_process_asks_for_the_second_factor() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let (authenticator, _) = enrol(&one).await;
    let before = database.count(SESSIONS).await;
    for process in [&one, &two] {
        for name in ["admin", "ADMIN", " Admin\t", "ａｄｍｉｎ"] {
            let challenge = login_as(process, name).await.challenge().expect(name);
            assert_eq!(challenge.methods, ["totp", "recoveryCode"]);
            assert!(!challenge.enrols);
        }
    }
    assert_eq!(database.count(SESSIONS).await, before);
    // The account counts, whatever it is called by now.
    database.execute("UPDATE users SET name = 'root'").await;
    let challenge = login_as(&two, "root").await.challenge().unwrap();
    next_step(&[&two]);
    let done = complete(&two, &challenge, &authenticator.shown(&two)).await.unwrap();
    let ctx = context(&two, &done.session).await.unwrap();
    assert!(ctx.circumstances().second_factor_at.is_some());
}

#[tokio::test]
async fn r04_a_code_is_used_once_on_two_processes_at_a_time() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let (authenticator, _) = enrol(&one).await;
    let first = challenge(&one).await;
    assert_eq!(
        reason(complete(&one, &first, &authenticator.shown(&one)).await),
        Some(Reason::SecondFactorFailed),
        "the code that confirmed it is spent"
    );
    for round in 0..4 {
        next_step(&[&one, &two]);
        let (a, b) = (challenge(&one).await, challenge(&two).await);
        let shown = authenticator.shown(&one);
        let before = database.count(SESSIONS).await;
        let (here, there) = tokio::join!(complete(&one, &a, &shown), complete(&two, &b, &shown));
        let outcomes = [reason(here), reason(there)];
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_none()).count(),
            1,
            "{round}: {outcomes:?}"
        );
        assert!(
            outcomes.contains(&Some(Reason::SecondFactorFailed)),
            "{round}: {outcomes:?}"
        );
        assert_eq!(database.count(SESSIONS).await, before + 1);
        // Neither that code nor one of a step before is good any more.
        let late = challenge(&two).await;
        assert_eq!(
            reason(complete(&two, &late, &shown).await),
            Some(Reason::SecondFactorFailed)
        );
        database.execute("DELETE FROM login_attempts").await;
    }
}

#[tokio::test]
async fn r04_a_challenge_is_used_once_too() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let (authenticator, codes) = enrol(&one).await;
    next_step(&[&one, &two]);
    let challenge = challenge(&one).await;
    let (totp, recovery) = (authenticator.shown(&one), recovery(&codes[0]));
    let (a, b) = tokio::join!(complete(&one, &challenge, &totp), complete(&two, &challenge, &recovery));
    let outcomes = [reason(a), reason(b)];
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_none()).count(),
        1,
        "{outcomes:?}"
    );
    assert!(outcomes.contains(&Some(Reason::ChallengeInvalid)), "{outcomes:?}");
}

#[tokio::test]
async fn r05_wrong_codes_are_counted_by_the_account_and_no_new_login_resets_them() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let admin = one.admin().await;
    let user = admin.actor().user().unwrap().id;
    let two = one.replica(&database).await;
    let (authenticator, codes) = enrol(&one).await;
    next_step(&[&one, &two]);
    for attempt in 1..=5 {
        let process = if attempt % 2 == 0 { &one } else { &two };
        let challenge = challenge(process).await;
        let wrong = authenticator.shown_wrong(process);
        assert_eq!(
            reason(complete(process, &challenge, &wrong).await),
            Some(Reason::SecondFactorFailed)
        );
        assert_eq!(database.count(ATTEMPTS).await, attempt, "the new login left them");
    }
    let (waiting, other) = (challenge(&one).await, challenge(&two).await);
    let right = authenticator.shown(&one);
    assert_eq!(
        reason(complete(&one, &waiting, &right).await),
        Some(Reason::SecondFactorLocked)
    );
    for ended in [&waiting, &other] {
        assert_eq!(
            reason(complete(&two, ended, &right).await),
            Some(Reason::ChallengeInvalid),
            "a lock ends the logins that wait"
        );
    }
    let next = challenge(&two).await;
    assert_eq!(
        reason(complete(&two, &next, &right).await),
        Some(Reason::SecondFactorLocked)
    );
    let next = challenge(&two).await;
    let saved = recovery(&codes[0]);
    assert_eq!(
        reason(complete(&two, &next, &saved).await),
        Some(Reason::SecondFactorLocked),
        "recovery codes count too"
    );
    let passwords = "SELECT count(*) FROM login_attempts WHERE factor = 'password'";
    assert_eq!(database.count(passwords).await, 0, "counted apart from passwords");
    let denied = "SELECT count(*) FROM audit_entries WHERE action = 'auth.second_factor' AND decision = 'deny'";
    assert_eq!(database.count(denied).await, 8);

    database
        .execute(&format!("DELETE FROM login_attempts WHERE user_id = '{user}'"))
        .await;
    let next = challenge(&one).await;
    assert!(
        complete(&one, &next, &right).await.is_ok(),
        "it was never compared, so it was not spent"
    );
    assert_eq!(database.count(ATTEMPTS).await, 0, "a success forgets");
}

#[tokio::test]
async fn r06_second_factors_shown_at_once_are_all_counted() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let (authenticator, _) = enrol(&one).await;
    let challenge = challenge(&one).await;
    let wrong = authenticator.shown_wrong(&one);
    let guesses = (0..30).map(|n| complete(if n % 2 == 0 { &one } else { &two }, &challenge, &wrong));
    let outcomes = futures::future::join_all(guesses).await;
    let compared = outcomes
        .into_iter()
        .filter(|outcome| outcome.as_ref().err().map(Error::reason) == Some(Reason::SecondFactorFailed));
    assert!(
        compared.count() <= 5,
        "no more are compared than may be, however many come at once"
    );
}

#[tokio::test]
async fn r07_a_change_of_factor_ends_sessions_refresh_tokens_and_challenges_on_every_process() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let all = [&one, &two];
    let (mut authenticator, _) = enrol(&one).await;
    let passkey = "INSERT INTO passkeys (id, user_id, name, credential_id, credential)
                   SELECT gen_random_uuid(), id, 'key', 'id', '{}' FROM users";
    let auth = one.vault.auth();
    for change in [
        "recovery codes",
        "a passkey comes",
        "a passkey goes",
        "removed",
        "enrolled",
        "taken away",
    ] {
        // Before an authenticator is enrolled anew, the first factor is enough.
        let other = match change {
            "enrolled" => login_as(&two, "admin").await.session().unwrap(),
            _ => session(&two, &authenticator, &all).await,
        };
        let own = match change {
            "enrolled" => login_as(&one, "admin").await.session().unwrap(),
            _ => session(&one, &authenticator, &all).await,
        };
        let waiting = login_as(&two, "admin").await.challenge();
        let ctx = context(&one, &own).await.unwrap();
        assert!(auth.me(&ctx).await.is_ok() && context(&two, &other).await.is_ok());
        match change {
            "recovery codes" => drop(auth.new_recovery_codes(&ctx).await.unwrap()),
            "a passkey comes" => database.execute(passkey).await,
            "a passkey goes" => database.execute("DELETE FROM passkeys").await,
            "removed" => auth.remove_totp(&ctx).await.unwrap(),
            "enrolled" => {
                let enrolment = auth.enrol_totp(&ctx, Some(ADMIN_PASSWORD.into())).await.unwrap();
                authenticator = Authenticator::set_up(&enrolment);
                assert!(auth.me(&ctx).await.is_ok(), "an offer changes nothing");
                auth.confirm_totp(&ctx, &authenticator.shown(&one)).await.unwrap();
            }
            _ => {
                let id = ctx.actor().user().unwrap().id;
                one.vault.users().remove_second_factors(&ctx, id).await.unwrap();
            }
        }
        for (process, issued) in [(&one, &own), (&two, &other)] {
            let called = match context(process, issued).await {
                Ok(ctx) => reason(process.vault.auth().me(&ctx).await),
                Err(error) => Some(error.reason()),
            };
            assert_eq!(called, Some(Reason::SessionEnded), "{change}");
            let refreshed = process
                .vault
                .auth()
                .refresh(&issued.refresh_token, RequestInfo::default())
                .await;
            assert_eq!(reason(refreshed), Some(Reason::SessionEnded), "{change}");
        }
        if let Some(waiting) = waiting {
            next_step(&all);
            let late = complete(&two, &waiting, &authenticator.shown(&two)).await;
            assert_eq!(reason(late), Some(Reason::ChallengeInvalid), "{change}");
        }
    }
    assert!(
        login_as(&one, "admin").await.session().is_some(),
        "nothing is left to ask for"
    );
    assert_eq!(database.count("SELECT count(*) FROM recovery_codes").await, 0);
}

#[tokio::test]
async fn r11_an_answer_that_is_an_error_leaves_no_session_behind() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let (authenticator, _) = enrol(&process).await;
    next_step(&[&process]);
    let waiting = challenge(&process).await;
    let before = database.count(SESSIONS).await;
    let wrong = authenticator.shown_wrong(&process);
    assert!(complete(&process, &waiting, &wrong).await.is_err());
    // The last statement before the commit fails: the audit entry.
    database
        .execute("ALTER TABLE audit_entries RENAME TO audit_entries_away")
        .await;
    let right = authenticator.shown(&process);
    assert!(complete(&process, &waiting, &right).await.is_err());
    database
        .execute("ALTER TABLE audit_entries_away RENAME TO audit_entries")
        .await;
    assert_eq!(database.count(SESSIONS).await, before);
    assert_eq!(
        database
            .count(
                "SELECT count(*) FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id AND s.revoked_at IS NULL"
            )
            .await,
        0
    );
    assert!(
        complete(&process, &waiting, &right).await.is_ok(),
        "nor is code or challenge spent for nothing"
    );
    assert_eq!(database.count(SESSIONS).await, before + 1);
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_the_next_set_ends_the_one_before() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    one.admin().await;
    let two = one.replica(&database).await;
    let (authenticator, codes) = enrol(&one).await;
    assert_eq!(codes.len(), 10);
    let text = codes
        .iter()
        .map(SecretString::expose_secret)
        .collect::<Vec<_>>()
        .join("|");
    let sql = format!("SELECT count(*) FROM recovery_codes c WHERE c::text ~ '{text}'");
    assert_eq!(database.count(&sql).await, 0, "R14: only hashes are stored");
    let (a, b) = (challenge(&one).await, challenge(&two).await);
    let shown = recovery(&codes[0]);
    let (here, there) = tokio::join!(complete(&one, &a, &shown), complete(&two, &b, &shown));
    assert_eq!([here.is_ok(), there.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let spelled = SecretString::from(codes[1].expose_secret().to_uppercase().replace('-', " "));
    let next = challenge(&two).await;
    assert!(complete(&two, &next, &recovery(&spelled)).await.is_ok());
    let own = session(&one, &authenticator, &[&one, &two]).await;
    let ctx = context(&one, &own).await.unwrap();
    let state = one.vault.auth().second_factor_state(&ctx).await.unwrap();
    assert_eq!((state.totp, state.recovery_codes, state.required), (true, 8, false));
    let renewed = one.vault.auth().new_recovery_codes(&ctx).await.unwrap();
    let next = challenge(&one).await;
    assert_eq!(
        reason(complete(&one, &next, &recovery(&codes[2])).await),
        Some(Reason::SecondFactorFailed)
    );
    let next = challenge(&one).await;
    assert!(complete(&one, &next, &recovery(&renewed[0])).await.is_ok());
}

#[tokio::test]
async fn a_login_that_needs_a_second_factor_enrols_one_and_only_then_has_a_session() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let demanding = process.demanding(&database, &[Role::Admin]).await;
    let before = database.count(SESSIONS).await;
    let waiting = challenge(&demanding).await;
    assert!(waiting.enrols);
    let auth = demanding.vault.auth();
    let info = RequestInfo::default;
    let nothing = complete(&demanding, &waiting, &crate::support::authenticator::factor("000000")).await;
    assert_eq!(reason(nothing), Some(Reason::SecondFactorNotEnrolled));
    let enrolment = auth.enrol_by_challenge(&waiting.token, info()).await.unwrap();
    let authenticator = Authenticator::set_up(&enrolment);
    let wrong = authenticator.shown_wrong(&demanding);
    assert_eq!(
        reason(complete(&demanding, &waiting, &wrong).await),
        Some(Reason::SecondFactorFailed)
    );
    assert_eq!(database.count(SESSIONS).await, before);
    let done = complete(&demanding, &waiting, &authenticator.shown(&demanding))
        .await
        .unwrap();
    assert_eq!(done.recovery_codes.len(), 10);
    assert!(context(&demanding, &done.session).await.is_ok());
    let again = challenge(&demanding).await;
    assert!(!again.enrols);
    assert_eq!(
        reason(auth.enrol_by_challenge(&again.token, info()).await),
        Some(Reason::SecondFactorExists),
        "whoever has the password alone cannot enrol another"
    );
    // Elsewhere the role needs none, and the account has one all the same.
    assert!(login_as(&process, "admin").await.challenge().is_some());
}

#[tokio::test]
async fn what_changes_a_factor_asks_who_it_is_again() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let auth = process.vault.auth();
    assert_eq!(
        reason(auth.enrol_totp(&admin, None).await),
        Some(Reason::ReauthenticationRequired)
    );
    assert_eq!(
        reason(auth.enrol_totp(&admin, Some("a wrong guess at it".into())).await),
        Some(Reason::LoginFailed)
    );
    assert_eq!(
        reason(
            auth.step_up(&admin, &crate::support::authenticator::factor("000000"))
                .await
        ),
        Some(Reason::SecondFactorNotEnrolled)
    );
    let (authenticator, _) = enrol(&process).await;
    let own = session(&process, &authenticator, &[&process]).await;
    let ctx = context(&process, &own).await.unwrap();
    process.clock.advance(std::time::Duration::from_secs(301));
    let ctx_later = context(&process, &own).await.unwrap();
    for refused in [
        reason(auth.remove_totp(&ctx_later).await),
        reason(auth.new_recovery_codes(&ctx_later).await),
    ] {
        assert_eq!(refused, Some(Reason::ReauthenticationRequired));
    }
    assert_eq!(
        reason(auth.enrol_totp(&ctx_later, Some(ADMIN_PASSWORD.into())).await),
        Some(Reason::SecondFactorExists)
    );
    auth.step_up(&ctx_later, &authenticator.shown(&process)).await.unwrap();
    let fresh = context(&process, &own).await.unwrap();
    auth.remove_totp(&fresh).await.unwrap();
    drop(ctx);
}

#[tokio::test]
async fn an_administrator_demands_a_second_factor_and_takes_lost_ones_away() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let id = admin.actor().user().unwrap().id;
    let users = process.vault.users();
    assert_eq!(
        reason(users.remove_second_factors(&admin, id).await),
        Some(Reason::SecondFactorNotEnrolled)
    );
    let change = UserChange {
        second_factor_required: Some(true),
        ..UserChange::default()
    };
    let user = users.change(&admin, id, change).await.unwrap();
    assert!(user.second_factor_required && !user.second_factor);
    let waiting = challenge(&process).await;
    assert!(waiting.enrols, "the sessions of before have ended, and a login enrols");
}
