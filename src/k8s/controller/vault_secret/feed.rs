//! Brings the own record to what `spec.source` asks for: decides from memory whether the vault has to be asked at all.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;
use tracing::{info, warn};

use super::heads::{asker, of_vault};
use super::plan::Plan;
use super::problem::{Problem, Reason};
use super::secret::Wiped;
use super::source::SourcePlan;
use crate::domain::record::{KeyName, RecordData, Value, VersionState};
use crate::domain::source::{SourceState, due, next};
use crate::k8s::controller::context::Context;
use crate::k8s::controller::key::Key;
use crate::k8s::crd::VaultSecret;
use crate::service::door::{Asker, Feed, FeedContent, Inspection, RecordHead};

/// Asks for a rotation: each new value of the annotation is one wish.
pub(in crate::k8s::controller) const ROTATE_NOW: &str = "aethervault.io/rotate-now";
/// Asks to compare the Secret itself: each new value of the annotation is one wish.
pub(in crate::k8s::controller) const SYNC_NOW: &str = "aethervault.io/sync-now";

/// Types of Secrets that grant access to the cluster itself (R34): they are not taken into the vault.
const NEVER_IMPORTED: [&str; 2] = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// Feeds the own record where that is asked for and due. Answers the head that it has then, if anything was done.
///
/// `applied` says that the spec of this generation was carried out before.
pub(super) async fn feed(
    context: &Context,
    asker: &Asker,
    object: &VaultSecret,
    plan: &Plan,
    own: Option<&Inspection>,
    applied: bool,
) -> Result<Option<RecordHead>, Problem> {
    let head = match own {
        Some(Inspection::Present(head)) => Some(head),
        _ => None,
    };
    let path = plan.own.to_string();
    let failed = |error: &crate::service::error::Error| of_vault(object, error, Some(&path));
    let Some(source) = &plan.source else {
        if !applied && head.is_some_and(|head| head.managed_by.is_some()) {
            let released = context.door.release(asker, &plan.own, &object.name_any()).await;
            released.map_err(|error| failed(&error))?;
        }
        return Ok(None);
    };
    // A record that was deleted on purpose is not for a resource to bring back.
    if head.is_some_and(|head| head.state != VersionState::Live) {
        return Ok(None);
    }
    let wish = wish(context, object);
    let outdated = !applied || head.is_none_or(|head| head.managed_by.is_some() != source.manages());
    let content = match source {
        SourcePlan::Generate(generate) => {
            let state = head
                .and_then(|head| head.source.as_deref().cloned())
                .unwrap_or_default();
            let due = due(generate, &state, wish.as_deref(), context.clock.now());
            (outdated || !due.is_nothing()).then(|| FeedContent::Generate(generate.clone()))
        }
        SourcePlan::Sealed(keys) => outdated.then(|| FeedContent::Sealed(keys.clone())),
        SourcePlan::Import { secret, follow } if *follow || head.is_none() => Some(FeedContent::Import {
            data: imported(context, secret).await?,
            follow: *follow,
        }),
        SourcePlan::Import { .. } => None,
    };
    let Some(content) = content else { return Ok(None) };
    let feed = Feed {
        path: plan.own.clone(),
        name: object.name_any(),
        content,
        rotate_now: wish,
        absent: own == Some(&Inspection::Absent),
    };
    let (head, written) = context.door.feed(asker, &feed).await.map_err(|error| failed(&error))?;
    if written {
        info!(object = %Key::of(object), path = %plan.own, version = %head.version, "fed the record");
        context.metrics.feeds.with_label_values(&[feed.content.kind()]).inc();
    }
    Ok(Some(head))
}

/// Notes when something is due next for a resource; answers whether something is due now.
pub(in crate::k8s::controller) fn schedule(
    context: &Context,
    object: &VaultSecret,
    plan: &Plan,
    own: Option<&RecordHead>,
) -> bool {
    let key = Key::of(object);
    let (Some(SourcePlan::Generate(generate)), Some(head)) = (&plan.source, own) else {
        context.calendar.remove(&key);
        return false;
    };
    let none = SourceState::default();
    let state = head.source.as_deref().unwrap_or(&none);
    context.calendar.set(key, next(generate, state));
    let due = due(generate, state, wish(context, object).as_deref(), context.clock.now());
    !due.is_nothing() || head.managed_by.is_some() != generate.manages()
}

/// Gives back the records of resources that went before anything of them was remembered.
pub(in crate::k8s::controller) async fn give_back(context: &Context) {
    for gone in context.take_let_go() {
        // One of the same name that was made meanwhile goes on feeding; a namespace that goes takes its rights along.
        if context.vault_secrets.get(&gone.key).is_some() {
            continue;
        }
        let Ok(namespace) = context.namespaces.look_up(&gone.key.namespace).await else {
            continue;
        };
        let asker = asker(namespace.name, &gone.uid, 0);
        if let Err(error) = context.door.release(&asker, &gone.record, &gone.key.name).await {
            warn!(object = %gone.key, %error, "a record that its resource fed is not given back yet; trying again");
            context.let_go(gone);
        }
    }
}

/// The wish for a rotation, as a keyed hash: the text is the user's own, and need not be kept.
fn wish(context: &Context, object: &VaultSecret) -> Option<String> {
    let text = object.annotations().get(ROTATE_NOW)?;
    let hash = context.door.hash(format!("av/rotate-now/1\0{text}").as_bytes());
    Some(hex::encode(hash.get(..16).unwrap_or(&hash)))
}

/// The data of a Secret of the same namespace.
async fn imported(context: &Context, secret: &Key) -> Result<RecordData, Problem> {
    let refused = |message: String| Problem::new(Reason::ImportFailed, message);
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &secret.namespace);
    let found = api
        .get_opt(&secret.name)
        .await
        .map_err(|error| Problem::of_cluster(&error))?;
    let Some(found) = found.map(Wiped) else {
        return Err(refused(format!(
            "there is no Secret '{}' to import; create it, or name another under importFrom.secretName",
            secret.name
        )));
    };
    record_of(&found.0).map_err(refused)
}

/// The data of a Secret as a record.
///
/// # Errors
/// It grants access to the cluster itself (R34), or is no record.
pub(super) fn record_of(secret: &Secret) -> Result<RecordData, String> {
    if secret
        .type_
        .as_deref()
        .is_some_and(|kind| NEVER_IMPORTED.contains(&kind))
    {
        return Err(format!(
            "Secret '{}' grants access to the cluster itself and is not imported; name another under importFrom.secretName",
            secret.name_any()
        ));
    }
    let mut map = std::collections::BTreeMap::new();
    for (key, value) in secret.data.iter().flatten() {
        let key = KeyName::parse(key.clone()).map_err(|error| error.to_string())?;
        let value = match std::str::from_utf8(&value.0) {
            Ok(text) => Value::text(text),
            Err(_) => Value::Bytes(value.0.clone().into()),
        };
        map.insert(key, value);
    }
    RecordData::new(map).map_err(|error| error.to_string())
}
