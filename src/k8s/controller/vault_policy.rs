//! `VaultPolicy`: from the resource to a policy in force, confined to what its namespace may speak for.
//!
//! A policy ends when its resource is gone, never because its definition is: a deny that vanished with the definition would open what it
//! closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::context::{Context, Resource};
use super::definition::Definition;
use super::key::Key;
use super::queue::{Causes, Class, Queue};
use super::vault_secret::secret::FIELD_MANAGER;
use super::watch::Notice;
use crate::domain::path::PathPrefix;
use crate::domain::policy::{
    Capability, Conditions, Day, Effect, PolicyDocument, Rule, Subject, TimeWindow, beyond_scope,
};
use crate::domain::root::namespace_prefix;
use crate::domain::sync::backoff;
use crate::k8s::crd::condition::stamp;
use crate::k8s::crd::vault_policy::{
    PolicyPreview, PolicyRule, PolicySubject, RuleCapability, RuleConditions, RuleDay, RuleEffect, RuleWindow,
    SubjectKind, VaultPolicyStatus,
};
use crate::k8s::crd::{Condition, ConditionStatus, GROUP, VERSION, VaultPolicy};
use crate::service::door::{PolicyReport, PolicyResource};
use crate::service::error::Reason as VaultReason;

/// How old what a preview tells may grow.
const PREVIEW_AGE: Duration = Duration::from_mins(5);
/// Pause after something did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// What waits to be done about policies.
pub(super) struct Policies {
    queue: Queue<()>,
    gone: Notify,
    /// The uid of the definition, once it was looked at since the last listing.
    definition: Mutex<Option<String>>,
}

