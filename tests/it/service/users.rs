//! Users: how they come, what ends with them, and what guesses at their passwords lead to.

use aether_vault::domain::actor::Role;
use aether_vault::service::auth::{LoginRequest, RequestInfo};
use aether_vault::service::context::OpContext;
use aether_vault::service::error::{Error, Reason};
use aether_vault::service::users::{NewUser, User, UserChange};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::vault::TestVault;

const PASSWORD: &str = "four plain words will do";

fn new(name: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        machine: false,
        role: Role::User,
        email: None,
        display_name: None,
        groups: Vec::new(),
    }
}

async fn login(process: &TestVault, name: &str, password: &str) -> Result<SecretString, Error> {
    let request = LoginRequest {
        name: name.to_owned(),
        password: password.into(),
        new_password: None,
    };
    let outcome = process.vault.auth().login(request, RequestInfo::default()).await?;
    Ok(outcome.session().unwrap().token)
}

async fn context(process: &TestVault, token: &SecretString) -> Result<OpContext, Error> {
    let auth = process.vault.auth();
    auth.authenticate(token.expose_secret(), RequestInfo::default()).await
}

/// What a call with the token comes to.
async fn call(process: &TestVault, token: &SecretString) -> Option<Reason> {
    let ctx = match context(process, token).await {
        Ok(ctx) => ctx,
        Err(error) => return Some(error.reason()),
    };
    process.vault.auth().me(&ctx).await.err().map(|error| error.reason())
}

/// A person who has set a password.
async fn person(process: &TestVault, admin: &OpContext, new: NewUser) -> User {
    let (user, link) = process.vault.users().create(admin, new).await.unwrap();
    redeem(process, &link.unwrap().token).await.unwrap();
    user
}

async fn redeem(process: &TestVault, token: &SecretString) -> Result<(), Error> {
    let users = process.vault.users();
    users.redeem(token, PASSWORD.into(), RequestInfo::default()).await
}

#[tokio::test]
async fn an_invited_person_sets_a_password_once_and_logs_in() {
    let database = TestDatabase::new().await;
    let (one, admin) = {
        let process = TestVault::open(&database).await;
        let admin = process.admin().await;
        (process, admin)
    };
    let two = one.replica(&database).await;
    let (user, link) = one.vault.users().create(&admin, new(" ANN ")).await.unwrap();
    assert_eq!(user.name, "ann");
    let token = link.unwrap().token;
    assert_eq!(
        login(&one, "ann", PASSWORD).await.err().map(|e| e.reason()),
        Some(Reason::LoginFailed),
        "R9: pending"
    );
    let weak = one
        .vault
        .users()
        .redeem(&token, "short".into(), RequestInfo::default())
        .await;
    assert_eq!(weak.err().map(|e| e.reason()), Some(Reason::PasswordTooWeak));
    let (a, b) = tokio::join!(redeem(&one, &token), redeem(&two, &token));
    assert_eq!(
        [&a, &b].iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "once, on two processes at a time"
    );
    assert_eq!(
        redeem(&one, &token).await.err().map(|e| e.reason()),
        Some(Reason::OneTimeTokenInvalid)
    );
    assert!(login(&two, "Ann", PASSWORD).await.is_ok());
    let again = one.vault.users().create(&admin, new("Ａnn")).await;
    assert_eq!(
        again.err().map(|e| e.reason()),
        Some(Reason::UserExists),
        "R1: every spelling is taken"
    );
    for table in ["one_time_tokens", "users", "audit_entries"] {
        let sql = format!(
            "SELECT count(*) FROM {table} t WHERE t::text LIKE '%{}%'",
            token.expose_secret()
        );
        assert_eq!(database.count(&sql).await, 0, "{table}");
    }
}

/// Every way to write "ann" that means her: small, large and wide letters.
fn spellings() -> Vec<String> {
    let letters = |small: char, wide: char| {
        let large = |c: char| c.to_uppercase().next().unwrap();
        [small, large(small), wide, large(wide)]
    };
    let (a, n) = (letters('a', 'ａ'), letters('n', 'ｎ'));
    let mut all = Vec::new();
    for first in a {
        for second in n {
            all.extend(n.map(|third| format!("{first}{second}{third}")));
        }
    }
    all.extend([" ann".to_owned(), "Ann\t".to_owned(), "\u{3000}ANN ".to_owned()]);
    all
}

