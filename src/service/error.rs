//! The one error of every use case: a closed reason, a public message, a private source.
//!
//! HTTP turns the reason into a status code in one match, the controller into a condition in another. The message is written for
//! the user and never holds a value; the source goes to the log once, at the door.

use std::fmt;

/// Why a use case failed. The names are stable: they stand in answers, conditions, audit entries and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is not of the form that the endpoint takes.
    InvalidRequest,
    /// The path does not parse.
    InvalidPath,
    /// Keys or values are not a record.
    InvalidRecord,
    /// The record or the body is larger than the bound.
    TooLarge,
    /// A policy document does not compile.
    InvalidPolicy,
    /// No access token was sent.
    TokenMissing,
    /// The access token is not one of ours.
    TokenInvalid,
    /// The access token is past its time.
    TokenExpired,
    /// The session was ended, or its user may no longer act.
    SessionEnded,
    /// The refresh token was used before, or is not one of ours.
    RefreshTokenInvalid,
    /// The API key was revoked, is past its end, or its owner may no longer act.
    ApiKeyEnded,
    /// The API key may not be used from this address.
    AddressNotAllowed,
    /// Only a person in a session of their own may do this.
    SessionRequired,
    /// Only an administrator may do this.
    AdministratorRequired,
    /// There is no such session, or it has ended.
    SessionNotFound,
    /// There is no such user.
    UserNotFound,
    /// No domain for passkeys is set up.
    PasskeysOff,
    /// The challenge of a passkey has ended, or the answer does not fit it.
    PasskeyRefused,
    /// The caller has no such passkey.
    PasskeyNotFound,
    /// There is no such group.
    GroupNotFound,
    /// The name is another group's.
    GroupExists,
    /// The user is no member of the group.
    MemberNotFound,
    /// The name or the address is another user's.
    UserExists,
    /// Nobody would be left who can administer.
    LastAdministrator,
    /// The link for one use was used, is past its end, or is not ours.
    OneTimeTokenInvalid,
    /// There is no such API key among the owner's.
    ApiKeyNotFound,
    /// There are as many of these as there may be.
    LimitReached,
    /// The cluster's API server cannot be asked about a token.
    ReviewUnavailable,
    /// There is no provider of single sign-on of this name.
    ProviderNotFound,
    /// The provider cannot be reached, or does not answer as one does.
    ProviderUnavailable,
    /// The provider did not confirm a login.
    ProviderRefused,
    /// A browser may not be sent to this address (R12).
    RedirectNotAllowed,
    /// State, browser, code or verifier are not those of a login under way (R12).
    SsoFlowInvalid,
    /// Nobody is linked to this identity, and the provider makes no users.
    IdentityUnknown,
    /// The identity is another user's.
    IdentityTaken,
    /// There is no such identity among the user's.
    IdentityNotFound,
    /// An account has the name or the address of who comes by a provider; it is not taken over.
    AccountExists,
    /// Nothing would be left to log in with.
    LastCredential,
    /// No device waits with this code, or the caller guessed too often.
    UserCodeUnknown,
    /// Nobody has decided about the device yet (RFC 8628).
    AuthorizationPending,
    /// The device asks too often (RFC 8628).
    SlowDown,
    /// The device was refused (RFC 8628).
    DeviceDenied,
    /// The device's code is past its time, was used, or is not ours (RFC 8628).
    DeviceCodeExpired,
    /// Unknown name, wrong password, locked or disabled: one answer for all (R3).
    LoginFailed,
    /// The login challenge has ended, was used, or is not ours.
    ChallengeInvalid,
    /// The second factor is wrong, or was used before.
    SecondFactorFailed,
    /// Too many second factors were wrong.
    SecondFactorLocked,
    /// The account has no second factor.
    SecondFactorNotEnrolled,
    /// The account has such a second factor already.
    SecondFactorExists,
    /// Who is asking has to be shown again.
    ReauthenticationRequired,
    /// A one-time password was right and must be replaced to log in.
    PasswordChangeRequired,
    /// The new password does not meet the rules.
    PasswordTooWeak,
    /// Policy denies, or does not allow. The same whether or not the path exists (R35).
    PolicyDenied,
    /// Policy wants a second factor that was given lately.
    StepUpRequired,
    /// Only an administrator or an auditor may look at this.
    RoleRequired,
    /// A policy would grant what its author does not hold (R20).
    GrantBeyondOwn,
    /// There is no policy of this name.
    PolicyNotFound,
    /// There is no record at the path.
    PathNotFound,
    /// The version is deleted, destroyed, or no longer kept.
    VersionGone,
    /// Check-and-set expected another version.
    CheckAndSetFailed,
    /// Writes here have to say which version they follow.
    CasRequired,
    /// The whole record is deleted; it is restored or removed for good before it is written again.
    RecordDeleted,
    /// The root holds as much as its quota lets it.
    QuotaExceeded,
    /// The root is written more often than its quota lets it.
    WriteRateExceeded,
    /// The keys of the root are gone.
    RootShredded,
    /// The token for a wrapped value was used, is past its end, or is not ours.
    WrapGone,
    /// A resource feeds the record; it is written there.
    ManagedByResource,
    /// A sealed value does not open.
    SealedValue,
    /// The root belongs to an earlier namespace of the same name (R40).
    RootOrphaned,
    /// The cluster prefix belongs to another cluster.
    ClusterMismatch,
    /// There is no audit entry of this number, or it was dropped with its day.
    AuditEntryNotFound,
    /// The audit entry is in no block yet.
    NotSealed,
    /// The vault is read-only for the time being.
    Maintenance,
    /// The queue for this kind of work is full; try again shortly.
    Busy,
    /// Postgres cannot be reached or does not answer in time.
    StoreUnavailable,
    /// The key that opens the data is not loaded, or the data was tampered with.
    KeyUnavailable,
    /// A defect; the log has the cause under the request id.
    Internal,
}

