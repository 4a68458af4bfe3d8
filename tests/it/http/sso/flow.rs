//! The way to the provider and back, and everybody who would like to take part in it (R12).

use serde_json::json;

use super::{DONE, Stage, VERIFIER, at_vault, cookie_of, meddle, parameters};
use crate::support::provider::Browser;

#[tokio::test]
async fn r12_somebody_logs_in_at_a_provider_and_no_token_is_in_an_address_or_in_the_database() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage
        .account("a-1", json!({"preferred_username": "Ann", "name": "Ann A."}))
        .await;
    let listed = stage.visit("/api/v1/auth/sso/providers", None).await.json();
    assert_eq!(listed["items"][0]["name"], "corp");
    assert_eq!(listed["items"][0]["start"], "/api/v1/auth/sso/corp/start");

    let started = stage.start("corp", DONE, None).await;
    assert!(started.header("location").starts_with(&stage.provider.issuer));
    let asked = parameters(started.header("location"));
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_ne!(asked["state"], asked["nonce"]);
    let back = Browser::new().log_in(started.header("location"), "a-1").await;
    let answer = stage.visit(&at_vault(&back), Some(&cookie_of(&started))).await;
    let (address, _) = answer.header("location").split_once('?').unwrap();
    assert_eq!(address, DONE);
    let brought = parameters(answer.header("location"));
    assert_eq!(brought.keys().collect::<Vec<_>>(), ["code"]);

    let logged_in = stage.exchange(&brought["code"], VERIFIER).await;
    assert_eq!(logged_in.status, 200, "{}", logged_in.text);
    let token = logged_in.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(stage.me(&token).await, "ann");
    assert_eq!(stage.sessions().await, 1);
    let again = stage.exchange(&brought["code"], VERIFIER).await;
    assert_eq!(again.problem(), (400, "SsoFlowInvalid".to_owned()));

    let audit = stage.database.audit().await;
    for entry in [
        "user.create allow ann",
        "identity.link allow corp",
        "auth.login allow ann",
    ] {
        assert!(audit.iter().any(|found| found == entry), "{entry}: {audit:?}");
    }
    let (state, code) = (&asked["state"], &brought["code"]);
    for table in ["sso_flows", "sso_outcomes", "sessions", "identities", "audit_entries"] {
        for secret in [state, code, &asked["nonce"], &token] {
            let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{secret}%'");
            assert_eq!(stage.database.count(&sql).await, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn r12_a_state_is_good_once_in_its_own_browser_and_at_its_own_provider() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    let worthless = (400, "SsoFlowInvalid".to_owned());

    // Another browser: one without a cookie, one with its own, one with a cookie that somebody made up.
    let others = cookie_of(&stage.start("corp", DONE, None).await);
    for cookie in [
        None,
        Some(others.as_str()),
        Some("__Host-aether-vault-sso=x"),
        Some("a=b"),
    ] {
        let flow = stage.flow("a-1", |_| {}).await;
        let answer = stage.visit(&flow.back, cookie).await;
        assert_eq!(answer.problem(), worthless, "{cookie:?}");
        assert_eq!(answer.header("location"), "");
        if cookie == Some(others.as_str()) {
            let own = stage.visit(&flow.back, Some(&flow.cookie)).await;
            assert_eq!(own.problem(), worthless, "a state that was tried elsewhere is used up");
        }
    }
    // Another state, or none.
    let flow = stage.flow("a-1", |_| {}).await;
    for state in ["", "x", "avss_0000000000000000000000000000000000000000000000000000000"] {
        let back = meddle(&format!("https://vault.test{}", flow.back), |query| {
            query.insert("state".to_owned(), state.to_owned());
        });
        let answer = stage.visit(&at_vault(&back), Some(&flow.cookie)).await;
        assert_eq!(answer.problem(), worthless, "{state:?}");
    }
    // Another provider than it was begun at (RFC 9700, section 4.4).
    let elsewhere = flow.back.replace("/sso/corp/", "/sso/other/");
    assert_eq!(stage.visit(&elsewhere, Some(&flow.cookie)).await.problem(), worthless);
    // Twice.
    let flow = stage.flow("a-1", |_| {}).await;
    assert_eq!(stage.visit(&flow.back, Some(&flow.cookie)).await.status, 303);
    assert_eq!(stage.visit(&flow.back, Some(&flow.cookie)).await.problem(), worthless);
    // Past its time.
    let flow = stage.flow("a-1", |_| {}).await;
    stage
        .database
        .execute("UPDATE sso_flows SET expires_at = now() - interval '1 second'")
        .await;
    assert_eq!(stage.visit(&flow.back, Some(&flow.cookie)).await.problem(), worthless);
    assert_eq!(stage.sessions().await, 0);
}

#[tokio::test]
async fn two_logins_of_one_browser_do_not_end_each_other() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    let first = stage.start("corp", DONE, None).await;
    let cookie = cookie_of(&first);
    let second = stage.start("corp", DONE, Some(&cookie)).await;
    assert_eq!(cookie_of(&second), cookie);
    for started in [first, second] {
        let back = Browser::new().log_in(started.header("location"), "a-1").await;
        let answer = stage.visit(&at_vault(&back), Some(&cookie)).await;
        assert!(parameters(answer.header("location")).contains_key("code"));
    }
}

/// The provider signs whatever nonce the browser asks with: a token of another login has another one.
#[tokio::test]
async fn r12_an_id_token_of_another_login_is_refused() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    let flow = stage
        .flow("a-1", |query| {
            query.insert("nonce".to_owned(), "of-another-login".to_owned());
        })
        .await;
    let answer = stage.visit(&flow.back, Some(&flow.cookie)).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderRefused"));
    let audit = stage.database.audit().await;
    assert!(
        audit.contains(&"auth.login_sso deny ProviderRefused corp".to_owned()),
        "{audit:?}"
    );
    assert_eq!(stage.database.count("SELECT count(*) FROM sso_outcomes").await, 0);
}

