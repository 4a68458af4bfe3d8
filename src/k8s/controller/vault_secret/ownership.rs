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
/// What External Secrets Operator marks its Secrets with, as a label and in the names of others.
const EXTERNAL_SECRETS: &str = "reconcile.external-secrets.io/";
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
    /// Whether the user hands it what External Secrets Operator left.
    pub(in crate::k8s::controller) adopts_external_secrets: bool,
    /// The uids of the `VaultSecret`s that write the same Secret.
    pub(in crate::k8s::controller) living: &'a [String],
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
    let secret_name = secret.name_any();
    let of_external_secrets = is_of_external_secrets(secret);
    if handed_over || (of_external_secrets && claimant.adopts_external_secrets) {
        return match still_owned(secret, claimant.uid) {
            None => Ok(Claim::Adopted),
            Some(owner) => Err(format!(
                "Secret '{secret_name}' still belongs to {owner}, which would write or delete it again; delete that one with --cascade=orphan first"
            )),
        };
    }
    if restored || left_behind {
        return Ok(Claim::Adopted);
    }
    Err(match owner {
        None if of_external_secrets => format!(
            "Secret '{secret_name}' was made by External Secrets Operator; once its ExternalSecret is deleted with --cascade=orphan, set              target.adopt to ExternalSecrets to take it over as it is"
        ),
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

fn is_of_external_secrets(secret: &Secret) -> bool {
    let managed = format!("{EXTERNAL_SECRETS}managed");
    secret.labels().get(&managed).is_some_and(|value| value == "true")
}

/// The controller that still has a Secret, as the cluster sees it.
fn still_owned(secret: &Secret, uid: &str) -> Option<String> {
    let owners = secret.metadata.owner_references.iter().flatten();
    let mut others = owners.filter(|owner| owner.uid != uid);
    // External Secrets Operator marks itself so; any other controller would fight for the Secret just as well.
    let other =
        others.find(|owner| owner.controller == Some(true) || owner.api_version.starts_with("external-secrets.io/"));
    other.map(|owner| format!("{} '{}'", owner.kind, owner.name))
}

/// Takes the marks of External Secrets Operator off a Secret that was taken over, so that nothing takes it for its own.
pub(in crate::k8s::controller) fn unmark(secret: &mut Secret) {
    let metadata = &mut secret.metadata;
    for map in [&mut metadata.labels, &mut metadata.annotations].into_iter().flatten() {
        map.retain(|name, _| !name.starts_with(EXTERNAL_SECRETS));
    }
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

/// A key that another `VaultSecret` merged into a Secret, among those that are wanted. One that is gone, as after a restore, claims nothing.
pub(in crate::k8s::controller) fn merged_by_another<'a>(
    annotations: &BTreeMap<String, String>,
    claimant: &Claimant<'_>,
    mut wanted: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    let others: Vec<String> = claimant.living.iter().map(|uid| merged_annotation(uid)).collect();
    wanted.find(|key| {
        annotations
            .iter()
            .filter(|(name, _)| others.contains(name))
            .any(|(_, keys)| keys.split(',').any(|taken| taken == key.as_str()))
    })
}

/// Takes keys out of what `VaultSecret`s that are gone had noted: they are somebody else's now.
pub(in crate::k8s::controller) fn take_over(
    annotations: &mut BTreeMap<String, String>,
    claimant: &Claimant<'_>,
    wanted: &[String],
) {
    let own = merged_annotation(claimant.uid);
    annotations.retain(|name, keys| {
        if !name.starts_with(MERGED_KEYS) || *name == own {
            return true;
        }
        let left: Vec<&str> = keys
            .split(',')
            .filter(|key| !wanted.iter().any(|wanted| wanted == key))
            .collect();
        *keys = left.join(",");
        !keys.is_empty()
    });
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
            adopts_external_secrets: false,
            living: &[],
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
        let living = ["you".to_owned()];
        let me = Claimant {
            living: &living,
            ..claimant()
        };
        assert_eq!(merged_by_another(&annotations, &me, wanted.iter()).unwrap(), "c");
        assert_eq!(merged_by_another(&annotations, &me, wanted[..1].iter()), None);
        // Whoever is gone claims nothing, and keeps the note of what nobody takes over.
        assert_eq!(merged_by_another(&annotations, &claimant(), wanted.iter()), None);
        let mut left = BTreeMap::from([(merged_annotation("gone"), "c,d".to_owned())]);
        take_over(&mut left, &claimant(), &wanted);
        assert_eq!(left[&merged_annotation("gone")], "d");
        take_over(&mut left, &claimant(), &["d".to_owned()]);
        assert!(left.is_empty());
    }
}