/// Where a policy stands.
struct Standing {
    accepted: (ConditionStatus, &'static str, String),
    confined: Option<String>,
    ready: (ConditionStatus, &'static str, String),
    /// When to look again by ourselves.
    again: Option<Duration>,
    /// What it concerns and would change, if that was looked at now.
    report: Option<PolicyReport>,
}

impl Policies {
    pub(super) fn new() -> Self {
        Self {
            queue: Queue::new(),
            gone: Notify::new(),
            definition: Mutex::default(),
        }
    }

    /// What a watch told.
    pub(super) fn notice(&self, notice: Notice<'_, Resource<VaultPolicy>>) {
        match notice {
            Notice::Applied {
                key,
                object,
                before,
                listing,
            } => {
                if listing {
                    // It may come through another definition than the last.
                    *self.definition() = None;
                }
                let same = |before: &Arc<Resource<VaultPolicy>>| {
                    before.uid() == object.uid() && before.meta().generation == object.meta().generation
                };
                if !before.as_ref().is_some_and(same) {
                    self.queue.add(key.clone(), Causes::CLUSTER, Class::Change, None);
                }
            }
            Notice::Gone { key, .. } => {
                self.queue.forget(key);
                self.gone.notify_one();
            }
            Notice::Listed => self.gone.notify_one(),
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.backlog().0
    }

    /// Puts policies in force as they come.
    pub(super) async fn apply(&self, context: &Context) {
        context.vault_policies.listed().await;
        let mut failures = std::collections::HashMap::<Key, u32>::new();
        loop {
            let work = self.queue.next().await;
            let timer = context
                .metrics
                .reconcile_seconds
                .with_label_values(&["VaultPolicy"])
                .start_timer();
            let word = match context.vault_policies.get(&work.key) {
                None => "Gone",
                Some(object) => match self.reconcile(context, &work.key, &object).await {
                    Ok((word, again)) => {
                        failures.remove(&work.key);
                        if let Some(again) = again {
                            self.queue.retry(work.key.clone(), again);
                        }
                        word
                    }
                    Err(word) => {
                        let count = failures.entry(work.key.clone()).or_default();
                        *count = count.saturating_add(1);
                        self.queue.retry(work.key.clone(), backoff::delay(*count, object.uid()));
                        word
                    }
                },
            };
            timer.observe_duration();
            context
                .metrics
                .reconciles
                .with_label_values(&["VaultPolicy", word])
                .inc();
            self.queue.done(&work.key);
        }
    }

    /// Ends policies whose resources are gone.
    pub(super) async fn retain(&self, context: &Context) {
        context.vault_policies.listed().await;
        loop {
            self.gone.notified().await;
            while let Err(()) = self.end_gone(context).await {
                sleep(PAUSE).await;
            }
        }
    }

    async fn reconcile(
        &self,
        context: &Context,
        key: &Key,
        object: &Resource<VaultPolicy>,
    ) -> Result<(&'static str, Option<Duration>), &'static str> {
        let Resource::Sound(policy) = object else {
            let message = "the resource does not fit this version of aether-vault; apply the definitions that come with it, then the resource again";
            let standing = refused("InvalidSpec", message.to_owned());
            return show(context, key, object, None, &standing)
                .await
                .map(|()| ("InvalidSpec", None));
        };
        let standing = self.put_in_force(context, key, policy).await?;
        let word = standing.ready.1;
        show(context, key, object, policy.status.as_ref(), &standing).await?;
        Ok((word, standing.again))
    }

    async fn put_in_force(&self, context: &Context, key: &Key, policy: &VaultPolicy) -> Result<Standing, &'static str> {
        let prefix = context.door.prefix();
        let Some(own) = namespace_prefix(prefix, &key.namespace) else {
            return Ok(refused(
                "InvalidSpec",
                format!("namespace '{}' cannot be part of a path", key.namespace),
            ));
        };
        let scope = if *key.namespace != *context.settings.operator_namespace {
            own.clone()
        } else if context.settings.platform {
            PathPrefix::all()
        } else {
            PathPrefix::parse(prefix).map_err(|_| "Internal")?
        };
        let document = document(policy, &own);
        let outside = beyond_scope(&document, &scope);
        let known = self.definition().clone();
        let definition = match known {
            Some(uid) => uid,
            None => self
                .look(context)
                .await
                .map_err(|()| "ClusterUnavailable")?
                .ok_or("Leaving")?,
        };
        let resource = PolicyResource {
            uid: policy.uid().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or_default(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            crd_uid: definition,
            scope: scope.clone(),
            document,
        };
        let preview = policy.spec.preview == Some(true);
        let confined = outside
            .first()
            .map(|problem| confined(&problem.to_string(), outside.len(), &scope));
        let applied = if preview {
            Ok(false)
        } else {
            context.door.apply_policy(&resource).await
        };
        let done = match applied {
            Ok(changed) => {
                if changed {
                    info!(policy = %key, "in force");
                }
                // Counted when something is new, not at every look: it reads the lists of actors and records.
                let told = policy.status.as_ref();
                let known = told.is_some_and(|status| {
                    status.subjects.is_some() && status.observed_generation == policy.metadata.generation
                });
                if preview || changed || !known {
                    let namespaces = context.namespaces.known();
                    context.door.report_policy(&resource, &namespaces).await.map(Some)
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(report) => {
                let now = context.clock.now();
                let standing = if preview {
                    previewed(confined)
                } else {
                    in_force(&resource, confined, now)
                };
                Ok(Standing { report, ..standing })
            }
            Err(error) if error.reason() == VaultReason::InvalidPolicy => {
                context.events.warn(policy, "InvalidPolicy", error.message().to_owned());
                Ok(refused("InvalidPolicy", error.message().to_owned()))
            }
            Err(error) => {
                warn!(policy = %key, reason = error.reason().as_str(), "the policy could not be put in force; trying again");
                Err(error.reason().as_str())
            }
        }
    }

    async fn end_gone(&self, context: &Context) -> Result<(), ()> {
        let Some(uid) = self.look(context).await? else {
            warn!("the definition of VaultPolicy is gone: every policy stays in force");
            return Ok(());
        };
        end_gone(context, &uid).await
    }

    /// The definition that stands, if one does.
    async fn look(&self, context: &Context) -> Result<Option<String>, ()> {
        match context.definitions.look::<VaultPolicy>().await {
            Ok(Definition::Standing { uid }) => {
                *self.definition() = Some(uid.clone());
                Ok(Some(uid))
            }
            Ok(Definition::Leaving) => Ok(None),
            Err(error) => {
                warn!(%error, "cannot read the definition of VaultPolicy; policies stay as they are meanwhile");
                Err(())
            }
        }
    }

    fn definition(&self) -> MutexGuard<'_, Option<String>> {
        self.definition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn end_gone(context: &Context, definition: &str) -> Result<(), ()> {
    let live: Vec<String> = context
        .vault_policies
        .all()
        .into_iter()
        .map(|(_, object)| object.uid().to_owned())
        .collect();
    match context.door.retain_policies(definition, &live).await {
        Ok(0) => Ok(()),
        Ok(ended) => {
            info!(ended, "policies ended with their resources");
            Ok(())
        }
        Err(error) => {
            warn!(
                reason = error.reason().as_str(),
                "policies of deleted resources could not be ended; trying again"
            );
            Err(())
        }
    }
}

fn in_force(resource: &PolicyResource, confined: Option<String>, now: Timestamp) -> Standing {
    use ConditionStatus::{False, True};
    let accepted = (True, "Accepted", "the policy is sound".to_owned());
    match resource.document.expires_at {
        Some(end) if end <= now => Standing {
            accepted,
            confined,
            ready: (
                False,
                "Expired",
                format!("the policy ended at {end}; set spec.expiresAt to a later time, or delete it"),
            ),
            again: None,
            report: None,
        },
        end => Standing {
            accepted,
            confined,
            ready: (True, "InForce", "the policy is in force".to_owned()),
            again: end.and_then(|end| Duration::try_from(end.duration_since(now)).ok()),
            report: None,
        },
    }
}

fn previewed(confined: Option<String>) -> Standing {
    use ConditionStatus::{False, True};
    let message = "the policy takes no effect: spec.preview is set, and status.preview tells what would change; what was in force \
                   from this resource before stays so";
    Standing {
        accepted: (True, "Accepted", "the policy is sound".to_owned()),
        confined,
        ready: (False, "Preview", message.to_owned()),
        again: Some(PREVIEW_AGE),
        report: None,
    }
}

fn refused(reason: &'static str, message: String) -> Standing {
    use ConditionStatus::False;
    Standing {
        accepted: (False, reason, message.clone()),
        confined: None,
        ready: (False, reason, message),
        again: None,
        report: None,
    }
}

fn confined(first: &str, count: usize, scope: &PathPrefix) -> String {
    let more = if count > 1 {
        format!(" (and {} more)", count - 1)
    } else {
        String::new()
    };
    format!("{first}{more}; a policy that reaches beyond '{scope}' belongs in the operator's namespace")
}

/// The resource as a policy document. `~/` stands for the namespace's own root.
fn document(policy: &VaultPolicy, own: &PathPrefix) -> PolicyDocument {
    PolicyDocument {
        subjects: policy.spec.subjects.iter().map(subject).collect(),
        rules: policy.spec.rules.iter().map(|written| rule(written, own)).collect(),
        expires_at: policy.spec.expires_at,
    }
}

fn subject(subject: &PolicySubject) -> Subject {
    let name = subject.name.clone().unwrap_or_default();
    match subject.kind {
        SubjectKind::User => Subject::User { name },
        SubjectKind::Group => Subject::Group { name },
        SubjectKind::Role => Subject::Role { name },
        // The schema lets nothing else through; what is no id is nobody's.
        SubjectKind::ApiKey => Subject::ApiKey {
            id: subject.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default(),
        },
        SubjectKind::ServiceAccount => Subject::ServiceAccount {
            namespace: subject.namespace.clone().unwrap_or_default(),
            name,
        },
        SubjectKind::Namespace => Subject::Namespace {
            name: subject.name.clone(),
            match_labels: subject.match_labels.clone().unwrap_or_default(),
        },
        SubjectKind::Everyone => Subject::Everyone {},
    }
}

fn rule(rule: &PolicyRule, own: &PathPrefix) -> Rule {
    let written_out = |path: &String| match path.strip_prefix("~/") {
        Some(rest) => format!("{own}{rest}"),
        None => path.clone(),
    };
    Rule {
        effect: match rule.effect {
            RuleEffect::Allow => Effect::Allow,
            RuleEffect::Deny => Effect::Deny,
        },
        paths: rule.paths.iter().map(written_out).collect(),
        capabilities: rule
            .capabilities
            .iter()
            .map(|capability| self::capability(*capability))
            .collect(),
        conditions: rule.conditions.as_ref().map(self::conditions_of),
        unless: rule.unless.as_ref().map(self::conditions_of),
    }
}

fn conditions_of(conditions: &RuleConditions) -> Conditions {
    Conditions {
        second_factor_within: conditions.second_factor_within.clone(),
        networks: conditions.networks.clone(),
        time_window: conditions.time_window.as_ref().map(window_of),
        not_before: conditions.not_before,
        expires_at: conditions.expires_at,
    }
}

/// A window as the rules read it.
pub(super) fn window_of(window: &RuleWindow) -> TimeWindow {
    TimeWindow {
        days: window
            .days
            .as_ref()
            .map(|days| days.iter().map(|day| self::day(*day)).collect()),
        from: window.from.clone(),
        to: window.to.clone(),
        time_zone: window.time_zone.clone(),
    }
}

fn day(day: RuleDay) -> Day {
    match day {
        RuleDay::Mon => Day::Mon,
        RuleDay::Tue => Day::Tue,
        RuleDay::Wed => Day::Wed,
        RuleDay::Thu => Day::Thu,
        RuleDay::Fri => Day::Fri,
        RuleDay::Sat => Day::Sat,
        RuleDay::Sun => Day::Sun,
    }
}

fn capability(capability: RuleCapability) -> Capability {
    match capability {
        RuleCapability::List => Capability::List,
        RuleCapability::Read => Capability::Read,
        RuleCapability::Create => Capability::Create,
        RuleCapability::Update => Capability::Update,
        RuleCapability::Delete => Capability::Delete,
        RuleCapability::Undelete => Capability::Undelete,
        RuleCapability::Destroy => Capability::Destroy,
        RuleCapability::Sync => Capability::Sync,
        RuleCapability::Generate => Capability::Generate,
    }
}

/// Shows where a policy stands, if that is news.
async fn show(
    context: &Context,
    key: &Key,
    object: &Resource<VaultPolicy>,
    standing: Option<&VaultPolicyStatus>,
    found: &Standing,
) -> Result<(), &'static str> {
    let meta = object.meta();
    let before = standing.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let next = VaultPolicyStatus {
        observed_generation: meta.generation,
        conditions: stamp(conditions(found), before, meta.generation, context.clock.now()),
        subjects: counted(
            found.report.as_ref().map(|r| r.subjects),
            standing.and_then(|s| s.subjects),
        ),
        records: counted(
            found.report.as_ref().map(|r| r.records),
            standing.and_then(|s| s.records),
        ),
        preview: found
            .report
            .as_ref()
            .filter(|_| found.ready.1 == "Preview")
            .map(preview_of),
    };
    if standing == Some(&next) {
        return Ok(());
    }
    let api: Api<PartialObjectMeta<VaultPolicy>> = Api::namespaced(context.client.clone(), &key.namespace);
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": VaultPolicy::kind(&()),
        "metadata": { "uid": meta.uid, "resourceVersion": meta.resource_version },
        "status": status_patch(&next),
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..Default::default()
    };
    match api
        .patch_subresource("status", &key.name, &params, &Patch::Merge(body))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            debug!(policy = %key, "the status was not written over a newer object");
            Err("StatusConflict")
        }
        Err(error) => {
            warn!(policy = %key, %error, "the status could not be written");
            Err("ClusterUnavailable")
        }
    }
}

/// What was counted now, or what stands from the last time.
fn counted(now: Option<usize>, standing: Option<i64>) -> Option<i64> {
    now.and_then(|count| i64::try_from(count).ok()).or(standing)
}

fn preview_of(report: &PolicyReport) -> PolicyPreview {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    PolicyPreview {
        opens: number(report.opens),
        closes: number(report.closes),
        changes: report.changes.clone(),
        cut_off: report.cut_off,
    }
}

/// A merge patch leaves what it does not name: a preview that is over has to be taken away.
fn status_patch(status: &VaultPolicyStatus) -> serde_json::Value {
    let mut patch = json!(status);
    if status.preview.is_none() {
        patch["preview"] = serde_json::Value::Null;
    }
    patch
}

fn conditions(found: &Standing) -> Vec<Condition> {
    let (status, reason, message) = &found.accepted;
    let mut conditions = vec![Condition::new("Accepted", *status, reason, message.clone())];
    conditions.push(match &found.confined {
        Some(message) => Condition::new("Confined", ConditionStatus::True, "BeyondScope", message.clone()),
        None => Condition::new("Confined", ConditionStatus::False, "WithinScope", ""),
    });
    let (status, reason, message) = &found.ready;
    conditions.push(Condition::new("Ready", *status, reason, message.clone()));
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_becomes_a_document_and_the_tilde_its_own_root() {
        let policy: VaultPolicy = serde_json::from_value(json!({
            "apiVersion": "aethervault.io/v1alpha1",
            "kind": "VaultPolicy",
            "metadata": { "name": "p", "namespace": "shop" },
            "spec": {
                "subjects": [{ "kind": "Namespace", "matchLabels": { "team": "shop" } }, { "kind": "Everyone" }],
                "rules": [{ "effect": "deny", "paths": ["~/orders-*", "shared/ca"], "capabilities": ["sync"],
                    "conditions": { "networks": ["10.0.0.0/8"], "timeWindow": { "days": ["Sat"], "from": "08:00", "to": "18:00" } },
                    "unless": { "secondFactorWithin": "15m" } }],
            },
        }))
        .unwrap();
        let document = document(&policy, &PathPrefix::parse("k8s/shop").unwrap());
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            json!({
                "subjects": [{ "kind": "Namespace", "matchLabels": { "team": "shop" } }, { "kind": "Everyone" }],
                "rules": [{ "effect": "deny", "paths": ["k8s/shop/orders-*", "shared/ca"], "capabilities": ["sync"],
                    "conditions": { "networks": ["10.0.0.0/8"], "timeWindow": { "days": ["Sat"], "from": "08:00", "to": "18:00" } },
                    "unless": { "secondFactorWithin": "15m" } }],
            })
        );
    }

    #[test]
    fn the_form_of_a_resource_is_that_of_a_document() {
        for capability in Capability::ALL {
            let written: RuleCapability = serde_json::from_value(json!(capability.as_str())).unwrap();
            assert_eq!(self::capability(written), capability);
        }
    }
}
