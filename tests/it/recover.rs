//! Break-glass with the real program: an operator who holds the owner's database URL and the root key, and nobody else.

use std::process::Output;

use reqwest::Method;
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::process::{ADMIN_PASSWORD, Installation};

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn an_operator_with_the_owner_s_url_and_the_root_key_lets_people_in_again() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let _api = installation.api().await;
    let admin = installation.administrator().await;
    admin.write("shared/smtp", &json!({"password": "p"})).await.ok();
    let folder = installation.folder().to_owned();
    let path = |name: &str| folder.join(name).display().to_string();

    // Nobody can log in any more: the only administrator is disabled behind the program's back, locked, and has a generator that is lost.
    database
        .execute(
            "UPDATE users SET disabled_at = now(), role = 'user';
             INSERT INTO login_attempts (user_id, factor, failures, locked_until) SELECT id, 'password', 99, now() + interval '1 hour' FROM users;
             INSERT INTO totp (user_id, id, wrapped_dek, ciphertext, confirmed_at) SELECT id, gen_random_uuid(), '\\x00', '\\x00', now() FROM users",
        )
        .await;
    assert_eq!(admin.read("shared/smtp").await.reason(), "SessionEnded");
    let credential = path("recovered");
    let output = installation.run(&["recover", "administrator", "Admin", "--credential-file", &credential]);
    assert!(output.status.success(), "{}", text(&output));
    let again = installation.run(&["recover", "administrator", "admin", "--credential-file", &credential]);
    assert!(!again.status.success(), "an existing file is never touched");
    let second = path("recovered-again");
    let output = installation.run(&[
        "recover",
        "administrator",
        "admin",
        "--drop-second-factor",
        "--credential-file",
        &second,
    ]);
    assert!(output.status.success(), "{}", text(&output));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&second).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let one_time = std::fs::read_to_string(&second).unwrap();
    assert!(
        !text(&output).contains(one_time.trim()),
        "the password is in the file alone"
    );
    let admin = installation
        .client()
        .log_in("admin", one_time.trim(), Some(ADMIN_PASSWORD))
        .await;
    admin.read("shared/smtp").await.ok();

    // A name that nobody has is made.
    let file = path("third");
    let output = installation.run(&["recover", "administrator", "rescue", "--credential-file", &file]);
    assert!(text(&output).contains("was made"), "{}", text(&output));
    let one_time = std::fs::read_to_string(&file).unwrap();
    let rescue = installation
        .client()
        .log_in("rescue", one_time.trim(), Some("another four plain words"))
        .await;
    rescue.read("shared/smtp").await.ok();

    // A policy denies everything to everybody.
    let policy = json!({
        "subjects": [{"kind": "Everyone"}],
        "rules": [{"effect": "deny", "paths": ["**"], "capabilities": ["read", "list"]}],
    });
    admin
        .request(Method::PUT, "/api/v1/policies/closed", Some(&policy))
        .await
        .unwrap()
        .ok();
    assert_eq!(admin.read("shared/smtp").await.reason(), "PolicyDenied");
    let output = installation.run(&["recover", "disable-policy", "CLOSED"]);
    assert!(output.status.success(), "{}", text(&output));
    admin.read("shared/smtp").await.ok();
    // Written anew it stays disabled, and says so.
    let written = admin
        .request(Method::PUT, "/api/v1/policies/closed", Some(&policy))
        .await
        .unwrap()
        .ok();
    assert!(written.body["disabledAt"].is_string(), "{}", written.text);
    admin.read("shared/smtp").await.ok();
    let output = installation.run(&["recover", "enable-policy", "closed"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(admin.read("shared/smtp").await.reason(), "PolicyDenied");
    let unknown = installation.run(&["recover", "disable-policy", "nothing-of-this-name"]);
    assert!(text(&unknown).contains("there is no policy"), "{}", text(&unknown));

    database
        .execute(
            "INSERT INTO login_attempts (user_id, factor, failures, locked_until)
             SELECT id, 'password', 99, now() + interval '1 hour' FROM users WHERE name = 'rescue'
             ON CONFLICT (user_id, factor) DO UPDATE SET locked_until = EXCLUDED.locked_until",
        )
        .await;
    let output = installation.run(&["recover", "unlock", "rescue"]);
    assert!(output.status.success(), "{}", text(&output));
    installation
        .client()
        .log_in("rescue", "another four plain words", None)
        .await;

    let entries = database.audit().await;
    for entry in [
        "recover.administrator allow admin",
        "recover.administrator allow rescue",
        "recover.policy_disable allow closed",
        "recover.policy_enable allow closed",
        "recover.unlock allow rescue",
    ] {
        assert!(entries.iter().any(|line| line == entry), "{entry}: {entries:?}");
    }

    // The serving role's URL is not enough, and neither is the database without the root key.
    installation.set("database.owner_url", &database.runtime_dsn);
    let file = path("fourth");
    let refused = installation.run(&["recover", "administrator", "mallory", "--credential-file", &file]);
    assert!(
        !refused.status.success() && text(&refused).contains("database.owner_url"),
        "{}",
        text(&refused)
    );
    installation.set("database.owner_url", &database.owner_dsn);
    let other = path("other.key");
    assert!(installation.run(&["keys", "init", "--file", &other]).status.success());
    installation.set("keys.file", &other);
    let refused = installation.run(&["recover", "administrator", "mallory", "--credential-file", &file]);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(!std::path::Path::new(&file).exists());
    assert_eq!(
        database
            .count("SELECT count(*) FROM users WHERE name = 'mallory'")
            .await,
        0
    );
}
