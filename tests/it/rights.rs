//! R37: what the chart lets its service accounts do, read from the golden file that hack/generate renders.

use std::collections::BTreeSet;

use serde_json::Value;

/// A right that a role gives.
#[derive(Debug)]
struct Right {
    role: String,
    cluster_wide: bool,
    resources: Vec<String>,
    verbs: Vec<String>,
    named: bool,
}

fn documents() -> Vec<Value> {
    let text = include_str!("../golden/chart-rbac.yaml");
    text.split("\n---\n")
        .map(|document| serde_yaml::from_str(document).unwrap())
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn rights() -> Vec<Right> {
    let mut rights = Vec::new();
    for document in documents() {
        let kind = document["kind"].as_str().unwrap();
        for rule in document["rules"].as_array().into_iter().flatten() {
            assert!(rule["nonResourceURLs"].is_null(), "{rule}");
            rights.push(Right {
                role: document["metadata"]["name"].as_str().unwrap().to_owned(),
                cluster_wide: kind == "ClusterRole",
                resources: [texts(&rule["apiGroups"]), texts(&rule["resources"])].concat(),
                verbs: texts(&rule["verbs"]),
                named: !texts(&rule["resourceNames"]).is_empty(),
            });
        }
    }
    rights
}

#[test]
fn r37_no_role_has_a_wildcard_or_a_way_to_more_rights() {
    let rights = rights();
    assert!(rights.len() > 10, "the golden file lists the rights");
    for right in rights {
        for forbidden in [
            "*",
            "escalate",
            "bind",
            "impersonate",
            "roles",
            "clusterroles",
            "serviceaccounts/token",
            "pods/exec",
        ] {
            let found = right.resources.iter().chain(&right.verbs).any(|text| text == forbidden);
            assert!(!found, "{right:?} has '{forbidden}'");
        }
    }
}

#[test]
fn r37_only_the_controller_reads_secrets_that_are_not_named() {
    for right in rights() {
        let secrets = right.resources.iter().any(|resource| resource == "secrets");
        if !secrets || right.role == "aether-vault-controller" {
            continue;
        }
        assert_eq!(right.role, "aether-vault-setup", "{right:?}");
        assert!(!right.cluster_wide, "{right:?}");
        // A right to create cannot be bound to a name.
        assert!(right.named || right.verbs == ["create"], "{right:?}");
    }
}

#[test]
fn r37_api_controller_and_jobs_have_accounts_of_their_own() {
    let accounts: BTreeSet<_> = documents()
        .iter()
        .filter(|document| document["kind"] == "ServiceAccount")
        .map(|document| document["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["aether-vault-api", "aether-vault-controller", "aether-vault-setup"];
    assert_eq!(accounts, BTreeSet::from(expected.map(String::from)));
    for binding in documents() {
        let Some(subjects) = binding["subjects"].as_array() else {
            continue;
        };
        assert_eq!(subjects.len(), 1, "{binding}");
        let (role, account) = (&binding["roleRef"]["name"], &subjects[0]["name"]);
        assert!(
            role.as_str().unwrap().starts_with(account.as_str().unwrap()),
            "{account} holds {role}"
        );
    }
}
