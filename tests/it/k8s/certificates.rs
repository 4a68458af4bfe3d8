//! Certificates that are issued in the vault, and the authorities that issue them.

use aether_vault::domain::record::Expect;
use serde_json::json;

use super::sources::{create, secret};
use crate::support::cluster::value;
use crate::support::controller::Stage;
use crate::support::vault::path;

#[tokio::test]
async fn a_tls_secret_is_issued_by_an_authority_of_the_namespace_and_checked() {
    let stage = Stage::set().await;
    let ca = json!({ "commonName": "Internal CA", "isCA": true, "key": { "type": "ecdsaP256" } });
    create(
        &stage,
        "ca",
        json!({ "source": { "generate": { "keys": { "ca": { "certificate": ca } } } } }),
    )
    .await;
    let leaf = json!({ "dnsNames": ["orders"], "issuer": { "path": "~/ca" } });
    create(
        &stage,
        "tls",
        json!({
            "source": { "generate": { "keys": { "tls": { "certificate": leaf } } } },
            "data": [
                { "key": "tls.crt", "from": { "key": "tls.crt" } },
                { "key": "tls.key", "from": { "key": "tls.key" } },
                { "key": "ca.crt", "from": { "key": "tls.ca" } },
            ],
            "target": { "type": "kubernetes.io/tls" },
        }),
    )
    .await;
    stage.cluster.ready(&stage.shop, "tls").await;
    let issued = secret(&stage, "tls").await;
    assert_eq!(value(&issued, "ca.crt"), value(&secret(&stage, "ca").await, "ca.crt"));

    create(
        &stage,
        "mixed",
        json!({
            "path": "~/tls",
            "data": [
                { "key": "tls.crt", "from": { "key": "tls.crt" } },
                { "key": "tls.key", "from": { "path": "~/ca", "key": "ca.key" } },
            ],
            "target": { "type": "kubernetes.io/tls" },
        }),
    )
    .await;
    let message = stage.cluster.refused(&stage.shop, "mixed", "InvalidValue").await;
    assert!(
        message.starts_with("tls.key is not the key of the certificate"),
        "{message}"
    );
}

/// Nothing but these events wakes the resource: what is refused is not tried again by itself.
#[tokio::test]
async fn a_certificate_waits_for_its_authority_and_for_the_right_to_use_it() {
    let stage = Stage::set().await;
    let issued = |path: &str| {
        let leaf = json!({ "dnsNames": ["orders"], "issuer": { "path": path } });
        json!({ "source": { "generate": { "keys": { "tls": { "certificate": leaf } } } } })
    };
    create(&stage, "own", issued("~/ca")).await;
    stage.cluster.refused(&stage.shop, "own", "PathNotFound").await;
    let ca = json!({ "commonName": "Internal CA", "isCA": true });
    create(
        &stage,
        "ca",
        json!({ "source": { "generate": { "keys": { "ca": { "certificate": ca } } } } }),
    )
    .await;
    stage.cluster.ready(&stage.shop, "own").await;

    create(&stage, "granted", issued("shared/pki/ca")).await;
    stage.cluster.refused(&stage.shop, "granted", "PolicyDenied").await;
    let records = stage.process.vault.records();
    let authority = records.read(&stage.admin, &path(&stage.own("ca")), None).await.unwrap();
    records
        .write(&stage.admin, &path("shared/pki/ca"), &authority.data, Expect::Any)
        .await
        .unwrap();
    let allow = json!({
        "subjects": [{ "kind": "Namespace", "name": stage.shop }],
        "rules": [{ "effect": "allow", "paths": ["shared/pki/*"], "capabilities": ["read"] }],
    });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "pki", allow)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "granted").await;
    let authority = value(&secret(&stage, "ca").await, "ca.crt");
    for name in ["own", "granted"] {
        assert_eq!(value(&secret(&stage, name).await, "tls.ca"), authority);
    }
}