#[tokio::test]
async fn r01_every_spelling_is_one_account_one_counter_one_second_factor_and_one_name_in_the_audit_log() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let admin = one.admin().await;
    let two = one.replica(&database).await;
    let user = person(&one, &admin, new("ann")).await;
    let (spellings, processes) = (spellings(), [&one, &two]);
    assert_eq!(spellings.len(), 67);
    let each = || spellings.iter().zip(processes.iter().cycle());

    for (name, process) in each().take(8).chain(each().skip(60)) {
        let token = login(process, name, PASSWORD).await.unwrap();
        let ctx = context(process, &token).await.unwrap();
        assert_eq!(ctx.actor().user().map(|user| user.id), Some(user.id), "{name:?}");
    }
    for (name, process) in each() {
        assert!(login(process, name, "a wrong guess at it").await.is_err());
    }
    let failures = "SELECT failures::bigint FROM login_attempts";
    assert_eq!(database.count(failures).await, 67, "one row, and every guess in it");
    for (name, process) in each().take(8) {
        let locked = login(process, name, PASSWORD).await;
        assert_eq!(locked.err().map(|e| e.reason()), Some(Reason::LoginFailed), "{name:?}");
    }

    one.vault.users().unlock(&admin, user.id).await.unwrap();
    let needs = UserChange {
        second_factor_required: Some(true),
        ..UserChange::default()
    };
    one.vault.users().change(&admin, user.id, needs).await.unwrap();
    for (name, process) in each().take(8).chain(each().skip(60)) {
        let request = LoginRequest {
            name: name.clone(),
            password: PASSWORD.into(),
            new_password: None,
        };
        let outcome = process.vault.auth().login(request, RequestInfo::default()).await;
        assert!(outcome.unwrap().challenge().is_some(), "{name:?}");
    }

    let audit = database.audit().await;
    let logins: Vec<_> = audit.iter().filter(|entry| entry.starts_with("auth.login ")).collect();
    for entry in &logins {
        let canonical = entry.ends_with(" ann") || entry.ends_with(" admin");
        assert!(canonical, "{entry}");
    }
    assert!(logins.iter().any(|entry| *entry == "auth.login deny LoginFailed ann"));
}

#[tokio::test]
async fn r06_fifty_parallel_guesses_on_two_processes_count_as_fifty_and_lock_every_spelling() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let admin = one.admin().await;
    let two = one.replica(&database).await;
    let user = person(&one, &admin, new("ann")).await;
    let guesses = (0..50).map(|n| {
        let process = if n % 2 == 0 { &one } else { &two };
        // R1: the spellings share one count.
        let name = ["ann", "ANN", " ann", "ａnn"][n % 4];
        async move {
            login(process, name, "a wrong guess at it")
                .await
                .err()
                .map(|e| e.reason())
        }
    });
    for outcome in futures::future::join_all(guesses).await {
        assert_eq!(outcome, Some(Reason::LoginFailed));
    }
    let failures = format!(
        "SELECT failures::bigint FROM login_attempts WHERE user_id = '{}'",
        user.id
    );
    assert_eq!(database.count(&failures).await, 50);

    // R3: locked looks like wrong, and costs the same one verification.
    let verifications = || one.metric("aether_vault_password_verifications_total");
    let before = verifications();
    let locked = login(&one, "ann", PASSWORD).await.err().unwrap();
    let unknown = login(&one, "nobody here", PASSWORD).await.err().unwrap();
    assert_eq!(
        (locked.reason(), locked.message()),
        (unknown.reason(), unknown.message())
    );
    assert!((verifications() - before - 2.0).abs() < f64::EPSILON);

    one.vault.users().unlock(&admin, user.id).await.unwrap();
    assert!(login(&two, "ann", PASSWORD).await.is_ok());
    assert_eq!(
        database.count("SELECT count(*) FROM login_attempts").await,
        0,
        "a success forgets"
    );
}

