//! An audit entry: an allow-list of fields, bounded and cleaned before anything is queued. Values never appear.

pub mod chain;
pub mod daily;
pub mod draft;
pub mod leaf;
pub mod merkle;
pub mod noise;
pub mod proof;
pub mod query;
pub mod report;
pub mod syslog;
pub mod verify;

use uuid::Uuid;

use super::policy::{Because, Decision};

/// Characters kept of a client's name for itself.
const USER_AGENT_CHARS: usize = 200;
/// Characters kept of any other text.
const TEXT_CHARS: usize = 600;

/// What was done, or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A person logged in.
    Login,
    /// A login passed its first factor and waits for the second.
    FirstFactor,
    /// A second factor was shown to a login that waits for it.
    SecondFactor,
    /// Another key signs access tokens.
    SigningKeyRotate,
    /// Sessions were listed.
    SessionList,
    /// Sessions were ended by their user or an administrator.
    SessionRevoke,
    /// A second factor was shown again within a session.
    StepUp,
    /// A second factor was offered to an account, which does not count yet.
    SecondFactorOffer,
    /// A second factor was enrolled.
    SecondFactorEnrol,
    /// A second factor was removed.
    SecondFactorRemove,
    /// Recovery codes were made anew.
    RecoveryCodes,
    /// A session went on by its refresh token.
    Refresh,
    /// A login by single sign-on came to nothing; one that came to something is a login.
    SsoLogin,
    /// An identity at a provider was linked.
    IdentityLink,
    /// An identity at a provider was unlinked.
    IdentityUnlink,
    /// The identities of a user were listed.
    IdentityList,
    /// A device was let in.
    DeviceApprove,
    /// A device was refused.
    DeviceDeny,
    /// A workload logged in.
    WorkloadLogin,
    /// A cluster published what it signs service account tokens with.
    ClusterIssuer,
    /// A session was ended by its owner.
    Logout,
    /// A password was changed.
    PasswordChange,
    /// Users were listed.
    UserList,
    /// A user was looked at.
    UserRead,
    /// A user was made.
    UserCreate,
    /// A user was changed.
    UserChange,
    /// A user was deleted, and can be restored.
    UserDelete,
    /// A user was restored.
    UserRestore,
    /// A user was removed for good.
    UserRemove,
    /// A person's password was taken away.
    UserReset,
    /// An account was unlocked.
    UserUnlock,
    /// A person changed what they are called, or their address.
    ProfileChange,
    /// A passkey was registered.
    PasskeyAdd,
    /// A passkey got another name.
    PasskeyRename,
    /// A passkey was removed.
    PasskeyRemove,
    /// Groups were listed.
    GroupList,
    /// A group or its members were looked at.
    GroupRead,
    /// A group was made.
    GroupCreate,
    /// A group got another name.
    GroupRename,
    /// A group was removed.
    GroupRemove,
    /// A user was made a member of a group.
    GroupMemberAdd,
    /// A membership was ended.
    GroupMemberRemove,
    /// Somebody with the owner's database URL and the root key made an administrator.
    RecoverAdministrator,
    /// Such a somebody disabled a policy.
    RecoverDisablePolicy,
    /// Such a somebody enabled a policy again.
    RecoverEnablePolicy,
    /// Such a somebody unlocked an account.
    RecoverUnlock,
    /// An API key was made.
    ApiKeyCreate,
    /// An API key got a successor.
    ApiKeyRotate,
    /// An API key was revoked.
    ApiKeyRevoke,
    /// The API keys of a user were listed.
    ApiKeyList,
    /// An API key was used where it may not be used.
    ApiKeyUse,
    /// The first administrator was made.
    Bootstrap,
    /// Values were read.
    RecordRead,
    /// A list was read.
    RecordList,
    /// The versions of a record were listed.
    RecordVersions,
    /// Who carries a record was listed.
    RecordConsumers,
    /// A version was written.
    RecordWrite,
    /// A resource had values generated.
    RecordGenerate,
    /// Values were made anew by a rotation, previous ones dropped, or a certificate renewed.
    RecordRotate,
    /// Sealed values or an imported Secret were written.
    RecordFeed,
    /// A record is everybody's again.
    RecordRelease,
    /// A key to seal values to was made.
    SealingKeyCreate,
    /// A sealed value was sealed anew to the newest key.
    SealingRewrap,
    /// Versions were soft-deleted.
    RecordDelete,
    /// Versions were brought back.
    RecordUndelete,
    /// Versions were destroyed.
    RecordDestroy,
    /// Some keys of a record were changed.
    RecordPatch,
    /// An earlier version was written anew.
    RecordRollback,
    /// Versions were compared.
    RecordDiff,
    /// A record was read to be copied.
    RecordCopy,
    /// A record was moved.
    RecordMove,
    /// What a record says of itself was read.
    RecordMetadata,
    /// What a record says of itself was changed.
    RecordDescribe,
    /// A whole record was deleted, and can be restored.
    RecordRemove,
    /// A whole record was restored.
    RecordRestore,
    /// A whole record was removed for good.
    RecordPurge,
    /// Records were searched.
    RecordSearch,
    /// A record became a resource's to write, or free again.
    RecordManage,
    /// Values were put behind a token that is good once.
    RecordWrap,
    /// A token that is good once was used.
    RecordUnwrap,
    /// A token that is good once was looked up.
    RecordUnwrapLookup,
    /// A token that is good once was revoked.
    RecordUnwrapRevoke,
    /// What prefixes ask of records was listed.
    PathSettingsRead,
    /// What a prefix asks of records was changed.
    PathSettingsChange,
    /// Values were read to be written into a Kubernetes Secret.
    SyncRead,
    /// A `VaultSecret` is gone, and what became of its Secret.
    SyncForget,
    /// Held deletions were confirmed.
    SyncConfirm,
    /// A policy was put in force or changed.
    PolicyApply,
    /// A policy ended.
    PolicyRemove,
    /// A policy was read.
    PolicyRead,
    /// Policies were listed.
    PolicyList,
    /// A decision was explained.
    PolicyExplain,
    /// What a policy would change was looked at.
    PolicyPreview,
    /// A cluster was registered.
    ClusterRegister,
    /// A namespace was bound to its root.
    RootBind,
    /// An orphaned root was given to the namespace of today.
    RootAdopt,
    /// The records under a root of a namespace that is gone were removed.
    RootPurge,
    /// The audit log was queried.
    AuditRead,
    /// The audit log was exported.
    AuditExport,
    /// The proof of an entry was asked for.
    AuditProve,
    /// The audit log was verified.
    AuditVerify,
    /// Retention dropped a day of the audit log.
    AuditDrop,
    /// The audit log was found on another server than it was written on, as after a restore.
    AuditRestore,
    /// What the audit log says of access was reported.
    ReportRead,
    /// The state of the installation was looked at.
    SystemRead,
    /// A setting that is kept in the database was changed.
    SystemConfig,
    /// Requests of one network without a known sender, beyond a rate: one entry for all of them.
    Noise,
    /// Roots were listed.
    RootList,
    /// The quota of a root was changed.
    RootQuota,
    /// The keys of a root were removed for good.
    RootShred,
}

