//! The actors that explanations and previews look at.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::actor::{Actor, ApiKeyIdentity, GroupName, NamespaceName, Role, UserIdentity};
use crate::domain::policy::{KeyScope, ScopeDocument};
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::store::Pool;
use crate::store::population::{self, Key, Person, Workload};

/// A user by canonical name, as they would act.
pub(super) async fn user(pool: &Pool, name: &str) -> Result<Option<Actor>> {
    let found = population::people(pool, Some(name), None, 1)
        .await
        .map_err(store_failed)?;
    found
        .into_iter()
        .next()
        .map(|person| identity(person).map(Actor::User))
        .transpose()
}

/// An API key by id, as it would act.
pub(super) async fn api_key(pool: &Pool, id: Uuid) -> Result<Option<Actor>> {
    let Some(key) = population::keys(pool, Some(id), 1)
        .await
        .map_err(store_failed)?
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let owner = population::people(pool, None, Some(key.user_id), 1)
        .await
        .map_err(store_failed)?;
    let Some(owner) = owner.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(api_key_of(key, identity(owner)?)))
}

/// A workload or namespace of which no more is known than its names.
pub(super) fn namespace(name: &str, labels: BTreeMap<String, String>) -> NamespaceName {
    NamespaceName {
        name: name.to_owned(),
        uid: String::new(),
        labels,
    }
}

/// Everybody who may act, at most `limit` of each kind; and whether there are more.
pub(super) async fn everybody(pool: &Pool, limit: usize) -> Result<(Vec<Actor>, bool)> {
    let ask = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let people = population::people(pool, None, None, ask).await.map_err(store_failed)?;
    let keys = population::keys(pool, None, ask).await.map_err(store_failed)?;
    let workloads = population::workloads(pool, ask).await.map_err(store_failed)?;
    let namespaces = population::namespaces(pool, ask).await.map_err(store_failed)?;
    let more = [people.len(), keys.len(), workloads.len(), namespaces.len()]
        .into_iter()
        .any(|count| count > limit);
    let people = people
        .into_iter()
        .take(limit)
        .map(identity)
        .collect::<Result<Vec<_>>>()?;
    let owned = keys.into_iter().take(limit).filter_map(|key| {
        let owner = people.iter().find(|person| person.id == key.user_id)?.clone();
        Some(api_key_of(key, owner))
    });
    let mut actors: Vec<Actor> = owned.collect();
    actors.extend(people.into_iter().map(Actor::User));
    actors.extend(workloads.into_iter().take(limit).map(workload));
    actors.extend(namespaces.into_iter().take(limit).filter_map(|(path, uid)| {
        let (cluster, name) = path.split_once('/')?;
        Some(Actor::Namespace {
            cluster: cluster.to_owned(),
            namespace: NamespaceName {
                uid,
                ..namespace(name, BTreeMap::new())
            },
        })
    }));
    Ok((actors, more))
}

fn identity(person: Person) -> Result<UserIdentity> {
    let role =
        Role::parse(&person.role).ok_or_else(|| Error::internal(format!("user {} has an unknown role", person.id)))?;
    Ok(UserIdentity {
        id: person.id,
        name: person.name,
        name_since: person.name_since,
        role,
        groups: person
            .groups
            .into_iter()
            .map(|(name, since)| GroupName { name, since })
            .collect(),
    })
}

fn api_key_of(key: Key, owner: UserIdentity) -> Actor {
    // Scopes that cannot be read hold nothing.
    let scopes = serde_json::from_value::<Vec<ScopeDocument>>(key.scopes)
        .ok()
        .and_then(|scopes| KeyScope::compile(&scopes).ok());
    Actor::ApiKey(ApiKeyIdentity {
        id: key.id,
        name: key.name,
        owner,
        scopes: scopes.unwrap_or_default(),
        administers: false,
    })
}

fn workload(workload: Workload) -> Actor {
    Actor::ServiceAccount {
        cluster: workload.cluster,
        namespace: NamespaceName {
            name: workload.namespace,
            uid: workload.namespace_uid,
            labels: BTreeMap::new(),
        },
        name: workload.name,
        uid: workload.uid,
    }
}
