//! What a manifest would do, for whoever asks before applying it: the cluster is asked with their kubeconfig, and the rules are the controller's.

pub use crate::k8s::controller::{Fate, Fates, Forecast, Outcome, Reading};
pub use crate::k8s::dry_run::{Cluster, Kind};
