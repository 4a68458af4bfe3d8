//! What stands in the way of a `VaultSecret`, with the closed set of reasons that conditions, events and metrics use.

use std::fmt;

use crate::k8s::crd::vault_secret::KeyAtFault;
use crate::service::error::{Error, Reason as VaultReason};

/// The reason of a condition. The names are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::k8s::controller) enum Reason {
    /// Policy denies, or does not allow.
    PolicyDenied,
    /// The namespace's root belongs to an earlier namespace of the same name.
    RootOrphaned,
    /// There is no record at a path.
    PathNotFound,
    /// A version is deleted, destroyed or no longer kept.
    VersionGone,
    /// Another resource feeds the record.
    ManagedByOther,
    /// A sealed value does not open.
    SealedValueInvalid,
    /// The Secret to import is not there, or cannot be imported.
    ImportFailed,
    /// A record lacks a key that is named.
    KeyMissing,
    /// A value does not have the part, or the encoding, that is asked for.
    InvalidValue,
    /// A key of the Secret is made twice.
    KeyConflict,
    /// A template cannot be rendered.
    TemplateError,
    /// The Secret would be larger than Kubernetes holds.
    TargetTooLarge,
    /// The Secret belongs to somebody else.
    TargetConflict,
    /// There is no Secret to merge into.
    TargetMissing,
    /// Kubernetes refuses the Secret.
    TargetRefused,
    /// The spec cannot be carried out.
    InvalidSpec,
    /// The vault is full or busy, or its store does not answer.
    StoreUnavailable,
    /// The keys that open the record are not loaded.
    KeyUnavailable,
    /// The API server does not answer.
    ClusterUnavailable,
    /// A defect; the log has the cause.
    Internal,
}

impl Reason {
    pub(in crate::k8s::controller) fn as_str(self) -> &'static str {
        match self {
            Self::PolicyDenied => "PolicyDenied",
            Self::RootOrphaned => "RootOrphaned",
            Self::PathNotFound => "PathNotFound",
            Self::VersionGone => "VersionGone",
            Self::ManagedByOther => "ManagedByOther",
            Self::SealedValueInvalid => "SealedValueInvalid",
            Self::ImportFailed => "ImportFailed",
            Self::KeyMissing => "KeyMissing",
            Self::InvalidValue => "InvalidValue",
            Self::KeyConflict => "KeyConflict",
            Self::TemplateError => "TemplateError",
            Self::TargetTooLarge => "TargetTooLarge",
            Self::TargetConflict => "TargetConflict",
            Self::TargetMissing => "TargetMissing",
            Self::TargetRefused => "TargetRefused",
            Self::InvalidSpec => "InvalidSpec",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::KeyUnavailable => "KeyUnavailable",
            Self::ClusterUnavailable => "ClusterUnavailable",
            Self::Internal => "Internal",
        }
    }
}

/// How far a reconcile came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::k8s::controller) enum Stage {
    /// Before anything was decided.
    Begin,
    /// Policy was asked.
    Authorize,
    /// Records were looked up.
    Read,
    /// The Secret was written.
    Write,
}

/// What stands in the way.
#[derive(Debug, Clone)]
pub(in crate::k8s::controller) struct Problem {
    pub(in crate::k8s::controller) reason: Reason,
    /// For people: what to do. Never a value.
    pub(in crate::k8s::controller) message: String,
    pub(in crate::k8s::controller) stage: Stage,
    /// Whether the controller tries again by itself; otherwise the next change wakes the resource.
    pub(in crate::k8s::controller) retried: bool,
    /// Whether it is a passing failure of ours, which says nothing about the resource.
    pub(in crate::k8s::controller) unknown: bool,
    /// The keys of the Secret that cannot be made, if it is that.
    pub(in crate::k8s::controller) keys: Vec<KeyAtFault>,
}

impl Problem {
    pub(in crate::k8s::controller) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let (stage, retried, unknown) = match reason {
            Reason::InvalidSpec => (Stage::Begin, false, false),
            Reason::PolicyDenied | Reason::RootOrphaned => (Stage::Authorize, false, false),
            Reason::PathNotFound | Reason::VersionGone | Reason::ManagedByOther | Reason::SealedValueInvalid => {
                (Stage::Read, false, false)
            }
            // Only a Secret that is followed is watched.
            Reason::ImportFailed => (Stage::Read, true, false),
            Reason::KeyMissing
            | Reason::InvalidValue
            | Reason::KeyConflict
            | Reason::TemplateError
            | Reason::TargetTooLarge => (Stage::Write, false, false),
            // Nothing tells us when somebody else's Secret goes, or a webhook changes its mind.
            Reason::TargetConflict | Reason::TargetMissing | Reason::TargetRefused => (Stage::Write, true, false),
            Reason::StoreUnavailable | Reason::KeyUnavailable | Reason::ClusterUnavailable | Reason::Internal => {
                (Stage::Begin, true, true)
            }
        };
        Self {
            reason,
            message: message.into(),
            stage,
            retried,
            unknown,
            keys: Vec::new(),
        }
    }

    /// A failure at the vault's door.
    pub(in crate::k8s::controller) fn of_vault(error: &Error) -> Self {
        let reason = match error.reason() {
            VaultReason::PolicyDenied | VaultReason::StepUpRequired | VaultReason::ClusterMismatch => {
                Reason::PolicyDenied
            }
            VaultReason::RootOrphaned => Reason::RootOrphaned,
            VaultReason::PathNotFound => Reason::PathNotFound,
            VaultReason::VersionGone | VaultReason::RecordDeleted | VaultReason::RootShredded => Reason::VersionGone,
            VaultReason::Busy
            | VaultReason::Maintenance
            | VaultReason::StoreUnavailable
            | VaultReason::CheckAndSetFailed
            | VaultReason::QuotaExceeded
            | VaultReason::WriteRateExceeded => Reason::StoreUnavailable,
            VaultReason::KeyUnavailable => Reason::KeyUnavailable,
            VaultReason::InvalidRequest
            | VaultReason::InvalidPath
            | VaultReason::InvalidRecord
            | VaultReason::TooLarge
            | VaultReason::InvalidPolicy => Reason::InvalidSpec,
            VaultReason::ManagedByResource => Reason::ManagedByOther,
            VaultReason::SealedValue => Reason::SealedValueInvalid,
            _ => Reason::Internal,
        };
        Self::new(reason, error.message())
    }

    /// A failure of the API server. Its text is not repeated: it may quote what was sent.
    pub(in crate::k8s::controller) fn of_cluster(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 403 => Self::new(
                Reason::TargetRefused,
                "the API server does not let the controller write the Secret; give its service account the roles under config/rbac, and \
                 look for a quota or an admission policy that forbids it",
            ),
            kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let fields: Vec<_> = causes
                    .filter(|cause| !cause.field.is_empty())
                    .map(|cause| format!("{} ({})", cause.field, cause.reason))
                    .collect();
                let at = if fields.is_empty() {
                    String::new()
                } else {
                    format!(": {}", fields.join(", "))
                };
                Self::new(
                    Reason::TargetRefused,
                    format!(
                        "the API server refuses the Secret{at}; change data, target.type, target.labels or target.annotations to fit"
                    ),
                )
            }
            _ => Self::new(
                Reason::ClusterUnavailable,
                "the API server does not answer as it should; trying again",
            ),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.message)
    }
}
