//! Tests of what is done with a Secret.

use super::super::encoding::{canonical, content};
use super::*;

fn wanted(data: &[(&str, &str)]) -> Wanted {
    let data = data
        .iter()
        .map(|(key, value)| (KeyName::parse(*key).unwrap(), value.as_bytes().to_vec().into()));
    Wanted {
        target: Key::new("shop", "db"),
        data: Data(data.collect()),
        secret_type: None,
        labels: BTreeMap::from([("team".into(), "shop".into())]),
        annotations: BTreeMap::new(),
        immutable: false,
        policy: CreationPolicy::Own,
        adopts_external_secrets: false,
        owner_reference: false,
    }
}

fn claimant() -> Claimant<'static> {
    Claimant {
        uid: "me",
        name: "orders",
        remembered: None,
        living: &[],
        left_behind: &[],
        adopts_external_secrets: false,
    }
}

fn created(wanted: &Wanted) -> Secret {
    match decide(wanted, &claimant(), None) {
        Ok(Step::Create(secret)) => {
            let mut secret = secret.0.clone();
            secret.metadata.uid = Some("uid".into());
            secret.metadata.resource_version = Some("1".into());
            secret
        }
        _ => panic!("no creation"),
    }
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    Some(String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).unwrap())
}

#[test]
fn what_was_created_needs_nothing_more() {
    let wanted = wanted(&[("a", "1")]);
    assert!(matches!(
        decide(&wanted, &claimant(), Some(&created(&wanted))),
        Ok(Step::Nothing)
    ));
}

#[test]
fn drift_is_replaced_with_the_version_that_was_read_and_foreign_keys_go() {
    let wanted = wanted(&[("a", "1")]);
    let mut live = created(&wanted);
    live.data
        .as_mut()
        .unwrap()
        .insert("foreign".into(), ByteString(b"x".to_vec()));
    live.data
        .as_mut()
        .unwrap()
        .insert("a".into(), ByteString(b"edited".to_vec()));
    live.metadata
        .labels
        .as_mut()
        .unwrap()
        .insert("backup".into(), "yes".into());
    live.metadata.resource_version = Some("7".into());
    let Ok(Step::Replace(next, Claim::Ours)) = decide(&wanted, &claimant(), Some(&live)) else {
        panic!()
    };
    assert_eq!(next.0.metadata.resource_version.as_deref(), Some("7"));
    assert_eq!(text(&next.0, "a").as_deref(), Some("1"));
    assert_eq!(text(&next.0, "foreign"), None);
    assert_eq!(
        next.0
            .metadata
            .labels
            .as_ref()
            .unwrap()
            .get("backup")
            .map(String::as_str),
        Some("yes")
    );
}

#[test]
fn another_type_or_a_frozen_secret_is_made_anew() {
    let mut wanted = wanted(&[("a", "1")]);
    let mut live = created(&wanted);
    live.immutable = Some(true);
    assert!(matches!(
        decide(&wanted, &claimant(), Some(&live)),
        Ok(Step::Recreate(_))
    ));
    wanted.immutable = true;
    assert!(matches!(decide(&wanted, &claimant(), Some(&live)), Ok(Step::Nothing)));
    wanted.secret_type = Some("kubernetes.io/basic-auth".into());
    assert!(matches!(
        decide(&wanted, &claimant(), Some(&live)),
        Ok(Step::Recreate(_))
    ));
}

#[test]
fn labels_of_an_earlier_spec_are_taken_back_and_foreign_ones_stay() {
    let mut wanted = wanted(&[("a", "1")]);
    let mut live = created(&wanted);
    live.metadata.managed_fields = serde_json::from_value(serde_json::json!([
        { "manager": FIELD_MANAGER, "fieldsV1": { "f:metadata": { "f:labels": { "f:team": {}, "f:aethervault.io/managed-by": {} } } } },
        { "manager": "velero", "fieldsV1": { "f:metadata": { "f:labels": { "f:backup": {} } } } },
    ]))
    .unwrap();
    live.metadata
        .labels
        .as_mut()
        .unwrap()
        .insert("backup".into(), "yes".into());
    wanted.labels.clear();
    let Ok(Step::Replace(next, _)) = decide(&wanted, &claimant(), Some(&live)) else {
        panic!()
    };
    let labels: Vec<_> = next.0.metadata.labels.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(labels, ["aethervault.io/managed-by", "backup"]);
}

