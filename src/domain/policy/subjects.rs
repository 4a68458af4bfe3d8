//! Which subjects an actor is: every distinct subject of a snapshot has a number, and the index tells an actor's numbers without
//! looking at the others.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::document::Subject;
use super::name::canonical_name;
use crate::domain::actor::{Actor, NamespaceName, UserIdentity};

/// The number of a distinct subject within one snapshot.
pub(super) type SubjectId = u32;

/// A subject that an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Borne {
    pub(super) id: SubjectId,
    /// Policies written until then mean an earlier bearer of the name (R40).
    pub(super) since: Option<Timestamp>,
}

impl Borne {
    pub(super) fn always(id: &SubjectId) -> Self {
        Self { id: *id, since: None }
    }

    /// Whether a policy written at `written_at` means this bearer.
    pub(super) fn is_meant(&self, written_at: Timestamp) -> bool {
        self.since.is_none_or(|since| since < written_at)
    }
}

/// Subjects by what finds them.
///
/// `ServiceAccount` and `Namespace` subjects of a policy that came from a cluster match actors of that cluster only; elsewhere, a
/// namespace of the same name is somebody else's.
#[derive(Debug, Default)]
pub(super) struct SubjectIndex {
    count: SubjectId,
    everyone: Option<SubjectId>,
    users: HashMap<String, SubjectId>,
    groups: HashMap<String, SubjectId>,
    roles: HashMap<String, SubjectId>,
    api_keys: HashMap<Uuid, SubjectId>,
    /// By namespace and name (or `*`).
    service_accounts: HashMap<(String, String), Vec<Labelled>>,
    /// By name; `*` is among the rest.
    namespaces: HashMap<String, Vec<Labelled>>,
    /// Any name, by the first label that is asked for.
    labelled: HashMap<(String, String), Vec<Labelled>>,
    any_namespace: Vec<Labelled>,
}

/// A subject with what remains to be compared once it was found.
#[derive(Debug)]
struct Labelled {
    cluster: Option<String>,
    labels: BTreeMap<String, String>,
    id: SubjectId,
}

impl Labelled {
    fn matches(&self, cluster: &str, namespace: &NamespaceName) -> bool {
        self.cluster.as_deref().is_none_or(|own| own == cluster)
            && self
                .labels
                .iter()
                .all(|(key, value)| namespace.labels.get(key) == Some(value))
    }
}

impl SubjectIndex {
    /// The number of a subject of a policy from `cluster`.
    pub(super) fn intern(&mut self, subject: &Subject, cluster: Option<&str>) -> SubjectId {
        let next = self.count;
        let id = match subject {
            Subject::Everyone {} => *self.everyone.get_or_insert(next),
            Subject::User { name } => *self.users.entry(canonical_name(name).into_owned()).or_insert(next),
            Subject::Group { name } => *self.groups.entry(canonical_name(name).into_owned()).or_insert(next),
            Subject::Role { name } => *self.roles.entry(canonical_name(name).into_owned()).or_insert(next),
            Subject::ApiKey { id } => *self.api_keys.entry(*id).or_insert(next),
            Subject::ServiceAccount { namespace, name } => {
                let found = self
                    .service_accounts
                    .entry((namespace.clone(), name.clone()))
                    .or_default();
                number(found, cluster, &BTreeMap::new(), next)
            }
            Subject::Namespace { name, match_labels } => {
                let found = match (name.as_deref(), match_labels.first_key_value()) {
                    (Some(name), _) if name != "*" => Some(self.namespaces.entry(name.to_owned()).or_default()),
                    (_, Some((key, value))) => Some(self.labelled.entry((key.clone(), value.clone())).or_default()),
                    (Some(_), None) => Some(&mut self.any_namespace),
                    // No name and no label is refused by validation: it must not mean every namespace.
                    (None, None) => None,
                };
                found.map_or(next, |found| number(found, cluster, match_labels, next))
            }
        };
        self.count = self.count.max(id + 1);
        id
    }

    /// The number of everyone, if any policy names it.
    pub(super) fn everyone(&self) -> Option<SubjectId> {
        self.everyone
    }

