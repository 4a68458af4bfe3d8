//! What a process refuses to start with: its exit code and its last words.

use std::os::unix::fs::PermissionsExt as _;

use aether_vault::crypto::provider::generate_file;

use super::rows;
use crate::support::database::TestDatabase;
use crate::support::process::Installation;

/// Starts the API, which has to refuse; answers exit code and message.
fn refusal(installation: &Installation) -> (Option<i32>, String) {
    let output = installation.run(&["api"]);
    let text = String::from_utf8(output.stderr).unwrap();
    let message = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("aether-vault: "))
        .unwrap_or_default()
        .to_owned();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code(), message)
}

/// The id in a line of a key file.
fn id_of_key(line: &str) -> Option<String> {
    line.strip_prefix("avrk1.")?.split('.').next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_root_key_refuses_to_start_and_makes_no_new_one() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let mut process = installation.api().await;
    let admin = installation.administrator().await;
    admin
        .write("shared/good", &serde_json::json!({"key": "value"}))
        .await
        .ok();
    process.stop().await;
    let before = rows(&database).await;
    let file = installation.folder().join("root.key");
    let right = std::fs::read(&file).unwrap();

    let id_of = |key: &[u8]| String::from_utf8_lossy(key).lines().find_map(id_of_key).unwrap();
    std::fs::remove_file(&file).unwrap();
    generate_file(&file).unwrap();
    let other = std::fs::read(&file).unwrap();
    let (ours, theirs) = (id_of(&right), id_of(&other));
    let unknown = format!(
        "this database needs root key {ours}, and the key file holds only {theirs}; add the line 'avrk1.{ours}.…' from the original \
         key file, or connect to the database that this key file belongs to"
    );
    assert_eq!(refusal(&installation), (Some(1), unknown));

    let disguised = String::from_utf8_lossy(&other).replace(&theirs, &ours);
    std::fs::write(&file, disguised).unwrap();
    let wrong = format!(
        "root key {ours} in the key file is not the key of that id that this database was made with; \
         restore the original key file, or connect to the database that this one belongs to"
    );
    assert_eq!(refusal(&installation), (Some(1), wrong));

    std::fs::remove_file(&file).unwrap();
    let missing = format!(
        "root key file {}: there is no such file; mount the one that belongs to this database, or for a new vault run 'aether-vault keys init'",
        file.display()
    );
    assert_eq!(refusal(&installation), (Some(1), missing));
    assert!(!file.exists(), "a root key was made unasked");

    std::fs::write(&file, &right).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = format!(
        "root key file {}: is open to other users (mode 0644); run 'chmod 600' on it, or in Kubernetes mount the Secret with 'defaultMode: 0400' and 'fsGroup'",
        file.display()
    );
    assert_eq!(refusal(&installation), (Some(1), open));

    assert_eq!(rows(&database).await, before);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    installation.start_again(&mut process);
    process.wait_until_ready().await;
    assert_eq!(admin.read("shared/good").await.ok().body["data"]["key"], "value");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_refused() {
    let database = TestDatabase::new().await;
    for (key, value, message) in [
        ("http.lisen", "127.0.0.1:1", "http.lisen (FILE): unknown field `lisen`"),
        (
            "auth.access_token_ttl",
            "1s",
            "auth.access_token_ttl (FILE): must be 1m to 1d",
        ),
        (
            "http.listen",
            "0.0.0.0:8200",
            "http.listen (FILE): others can reach this address",
        ),
        (
            "database.url_file",
            "/nowhere",
            "database.url and database.url_file are both set; remove one of them",
        ),
    ] {
        let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
        installation.set(key, value);
        let (code, found) = refusal(&installation);
        let file = installation.folder().join("config.yaml").display().to_string();
        let found = found.replace(&file, "FILE");
        assert_eq!(code, Some(2), "{key}: {found}");
        assert!(found.starts_with(message), "{key}: {found}");
    }
}
