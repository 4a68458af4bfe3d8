//! What a manifest would do to its Secret, worked out without doing it, by the same rules as the work itself. Pure: whoever asks brings the
//! records and the Secret. What comes out names keys, and never holds a value.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use uuid::Uuid;

use super::feed::record_of;
use super::ownership::{Claimant, merged_keys};
use super::plan::{self, Plan};
use super::reconcile::wanted;
use super::secret::{Data, Refusal, Step, Wiped, decide};
use super::source::SourcePlan;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{KeyName, RecordData, Value, Version, VersionState};
use crate::domain::source::outputs;
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::CreationPolicy;
use crate::service::door::{RecordHead, SyncRecord};

/// What becomes of a key of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not there yet.
    Appears,
    /// It gets another value.
    Changes,
    /// It is taken away.
    Goes,
    /// It stays as it is.
    Stays,
    /// Its value is made when the manifest is applied, or cannot be read before.
    Unknown,
}

/// What becomes of the Secret as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Nothing,
    /// It is made.
    Created,
    /// It is written.
    Written,
    /// It is deleted and made anew, since Kubernetes lets neither its type nor its data be changed.
    Recreated,
    /// It is left alone, and why.
    Refused(String),
}

/// The fates of a Secret and of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fates {
    /// Of the Secret.
    pub outcome: Outcome,
    /// Of its keys, by name.
    pub keys: BTreeMap<String, Fate>,
}

/// A record that goes into the Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// Where it is.
    pub path: RecordPath,
    /// The version, if one is named.
    pub version: Option<Version>,
}

/// A `VaultSecret` that somebody thinks of applying.
pub struct Forecast {
    object: VaultSecret,
    plan: Plan,
}

impl Forecast {
    /// Reads a resource. `prefix` is the cluster's.
    ///
    /// # Errors
    /// What in the spec cannot be carried out.
    pub fn of(prefix: &str, object: VaultSecret) -> Result<Self, String> {
        match plan::plan(prefix, &object) {
            Ok(plan) => Ok(Self { object, plan }),
            Err(problem) => Err(format!("{}: {}", problem.reason.as_str(), problem.message)),
        }
    }

