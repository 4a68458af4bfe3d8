//! What the API server refuses of a resource, and what it says. Nothing of this reaches the controller.

use serde_json::{Value, json};

use crate::support::cluster::TestCluster;

const PATH: &str = "a path is '~/name' for a record of this namespace, or an absolute one such as 'shared/pki/ca'; each segment starts with \
                    a letter or a digit and holds only letters, digits and . _ @ + = ~ -";
const KEY: &str = "a key holds only letters, digits, '-', '_' and '.', and is neither '.' nor starts with '..'";
const RESERVED: &str = "reserved keys cannot be set: aethervault.io/*, kubernetes.io/service-account.*, app.kubernetes.io/managed-by, \
                        kubectl.kubernetes.io/last-applied-configuration, argocd.argoproj.io/tracking-id and \
                        argocd.argoproj.io/instance; remove them";
const TYPE: &str = "Secrets of this type grant access to the cluster itself and cannot be made from the vault; use another type, such as \
                    Opaque";

/// Checks that each spec is refused with exactly this message, and that nothing is stored.
async fn refused(cases: &[(Value, String)]) {
    let cluster = TestCluster::connect().await;
    let namespace = cluster.namespace("crd").await;
    for (spec, message) in cases {
        let outcome = cluster.create_vault_secret(&namespace, "orders", spec.clone()).await;
        assert_eq!(outcome.map(|_| ()).unwrap_err(), *message, "{spec}");
    }
    let stored = cluster
        .vault_secrets(&namespace)
        .list(&kube::api::ListParams::default())
        .await
        .unwrap();
    assert!(stored.items.is_empty());
}

fn invalid(at: &str, value: &str, message: &str) -> String {
    let value = if value.is_empty() {
        "Invalid value".to_owned()
    } else {
        format!("Invalid value: {value:?}")
    };
    format!("VaultSecret.aethervault.io \"orders\" is invalid: {at}: {value}: {message}")
}

fn unknown(field: &str) -> String {
    format!(
        "VaultSecret in version \"v1alpha1\" cannot be handled as a VaultSecret: strict decoding error: unknown field \"{field}\""
    )
}

#[tokio::test]
async fn r18_bad_paths_are_refused() {
    let many = ["a"; 17].join("/");
    let long = format!("~/{}", "x".repeat(129));
    let bounds = "a path has at most 16 segments of at most 128 characters";
    let mut cases: Vec<(Value, String)> = [
        "a/../b",
        "a//b",
        "/a/b",
        "a/b/",
        "a%2fb/c",
        "a%252fb/c",
        "a/b\u{0}",
        "root",
        "~",
        "a/b c",
        "~x/a",
    ]
    .iter()
    .map(|path| (json!({ "path": path }), invalid("spec.path", path, PATH)))
    .collect();
    // The API server writes NUL as Go does.
    cases[6].1 = cases[6].1.replace("\\0", "\\x00");
    cases.push((json!({ "path": many }), invalid("spec.path", &many, bounds)));
    cases.push((json!({ "path": long }), invalid("spec.path", &long, bounds)));
    cases.push((
        json!({ "data": [{ "key": "a", "from": { "path": "a//b", "key": "k" } }] }),
        invalid("spec.data[0].from.path", "a//b", PATH),
    ));
    cases.push((
        json!({ "dataFrom": [{ "path": "../b" }] }),
        invalid("spec.dataFrom[0].path", "../b", PATH),
    ));
    refused(&cases).await;
}