    /// Every subject that `actor` is.
    pub(super) fn of(&self, actor: &Actor) -> Vec<Borne> {
        let mut borne = Vec::with_capacity(8);
        match actor {
            // The process asks for nothing that policy governs.
            Actor::System => return borne,
            Actor::User(user) => self.of_user(user, &mut borne),
            Actor::ApiKey(key) => {
                borne.extend(self.api_keys.get(&key.id).map(Borne::always));
                self.of_user(&key.owner, &mut borne);
            }
            Actor::ServiceAccount {
                cluster,
                namespace,
                name,
                ..
            } => {
                for name in [name.as_str(), "*"] {
                    let found = self.service_accounts.get(&(namespace.name.clone(), name.to_owned()));
                    collect(&mut borne, found.map_or(&[], Vec::as_slice), cluster, namespace);
                }
            }
            Actor::Namespace { cluster, namespace } => {
                let named = self.namespaces.get(&namespace.name);
                collect(&mut borne, named.map_or(&[], Vec::as_slice), cluster, namespace);
                if !self.labelled.is_empty() {
                    for (key, value) in &namespace.labels {
                        let found = self.labelled.get(&(key.clone(), value.clone()));
                        collect(&mut borne, found.map_or(&[], Vec::as_slice), cluster, namespace);
                    }
                }
                collect(&mut borne, &self.any_namespace, cluster, namespace);
            }
        }
        borne.extend(self.everyone.as_ref().map(Borne::always));
        borne
    }

    fn of_user(&self, user: &UserIdentity, borne: &mut Vec<Borne>) {
        let bear = |since| move |id: &SubjectId| Borne { id: *id, since };
        borne.extend(
            self.users
                .get(canonical_name(&user.name).as_ref())
                .map(bear(user.name_since)),
        );
        borne.extend(self.roles.get(user.role.as_str()).map(Borne::always));
        let groups = user.groups.iter();
        borne.extend(groups.filter_map(|group| {
            self.groups
                .get(canonical_name(&group.name).as_ref())
                .map(bear(group.since))
        }));
    }
}

fn number(
    found: &mut Vec<Labelled>,
    cluster: Option<&str>,
    labels: &BTreeMap<String, String>,
    next: SubjectId,
) -> SubjectId {
    if let Some(known) = found
        .iter()
        .find(|known| known.cluster.as_deref() == cluster && known.labels == *labels)
    {
        return known.id;
    }
    found.push(Labelled {
        cluster: cluster.map(str::to_owned),
        labels: labels.clone(),
        id: next,
    });
    next
}

