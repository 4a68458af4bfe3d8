//! Who somebody at a provider is here.

use serde_json::json;

use super::Stage;
use crate::support::provider::Provider;

#[tokio::test]
async fn claims_give_groups_and_a_role_and_what_is_taken_away_there_ends_here() {
    let stage = Stage::set(|corp| {
        corp.groups
            .insert("vault-ops".to_owned(), vec!["ops".to_owned(), "oncall".to_owned()]);
        corp.roles.auditor.insert("vault-audit".to_owned());
    });
    let Some(stage) = stage.await else { return };
    let claims = |groups: &[&str]| json!({"preferred_username": "ann", "groups": groups});
    stage
        .account("a-1", claims(&["vault-ops", "vault-audit", "everyone"]))
        .await;
    let token = stage.token("a-1").await;
    let me = stage.call("GET", "/api/v1/me", &token, None).await.json();
    assert_eq!(me["role"], "auditor");
    let address = format!("/api/v1/users/{}", me["id"].as_str().unwrap());
    let user = async || stage.call("GET", &address, &stage.admin, None).await.json();
    assert_eq!(user().await["groups"], json!(["oncall", "ops"]));

    // The same again changes nothing, and ends nothing.
    stage.token("a-1").await;
    assert_eq!(stage.me(&token).await, "ann");

    // A membership that an administrator gave is the administrator's.
    let groups = json!({"groups": ["oncall"]});
    assert_eq!(
        stage.call("PATCH", &address, &stage.admin, Some(groups)).await.status,
        200
    );
    let token = stage.token("a-1").await;
    stage.account("a-1", claims(&["everyone"])).await;
    let next = stage.token("a-1").await;
    let user = user().await;
    assert_eq!((&user["groups"], &user["role"]), (&json!(["oncall"]), &json!("user")));
    assert_eq!(stage.me(&token).await, "SessionEnded", "R7: what it stood for is gone");
    assert_eq!(stage.me(&next).await, "ann");
}

#[tokio::test]
async fn an_account_is_never_taken_over_by_a_name_or_an_address() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.user(json!({"name": "ann", "email": "ann@example.org"})).await;
    for (sub, claims) in [
        ("a-1", json!({"preferred_username": "ANN"})),
        ("a-2", json!({"preferred_username": "admin"})),
        (
            "a-3",
            json!({"preferred_username": "another", "email": "Ann@Example.org", "email_verified": true}),
        ),
    ] {
        stage.account(sub, claims).await;
        let answer = stage.log_in(sub).await;
        assert_eq!(answer.problem(), (409, "AccountExists".to_owned()), "{sub}");
    }
    // An address that the provider has not verified is not believed at all.
    let unverified = json!({"preferred_username": "eve", "email": "ann@example.org", "email_verified": false});
    stage.account("a-4", unverified).await;
    assert_eq!(stage.me(&stage.token("a-4").await).await, "eve");
    let with_address = "SELECT count(*) FROM users WHERE email = 'ann@example.org'";
    assert_eq!(stage.database.count(with_address).await, 1);
    assert_eq!(stage.database.count("SELECT count(*) FROM identities").await, 1);
    assert_eq!(stage.database.count("SELECT count(*) FROM users").await, 3);
}

#[tokio::test]
async fn a_verified_address_links_only_where_the_settings_say_so() {
    let Some(stage) = Stage::set(|corp| corp.link_verified_email = true).await else {
        return;
    };
    let id = stage.user(json!({"name": "ann", "email": "ann@example.org"})).await;
    let claims =
        |verified: bool| json!({"preferred_username": "x", "email": "ann@example.org", "email_verified": verified});
    stage.account("a-1", claims(true)).await;
    let token = stage.token("a-1").await;
    let me = stage.call("GET", "/api/v1/me", &token, None).await.json();
    assert_eq!(
        (me["name"].as_str(), me["id"].as_str()),
        (Some("ann"), Some(id.as_str()))
    );
    stage.account("a-2", claims(false)).await;
    assert_eq!(
        stage.me(&stage.token("a-2").await).await,
        "x",
        "not verified: somebody else"
    );
}

