//! The public key that values are sealed to, the command that seals offline, and sealing anew.

use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::client::TestApi;

/// Seals with the program itself, which gets the public key by a file and nothing else.
fn seal_offline(key_file: &str, arguments: &[&str], value: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, key_file).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_aether-vault"))
        .arg("seal")
        .args(arguments)
        .arg("--key-file")
        .arg(&file)
        .args(["--address", "http://127.0.0.1:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(value).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn rewrap(namespace: &str, sealed: &str) -> Option<Value> {
    Some(json!({ "cluster": "k8s", "namespace": namespace, "name": "orders", "key": "TOKEN", "sealed": sealed }))
}

#[tokio::test]
async fn anybody_reads_the_public_key_and_what_the_program_seals_offline_opens_for_its_target_alone() {
    let api = TestApi::new().await;
    let request = Request::get("/api/v1/sealing-keys").body(Body::empty()).unwrap();
    let published = api.send(request).await;
    assert_eq!(published.status, 200);
    let first = published.json()["keys"][0].clone();
    assert!(first["publicKey"].as_str().unwrap().starts_with("avsp1."));

    let arguments = ["--namespace", "shop", "--name", "orders", "--key", "TOKEN"];
    let sealed = seal_offline(&published.text, &arguments, b"hunter2\n");
    assert!(sealed.starts_with("avs1."));
    let again = api
        .call("POST", "/api/v1/sealing-keys/rewrap", rewrap("shop", &sealed))
        .await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_ne!(again.json()["sealed"], json!(sealed));
    let elsewhere = api
        .call("POST", "/api/v1/sealing-keys/rewrap", rewrap("bank", &sealed))
        .await;
    assert_eq!(elsewhere.problem(), (422, "SealedValue".to_owned()));
}

#[tokio::test]
async fn r23_what_is_no_sealed_value_or_no_name_is_refused() {
    let api = TestApi::new().await;
    for (namespace, sealed, problem) in [
        ("shop", "avs1.", (422, "SealedValue")),
        ("shop", "in clear", (422, "SealedValue")),
        ("", "avs1.AAAA", (400, "InvalidRequest")),
        ("a/b", "avs1.AAAA", (400, "InvalidRequest")),
    ] {
        let answer = api
            .call("POST", "/api/v1/sealing-keys/rewrap", rewrap(namespace, sealed))
            .await;
        assert_eq!(
            answer.problem(),
            (problem.0, problem.1.to_owned()),
            "{namespace} {sealed}"
        );
    }
}