impl Action {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "auth.login",
            Self::FirstFactor => "auth.first_factor",
            Self::SecondFactor => "auth.second_factor",
            Self::SigningKeyRotate => "signing_key.rotate",
            Self::SessionList => "session.list",
            Self::SessionRevoke => "session.revoke",
            Self::StepUp => "auth.step_up",
            Self::SecondFactorOffer => "second_factor.offer",
            Self::SecondFactorEnrol => "second_factor.enrol",
            Self::SecondFactorRemove => "second_factor.remove",
            Self::RecoveryCodes => "second_factor.recovery_codes",
            Self::Refresh => "auth.refresh",
            Self::SsoLogin => "auth.login_sso",
            Self::IdentityLink => "identity.link",
            Self::IdentityUnlink => "identity.unlink",
            Self::IdentityList => "identity.list",
            Self::DeviceApprove => "device.approve",
            Self::DeviceDeny => "device.deny",
            Self::WorkloadLogin => "auth.login_workload",
            Self::ClusterIssuer => "cluster.issuer",
            Self::Logout => "auth.logout",
            Self::PasswordChange => "auth.password_change",
            Self::ApiKeyCreate => "api_key.create",
            Self::ApiKeyRotate => "api_key.rotate",
            Self::UserList => "user.list",
            Self::UserRead => "user.read",
            Self::UserCreate => "user.create",
            Self::UserChange => "user.change",
            Self::UserDelete => "user.delete",
            Self::UserRestore => "user.restore",
            Self::UserRemove => "user.remove",
            Self::UserReset => "user.reset",
            Self::UserUnlock => "user.unlock",
            Self::ProfileChange => "profile.change",
            Self::PasskeyAdd => "passkey.add",
            Self::PasskeyRename => "passkey.rename",
            Self::PasskeyRemove => "passkey.remove",
            Self::GroupList => "group.list",
            Self::GroupRead => "group.read",
            Self::GroupCreate => "group.create",
            Self::GroupRename => "group.rename",
            Self::GroupRemove => "group.remove",
            Self::GroupMemberAdd => "group.member_add",
            Self::GroupMemberRemove => "group.member_remove",
            Self::RecoverAdministrator => "recover.administrator",
            Self::RecoverDisablePolicy => "recover.policy_disable",
            Self::RecoverEnablePolicy => "recover.policy_enable",
            Self::RecoverUnlock => "recover.unlock",
            Self::ApiKeyRevoke => "api_key.revoke",
            Self::ApiKeyList => "api_key.list",
            Self::ApiKeyUse => "api_key.use",
            Self::Bootstrap => "auth.bootstrap",
            Self::RecordRead => "record.read",
            Self::RecordList => "record.list",
            Self::RecordVersions => "record.versions",
            Self::RecordConsumers => "record.consumers",
            Self::RecordWrite => "record.write",
            Self::RecordGenerate => "record.generate",
            Self::RecordRotate => "record.rotate",
            Self::RecordFeed => "record.feed",
            Self::RecordRelease => "record.release",
            Self::SealingKeyCreate => "sealing_key.create",
            Self::SealingRewrap => "sealing_key.rewrap",
            Self::RecordDelete => "record.delete",
            Self::RecordUndelete => "record.undelete",
            Self::RecordDestroy => "record.destroy",
            Self::RecordPatch => "record.patch",
            Self::RecordRollback => "record.rollback",
            Self::RecordDiff => "record.diff",
            Self::RecordCopy => "record.copy",
            Self::RecordMove => "record.move",
            Self::RecordMetadata => "record.metadata",
            Self::RecordDescribe => "record.describe",
            Self::RecordRemove => "record.remove",
            Self::RecordRestore => "record.restore",
            Self::RecordPurge => "record.purge",
            Self::RecordSearch => "record.search",
            Self::RecordManage => "record.manage",
            Self::RecordWrap => "record.wrap",
            Self::RecordUnwrap => "record.unwrap",
            Self::RecordUnwrapLookup => "record.unwrap_lookup",
            Self::RecordUnwrapRevoke => "record.unwrap_revoke",
            Self::PathSettingsRead => "path_settings.read",
            Self::PathSettingsChange => "path_settings.change",
            Self::SyncRead => "sync.read",
            Self::SyncForget => "sync.forget",
            Self::SyncConfirm => "sync.confirm",
            Self::PolicyApply => "policy.apply",
            Self::PolicyRemove => "policy.remove",
            Self::PolicyRead => "policy.read",
            Self::PolicyList => "policy.list",
            Self::PolicyExplain => "policy.explain",
            Self::PolicyPreview => "policy.preview",
            Self::ClusterRegister => "cluster.register",
            Self::RootBind => "root.bind",
            Self::RootAdopt => "root.adopt",
            Self::RootPurge => "root.purge",
            Self::AuditRead => "audit.read",
            Self::AuditExport => "audit.export",
            Self::AuditProve => "audit.prove",
            Self::AuditVerify => "audit.verify",
            Self::AuditDrop => report::DROP,
            Self::AuditRestore => "audit.restore",
            Self::ReportRead => "report.read",
            Self::SystemRead => "system.read",
            Self::SystemConfig => "system.config",
            Self::Noise => "auth.noise",
            Self::RootList => "root.list",
            Self::RootQuota => "root.quota",
            Self::RootShred => "root.shred",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed and done.
    Allow,
    /// It was refused.
    Deny,
    /// It was allowed and could not be done (no such record, wrong version).
    Fail,
}