fn collect(borne: &mut Vec<Borne>, found: &[Labelled], cluster: &str, namespace: &NamespaceName) {
    borne.extend(
        found
            .iter()
            .filter(|subject| subject.matches(cluster, namespace))
            .map(|subject| Borne::always(&subject.id)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::{ApiKeyIdentity, GroupName, Role};

    fn namespace(name: &str, labels: &[(&str, &str)]) -> NamespaceName {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        NamespaceName {
            name: name.into(),
            uid: "u".into(),
            labels,
        }
    }

    fn is(subject: &str, from: Option<&str>, actor: &Actor) -> bool {
        let mut index = SubjectIndex::default();
        let id = index.intern(&serde_json::from_str(subject).unwrap(), from);
        index.of(actor) == [Borne { id, since: None }]
    }

    fn ann() -> UserIdentity {
        let ops = GroupName {
            name: "ops".into(),
            since: None,
        };
        UserIdentity {
            id: Uuid::nil(),
            name: "ann".into(),
            name_since: None,
            role: Role::Auditor,
            groups: vec![ops],
        }
    }

    #[test]
    fn an_api_key_is_its_own_subject_by_id_and_all_that_its_owner_is() {
        let key = |id| {
            Actor::ApiKey(ApiKeyIdentity {
                id: Uuid::from_u128(id),
                name: "deploy".into(),
                owner: ann(),
                scopes: Vec::new(),
                administers: false,
            })
        };
        for (subject, ann_is, first_is, second_is) in [
            (
                r#"{"kind": "ApiKey", "id": "00000000-0000-0000-0000-000000000001"}"#,
                false,
                true,
                false,
            ),
            (r#"{"kind": "User", "name": "ann"}"#, true, true, true),
            (r#"{"kind": "User", "name": "deploy"}"#, false, false, false),
            (r#"{"kind": "Group", "name": "ops"}"#, true, true, true),
            (r#"{"kind": "Role", "name": "auditor"}"#, true, true, true),
            (r#"{"kind": "Everyone"}"#, true, true, true),
        ] {
            assert_eq!(
                (
                    is(subject, None, &Actor::User(ann())),
                    is(subject, None, &key(1)),
                    is(subject, None, &key(2))
                ),
                (ann_is, first_is, second_is),
                "{subject}"
            );
        }
    }

    #[test]
    fn subjects_match_by_kind() {
        let ann = Actor::User(ann());
        let labels = [("team", "a"), ("tier", "1")];
        let shop = Actor::Namespace {
            cluster: "k8s".into(),
            namespace: namespace("shop", &labels),
        };
        let web = Actor::ServiceAccount {
            cluster: "k8s".into(),
            namespace: namespace("shop", &labels),
            name: "web".into(),
            uid: "w".into(),
        };
        for (subject, ann_is, shop_is, web_is) in [
            (r#"{"kind": "Everyone"}"#, true, true, true),
            (r#"{"kind": "User", "name": " ANN"}"#, true, false, false),
            (r#"{"kind": "User", "name": "web"}"#, false, false, false),
            (r#"{"kind": "Group", "name": "Ops"}"#, true, false, false),
            (r#"{"kind": "Group", "name": "ann"}"#, false, false, false),
            (r#"{"kind": "Role", "name": "auditor"}"#, true, false, false),
            (r#"{"kind": "Role", "name": "admin"}"#, false, false, false),
            (
                r#"{"kind": "ServiceAccount", "namespace": "shop", "name": "web"}"#,
                false,
                false,
                true,
            ),
            (
                r#"{"kind": "ServiceAccount", "namespace": "shop", "name": "*"}"#,
                false,
                false,
                true,
            ),
            (
                r#"{"kind": "ServiceAccount", "namespace": "mail", "name": "web"}"#,
                false,
                false,
                false,
            ),
            (r#"{"kind": "Namespace", "name": "shop"}"#, false, true, false),
            (r#"{"kind": "Namespace", "name": "*"}"#, false, true, false),
            (r#"{"kind": "Namespace", "name": "mail"}"#, false, false, false),
            (
                r#"{"kind": "Namespace", "matchLabels": {"team": "a"}}"#,
                false,
                true,
                false,
            ),
            (
                r#"{"kind": "Namespace", "matchLabels": {"team": "a", "tier": "1"}}"#,
                false,
                true,
                false,
            ),
            (
                r#"{"kind": "Namespace", "matchLabels": {"team": "a", "tier": "2"}}"#,
                false,
                false,
                false,
            ),
            (
                r#"{"kind": "Namespace", "name": "*", "matchLabels": {"tier": "1"}}"#,
                false,
                true,
                false,
            ),
            (
                r#"{"kind": "Namespace", "name": "shop", "matchLabels": {"tier": "2"}}"#,
                false,
                false,
                false,
            ),
            (r#"{"kind": "Namespace"}"#, false, false, false),
        ] {
            assert_eq!(
                (
                    is(subject, None, &ann),
                    is(subject, None, &shop),
                    is(subject, None, &web)
                ),
                (ann_is, shop_is, web_is),
                "{subject}"
            );
            assert!(!is(subject, None, &Actor::System), "{subject}");
            assert_eq!(
                (is(subject, Some("k8s"), &shop), is(subject, Some("k8s"), &web)),
                (shop_is, web_is),
                "{subject}"
            );
        }
    }

    #[test]
    fn a_cluster_s_policy_means_that_cluster_s_namespaces() {
        let elsewhere = Actor::Namespace {
            cluster: "k8s-eu".into(),
            namespace: namespace("shop", &[("team", "a")]),
        };
        for subject in [
            r#"{"kind": "Namespace", "name": "shop"}"#,
            r#"{"kind": "Namespace", "name": "*"}"#,
            r#"{"kind": "Namespace", "matchLabels": {"team": "a"}}"#,
        ] {
            assert!(is(subject, None, &elsewhere), "{subject}");
            assert!(!is(subject, Some("k8s"), &elsewhere), "{subject}");
        }
    }

    #[test]
    fn equal_subjects_share_a_number_and_different_ones_do_not() {
        let mut index = SubjectIndex::default();
        let mut intern = |text: &str, cluster| index.intern(&serde_json::from_str(text).unwrap(), cluster);
        let all = [
            intern(r#"{"kind": "Namespace"}"#, None),
            intern(r#"{"kind": "Namespace", "name": "shop"}"#, Some("a")),
            intern(r#"{"kind": "Namespace", "name": "shop"}"#, Some("b")),
            intern(r#"{"kind": "User", "name": "shop"}"#, None),
            intern(r#"{"kind": "User", "name": "SHOP"}"#, None),
            intern(r#"{"kind": "Group", "name": "shop"}"#, None),
        ];
        assert_eq!(all, [0, 1, 2, 3, 3, 4]);
    }
}