#[tokio::test]
async fn r12_who_ends_a_login_is_who_began_it_at_the_provider_and_here() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    // At the provider: a code for another challenge is not exchanged, and none is given without a challenge.
    let other = aether_vault::crypto::pkce::challenge("another-verifier-that-is-long-enough-to-be-one");
    let flow = stage
        .flow("a-1", |query| {
            query.insert("code_challenge".to_owned(), other);
        })
        .await;
    let answer = stage.visit(&flow.back, Some(&flow.cookie)).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderRefused"));
    let flow = stage
        .flow("a-1", |query| {
            query.remove("code_challenge");
            query.remove("code_challenge_method");
        })
        .await;
    let answer = stage.visit(&flow.back, Some(&flow.cookie)).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderRefused"));

    // Here: a code that somebody saw on its way is worth nothing to them, and to nobody afterwards.
    let code = stage.code("a-1").await;
    for verifier in ["another-verifier-that-is-long-enough-to-be-one", VERIFIER] {
        let answer = stage.exchange(&code, verifier).await;
        assert_eq!(answer.problem(), (400, "SsoFlowInvalid".to_owned()), "{verifier}");
    }
    for challenge in ["", "x", VERIFIER] {
        let uri = format!("/api/v1/auth/sso/corp/start?redirect={DONE}&codeChallenge={challenge}");
        let answer = stage.visit(&uri, None).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()), "{challenge}");
    }
    assert_eq!(stage.sessions().await, 0);
}

#[tokio::test]
async fn r12_browsers_are_sent_to_addresses_of_the_list_only() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    for redirect in [
        "https://evil.test/done",
        "https://ui.test.evil.test/done",
        "https://ui.test/done/../open",
        "https://ui.test/done?next=https://evil.test",
        "https://ui.test@evil.test/done",
        "//evil.test/done",
        "/\\evil.test",
        "javascript:alert(1)",
        "http://ui.test/done",
        "",
    ] {
        let answer = stage.start("corp", redirect, None).await;
        assert_eq!(answer.problem(), (400, "RedirectNotAllowed".to_owned()), "{redirect}");
        assert_eq!(
            (answer.header("location"), answer.header("set-cookie")),
            ("", ""),
            "{redirect}"
        );
        assert!(redirect.is_empty() || !answer.text.contains(redirect), "{redirect}");
    }
    for redirect in [DONE, "http://127.0.0.1:4711/"] {
        assert_eq!(stage.start("corp", redirect, None).await.status, 303, "{redirect}");
    }
    let unknown = stage.start("nobody", DONE, None).await;
    assert_eq!(unknown.problem(), (404, "ProviderNotFound".to_owned()));
    assert_eq!(stage.database.count("SELECT count(*) FROM sso_flows").await, 2);
}

#[tokio::test]
async fn r12_what_a_provider_says_of_its_error_is_shown_to_nobody() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    let flow = stage.flow("nobody-of-this-name", |_| {}).await;
    assert!(
        flow.back.contains("script"),
        "the provider says what must not be shown: {}",
        flow.back
    );
    let answer = stage.visit(&flow.back, Some(&flow.cookie)).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderRefused"));
    assert!(!answer.text.contains("script"));
    // Whoever writes such an address and has somebody follow it gets as little shown.
    let written = "/api/v1/auth/sso/corp/callback?error=%3Cscript%3E&error_description=%3Cscript%3E&state=%3Cscript%3E";
    let answer = stage.visit(written, Some(&flow.cookie)).await;
    assert_eq!(answer.problem(), (400, "SsoFlowInvalid".to_owned()));
    assert!(!answer.text.contains("script"), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    // A parameter that comes twice is none.
    let twice = stage.visit(&format!("{}&state=x", flow.back), Some(&flow.cookie)).await;
    assert_eq!(twice.problem(), (400, "InvalidRequest".to_owned()));
}

#[tokio::test]
async fn r27_beginning_a_login_is_bounded_like_a_login() {
    use aether_vault::http::{Rate, Rates};
    let Some(mut stage) = Stage::set(|_| {}).await else {
        return;
    };
    let login = Rate {
        per_second: 1,
        burst: 2,
    };
    let rates = Rates {
        login,
        ..Rates::default()
    };
    stage.router = crate::http::client::router_with(&stage.vault, rates);
    for status in [303, 303, 429] {
        assert_eq!(stage.start("corp", DONE, None).await.status, status);
    }
    let callback = stage.visit("/api/v1/auth/sso/corp/callback?state=x", None).await;
    assert_eq!(callback.status, 429);
}
