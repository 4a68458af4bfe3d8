//! Settings of the controller. `settings` embeds them; durations are whole seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the controller works, and for which part of which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerSettings {
    /// The first segment of the paths of this cluster's namespaces.
    pub cluster_prefix: String,
    /// The namespace that the operator runs in: its `VaultPolicy` resources speak for the whole cluster.
    pub operator_namespace: String,
    /// Whether those policies reach beyond the cluster's prefix.
    pub platform: bool,
    /// The namespaces to watch; empty means all of them, which takes cluster-wide roles.
    pub watch_namespaces: Vec<String>,
    /// The class of resources to look after, of several controllers in one cluster; empty means those without a class.
    pub class: String,
    /// The name of the Lease by which one replica leads.
    pub lease_name: String,
    /// Seconds after which a leader that was not heard of is replaced.
    #[serde(with = "seconds")]
    pub lease_duration: Duration,
    /// How many resources are worked on at a time.
    pub concurrency: u16,
    /// Seconds in which every resource is compared with the vault once, whatever happened.
    #[serde(with = "seconds")]
    pub full_check_interval: Duration,
    /// Whether workloads that use a Secret may be restarted when its data changes; takes rights of its own.
    pub restart_workloads: bool,
    /// This replica's name: the pod's.
    pub identity: String,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            cluster_prefix: "k8s".to_owned(),
            operator_namespace: "aether-vault-system".to_owned(),
            platform: false,
            watch_namespaces: Vec::new(),
            class: String::new(),
            lease_name: "aether-vault-controller".to_owned(),
            lease_duration: Duration::from_secs(9),
            concurrency: 16,
            full_check_interval: Duration::from_hours(1),
            restart_workloads: false,
            identity: "aether-vault".to_owned(),
        }
    }
}

impl ControllerSettings {
    /// Finds what cannot work.
    ///
    /// # Errors
    /// One sentence that names the setting and what to write.
    pub fn check(&self) -> Result<(), String> {
        if self.concurrency == 0 {
            return Err("controller.concurrency is 0; set it to at least 1".to_owned());
        }
        if self.lease_duration < Duration::from_secs(3) || self.lease_duration > Duration::from_mins(5) {
            return Err("controller.lease_duration must be between 3 and 300 seconds".to_owned());
        }
        if self.full_check_interval < Duration::from_mins(1) {
            return Err("controller.full_check_interval must be at least 60 seconds".to_owned());
        }
        for (setting, text) in [
            ("cluster_prefix", &self.cluster_prefix),
            ("operator_namespace", &self.operator_namespace),
            ("lease_name", &self.lease_name),
            ("identity", &self.identity),
        ] {
            if text.is_empty() {
                return Err(format!("controller.{setting} is empty; set it"));
            }
        }
        Ok(())
    }

    /// Whether the controller looks after a namespace.
    #[must_use]
    pub fn watches(&self, namespace: &str) -> bool {
        self.watch_namespaces.is_empty() || self.watch_namespaces.iter().any(|watched| watched == namespace)
    }

    /// Whether the controller looks after resources of a class; `None` is a resource without one.
    #[must_use]
    pub fn handles(&self, class: Option<&str>) -> bool {
        class.unwrap_or_default() == self.class
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_durations_are_seconds() {
        let settings: ControllerSettings = serde_json::from_str(r#"{"lease_duration": 15}"#).unwrap();
        assert_eq!(settings.lease_duration, Duration::from_secs(15));
        assert_eq!(settings.check(), Ok(()));
        assert!(serde_json::from_str::<ControllerSettings>(r#"{"lease": 15}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_named() {
        let settings = ControllerSettings {
            concurrency: 0,
            ..Default::default()
        };
        assert_eq!(
            settings.check().unwrap_err(),
            "controller.concurrency is 0; set it to at least 1"
        );
        let settings = ControllerSettings {
            lease_duration: Duration::from_secs(1),
            ..Default::default()
        };
        assert!(settings.check().unwrap_err().contains("lease_duration"));
    }

    #[test]
    fn a_controller_handles_its_class_and_one_without_a_class_what_has_none() {
        let plain = ControllerSettings::default();
        assert!(plain.handles(None) && !plain.handles(Some("blue")));
        let blue = ControllerSettings {
            class: "blue".into(),
            ..Default::default()
        };
        assert!(blue.handles(Some("blue")) && !blue.handles(Some("green")) && !blue.handles(None));
    }

    #[test]
    fn no_namespace_named_means_all() {
        assert!(ControllerSettings::default().watches("shop"));
        let scoped = ControllerSettings {
            watch_namespaces: vec!["shop".into()],
            ..Default::default()
        };
        assert!(scoped.watches("shop") && !scoped.watches("bank"));
    }
}