impl Outcome {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Fail => "fail",
        }
    }
}

/// One entry. `at` is the database's clock and is not part of it.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// The request's id, as in the log and the answer.
    pub request_id: Uuid,
    /// Kind of the actor.
    pub actor_kind: &'static str,
    /// Id of the actor.
    pub actor_id: String,
    /// Name of the actor.
    pub actor_name: String,
    /// The door.
    pub door: &'static str,
    /// What was done.
    pub action: Action,
    /// The path, policy or other thing that it was done to.
    pub resource: String,
    /// The record's version, if one was concerned.
    pub version: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Reason of a refusal or failure; empty if allowed.
    pub reason: &'static str,
    /// The policy that decided, or the built-in right.
    pub policy: Option<String>,
    /// The rule within the policy.
    pub rule: Option<i32>,
    /// The client's address.
    pub client: Option<String>,
    /// The client's name for itself.
    pub user_agent: Option<String>,
    /// Uid of the resource that the controller acted for.
    pub origin_uid: Option<String>,
    /// Its generation.
    pub origin_generation: Option<i64>,
}

impl AuditEntry {
    /// Notes who decided.
    #[must_use]
    pub fn decided(mut self, decision: &Decision) -> Self {
        match &decision.because {
            Because::NoRule | Because::OutOfScope => {}
            Because::BuiltIn(name) => self.policy = Some(format!("built-in: {name}")),
            Because::Rule { policy, rule, .. } => {
                self.policy = Some(clean(policy, TEXT_CHARS));
                self.rule = i32::try_from(*rule).ok();
            }
        }
        self
    }

    /// Notes the version concerned.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// Notes how it ended.
    #[must_use]
    pub fn ended(mut self, outcome: Outcome, reason: &'static str) -> Self {
        self.outcome = outcome;
        self.reason = reason;
        self
    }
}

/// A client's name for itself, fit to be stored.
#[must_use]
pub fn clean_user_agent(text: &str) -> String {
    clean(text, USER_AGENT_CHARS)
}

/// Any other text from outside, fit to be stored.
#[must_use]
pub fn clean_text(text: &str) -> String {
    clean(text, TEXT_CHARS)
}

/// Replaces control characters (NUL among them, which Postgres refuses) and cuts at `chars`.
fn clean(text: &str, chars: usize) -> String {
    text.chars()
        .take(chars)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r26_texts_are_bounded_and_free_of_control_characters() {
        let dirty = format!("curl\0/8\r\n{}", "x".repeat(1000));
        let clean = clean_user_agent(&dirty);
        assert_eq!(clean.chars().count(), USER_AGENT_CHARS);
        assert!(clean.starts_with("curl\u{fffd}/8\u{fffd}\u{fffd}x"));
        assert!(!clean.chars().any(char::is_control));
    }
}
