//! The context of every use case: who acts, when, through which door.
//!
//! An [`OpContext`] cannot be put together outside `service`: it comes from a verified token or from the controller's door, so no
//! handler can forge an actor.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::error::{Error, Reason, Result};
use crate::crypto::token::TokenHash;
use crate::domain::actor::{Actor, Role, UserIdentity};
use crate::domain::policy::Circumstances;

/// The door that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The REST API.
    Rest,
    /// The Kubernetes controller.
    Controller,
    /// A command run by an operator, or the process itself.
    Process,
}

impl Door {
    /// As audit entries name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Controller => "controller",
            Self::Process => "process",
        }
    }
}

/// Where a request came from, as far as the door can tell.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's name for itself; bounded and cleaned before it is stored.
    pub user_agent: Option<String>,
    /// The resource that the controller acts for.
    pub resource: Option<ResourceOrigin>,
}

/// The custom resource behind an operation of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceOrigin {
    /// The resource's uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
}

/// What an operation's audit commit has to confirm about the actor.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// This session is neither revoked nor past its end, and what was decided with it is what it stands for.
    Session(SessionCredential),
    /// This API key is neither revoked nor past its end, and at this revision.
    ApiKey {
        /// The key.
        id: Uuid,
        /// Its revision when it was verified.
        revision: i64,
        /// Under which it is kept in memory.
        hash: TokenHash,
    },
    /// Nothing: the controller and the process vouch for themselves.
    Own,
}

/// The session behind an operation, as far as decisions look at it.
#[derive(Debug, Clone)]
pub(super) struct SessionCredential {
    pub(super) id: Uuid,
    state: Arc<Mutex<SessionState>>,
}

/// What a session stands for beside its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionState {
    /// Rises when the rest changes.
    pub(super) revision: i64,
    /// When the session last saw a second factor.
    pub(super) second_factor_at: Option<Timestamp>,
}

impl SessionCredential {
    pub(super) fn new(id: Uuid, state: SessionState) -> Self {
        Self {
            id,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn state(&self) -> SessionState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the session stands for by now, so that an operation that was not confirmed is decided anew with it.
    pub(super) fn update(&self, state: SessionState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Who acts, when, through which door. The first argument of every use case.
#[derive(Debug, Clone)]
pub struct OpContext {
    pub(super) actor: Actor,
    pub(super) door: Door,
    pub(super) now: Timestamp,
    pub(super) request_id: Uuid,
    pub(super) origin: Origin,
    pub(super) credential: Credential,
}

impl OpContext {
    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The time at which the operation began.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What a decision may look at beside the actor.
    #[must_use]
    pub fn circumstances(&self) -> Circumstances {
        Circumstances {
            now: self.now,
            client: self.origin.client,
            second_factor_at: self.session_state().and_then(|state| state.second_factor_at),
        }
    }

    /// What the session behind it stands for.
    pub(super) fn session_state(&self) -> Option<SessionState> {
        match &self.credential {
            Credential::Session(session) => Some(session.state()),
            Credential::ApiKey { .. } | Credential::Own => None,
        }
    }

    /// The person, and the session of theirs, that acts. What makes credentials or changes how somebody logs in asks for this: an API key
    /// or a workload could make itself a successor that nobody knows of.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`].
    pub(super) fn person(&self) -> Result<(&UserIdentity, Uuid)> {
        match (&self.actor, &self.credential) {
            (Actor::User(user), Credential::Session(session)) => Ok((user, session.id)),
            _ => Err(Error::new(
                Reason::SessionRequired,
                "this takes a person's own session; log in instead of using an API key or a workload's token",
            )),
        }
    }

    /// Whether the actor may administer: an administrator, or an API key of one that says so.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`].
    pub(super) fn administrator(&self) -> Result<()> {
        if self.actor.administrative_role() == Some(Role::Admin) {
            return Ok(());
        }
        Err(Error::new(
            Reason::AdministratorRequired,
            "this is for administrators, and for those of their API keys that were made with 'administers'",
        ))
    }

    /// Whether the actor may look at what is administered: administrators and auditors, and those of their API keys that administer.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`].
    pub(super) fn auditor(&self) -> Result<()> {
        if matches!(self.actor.administrative_role(), Some(Role::Admin | Role::Auditor)) {
            return Ok(());
        }
        Err(Error::new(
            Reason::RoleRequired,
            "this is for administrators and auditors, and for those of their API keys that were made with 'administers'",
        ))
    }

    /// The id under which the log and the audit entry stand.
    #[must_use]
    pub fn request_id(&self) -> Uuid {
        self.request_id
    }
}

/// The clock. One implementation reads the system's; tests bring their own.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
