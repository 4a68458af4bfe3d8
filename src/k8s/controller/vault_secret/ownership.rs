//! Whose a Secret is. Pure: decided from what is wanted, what is there, and what is remembered; never from `.status` (R39).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

/// The label on every Secret that the controller writes; watches select by it.
pub(in crate::k8s::controller) const MANAGED_BY: &str = "aethervault.io/managed-by";
/// Its value.
pub(in crate::k8s::controller) const MANAGER: &str = "aether-vault";
/// The annotation that names the uid of the owning `VaultSecret`.
pub(in crate::k8s::controller) const OWNER_UID: &str = "aethervault.io/owner-uid";
/// The annotation by which whoever may edit a Secret hands it to the `VaultSecret` that it names.
pub(in crate::k8s::controller) const ADOPT: &str = "aethervault.io/adopt";
/// The annotation, followed by the uid of a `VaultSecret`, that names the keys which that one merged into the Secret.
const MERGED_KEYS: &str = "aethervault.io/keys.";

/// Why a Secret may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::k8s::controller) enum Claim {
    /// It was ours before.
    Ours,
    /// It becomes ours now: handed over, restored, or left by a `VaultSecret` that is gone.
    Adopted,
}

/// What is known beyond the Secret itself.
pub(in crate::k8s::controller) struct Claimant<'a> {
    /// The `VaultSecret`'s uid.
    pub(in crate::k8s::controller) uid: &'a str,
    /// Its name.
    pub(in crate::k8s::controller) name: &'a str,
    /// The uid of the Secret that is remembered as its own.
    pub(in crate::k8s::controller) remembered: Option<&'a str>,
    /// The uids of Secrets that are remembered of `VaultSecret`s which are gone.
    pub(in crate::k8s::controller) left_behind: &'a [String],
}

/// Decides whether a Secret may be owned.
///
/// # Errors
/// What the user can do about a Secret that belongs to somebody else.
pub(in crate::k8s::controller) fn claim(
    claimant: &Claimant<'_>,
    secret: &Secret,
    same_data: bool,
) -> Result<Claim, String> {
    let uid = secret.metadata.uid.as_deref();
    let owner = secret.annotations().get(OWNER_UID).map(String::as_str);
    let labelled = secret
        .labels()
        .get(MANAGED_BY)
        .is_some_and(|manager| manager == MANAGER);
    if (labelled && owner == Some(claimant.uid)) || (uid.is_some() && uid == claimant.remembered) {
        return Ok(Claim::Ours);
    }
    let handed_over = secret
        .annotations()
        .get(ADOPT)
        .is_some_and(|name| name == claimant.name);
    let restored = labelled && owner.is_some() && same_data;
    let left_behind = labelled && claimant.left_behind.iter().any(|known| Some(known.as_str()) == uid);
    if handed_over || restored || left_behind {
        return Ok(Claim::Adopted);
    }
    let secret_name = secret.name_any();
    Err(match owner {
        Some(_) if labelled => format!(
            "Secret '{secret_name}' was written for another VaultSecret; choose another target.name, delete the Secret, or annotate it \
             {ADOPT}={}",
            claimant.name
        ),
        _ => format!(
            "Secret '{secret_name}' exists and is not ours; choose another target.name, delete the Secret, annotate it {ADOPT}={} to hand \
             it over, or set target.creationPolicy to Merge to add keys to it",
            claimant.name
        ),
    })
}

/// The annotation under which a `VaultSecret` notes what it merged.
pub(in crate::k8s::controller) fn merged_annotation(uid: &str) -> String {
    format!("{MERGED_KEYS}{uid}")
}

/// The keys that a `VaultSecret` merged into a Secret.
pub(in crate::k8s::controller) fn merged_keys<'a>(
    annotations: &'a BTreeMap<String, String>,
    uid: &str,
) -> Vec<&'a str> {
    annotations
        .get(&merged_annotation(uid))
        .map(|keys| keys.split(',').filter(|key| !key.is_empty()).collect())
        .unwrap_or_default()
}