#[tokio::test]
async fn unknown_fields_are_refused() {
    refused(&[
        (json!({ "pth": "a/b" }), unknown("spec.pth")),
        (json!({ "source": { "vault": {} } }), unknown("spec.source.vault")),
        (
            json!({ "target": { "finalizers": ["a"] } }),
            unknown("spec.target.finalizers"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn contradictions_are_refused() {
    let generator = "a generated key needs exactly one of: password, bytes, uuid, sshKey, keyPair, certificate";
    let item = "give exactly one of: from, template, file";
    let source = "source needs exactly one of: generate, sealed, importFrom";
    let generate = json!({ "keys": { "a": { "uuid": {} } } });
    refused(&[
        (json!({ "source": {} }), invalid("spec.source", "", source)),
        (
            json!({ "source": { "generate": generate, "importFrom": { "secretName": "a" } } }),
            invalid("spec.source", "", source),
        ),
        (json!({ "source": { "generate": { "keys": { "a": {} } } } }), invalid("spec.source.generate.keys[a]", "", generator)),
        (
            json!({ "source": { "generate": { "keys": { "a": { "uuid": {}, "bytes": {} } } } } }),
            invalid("spec.source.generate.keys[a]", "", generator),
        ),
        (
            json!({ "source": { "generate": { "keys": { "a": { "password": { "symbolSet": "!" } } } } } }),
            invalid("spec.source.generate.keys[a].password", "", "symbolSet is given but symbols is not true; set it, or leave symbolSet out"),
        ),
        (json!({ "data": [{ "key": "a" }] }), invalid("spec.data[0]", "", item)),
        (json!({ "data": [{ "key": "a", "template": "x", "from": { "key": "b" } }] }), invalid("spec.data[0]", "", item)),
        (
            json!({ "target": { "creationPolicy": "Merge", "immutable": true } }),
            invalid(
                "spec.target",
                "",
                "with creationPolicy Merge the Secret belongs to somebody else: remove type and immutable, or use creationPolicy Own",
            ),
        ),
        (
            json!({ "target": { "creationPolicy": "Merge", "adopt": "ExternalSecrets" } }),
            invalid(
                "spec.target",
                "",
                "with creationPolicy Merge the Secret stays somebody else's: remove adopt and ownerReference, or use creationPolicy Own",
            ),
        ),
        (
            json!({ "target": { "ownerReference": true, "deletionPolicy": "Retain" } }),
            invalid(
                "spec.target",
                "",
                "with ownerReference the cluster deletes the Secret with this resource: remove ownerReference, or deletionPolicy Retain",
            ),
        ),
        (
            json!({ "restart": { "mode": "Off", "cooldown": "1m" } }),
            invalid("spec.restart", "", "cooldown and window are for mode Auto: remove them, or set mode to Auto"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn contradictions_in_sources_are_refused() {
    let one = "rotation needs exactly one of: schedule, every";
    let span = "a length of time is numbers with the units d, h, m and s, such as '720h' or '1d12h'";
    let rotations = [
        (json!({}), one),
        (json!({ "schedule": "0 3 * * *", "every": "1h" }), one),
        (
            json!({ "every": "1h", "timeZone": "Europe/Zurich" }),
            "timeZone is for schedule; leave it out with every",
        ),
        (
            json!({ "every": "1h", "overlap": "1h" }),
            "overlap says how long the previous value stays; set keepPrevious to 1, or leave overlap out",
        ),
        (
            json!({ "every": "1h", "overlap": "1h", "keepPrevious": 0 }),
            "overlap says how long the previous value stays; set keepPrevious to 1, or leave overlap out",
        ),
    ];
    let at = "spec.source.generate.rotation";
    let mut cases: Vec<(Value, String)> = rotations
        .into_iter()
        .map(|(rotation, message)| {
            let spec = json!({ "source": { "generate": { "keys": { "a": { "uuid": {} } }, "rotation": rotation } } });
            (spec, invalid(at, "", message))
        })
        .collect();
    for (field, text, message) in [
        (
            "schedule",
            "@daily 1 1",
            "schedule is a cron expression of five fields (minute, hour, day of month, month, day of week), such as '0 3 1 * *'",
        ),
        ("every", "1w", span),
    ] {
        let spec =
            json!({ "source": { "generate": { "keys": { "a": { "uuid": {} } }, "rotation": { field: text } } } });
        cases.push((spec, invalid(&format!("{at}.{field}"), text, message)));
    }
    let generators = [
        (
            json!({ "a": { "sshKey": {} }, "a.pub": { "uuid": {} } }),
            "",
            "an sshKey or keyPair at key K also makes K.pub, and another generator has that key; rename one",
        ),
        (
            json!({ "a": { "certificate": { "commonName": "a" } }, "a.crt": { "uuid": {} } }),
            "",
            "a certificate at key K makes K.key, K.crt and K.ca, and another generator has one of these keys; rename one",
        ),
        (
            json!({ "a": { "certificate": {} } }),
            "[a].certificate",
            "a certificate needs a commonName or at least one of: dnsNames, ipAddresses, uris",
        ),
        (
            json!({ "a": { "keyPair": { "bits": 2048 } } }),
            "[a].keyPair",
            "bits is for type rsa; leave it out",
        ),
        (
            json!({ "a": { "sshKey": { "type": "rsa", "bits": 1024 } } }),
            "[a].sshKey",
            "bits is 2048, 3072 or 4096",
        ),
    ];
    for (keys, place, message) in generators {
        let spec = json!({ "source": { "generate": { "keys": keys } } });
        cases.push((spec, invalid(&format!("spec.source.generate.keys{place}"), "", message)));
    }
    cases.push((
        json!({ "source": { "sealed": { "keys": { "a": "in clear" } } } }),
        invalid(
            "spec.source.sealed.keys",
            "",
            "a sealed value begins with 'avs1.'; make it with 'aether-vault seal'",
        ),
    ));
    let itself = "importFrom with mode Follow names the Secret that this resource writes, and would follow itself; set another \
                  target.name, or use mode Once";
    for spec in [
        json!({ "source": { "importFrom": { "secretName": "orders", "mode": "Follow" } } }),
        json!({ "source": { "importFrom": { "secretName": "a", "mode": "Follow" } }, "target": { "name": "a" } }),
    ] {
        cases.push((spec, invalid("<nil>", "", itself)));
    }
    for (rule, message) in [
        (
            json!({}),
            "a rule of rename has exactly one of: stripPrefix, replace, case",
        ),
        (
            json!({ "stripPrefix": "a", "case": "Upper" }),
            "a rule of rename has exactly one of: stripPrefix, replace, case",
        ),
        (
            json!({ "replace": "a" }),
            "replace and with go together; with may be empty",
        ),
    ] {
        cases.push((
            json!({ "dataFrom": [{ "rename": [rule] }] }),
            invalid("spec.dataFrom[0].rename[0]", "", message),
        ));
    }
    refused(&cases).await;
}

#[tokio::test]
async fn a_key_named_twice_is_refused() {
    let cluster = TestCluster::connect().await;
    let namespace = cluster.namespace("crd").await;
    let spec = json!({ "data": [{ "key": "a", "template": "x" }, { "key": "a", "template": "z" }] });
    let message = cluster
        .create_vault_secret(&namespace, "orders", spec)
        .await
        .unwrap_err();
    assert!(
        message.contains("spec.data[1]: Duplicate value: {\"key\":\"a\"}"),
        "{message}"
    );
}

#[tokio::test]
async fn r34_types_and_annotations_of_service_accounts_are_refused() {
    let types = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];
    let mut cases: Vec<_> = types
        .iter()
        .map(|t| (json!({ "target": { "type": t } }), invalid("spec.target.type", t, TYPE)))
        .collect();
    for key in [
        "kubernetes.io/service-account.name",
        "kubernetes.io/service-account.uid",
    ] {
        cases.push((
            json!({ "target": { "annotations": { key: "default" } } }),
            invalid("spec.target.annotations", "", RESERVED),
        ));
    }
    refused(&cases).await;
}

#[tokio::test]
async fn r36_reserved_labels_and_annotations_are_refused() {
    let mut cases = Vec::new();
    for key in [
        "aethervault.io/managed-by",
        "aethervault.io/owner-uid",
        "kubectl.kubernetes.io/last-applied-configuration",
        "argocd.argoproj.io/tracking-id",
        "argocd.argoproj.io/instance",
        "app.kubernetes.io/managed-by",
    ] {
        for map in ["labels", "annotations"] {
            cases.push((
                json!({ "target": { map: { key: "x" } } }),
                invalid(&format!("spec.target.{map}"), "", RESERVED),
            ));
        }
    }
    for field in ["namespace", "ownerReferences", "finalizers", "stringData"] {
        cases.push((
            json!({ "target": { field: [] } }),
            unknown(&format!("spec.target.{field}")),
        ));
    }
    refused(&cases).await;
}

#[tokio::test]
async fn r39_bad_key_names_are_refused() {
    let keys = "a key holds only letters, digits, '-', '_' and '.', at most 253 of them, and is neither '.' nor starts with '..'";
    let mut cases = Vec::new();
    for key in [".", "..", "..x", "a/b", "a b", "ü"] {
        cases.push((
            json!({ "data": [{ "key": key, "template": "x" }] }),
            invalid("spec.data[0].key", key, KEY),
        ));
        cases.push((
            json!({ "data": [{ "key": "a", "from": { "key": key } }] }),
            invalid("spec.data[0].from.key", key, KEY),
        ));
        let generated = json!({ "source": { "generate": { "keys": { key: { "uuid": {} } } } } });
        cases.push((generated, invalid("spec.source.generate.keys", "", keys)));
    }
    refused(&cases).await;
}

#[tokio::test]
async fn the_path_is_immutable_while_a_source_is_set() {
    let cluster = TestCluster::connect().await;
    let namespace = cluster.namespace("crd").await;
    let source = json!({ "generate": { "keys": { "a": { "uuid": {} } } } });
    let created = cluster
        .create_vault_secret(&namespace, "orders", json!({ "path": "~/a", "source": source }))
        .await
        .unwrap();
    assert_eq!(
        serde_json::to_value(created.spec).unwrap(),
        json!({ "path": "~/a", "source": source }),
        "no defaults are written"
    );
    let message = "VaultSecret.aethervault.io \"orders\" is invalid: spec: Invalid value: path is immutable while source is set, since the \
                   values made for the old path would be made again; remove source first, or create another VaultSecret";
    for spec in [json!({ "path": "~/b", "source": source }), json!({ "source": source })] {
        assert_eq!(
            cluster
                .change_vault_secret(&namespace, "orders", spec)
                .await
                .map(|_| ())
                .unwrap_err(),
            message
        );
    }
    cluster
        .change_vault_secret(&namespace, "orders", json!({ "path": "~/b" }))
        .await
        .unwrap();
}

#[tokio::test]
async fn policies_that_contradict_themselves_are_refused() {
    let cluster = TestCluster::connect().await;
    let namespace = cluster.namespace("crd").await;
    let rule = json!([{ "effect": "allow", "paths": ["~/**"], "capabilities": ["sync"] }]);
    let named = "a subject of kind User, Group or Role has a name, and neither namespace nor matchLabels";
    let account = "a subject of kind ServiceAccount has a namespace and a name (or '*' for all of the namespace), and no matchLabels";
    for (subject, message) in [
        (json!({ "kind": "User" }), named),
        (json!({ "kind": "ServiceAccount", "name": "a" }), account),
        (
            json!({ "kind": "Namespace" }),
            "a subject of kind Namespace has a name (or '*'), matchLabels or both, and no namespace",
        ),
        (
            json!({ "kind": "Everyone", "name": "a" }),
            "a subject of kind Everyone has nothing else",
        ),
    ] {
        let outcome = cluster
            .create_vault_policy(&namespace, "p", json!({ "subjects": [subject], "rules": rule }))
            .await;
        let refusal =
            format!("VaultPolicy.aethervault.io \"p\" is invalid: spec.subjects[0]: Invalid value: {message}");
        assert_eq!(outcome.map(|_| ()).unwrap_err(), refusal);
    }
    for path in ["/a/b", "a//b", "a/../b", "a b"] {
        let rules = json!([{ "effect": "deny", "paths": [path], "capabilities": ["sync"] }]);
        let outcome = cluster
            .create_vault_policy(
                &namespace,
                "p",
                json!({ "subjects": [{ "kind": "Everyone" }], "rules": rules }),
            )
            .await;
        let message = outcome.map(|_| ()).unwrap_err();
        assert!(
            message.contains("a pattern is a path such as 'shared/pki/*' or '~/**'"),
            "{message}"
        );
    }
}
