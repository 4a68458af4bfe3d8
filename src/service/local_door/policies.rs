//! Policies that come from resources.

use super::LocalDoor;
use crate::crypto::random;
use crate::domain::actor::{Actor, NamespaceName};
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::path::PathPrefix;
use crate::domain::policy::{self, Capability, Circumstances, StoredPolicy};
use crate::service::authority;
use crate::service::context::ResourceOrigin;
use crate::service::door::{PolicyReport, PolicyResource};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::policies::preview::compare;
use crate::service::policies::{PreviewedChange, PreviewedConflict};
use crate::store::policies::{ResourcePolicy, full_name, raise_epoch, retain, upsert};
use crate::store::{self, audit, changes};

/// Namespaces with labels that a report looks at.
const NAMESPACES: usize = 1_000;
/// Changes that a report spells out.
const TOLD: usize = 20;

impl LocalDoor {
    pub(super) async fn apply(&self, resource: &PolicyResource) -> Result<bool> {
        self.vault.writable()?;
        check(resource)?;
        let scope = self.scope_of(resource);
        let ctx = self.own_context(&ResourceOrigin {
            uid: resource.uid.clone(),
            generation: resource.generation,
        });
        let document = serde_json::to_value(&resource.document).map_err(Error::internal)?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let stored = ResourcePolicy {
            id: random::uuid_v7(ctx.now()),
            cluster_id: self.cluster.id,
            namespace: &resource.namespace,
            name: &resource.name,
            resource_uid: &resource.uid,
            crd_uid: &resource.crd_uid,
            generation: resource.generation,
            scope: &scope,
            document: &document,
        };
        if !upsert(&mut tx, &stored).await.map_err(store_failed)? {
            return Ok(false);
        }
        let name = full_name(Some(&self.cluster.prefix), &resource.namespace, &resource.name);
        audit::insert(&mut tx, &ctx.entry(Action::PolicyApply, &name))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Policy, &name)
            .await
            .map_err(store_failed)?;
        raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(true)
    }

    /// What a policy concerns and would change, over the records and actors that exist.
    pub(super) async fn report(&self, resource: &PolicyResource, namespaces: &[NamespaceName]) -> Result<PolicyReport> {
        check(resource)?;
        let name = full_name(Some(&self.cluster.prefix), &resource.namespace, &resource.name);
        let (_, stored) = authority::stored(&self.vault.pool).await?;
        let standing = stored.iter().find(|policy| policy.name == name).cloned();
        let now = self.vault.clock.now();
        let wanted = StoredPolicy {
            id: standing.as_ref().map_or(uuid::Uuid::nil(), |policy| policy.id),
            name,
            cluster: Some(self.cluster.prefix.clone()),
            scope: PathPrefix::parse(&self.scope_of(resource)).map_err(Error::internal)?,
            written_at: now,
            document: resource.document.clone(),
        };
        let known = namespaces.iter().map(|namespace| Actor::Namespace {
            cluster: self.cluster.prefix.clone(),
            namespace: namespace.clone(),
        });
        let known = known.take(NAMESPACES).collect();
        let circumstances = Circumstances::at(now);
        let preview = compare(&self.vault.pool, stored, standing, Some(wanted), known, circumstances).await?;
        let count = |some: fn(&PreviewedChange) -> bool| preview.changes.iter().filter(|change| some(change)).count();
        Ok(PolicyReport {
            subjects: preview.matched_actors,
            records: preview.matched_records,
            opens: count(|change| !change.opens.is_empty()),
            closes: count(|change| !change.closes.is_empty()),
            changes: preview.changes.iter().take(TOLD).map(line).collect(),
            overruled: preview.conflicts.iter().take(TOLD).map(overruled).collect(),
            cut_off: preview.cut_off || namespaces.len() > NAMESPACES,
        })
    }

    pub(super) async fn retain(&self, crd_uid: &str, live: &[String]) -> Result<u64> {
        let ctx = self.own_context(&ResourceOrigin {
            uid: crd_uid.to_owned(),
            generation: 0,
        });
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let removed = retain(&mut tx, self.cluster.id, crd_uid, live)
            .await
            .map_err(store_failed)?;
        if removed.is_empty() {
            return Ok(0);
        }
        for name in &removed {
            let name = format!("{}/{name}", self.cluster.prefix);
            audit::insert(&mut tx, &ctx.entry(Action::PolicyRemove, &name))
                .await
                .map_err(store_failed)?;
            changes::insert(&mut tx, ChangeKind::Policy, &name)
                .await
                .map_err(store_failed)?;
        }
        raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(u64::try_from(removed.len()).unwrap_or(u64::MAX))
    }

    /// What a resource may reach: never more than the controller says, nor than the cluster has.
    fn scope_of(&self, resource: &PolicyResource) -> String {
        let own = format!("{}/", self.cluster.prefix);
        let asked = resource.scope.as_str();
        if self.cluster.platform || asked.starts_with(&own) {
            asked.to_owned()
        } else {
            own
        }
    }
}

fn check(resource: &PolicyResource) -> Result<()> {
    policy::validate(&resource.document).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Error::new(Reason::InvalidPolicy, problems.join("; "))
    })
}

fn overruled(conflict: &PreviewedConflict) -> String {
    let PreviewedConflict {
        policy,
        rights,
        actor,
        path,
        capability,
    } = conflict;
    let more = match rights {
        1 => String::new(),
        rights => format!(", and {} more", rights - 1),
    };
    format!(
        "'{policy}' denies {} {} at {path}: {}{more}",
        actor.kind,
        actor.name,
        capability.as_str()
    )
}

/// A change as a line of a resource's status. A path and a name together are shorter than the schema's bound.
fn line(change: &PreviewedChange) -> String {
    let names = |capabilities: &[Capability]| {
        let names: Vec<_> = capabilities.iter().map(|capability| capability.as_str()).collect();
        names.join(",")
    };
    let mut line = format!("{} {} at {}:", change.actor.kind, change.actor.name, change.path);
    for (word, capabilities) in [("opens", &change.opens), ("closes", &change.closes)] {
        if !capabilities.is_empty() {
            line.push_str(&format!(" {word} {}", names(capabilities)));
        }
    }
    line.chars().take(1024).collect()
}