impl Reason {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidPath => "InvalidPath",
            Self::InvalidRecord => "InvalidRecord",
            Self::TooLarge => "TooLarge",
            Self::InvalidPolicy => "InvalidPolicy",
            Self::TokenMissing => "TokenMissing",
            Self::TokenInvalid => "TokenInvalid",
            Self::TokenExpired => "TokenExpired",
            Self::SessionEnded => "SessionEnded",
            Self::RefreshTokenInvalid => "RefreshTokenInvalid",
            Self::ApiKeyEnded => "ApiKeyEnded",
            Self::AddressNotAllowed => "AddressNotAllowed",
            Self::SessionRequired => "SessionRequired",
            Self::AdministratorRequired => "AdministratorRequired",
            Self::SessionNotFound => "SessionNotFound",
            Self::UserNotFound => "UserNotFound",
            Self::PasskeysOff => "PasskeysOff",
            Self::PasskeyRefused => "PasskeyRefused",
            Self::PasskeyNotFound => "PasskeyNotFound",
            Self::GroupNotFound => "GroupNotFound",
            Self::GroupExists => "GroupExists",
            Self::MemberNotFound => "MemberNotFound",
            Self::UserExists => "UserExists",
            Self::LastAdministrator => "LastAdministrator",
            Self::OneTimeTokenInvalid => "OneTimeTokenInvalid",
            Self::ApiKeyNotFound => "ApiKeyNotFound",
            Self::LimitReached => "LimitReached",
            Self::ReviewUnavailable => "ReviewUnavailable",
            Self::ProviderNotFound => "ProviderNotFound",
            Self::ProviderUnavailable => "ProviderUnavailable",
            Self::ProviderRefused => "ProviderRefused",
            Self::RedirectNotAllowed => "RedirectNotAllowed",
            Self::SsoFlowInvalid => "SsoFlowInvalid",
            Self::IdentityUnknown => "IdentityUnknown",
            Self::IdentityTaken => "IdentityTaken",
            Self::IdentityNotFound => "IdentityNotFound",
            Self::AccountExists => "AccountExists",
            Self::LastCredential => "LastCredential",
            Self::UserCodeUnknown => "UserCodeUnknown",
            Self::AuthorizationPending => "AuthorizationPending",
            Self::SlowDown => "SlowDown",
            Self::DeviceDenied => "DeviceDenied",
            Self::DeviceCodeExpired => "DeviceCodeExpired",
            Self::LoginFailed => "LoginFailed",
            Self::ChallengeInvalid => "ChallengeInvalid",
            Self::SecondFactorFailed => "SecondFactorFailed",
            Self::SecondFactorLocked => "SecondFactorLocked",
            Self::SecondFactorNotEnrolled => "SecondFactorNotEnrolled",
            Self::SecondFactorExists => "SecondFactorExists",
            Self::ReauthenticationRequired => "ReauthenticationRequired",
            Self::PasswordChangeRequired => "PasswordChangeRequired",
            Self::PasswordTooWeak => "PasswordTooWeak",
            Self::PolicyDenied => "PolicyDenied",
            Self::StepUpRequired => "StepUpRequired",
            Self::RoleRequired => "RoleRequired",
            Self::GrantBeyondOwn => "GrantBeyondOwn",
            Self::PolicyNotFound => "PolicyNotFound",
            Self::PathNotFound => "PathNotFound",
            Self::VersionGone => "VersionGone",
            Self::CheckAndSetFailed => "CheckAndSetFailed",
            Self::CasRequired => "CasRequired",
            Self::RecordDeleted => "RecordDeleted",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::WriteRateExceeded => "WriteRateExceeded",
            Self::RootShredded => "RootShredded",
            Self::WrapGone => "WrapGone",
            Self::ManagedByResource => "ManagedByResource",
            Self::SealedValue => "SealedValue",
            Self::RootOrphaned => "RootOrphaned",
            Self::ClusterMismatch => "ClusterMismatch",
            Self::AuditEntryNotFound => "AuditEntryNotFound",
            Self::NotSealed => "NotSealed",
            Self::Maintenance => "Maintenance",
            Self::Busy => "Busy",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::KeyUnavailable => "KeyUnavailable",
            Self::Internal => "Internal",
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed use case. `Display` is the public half; [`Error::source_for_log`] is the private one.
pub struct Error {
    reason: Reason,
    message: String,
    source: Option<Source>,
}

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that the user can act on.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            source: None,
        }
    }

    /// The same, with the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A defect or a broken invariant.
    #[must_use]
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(
            Reason::Internal,
            "something went wrong on our side; the log has the cause under this request id",
        )
        .because(source)
    }

    /// The closed reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The public message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The cause, for the log alone: it may name tables, hosts and keys' ids, never values.
    #[must_use]
    pub fn source_for_log(&self) -> Option<String> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self.source.as_deref()?);
        let mut text = String::new();
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            next = error.source();
        }
        Some(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.message)?;
        self.source_for_log().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

impl std::error::Error for Error {}
