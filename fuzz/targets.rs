//! What the fuzz targets do with their input; each checks what has to hold whatever is sent (R17, R18, R27, R31).

#![allow(dead_code, reason = "each fuzz target is a program of its own and uses one of these")]

use std::sync::LazyLock;

use aether_vault::crypto::jwt::{self, SigningKey, VerifyingKeys};
use aether_vault::crypto::token;
use aether_vault::domain::actor::{Actor, NamespaceName, Role, UserIdentity};
use aether_vault::domain::path::{PathPrefix, RecordPath};
use aether_vault::domain::policy::{
    Capability, Circumstances, KeyScope, Pattern, PolicyDocument, PolicySnapshot, ScopeDocument, StoredPolicy,
    Variables, canonical_name, policy_name, validate,
};
use jiff::Timestamp;
use uuid::Uuid;

/// A path from a body or a URL: what parses is stored as it was authorised, and is nothing else in disguise.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = RecordPath::parse(text) {
        assert_eq!(path.as_str(), text, "stored as written");
        for segment in path.segments() {
            assert!(!segment.is_empty() && segment != "." && segment != "..");
            assert!(!segment.contains(['%', '\0', '\\', '/']));
        }
        assert_eq!(RecordPath::from_url(text).as_ref(), Ok(&path), "its own form in a URL");
    }
    if let Ok(path) = RecordPath::from_url(text) {
        assert_eq!(RecordPath::parse(path.as_str()), Ok(path.clone()), "decoded once");
        assert_eq!(
            path.segments().count(),
            text.split('/').count(),
            "an escape adds no separator"
        );
    }
    if let Ok(prefix) = PathPrefix::from_url(text) {
        assert_eq!(PathPrefix::parse(prefix.as_str()), Ok(prefix));
    }
}

/// A policy document, a pattern, a scope, a name: whatever is sent, deciding ends, and what is broken opens nothing.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for name in [canonical_name(text).into_owned(), policy_name(text).unwrap_or_default()] {
        assert_eq!(canonical_name(&name), name, "the canonical form is its own");
    }
    let at = RecordPath::parse("k8s/shop/db").expect("a path");
    let actors = [user(text), namespace(text)];
    if let Ok(pattern) = Pattern::parse(text) {
        let reached = pattern.range();
        for actor in &actors {
            if pattern.matches(&at, &Variables::of(actor)) {
                assert!(reached.0.as_str() <= at.as_str());
                assert!(reached.1.is_none_or(|end| at.as_str() < end.as_str()));
                return;
            }
        }
    }
    for actor in &actors {
        // A value that is no segment of a path matches nothing (R17).
        let named = Pattern::parse("k8s/{namespace}/db").expect("a pattern");
        assert_eq!(
            named.matches(&at, &Variables::of(actor)),
            matches!(actor, Actor::Namespace { .. }) && text == "shop"
        );
    }
    if let Ok(scopes) = serde_json::from_str::<Vec<ScopeDocument>>(text) {
        let _ = KeyScope::compile(&scopes);
    }
    let Ok(document) = serde_json::from_str::<PolicyDocument>(text) else {
        return;
    };
    let sound = validate(&document).is_ok();
    let snapshot = PolicySnapshot::compile(
        1,
        vec![StoredPolicy {
            id: Uuid::nil(),
            name: "fuzzed".to_owned(),
            cluster: None,
            scope: PathPrefix::all(),
            written_at: Timestamp::UNIX_EPOCH,
            document: document.clone(),
        }],
    );
    assert_eq!(snapshot.broken().is_empty(), sound);
    let circumstances = Circumstances::at(Timestamp::UNIX_EPOCH);
    for actor in [user("ann"), namespace("mail")] {
        for capability in Capability::ALL {
            let decision = snapshot.decide(&actor, capability, &at, &circumstances);
            assert!(sound || !decision.is_allowed(), "a broken policy allows nothing");
            let _ = snapshot.matching(&actor, capability, &at, &circumstances);
        }
        let _ = snapshot.may_grant(&actor, &document, None, &circumstances);
    }
}

/// A bearer token: an API key, a refresh token, a JWT. None that was not issued is taken.
pub fn token(data: &[u8]) {
    static KEYS: LazyLock<VerifyingKeys> = LazyLock::new(|| {
        let key = SigningKey::generate().expect("a key");
        VerifyingKeys::new([(key.kid().to_owned(), key.public_key().to_vec())]).expect("a public key")
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    for prefix in ["avk", "avr", "av"] {
        if let Ok(hash) = token::parse(prefix, text) {
            assert!(
                hash.matches(&token::sha256(text.as_bytes())),
                "the whole text is hashed"
            );
        }
    }
    assert!(jwt::verify(text, &KEYS, "https://vault.test", "vault", Timestamp::UNIX_EPOCH).is_err());
}

fn user(name: &str) -> Actor {
    Actor::User(UserIdentity {
        id: Uuid::nil(),
        name: name.to_owned(),
        name_since: None,
        role: Role::User,
        groups: Vec::new(),
    })
}

fn namespace(name: &str) -> Actor {
    Actor::Namespace {
        cluster: "k8s".to_owned(),
        namespace: NamespaceName {
            name: name.to_owned(),
            uid: "uid".to_owned(),
            labels: std::collections::BTreeMap::new(),
        },
    }
}