#[test]
fn merging_touches_only_its_own_keys() {
    let mut merging = wanted(&[("a", "1"), ("b", "2")]);
    merging.policy = CreationPolicy::Merge;
    merging.labels.clear();
    let mut live = Secret::default();
    live.metadata.name = Some("db".into());
    live.data = Some(BTreeMap::from([("theirs".into(), ByteString(b"x".to_vec()))]));
    let Ok(Step::Replace(first, _)) = decide(&merging, &claimant(), Some(&live)) else {
        panic!()
    };
    assert_eq!(
        (text(&first.0, "a").as_deref(), text(&first.0, "theirs").as_deref()),
        (Some("1"), Some("x"))
    );
    assert!(matches!(
        decide(&merging, &claimant(), Some(&first.0)),
        Ok(Step::Nothing)
    ));

    merging.data.0.remove("b");
    let Ok(Step::Replace(second, _)) = decide(&merging, &claimant(), Some(&first.0)) else {
        panic!()
    };
    assert_eq!(text(&second.0, "b"), None);

    // Somebody else's key, until that one is gone: then it may be taken over, as after a restore.
    let another = Claimant {
        uid: "another",
        living: &["me".to_owned()],
        ..claimant()
    };
    assert!(matches!(
        decide(&merging, &another, Some(&second.0)),
        Err(Refusal::Conflict(_))
    ));
    let heir = Claimant {
        uid: "another",
        ..claimant()
    };
    let Ok(Step::Replace(third, _)) = decide(&merging, &heir, Some(&second.0)) else {
        panic!()
    };
    let annotations: Vec<_> = third.0.metadata.annotations.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(annotations, ["aethervault.io/keys.another"]);

    let left = unmerge(&second.0, "me").unwrap();
    assert_eq!(left.0.data.as_ref().unwrap().keys().collect::<Vec<_>>(), ["theirs"]);
    assert!(unmerge(&left.0, "me").is_none());
}

#[test]
fn an_owner_reference_comes_and_goes_with_the_spec_and_those_of_others_stay() {
    let mut wanted = wanted(&[("a", "1")]);
    wanted.owner_reference = true;
    let mut live = created(&wanted);
    let ours = live.metadata.owner_references.clone().unwrap();
    assert_eq!(
        (ours[0].kind.as_str(), ours[0].uid.as_str(), ours[0].controller),
        ("VaultSecret", "me", None)
    );
    assert!(matches!(decide(&wanted, &claimant(), Some(&live)), Ok(Step::Nothing)));
    let theirs = OwnerReference {
        kind: "Backup".into(),
        uid: "other".into(),
        ..Default::default()
    };
    live.metadata.owner_references.as_mut().unwrap().push(theirs.clone());
    wanted.owner_reference = false;
    let Ok(Step::Replace(next, _)) = decide(&wanted, &claimant(), Some(&live)) else {
        panic!()
    };
    assert_eq!(next.0.metadata.owner_references.as_deref(), Some(&[theirs][..]));
}

#[test]
fn what_external_secrets_operator_left_is_taken_over_only_if_asked_and_only_if_left() {
    let mut wanted = wanted(&[("a", "1")]);
    let mut live = Secret::default();
    live.metadata.name = Some("db".into());
    live.metadata.labels = Some(BTreeMap::from([
        ("reconcile.external-secrets.io/managed".into(), "true".into()),
        ("team".into(), "shop".into()),
    ]));
    live.data = Some(BTreeMap::from([("a".into(), ByteString(b"1".to_vec()))]));
    let Err(Refusal::Conflict(message)) = decide(&wanted, &claimant(), Some(&live)) else {
        panic!()
    };
    assert!(message.contains("target.adopt to ExternalSecrets"), "{message}");
    wanted.adopts_external_secrets = true;
    let claimant = Claimant {
        adopts_external_secrets: true,
        ..claimant()
    };
    let Ok(Step::Replace(next, Claim::Adopted)) = decide(&wanted, &claimant, Some(&live)) else {
        panic!()
    };
    let labels: Vec<_> = next.0.metadata.labels.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(labels, ["aethervault.io/managed-by", "team"]);
    live.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "external-secrets.io/v1".into(),
        kind: "ExternalSecret".into(),
        name: "db".into(),
        uid: "es".into(),
        controller: Some(true),
        ..Default::default()
    }]);
    let Err(Refusal::Conflict(message)) = decide(&wanted, &claimant, Some(&live)) else {
        panic!()
    };
    assert!(message.contains("still belongs to ExternalSecret 'db'"), "{message}");
}

#[test]
fn the_encoding_tells_apart_what_differs() {
    let encode = |data: &[(&str, &str)]| canonical(&wanted(data)).to_vec();
    assert_eq!(encode(&[("a", "1")]), encode(&[("a", "1")]));
    assert_ne!(encode(&[("a", "1b")]), encode(&[("a", "1"), ("b", "")]));
    let mut other = wanted(&[("a", "1")]);
    other.labels.clear();
    assert_ne!(canonical(&other).to_vec(), encode(&[("a", "1")]));
    // Consumers see data, and labels are none.
    assert_eq!(content(&other), content(&wanted(&[("a", "1")])));
    assert_ne!(content(&other), content(&wanted(&[("a", "2")])));
    other.target = Key::new("shop", "other");
    assert_ne!(content(&other), content(&wanted(&[("a", "1")])));
}