#[tokio::test]
async fn a_lock_that_has_ended_lets_one_attempt_through_and_the_next_lock_is_longer() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    person(&process, &admin, new("ann")).await;
    let guess = async || login(&process, "ann", "a wrong guess at it").await.is_ok();
    let locked_for =
        "SELECT coalesce(round(extract(epoch FROM locked_until - last_at))::bigint, 0) FROM login_attempts";
    for _ in 0..10 {
        guess().await;
        assert_eq!(database.count(locked_for).await, 0);
    }
    guess().await;
    assert_eq!(database.count(locked_for).await, 30);
    database
        .execute("UPDATE login_attempts SET locked_until = now() - interval '1 second'")
        .await;
    guess().await;
    assert_eq!(database.count(locked_for).await, 0);
    guess().await;
    assert_eq!(database.count(locked_for).await, 120);
    assert!(
        login(&process, "ann", PASSWORD).await.is_err(),
        "the right password does not open a lock"
    );
}

#[tokio::test]
async fn r07_what_changes_a_user_ends_its_sessions_on_every_process_at_the_next_call() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let admin = one.admin().await;
    let two = one.replica(&database).await;
    let user = person(&one, &admin, new("ann")).await;
    let users = one.vault.users();
    let change = |change: UserChange| users.change(&admin, user.id, change);
    let role = || UserChange {
        role: Some(Role::Auditor),
        ..UserChange::default()
    };
    let groups = || UserChange {
        groups: Some(vec!["ops".to_owned()]),
        ..UserChange::default()
    };
    let disabled = |disabled| UserChange {
        disabled: Some(disabled),
        ..UserChange::default()
    };
    let named = || UserChange {
        display_name: Some(Some("Ann".to_owned())),
        ..UserChange::default()
    };

    let fresh = async || {
        let token = login(&two, "ann", PASSWORD).await.unwrap();
        assert_eq!(call(&two, &token).await, None);
        token
    };
    let token = fresh().await;
    change(named()).await.unwrap();
    assert_eq!(call(&two, &token).await, None, "a name for people changes nothing");
    change(role()).await.unwrap();
    assert_eq!(call(&two, &token).await, Some(Reason::SessionEnded), "role");
    let token = fresh().await;
    change(groups()).await.unwrap();
    assert_eq!(call(&two, &token).await, Some(Reason::SessionEnded), "groups");
    let token = fresh().await;
    let own = context(&one, &token).await.unwrap();
    users
        .change_own_password(&own, PASSWORD.into(), "another four plain words".into())
        .await
        .unwrap();
    assert_eq!(call(&two, &token).await, Some(Reason::SessionEnded), "password");
    let token = login(&two, "ann", "another four plain words").await.unwrap();
    change(disabled(true)).await.unwrap();
    assert_eq!(call(&two, &token).await, Some(Reason::SessionEnded), "disabled");
    assert!(
        login(&two, "ann", "another four plain words").await.is_err(),
        "R9: disabled"
    );
    change(disabled(false)).await.unwrap();
    assert_eq!(
        call(&two, &token).await,
        Some(Reason::SessionEnded),
        "an old session does not come back"
    );
    let token = login(&two, "ann", "another four plain words").await.unwrap();
    let link = users.reset(&admin, user.id).await.unwrap();
    assert_eq!(call(&two, &token).await, Some(Reason::SessionEnded), "reset");
    assert!(login(&two, "ann", "another four plain words").await.is_err());
    redeem(&two, &link.token).await.unwrap();
    let token = fresh().await;
    users.remove(&admin, user.id, false).await.unwrap();
    assert_eq!(call(&two, &token).await, Some(Reason::SessionEnded), "deleted");
    assert!(login(&two, "ann", PASSWORD).await.is_err(), "R9: deleted");
    users.restore(&admin, user.id).await.unwrap();
    fresh().await;
}