#[tokio::test]
async fn without_just_in_time_users_nobody_unknown_comes_in() {
    let stage = Stage::set(|corp| {
        corp.just_in_time = false;
        corp.email_domains = vec!["example.org".to_owned()];
    });
    let Some(stage) = stage.await else { return };
    let claims = |email: &str| json!({"preferred_username": "ann", "email": email, "email_verified": true});
    stage.account("a-1", claims("ann@example.org")).await;
    assert_eq!(stage.log_in("a-1").await.problem(), (403, "IdentityUnknown".to_owned()));
    assert_eq!(stage.database.count("SELECT count(*) FROM users").await, 1);
    let audit = stage.database.audit().await;
    assert!(
        audit.contains(&"auth.login_sso deny IdentityUnknown corp".to_owned()),
        "{audit:?}"
    );
    // Who is not of the domain does not get as far.
    stage.account("a-2", claims("ann@example.net")).await;
    let flow = stage.flow("a-2", |_| {}).await;
    let answer = stage.visit(&flow.back, Some(&flow.cookie)).await;
    assert!(
        answer.header("location").ends_with("?error=ProviderRefused"),
        "{}",
        answer.header("location")
    );
}

#[tokio::test]
async fn r09_a_disabled_or_deleted_user_does_not_come_in_by_a_provider() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    let token = stage.token("a-1").await;
    let me = stage.call("GET", "/api/v1/me", &token, None).await.json();
    let address = format!("/api/v1/users/{}", me["id"].as_str().unwrap());
    let disable = json!({"disabled": true});
    stage.call("PATCH", &address, &stage.admin, Some(disable)).await;
    assert_eq!(stage.me(&token).await, "SessionEnded");
    assert_eq!(stage.log_in("a-1").await.problem(), (401, "LoginFailed".to_owned()));
    stage
        .call("PATCH", &address, &stage.admin, Some(json!({"disabled": false})))
        .await;
    stage.token("a-1").await;
    assert_eq!(stage.call("DELETE", &address, &stage.admin, None).await.status, 204);
    assert_eq!(stage.log_in("a-1").await.problem(), (401, "LoginFailed".to_owned()));
    assert_eq!(stage.sessions().await, 0);
    // R40: who comes after the user was removed for good is somebody new.
    let gone = format!("{address}?permanently=true");
    assert_eq!(stage.call("DELETE", &gone, &stage.admin, None).await.status, 204);
    let token = stage.token("a-1").await;
    let next = stage.call("GET", "/api/v1/me", &token, None).await.json();
    assert_eq!(next["name"], "ann");
    assert_ne!(next["id"], me["id"]);
}

#[tokio::test]
async fn r02_the_second_factor_is_asked_for_whatever_the_provider_is_not_trusted_to_have_seen() {
    let Some(provider) = Provider::start().await else {
        return;
    };
    let corp = provider.settings("corp", "vault");
    let mut trusted = corp.clone();
    trusted.second_factor.trust = true;
    let mut stage = Stage::with(provider, &[corp]).await;
    let user = json!({"preferred_username": "ann"});
    stage.provider.account("a-1", user.clone(), &["pwd", "mfa"]).await;
    stage.token("a-1").await;
    stage
        .database
        .execute("UPDATE users SET second_factor_required = true WHERE name = 'ann'")
        .await;
    let answer = stage.log_in("a-1").await;
    assert_eq!(
        answer.status, 202,
        "the provider's word does not count: {}",
        answer.text
    );
    assert!(answer.json()["challenge"].is_string());
    assert_eq!(stage.sessions().await, 0);

    let trusting =
        |config: &mut aether_vault::service::VaultConfig| config.sso = crate::support::provider::sso(&[trusted]);
    stage.vault = stage.vault.replica_with(&stage.database, trusting).await;
    stage.router = crate::http::client::router_of(&stage.vault);
    assert_eq!(stage.log_in("a-1").await.status, 200, "it counts, and there was one");
    let seen = "SELECT count(*) FROM sessions WHERE second_factor_at IS NOT NULL AND method = 'sso'";
    assert_eq!(stage.database.count(seen).await, 1);
    stage.provider.account("a-1", user, &["pwd"]).await;
    assert_eq!(stage.log_in("a-1").await.status, 202, "it counts, and there was none");
}

#[tokio::test]
async fn the_last_administrator_is_not_unmade_by_a_provider() {
    let stage = Stage::set(|corp| {
        corp.link_verified_email = true;
        corp.roles.admin.insert("admins".to_owned());
    });
    let Some(stage) = stage.await else { return };
    stage
        .database
        .execute("UPDATE users SET email = 'admin@example.org' WHERE name = 'admin'")
        .await;
    let claims = |groups: &[&str]| json!({"email": "admin@example.org", "email_verified": true, "groups": groups});
    stage.account("a-1", claims(&[])).await;
    assert_eq!(
        stage.log_in("a-1").await.problem(),
        (409, "LastAdministrator".to_owned())
    );
    assert_eq!(
        stage.database.count("SELECT count(*) FROM identities").await,
        0,
        "R11: nothing is left behind"
    );
    stage.account("a-1", claims(&["admins"])).await;
    assert_eq!(stage.me(&stage.token("a-1").await).await, "admin");
}
