//! From what is wanted and what is there to the one write that is needed. Pure; `write` in the parent carries it out.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use kube::core::ObjectMeta;
use zeroize::Zeroize as _;

use super::ownership::{self, Claim, Claimant, MANAGED_BY, MANAGER, OWNER_UID};
use crate::domain::record::KeyName;
use crate::k8s::controller::key::Key;
use crate::k8s::controller::write::FIELD_MANAGER;
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::CreationPolicy;

/// The type of a Secret that has none.
pub(super) const OPAQUE: &str = "Opaque";

/// A Secret in memory, wiped when it is dropped. No `Debug`.
pub(in crate::k8s::controller) struct Wiped(pub(in crate::k8s::controller) Secret);

impl Drop for Wiped {
    fn drop(&mut self) {
        for ByteString(bytes) in self.0.data.iter_mut().flat_map(BTreeMap::values_mut) {
            bytes.zeroize();
        }
    }
}

/// What a Secret is to hold; made from a spec and from records.
pub(in crate::k8s::controller) struct Wanted {
    /// Its namespace and name.
    pub(in crate::k8s::controller) target: Key,
    /// Data, wiped when dropped.
    pub(in crate::k8s::controller) data: Data,
    /// Type; none is Opaque.
    pub(in crate::k8s::controller) secret_type: Option<String>,
    /// Labels of the spec.
    pub(in crate::k8s::controller) labels: BTreeMap<String, String>,
    /// Annotations of the spec.
    pub(in crate::k8s::controller) annotations: BTreeMap<String, String>,
    /// Whether kubelets may rely on it.
    pub(in crate::k8s::controller) immutable: bool,
    /// Whose it is.
    pub(in crate::k8s::controller) policy: CreationPolicy,
    /// Whether what External Secrets Operator left may be taken over.
    pub(in crate::k8s::controller) adopts_external_secrets: bool,
    /// Whether it refers to its owner, for tree views.
    pub(in crate::k8s::controller) owner_reference: bool,
}

/// Keys and raw values, wiped when dropped. No `Debug`.
pub(in crate::k8s::controller) struct Data(
    pub(in crate::k8s::controller) BTreeMap<KeyName, zeroize::Zeroizing<Vec<u8>>>,
);

impl Data {
    fn to_secret(&self) -> BTreeMap<String, ByteString> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str().to_owned(), ByteString(value.to_vec())))
            .collect()
    }

    fn equals(&self, data: Option<&BTreeMap<String, ByteString>>) -> bool {
        let there = data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.0.as_slice()));
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
            .eq(there)
    }
}

/// What is to be done with the Secret.
pub(in crate::k8s::controller) enum Step {
    /// It is as it should be.
    Nothing,
    /// There is none.
    Create(Wiped),
    /// It is written over, with the resourceVersion that was read.
    Replace(Wiped, Claim),
    /// Kubernetes keeps the type and the data of an immutable Secret, so it is deleted (if it is still the one that was read) and made.
    Recreate(Wiped),
}

/// Why nothing is done.
pub(in crate::k8s::controller) enum Refusal {
    /// The Secret belongs to somebody else.
    Conflict(String),
    /// There is no Secret to merge into.
    NothingToMergeInto,
    /// The Secret is being deleted, and somebody's finalizer holds it.
    BeingDeleted,
}

/// Decides.
///
/// # Errors
/// [`Refusal`] with what the user can do.
pub(in crate::k8s::controller) fn decide(
    wanted: &Wanted,
    claimant: &Claimant<'_>,
    live: Option<&Secret>,
) -> Result<Step, Refusal> {
    if live.is_some_and(|live| live.metadata.deletion_timestamp.is_some()) {
        return Err(Refusal::BeingDeleted);
    }
    match (wanted.policy, live) {
        (CreationPolicy::Own, None) => Ok(Step::Create(fresh(wanted, claimant))),
        (CreationPolicy::Own, Some(live)) => own(wanted, claimant, live),
        (CreationPolicy::Merge, None) => Err(Refusal::NothingToMergeInto),
        (CreationPolicy::Merge, Some(live)) => merge(wanted, claimant, live),
    }
}

fn own(wanted: &Wanted, claimant: &Claimant<'_>, live: &Secret) -> Result<Step, Refusal> {
    let same_data = wanted.data.equals(live.data.as_ref());
    let claim = ownership::claim(claimant, live, same_data).map_err(Refusal::Conflict)?;
    let frozen = live.immutable == Some(true);
    let other_type = live.type_.as_deref().unwrap_or(OPAQUE) != wanted.secret_type.as_deref().unwrap_or(OPAQUE);
    if other_type || (frozen && !(same_data && wanted.immutable)) {
        return Ok(Step::Recreate(fresh(wanted, claimant)));
    }
    let mut next = live.clone();
    next.metadata.managed_fields = None;
    label(&mut next, wanted, live);
    next.metadata
        .annotations
        .get_or_insert_default()
        .insert(OWNER_UID.to_owned(), claimant.uid.to_owned());
    next.metadata
        .annotations
        .get_or_insert_default()
        .remove(ownership::ADOPT);
    if !same_data {
        next.data = Some(wanted.data.to_secret());
    }
    next.immutable = wanted.immutable.then_some(true);
    if claim == Claim::Adopted {
        ownership::unmark(&mut next);
    }
    let others = live.metadata.owner_references.iter().flatten();
    let mut owners: Vec<_> = others.filter(|owner| !is_ours(owner)).cloned().collect();
    owners.extend(owner_reference(wanted, claimant));
    next.metadata.owner_references = Some(owners).filter(|owners| !owners.is_empty());
    Ok(replace_if_it_differs(next, live, claim))
}