    /// The Secret's name.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.plan.target.name
    }

    /// The records that go into the Secret.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let readings = self.plan.refs.iter().map(|reference| Reading {
            path: reference.path.clone(),
            version: reference.version,
        });
        readings.collect()
    }

    /// What the namespace has to be allowed. Whether the own record is there decides what feeding it takes.
    #[must_use]
    pub fn needs(&self, own_is_there: bool) -> BTreeSet<(RecordPath, Capability)> {
        let plan = &self.plan;
        let mut needs: BTreeSet<_> = plan
            .refs
            .iter()
            .map(|reference| (reference.path.clone(), Capability::Sync))
            .collect();
        let feeding = match &plan.source {
            None => None,
            Some(SourcePlan::Generate(_)) => Some(Capability::Generate),
            Some(SourcePlan::Import { follow: false, .. }) if own_is_there => None,
            Some(_) if own_is_there => Some(Capability::Update),
            Some(_) => Some(Capability::Create),
        };
        needs.extend(feeding.map(|capability| (plan.own.clone(), capability)));
        needs.extend(plan.issuers().into_iter().map(|issuer| (issuer, Capability::Read)));
        needs
    }

    /// The path of the own record.
    #[must_use]
    pub fn own(&self) -> &RecordPath {
        &self.plan.own
    }

    /// The Secret that the own record is made of, where it would be made or follows.
    #[must_use]
    pub fn imports(&self, own_is_there: bool) -> Option<&str> {
        match &self.plan.source {
            Some(SourcePlan::Import { secret, follow }) if *follow || !own_is_there => Some(&secret.name),
            _ => None,
        }
    }

    /// The data of a Secret as the record that is made of it.
    ///
    /// # Errors
    /// It grants access to the cluster itself (R34), or is no record.
    pub fn imported(secret: Secret) -> Result<RecordData, String> {
        record_of(&Wiped(secret).0)
    }

    /// Whether workloads are to be restarted when the Secret's data changes.
    #[must_use]
    pub fn restarts(&self) -> bool {
        crate::k8s::controller::restart::asks(&self.object).is_some()
    }

    /// Works out the fates. `records` are those of [`Forecast::readings`] that are there, `imported` the data of [`Forecast::imports`], `uid` that
    /// of the `VaultSecret` if it stands already, `live` the Secret as it is.
    ///
    /// # Errors
    /// Why the Secret cannot be made of the records.
    pub fn fates(
        &self,
        records: &BTreeMap<Reading, (Version, RecordData)>,
        imported: Option<RecordData>,
        uid: Option<&str>,
        live: Option<Secret>,
    ) -> Result<Fates, String> {
        let live = live.map(Wiped);
        let imported = imported.map(RecordData::into_map);
        // What is not known yet differs between the two.
        let one = self.project(records, imported.as_ref(), "0")?;
        let other = self.project(records, imported.as_ref(), "1")?;
        let unknown: BTreeSet<String> = one
            .0
            .iter()
            .filter(|(key, value)| other.0.get(*key) != Some(*value))
            .map(|(key, _)| key.to_string())
            .collect();
        let there: BTreeMap<&str, &[u8]> = live
            .iter()
            .flat_map(|live| live.0.data.iter().flatten())
            .map(|(key, ByteString(value))| (key.as_str(), value.as_slice()))
            .collect();
        let mut keys = BTreeMap::new();
        for (key, value) in &one.0 {
            let fate = match there.get(key.as_str()) {
                None => Fate::Appears,
                Some(_) if unknown.contains(key.as_str()) => Fate::Unknown,
                Some(found) if *found == value.as_slice() => Fate::Stays,
                Some(_) => Fate::Changes,
            };
            keys.insert(key.to_string(), fate);
        }
        let wanted = wanted(&self.plan, &self.object, one);
        let merged: Vec<&str> = match (&live, uid) {
            (Some(live), Some(uid)) => {
                let annotations = live.0.metadata.annotations.as_ref();
                annotations
                    .map(|annotations| merged_keys(annotations, uid))
                    .unwrap_or_default()
            }
            _ => Vec::new(),
        };
        for key in there.keys() {
            let ours = wanted.policy == CreationPolicy::Own || merged.contains(key);
            keys.entry((*key).to_owned())
                .or_insert(if ours { Fate::Goes } else { Fate::Stays });
        }
        let name = self.object.name_any();
        let claimant = Claimant {
            uid: uid.unwrap_or_default(),
            name: &name,
            remembered: None,
            living: &[],
            left_behind: &[],
            adopts_external_secrets: wanted.adopts_external_secrets,
        };
        let outcome = match decide(&wanted, &claimant, live.as_ref().map(|live| &live.0)) {
            Ok(Step::Nothing) => Outcome::Nothing,
            Ok(Step::Create(_)) => Outcome::Created,
            Ok(Step::Replace(..)) => Outcome::Written,
            Ok(Step::Recreate(_)) => Outcome::Recreated,
            Err(Refusal::Conflict(message)) => Outcome::Refused(format!("TargetConflict: {message}")),
            Err(Refusal::NothingToMergeInto) => Outcome::Refused(
                "TargetMissing: there is no Secret to merge into; create it, or use creationPolicy Own".to_owned(),
            ),
            Err(Refusal::BeingDeleted) => Outcome::Refused("TargetConflict: the Secret is being deleted".to_owned()),
        };
        Ok(Fates { outcome, keys })
    }

    /// The Secret's data, with `unknown` for each value that is made when the manifest is applied.
    fn project(
        &self,
        records: &BTreeMap<Reading, (Version, RecordData)>,
        imported: Option<&BTreeMap<KeyName, Value>>,
        unknown: &str,
    ) -> Result<Data, String> {
        let mut whole = true;
        let mut fetched = Vec::with_capacity(self.plan.refs.len());
        for reading in self.readings() {
            let found = records.get(&reading);
            let is_own = reading.path == self.plan.own && reading.version.is_none();
            let present = found.map(|(_, data)| copy(data)).unwrap_or_default();
            let map = if is_own {
                self.fed(present, imported, unknown, &mut whole)?
            } else {
                present
            };
            if found.is_none() && !(is_own && self.plan.source.is_some()) {
                return Err(format!(
                    "PathNotFound: there is no record at '{}', or not that version of it",
                    reading.path
                ));
            }
            let version = match found {
                Some((version, _)) => *version,
                None => Version::new(1).map_err(|error| error.to_string())?,
            };
            let data = RecordData::new(map).map_err(|error| error.to_string())?;
            let head = RecordHead {
                id: Uuid::nil(),
                version,
                state: VersionState::Live,
                revision: 0,
                managed_by: None,
                source: None,
            };
            fetched.push(SyncRecord { head, data });
        }
        let projected = if whole {
            self.plan.project(fetched)
        } else {
            self.plan.project_unchecked(fetched)
        };
        projected.map_err(|problem| format!("{}: {}", problem.reason.as_str(), problem.message))
    }

    /// The own record as its source leaves it.
    fn fed(
        &self,
        mut present: BTreeMap<KeyName, Value>,
        imported: Option<&BTreeMap<KeyName, Value>>,
        unknown: &str,
        whole: &mut bool,
    ) -> Result<BTreeMap<KeyName, Value>, String> {
        match &self.plan.source {
            None => {}
            Some(SourcePlan::Generate(source)) => {
                for missing in source.missing(&present).map_err(|error| error.to_string())? {
                    let Some(spec) = source.keys.get(missing) else { continue };
                    *whole = false;
                    for output in outputs(missing, spec).map_err(|error| error.to_string())? {
                        present.insert(output, Value::text(unknown));
                    }
                }
            }
            Some(SourcePlan::Sealed(keys)) => {
                *whole = false;
                present = keys.keys().map(|key| (key.clone(), Value::text(unknown))).collect();
            }
            Some(SourcePlan::Import { .. }) => {
                if let Some(imported) = imported {
                    present = imported
                        .iter()
                        .map(|(key, value)| (key.clone(), again(value)))
                        .collect();
                }
            }
        }
        Ok(present)
    }
}

