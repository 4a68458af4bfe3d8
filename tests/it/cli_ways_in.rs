//! Client commands of the real binary, against a running API.

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::process::Installation;
use crate::support::provider::{Browser, Provider, client};

/// The line of what a command says to people that begins so, without that.
fn said(child: &mut Child, beginning: &str) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut all = Vec::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if let Some(rest) = line.trim_start().strip_prefix(beginning) {
            let rest = rest.to_owned();
            // Read on, so that the command is never stopped by a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return rest;
        }
        all.push(line);
    }
    panic!("the command does not say '{beginning}': {all:?}");
}

async fn ended(mut child: Child) {
    let status = tokio::task::spawn_blocking(move || child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}

async fn who(installation: &Installation, token_file: &str) -> Value {
    let token = std::fs::read_to_string(token_file).unwrap();
    let client = installation.client().with_token(token.trim());
    let me = client.request(reqwest::Method::GET, "/api/v1/me", None).await.unwrap();
    me.ok().body
}

#[tokio::test]
async fn a_browser_on_the_same_machine_logs_a_command_in_at_a_provider() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let address = format!("http://{}", installation.api_address());
    let Some(provider) = Provider::start_for(&json!([client("vault", &address, "corp")])).await else {
        return;
    };
    provider
        .account("a-1", json!({"preferred_username": "ann"}), &["pwd"])
        .await;
    let mut corp = serde_json::to_value(provider.settings("corp", "vault")).unwrap();
    corp["redirects"] = json!([]);
    installation.set("http.public_url", &address);
    installation.set("auth.sso.providers", &json!([corp]).to_string());
    let api = installation.api().await;

    let token_file = installation.folder().join("token").display().to_string();
    let arguments = [
        "login",
        "--sso",
        "corp",
        "--address",
        &address,
        "--token-file",
        &token_file,
    ];
    let mut command = installation.begin(&arguments);
    let start = said(&mut command, "http");
    let mut browser = Browser::new();
    let sent = browser.visit(&format!("http{start}")).await;
    let back = browser.log_in(&sent.location, "a-1").await;
    let done = browser.visit(&back).await.location;
    assert!(done.starts_with("http://127.0.0.1:"), "{done}");
    // Something else asks on that port meanwhile.
    let other = done.replace("/done?code=", "/other?code=");
    assert_eq!(browser.visit(&other).await.status, 404);
    assert_eq!(browser.visit(&done).await.status, 200);
    ended(command).await;
    assert_eq!(who(&installation, &token_file).await["name"], "ann");
    let log = api.log();
    assert!(
        !log.contains("avsc_") && !log.contains("avss_") && !log.contains("code="),
        "{log}"
    );
    assert!(!log.contains(crate::support::provider::CLIENT_SECRET));
}

#[tokio::test]
async fn a_command_is_let_in_as_a_device() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let address = format!("http://{}", installation.api_address());
    let _api = installation.api().await;
    let administrator = installation.administrator().await;
    let file = |name: &str| installation.folder().join(name).display().to_string();
    let (own, device) = (file("own-token"), file("device-token"));
    std::fs::write(&own, administrator.token()).unwrap();

    let mut command = installation.begin(&["login", "--device", "--address", &address, "--token-file", &device]);
    let code = said(&mut command, "aether-vault devices approve ");
    let run = |what: &str| installation.run(&["devices", what, &code, "--address", &address, "--token-file", &own]);
    let shown = run("show");
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("aether-vault/") && text.contains("127."), "{text}");
    assert!(run("approve").status.success());
    assert_eq!(run("approve").status.code(), Some(4), "it is decided");
    ended(command).await;
    assert_eq!(who(&installation, &device).await["name"], "admin");

    let mut command = installation.begin(&["login", "--device", "--address", &address, "--token-file", &device]);
    let code = said(&mut command, "aether-vault devices approve ");
    let denied = installation.run(&["devices", "deny", &code, "--address", &address, "--token-file", &own]);
    assert!(denied.status.success());
    let status = tokio::task::spawn_blocking(move || command.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