/// The reference to the owner, if one is wanted. It does not block the owner's deletion and does not say that we control the Secret.
fn owner_reference(wanted: &Wanted, claimant: &Claimant<'_>) -> Option<OwnerReference> {
    wanted.owner_reference.then(|| OwnerReference {
        api_version: VaultSecret::api_version(&()).into_owned(),
        kind: VaultSecret::kind(&()).into_owned(),
        name: claimant.name.to_owned(),
        uid: claimant.uid.to_owned(),
        ..Default::default()
    })
}

fn is_ours(owner: &OwnerReference) -> bool {
    owner.kind == VaultSecret::kind(&()) && owner.api_version.starts_with(crate::k8s::crd::GROUP)
}

fn merge(wanted: &Wanted, claimant: &Claimant<'_>, live: &Secret) -> Result<Step, Refusal> {
    if live.immutable == Some(true) {
        return Err(Refusal::Conflict(
            "the Secret to merge into is immutable; make it mutable, or set another target.name".to_owned(),
        ));
    }
    let none = BTreeMap::new();
    let annotations = live.metadata.annotations.as_ref().unwrap_or(&none);
    if annotations.contains_key(OWNER_UID) {
        return Err(Refusal::Conflict(
            "the Secret to merge into is written by another VaultSecret, which would remove the keys again; add them there".to_owned(),
        ));
    }
    let names: Vec<String> = wanted.data.0.keys().map(|key| key.as_str().to_owned()).collect();
    if let Some(key) = ownership::merged_by_another(annotations, claimant, names.iter()) {
        return Err(Refusal::Conflict(format!(
            "key '{key}' was merged into the Secret by another VaultSecret; name the key otherwise"
        )));
    }
    let mut next = live.clone();
    next.metadata.managed_fields = None;
    label(&mut next, wanted, live);
    let note = ownership::merged_annotation(claimant.uid);
    ownership::take_over(next.metadata.annotations.get_or_insert_default(), claimant, &names);
    next.metadata
        .annotations
        .get_or_insert_default()
        .insert(note, names.join(","));
    let data = next.data.get_or_insert_default();
    for key in ownership::merged_keys(annotations, claimant.uid) {
        if !names.iter().any(|name| name == key) {
            drop_key(data, key);
        }
    }
    data.extend(wanted.data.to_secret());
    Ok(replace_if_it_differs(next, live, Claim::Ours))
}

/// Takes what a `VaultSecret` merged out of a Secret again; `None` if there is nothing of it.
pub(in crate::k8s::controller) fn unmerge(live: &Secret, uid: &str) -> Option<Wiped> {
    let annotations = live.metadata.annotations.as_ref()?;
    let note = ownership::merged_annotation(uid);
    annotations.get(&note)?;
    let mut next = live.clone();
    next.metadata.managed_fields = None;
    for key in ownership::merged_keys(annotations, uid) {
        if let Some(data) = &mut next.data {
            drop_key(data, key);
        }
    }
    if let Some(annotations) = &mut next.metadata.annotations {
        annotations.remove(&note);
    }
    Some(Wiped(next))
}

fn drop_key(data: &mut BTreeMap<String, ByteString>, key: &str) {
    if let Some(ByteString(mut bytes)) = data.remove(key) {
        bytes.zeroize();
    }
}

fn replace_if_it_differs(next: Secret, live: &Secret, claim: Claim) -> Step {
    let next = Wiped(next);
    let same = next.0.data == live.data
        && next.0.immutable.unwrap_or(false) == live.immutable.unwrap_or(false)
        && next.0.metadata.labels == live.metadata.labels
        && next.0.metadata.annotations == live.metadata.annotations
        && next.0.metadata.owner_references.as_deref().unwrap_or_default()
            == live.metadata.owner_references.as_deref().unwrap_or_default();
    if same {
        Step::Nothing
    } else {
        Step::Replace(next, claim)
    }
}

/// Sets our label and those of the spec, and takes back what an earlier spec set. What others set stays.
fn label(next: &mut Secret, wanted: &Wanted, live: &Secret) {
    let labels = next.metadata.labels.get_or_insert_default();
    for name in ownership::set_by(live, FIELD_MANAGER, "f:labels") {
        if !wanted.labels.contains_key(&name) {
            labels.remove(&name);
        }
    }
    labels.extend(wanted.labels.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let annotations = next.metadata.annotations.get_or_insert_default();
    for name in ownership::set_by(live, FIELD_MANAGER, "f:annotations") {
        if !wanted.annotations.contains_key(&name) && !name.starts_with("aethervault.io/") {
            annotations.remove(&name);
        }
    }
    annotations.extend(wanted.annotations.clone());
}

fn fresh(wanted: &Wanted, claimant: &Claimant<'_>) -> Wiped {
    let mut labels = wanted.labels.clone();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = wanted.annotations.clone();
    annotations.insert(OWNER_UID.to_owned(), claimant.uid.to_owned());
    Wiped(Secret {
        metadata: ObjectMeta {
            namespace: Some(wanted.target.namespace.to_string()),
            name: Some(wanted.target.name.to_string()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: owner_reference(wanted, claimant).map(|owner| vec![owner]),
            ..Default::default()
        },
        type_: Some(wanted.secret_type.clone().unwrap_or_else(|| OPAQUE.to_owned())),
        data: Some(wanted.data.to_secret()),
        immutable: wanted.immutable.then_some(true),
        ..Default::default()
    })
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