fn copy(data: &RecordData) -> BTreeMap<KeyName, Value> {
    data.iter().map(|(key, value)| (key.clone(), again(value))).collect()
}

fn again(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(text.clone()),
        Value::Json(text) => Value::Json(text.clone()),
        Value::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "written as json! at each call")]
    fn forecast(spec: serde_json::Value) -> Forecast {
        let object = json!({
            "apiVersion": "aethervault.io/v1alpha1",
            "kind": "VaultSecret",
            "metadata": { "name": "db", "namespace": "shop" },
            "spec": spec,
        });
        Forecast::of("k8s", serde_json::from_value(object).unwrap()).unwrap()
    }

    fn records(entries: &[(&str, &str)]) -> BTreeMap<Reading, (Version, RecordData)> {
        let map = entries
            .iter()
            .map(|(key, value)| (KeyName::parse(*key).unwrap(), Value::text(*value)));
        let reading = Reading {
            path: RecordPath::parse("k8s/shop/db").unwrap(),
            version: None,
        };
        let data = RecordData::new(map.collect()).unwrap();
        BTreeMap::from([(reading, (Version::new(3).unwrap(), data))])
    }

    fn live(owner: &str, entries: &[(&str, &str)]) -> Secret {
        serde_json::from_value(json!({
            "metadata": {
                "name": "db", "namespace": "shop", "uid": "s", "resourceVersion": "1",
                "labels": { "aethervault.io/managed-by": "aether-vault" }, "annotations": { "aethervault.io/owner-uid": owner },
            },
            "type": "Opaque",
            "data": entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect::<BTreeMap<_, _>>(),
        }))
        .unwrap()
    }

    #[test]
    fn each_key_has_its_fate() {
        let spec = json!({ "data": [
            { "key": "same", "from": { "key": "a" } },
            { "key": "other", "from": { "key": "b" } },
            { "key": "fresh", "template": "x" },
        ] });
        let secret = live("me", &[("same", "1"), ("other", "old"), ("gone", "g")]);
        let fates = forecast(spec)
            .fates(&records(&[("a", "1"), ("b", "2")]), None, Some("me"), Some(secret))
            .unwrap();
        let fate = |key: &str| fates.keys[key];
        assert_eq!(fates.outcome, Outcome::Written);
        assert_eq!(
            (fate("same"), fate("other"), fate("fresh"), fate("gone")),
            (Fate::Stays, Fate::Changes, Fate::Appears, Fate::Goes)
        );
    }

    #[test]
    fn what_is_made_later_is_unknown_and_what_hangs_on_it_too() {
        let spec = json!({
            "source": { "generate": { "keys": { "kept": { "uuid": {} }, "made": { "uuid": {} } } } },
            "data": [{ "key": "kept", "from": { "key": "kept" } }, { "key": "url", "template": "{{ data.made }}@db" }],
        });
        let secret = live("me", &[("kept", "1"), ("url", "old")]);
        let fates = forecast(spec)
            .fates(&records(&[("kept", "1")]), None, Some("me"), Some(secret))
            .unwrap();
        assert_eq!((fates.keys["kept"], fates.keys["url"]), (Fate::Stays, Fate::Unknown));
    }

    #[test]
    fn a_secret_of_somebody_else_is_left_alone() {
        let mut secret = live("other", &[("a", "1")]);
        secret.metadata.labels = None;
        secret.metadata.annotations = None;
        let fates = forecast(json!({}))
            .fates(&records(&[("a", "2")]), None, None, Some(secret))
            .unwrap();
        assert!(
            matches!(&fates.outcome, Outcome::Refused(message) if message.starts_with("TargetConflict")),
            "{fates:?}"
        );
    }

    #[test]
    fn a_record_that_is_not_there_is_said_to_be_missing() {
        let problem = forecast(json!({}))
            .fates(&BTreeMap::new(), None, None, None)
            .unwrap_err();
        assert!(problem.starts_with("PathNotFound"), "{problem}");
    }

    #[test]
    fn what_it_takes_depends_on_the_source() {
        let follow = forecast(json!({ "source": { "importFrom": { "secretName": "legacy", "mode": "Follow" } } }));
        let own = RecordPath::parse("k8s/shop/db").unwrap();
        let needs = |there: bool| {
            follow
                .needs(there)
                .into_iter()
                .map(|(_, capability)| capability)
                .collect::<Vec<_>>()
        };
        assert_eq!(follow.own(), &own);
        assert!(needs(true).contains(&Capability::Update) && needs(false).contains(&Capability::Create));
        assert_eq!(follow.imports(true), Some("legacy"));
    }
}