/// A key that another `VaultSecret` merged into a Secret, among those that are wanted.
pub(in crate::k8s::controller) fn merged_by_another<'a>(
    annotations: &BTreeMap<String, String>,
    uid: &str,
    mut wanted: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    let own = merged_annotation(uid);
    wanted.find(|key| {
        annotations
            .iter()
            .filter(|(name, _)| name.starts_with(MERGED_KEYS) && **name != own)
            .any(|(_, keys)| keys.split(',').any(|taken| taken == key.as_str()))
    })
}

/// The labels or annotations that a manager set, by the field ownership that the API server keeps: what was set once and is not wanted any
/// more can be taken back, without a note of our own and without touching what others set.
pub(in crate::k8s::controller) fn set_by(secret: &Secret, manager: &str, field: &str) -> Vec<String> {
    let entries = secret.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| entry.manager.as_deref() == Some(manager));
    let fields = ours.filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:metadata")?.get(field)?.as_object());
    fields
        .flat_map(|names| {
            names
                .keys()
                .filter_map(|name| name.strip_prefix("f:").map(str::to_owned))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Secret {
        let map = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        let mut secret = Secret::default();
        secret.metadata.name = Some("db".into());
        secret.metadata.uid = Some("secret-uid".into());
        secret.metadata.labels = map(labels);
        secret.metadata.annotations = map(annotations);
        secret
    }

    fn claimant<'a>() -> Claimant<'a> {
        Claimant {
            uid: "me",
            name: "orders",
            remembered: None,
            left_behind: &[],
        }
    }

    const OURS: (&str, &str) = (MANAGED_BY, MANAGER);

    #[test]
    fn a_foreign_secret_is_refused_with_what_to_do() {
        let message = claim(&claimant(), &secret(&[], &[]), true).unwrap_err();
        assert!(
            message.contains("aethervault.io/adopt=orders") && message.contains("Merge"),
            "{message}"
        );
        let message = claim(&claimant(), &secret(&[OURS], &[(OWNER_UID, "you")]), false).unwrap_err();
        assert!(message.contains("another VaultSecret"), "{message}");
    }

    #[test]
    fn ours_is_what_we_wrote_or_remember() {
        assert_eq!(
            claim(&claimant(), &secret(&[OURS], &[(OWNER_UID, "me")]), false),
            Ok(Claim::Ours)
        );
        let remembered = Claimant {
            remembered: Some("secret-uid"),
            ..claimant()
        };
        assert_eq!(claim(&remembered, &secret(&[], &[]), false), Ok(Claim::Ours));
        // The annotation alone, without the label, is not enough.
        assert!(claim(&claimant(), &secret(&[], &[(OWNER_UID, "me")]), false).is_err());
    }

    #[test]
    fn adopted_is_what_was_handed_over_restored_or_left_behind() {
        assert_eq!(
            claim(&claimant(), &secret(&[], &[(ADOPT, "orders")]), false),
            Ok(Claim::Adopted)
        );
        assert!(claim(&claimant(), &secret(&[], &[(ADOPT, "other")]), false).is_err());
        assert_eq!(
            claim(&claimant(), &secret(&[OURS], &[(OWNER_UID, "old")]), true),
            Ok(Claim::Adopted)
        );
        let left = ["secret-uid".to_owned()];
        let claimant = Claimant {
            left_behind: &left,
            ..claimant()
        };
        assert_eq!(
            claim(&claimant, &secret(&[OURS], &[(OWNER_UID, "old")]), false),
            Ok(Claim::Adopted)
        );
    }

    #[test]
    fn merged_keys_belong_to_who_merged_them() {
        let annotations = BTreeMap::from([
            (merged_annotation("me"), "a,b".to_owned()),
            (merged_annotation("you"), "c".to_owned()),
        ]);
        assert_eq!(merged_keys(&annotations, "me"), ["a", "b"]);
        let wanted = ["a".to_owned(), "c".to_owned()];
        assert_eq!(merged_by_another(&annotations, "me", wanted.iter()).unwrap(), "c");
        assert_eq!(merged_by_another(&annotations, "me", wanted[..1].iter()), None);
    }
}