#[tokio::test]
async fn r40_who_bears_a_name_after_another_has_nothing_of_the_other() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let first = person(&process, &admin, new("ann")).await;
    let token = login(&process, "ann", PASSWORD).await.unwrap();
    process.vault.users().remove(&admin, first.id, true).await.unwrap();
    let second = person(&process, &admin, new("ann")).await;
    assert_ne!(first.id, second.id);
    assert_eq!(call(&process, &token).await, Some(Reason::SessionEnded));
    assert_eq!(
        database
            .count("SELECT count(*) FROM retired_names WHERE kind = 'user' AND name = 'ann'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_last_administrator_stays_also_when_two_leave_at_once() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let admin = one.admin().await;
    let two = one.replica(&database).await;
    let refused = one.vault.users().remove(&admin, admin_id(&admin), false).await;
    assert_eq!(refused.err().map(|e| e.reason()), Some(Reason::LastAdministrator));
    // Somebody who was invited cannot log in yet, and does not count.
    let other = NewUser {
        role: Role::Admin,
        ..new("bob")
    };
    let (bob, link) = one.vault.users().create(&admin, other).await.unwrap();
    assert!(one.vault.users().remove(&admin, admin_id(&admin), false).await.is_err());
    redeem(&one, &link.unwrap().token).await.unwrap();
    let bobs = context(&two, &login(&two, "bob", PASSWORD).await.unwrap())
        .await
        .unwrap();
    let demote = || UserChange {
        role: Some(Role::User),
        ..UserChange::default()
    };
    let (here, there) = (one.vault.users(), two.vault.users());
    let (a, b) = tokio::join!(
        here.change(&admin, admin_id(&admin), demote()),
        there.change(&bobs, bob.id, demote())
    );
    assert_eq!(
        [a.is_ok(), b.is_ok()].iter().filter(|ok| **ok).count(),
        1,
        "{a:?} {b:?}"
    );
    let left = "SELECT count(*) FROM users WHERE role = 'admin' AND password_hash IS NOT NULL";
    assert_eq!(database.count(left).await, 1);
}

#[tokio::test]
async fn r08_users_are_for_administrators_and_auditors_may_look() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let target = person(&process, &admin, new("target")).await.id;
    let users = process.vault.users();
    for (role, sees) in [(Role::User, false), (Role::Auditor, true)] {
        let name = role.as_str().to_owned() + "-1";
        person(&process, &admin, NewUser { role, ..new(&name) }).await;
        let token = login(&process, &name, PASSWORD).await.unwrap();
        let ctx = context(&process, &token).await.unwrap();
        assert_eq!(users.list(&ctx, None, 10).await.is_ok(), sees, "{name}");
        // An id that is nobody's is refused like one that is somebody's (R21).
        for id in [target, Uuid::nil()] {
            if !sees {
                assert_eq!(
                    users.get(&ctx, id).await.err().map(|e| e.reason()),
                    Some(Reason::RoleRequired)
                );
            }
            let refusals = [
                users.change(&ctx, id, UserChange::default()).await.err(),
                users.remove(&ctx, id, true).await.err(),
                users.restore(&ctx, id).await.err(),
                users.unlock(&ctx, id).await.err(),
                users.reset(&ctx, id).await.err(),
            ];
            for refusal in refusals {
                assert_eq!(
                    refusal.map(|e| e.reason()),
                    Some(Reason::AdministratorRequired),
                    "{name}"
                );
            }
        }
        assert!(users.create(&ctx, new("mallory")).await.is_err());
    }
    assert_eq!(database.count("SELECT count(*) FROM users").await, 4);
}

#[tokio::test]
async fn a_machine_has_no_way_in_but_keys() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let machine = NewUser {
        machine: true,
        ..new("ci")
    };
    let (user, link) = process.vault.users().create(&admin, machine).await.unwrap();
    assert!(link.is_none());
    let reset = process.vault.users().reset(&admin, user.id).await;
    assert_eq!(reset.err().map(|e| e.reason()), Some(Reason::InvalidRequest));
    assert!(login(&process, "ci", "").await.is_err());
}

fn admin_id(admin: &OpContext) -> Uuid {
    admin.actor().user().unwrap().id
}
