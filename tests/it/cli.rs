//! The client commands, as a person types them: log in, go on, show a second factor, log out.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use aether_vault::service::auth::{LoginRequest, RequestInfo};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tempfile::TempDir;

use crate::support::authenticator::Authenticator;
use crate::support::database::TestDatabase;
use crate::support::process::{ADMIN_PASSWORD, Installation};
use crate::support::vault::TestVault;

struct Terminal {
    installation: Installation,
    files: TempDir,
    address: String,
}

impl Terminal {
    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let token = self.path("token");
        let more = ["--address", &self.address, "--token-file", &token];
        self.installation.run(&[arguments, &more].concat())
    }

    /// Exit code and what was printed.
    fn told(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    fn log_in(&self, more: &[&str]) -> (Option<i32>, String) {
        let password = self.path("password");
        let login = ["login", "--username", "admin", "--password-file", &password];
        self.told(&[&login[..], more].concat())
    }
}

/// A process of the same vault whose clock a test moves.
async fn beside(installation: &Installation, database: &TestDatabase) -> TestVault {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(installation.folder().join("root.key"), folder.path().join("root.key")).unwrap();
    TestVault::open_in(database, Arc::new(folder)).await.unwrap()
}

async fn login(process: &TestVault) -> aether_vault::service::auth::IssuedSession {
    let request = LoginRequest {
        name: "admin".to_owned(),
        password: ADMIN_PASSWORD.into(),
        new_password: None,
    };
    let outcome = process.vault.auth().login(request, RequestInfo::default()).await;
    outcome.unwrap().session().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_goes_on_shows_a_second_factor_and_logs_out() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    // What tokens of a process of the tests say of themselves.
    installation.set("auth.issuer", "https://vault.test");
    installation.set("auth.audience", "vault");
    let _api = installation.api().await;
    installation.administrator().await;
    let terminal = Terminal {
        address: format!("http://{}", installation.api_address()),
        files: tempfile::tempdir().unwrap(),
        installation,
    };
    std::fs::write(terminal.path("password"), ADMIN_PASSWORD).unwrap();

    let (code, text) = terminal.log_in(&[]);
    assert_eq!(code, Some(0), "{text}");
    for name in ["token", "token.session"] {
        let mode = std::fs::metadata(terminal.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(terminal.told(&["list"]).0, Some(0));

    // A session whose access token is past its time, as after a pause.
    let process = beside(&terminal.installation, &database).await;
    process.clock.rewind(Duration::from_secs(1800));
    let paused = login(&process).await;
    let keep = |token: &str, refresh_token: &str| {
        std::fs::write(terminal.path("token"), token).unwrap();
        let kept = json!({"address": format!("{}/", terminal.address), "refreshToken": refresh_token});
        std::fs::write(terminal.path("token.session"), kept.to_string()).unwrap();
    };
    let (expired, refresh_token) = (paused.token.expose_secret(), paused.refresh_token.expose_secret());
    keep(expired, refresh_token);
    let (code, text) = terminal.told(&["list"]);
    assert_eq!(code, Some(0), "it is refreshed on the way: {text}");
    assert_ne!(std::fs::read_to_string(terminal.path("token")).unwrap().trim(), expired);
    assert!(
        !std::fs::read_to_string(terminal.path("token.session"))
            .unwrap()
            .contains(refresh_token)
    );
    assert_eq!(terminal.told(&["list"]).0, Some(0), "and goes on");
    database
        .execute("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute'")
        .await;
    keep(expired, refresh_token);
    let (code, text) = terminal.told(&["list"]);
    assert!(
        code == Some(3) && text.contains("RefreshTokenInvalid"),
        "{code:?} {text}"
    );
    // R13: a refresh token is sent to its own server alone.
    let kept = json!({"address": "https://other.example/", "refreshToken": refresh_token});
    std::fs::write(terminal.path("token.session"), kept.to_string()).unwrap();
    let (code, text) = terminal.told(&["list"]);
    assert!(code == Some(3) && text.contains("TokenExpired"), "{code:?} {text}");

    assert_eq!(terminal.log_in(&[]).0, Some(0));
    assert_eq!(terminal.told(&["logout"]), (Some(0), "Logged out\n".to_owned()));
    assert!(
        !std::fs::exists(terminal.path("token")).unwrap() && !std::fs::exists(terminal.path("token.session")).unwrap()
    );
    let live = "SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND user_agent LIKE 'aether-vault/%'";
    let after = database.count(live).await;
    assert_eq!(terminal.log_in(&[]).0, Some(0));
    assert_eq!(database.count(live).await, after + 1);

    // With a second factor.
    process.clock.advance(Duration::from_secs(1800));
    let auth = process.vault.auth();
    let session = login(&process).await;
    let ctx = auth
        .authenticate(session.token.expose_secret(), RequestInfo::default())
        .await
        .unwrap();
    let enrolment = auth.enrol_totp(&ctx, Some(ADMIN_PASSWORD.into())).await.unwrap();
    let authenticator = Authenticator::set_up(&enrolment);
    let codes = auth.confirm_totp(&ctx, &authenticator.shown(&process)).await.unwrap();
    let (code, text) = terminal.log_in(&["--code", &authenticator.wrong_code(&process)]);
    assert!(
        code == Some(3) && text.contains("SecondFactorFailed"),
        "{code:?} {text}"
    );
    let (code, text) = terminal.log_in(&["--code", codes[0].expose_secret()]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = terminal.told(&["step-up", "--code", codes[1].expose_secret()]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "The session has seen a second factor\n")
    );
    let (code, text) = terminal.told(&["step-up", "--code", codes[1].expose_secret()]);
    assert!(
        code == Some(3) && text.contains("SecondFactorFailed"),
        "{code:?} {text}"
    );

    // An operator changes the key that signs: what was signed before is good for its time, or ends.
    assert_eq!(
        terminal.installation.run(&["keys", "rotate-signing"]).status.code(),
        Some(0)
    );
    assert_eq!(terminal.told(&["list"]).0, Some(0));
    assert_eq!(database.count("SELECT count(*) FROM signing_keys").await, 2);
    let ended = terminal.installation.run(&["keys", "rotate-signing", "--end-tokens"]);
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(database.count("SELECT count(*) FROM signing_keys").await, 1);
}
