//! Making the values that a resource asks to have generated: at first, at a rotation, and when a certificate runs out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::LocalDoor;
use crate::crypto::certificate::Authority;
use crate::crypto::generate::{Made, MakeError, make};
use crate::domain::audit::Action;
use crate::domain::generate::{GenerateSpec, IssuerSpec};
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{KeyName, Value};
use crate::domain::source::{GenerateSource, SourceError, SourceState, outputs, previous_name};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};

/// Keys and values of a record.
pub(super) type Values = BTreeMap<KeyName, Value>;

/// Values in the making.
pub(super) struct Making<'a> {
    pub(super) door: &'a LocalDoor,
    pub(super) ctx: &'a OpContext,
    pub(super) source: &'a GenerateSource,
    pub(super) values: Values,
    pub(super) state: SourceState,
}

impl Making<'_> {
    /// Forgets the previous values, if that is due.
    pub(super) fn drop_previous(&mut self, due: bool) {
        if due {
            for key in std::mem::take(&mut self.state.previous) {
                self.values.remove(&key);
            }
            self.state.previous_until = None;
        }
    }

    /// Makes everything anew that a rotation concerns, and keeps what was there as the previous values if that is asked for.
    pub(super) async fn rotate(&mut self) -> Result<()> {
        let keep = self
            .source
            .rotation
            .as_ref()
            .is_some_and(|rotation| rotation.keep_previous);
        let before = self.values.clone();
        self.drop_previous(true);
        let mut previous = BTreeSet::new();
        for (key, spec) in self.source.rotated() {
            for output in outputs(key, spec).map_err(invalid)? {
                if let Some(value) = before.get(&output).filter(|_| keep) {
                    let name = previous_name(&output).map_err(|error| invalid_message(error.to_string()))?;
                    self.values.insert(name.clone(), value.clone());
                    previous.insert(name);
                }
            }
            self.put(key, spec).await?;
        }
        let overlap = self.source.rotation.as_ref().and_then(|rotation| rotation.overlap);
        self.state.previous_until = overlap
            .filter(|_| !previous.is_empty())
            .map(|overlap| overlap.after(self.ctx.now()));
        self.state.previous = previous;
        Ok(())
    }

    /// Makes what one generator makes.
    pub(super) async fn renew(&mut self, key: &KeyName) -> Result<()> {
        match self.source.keys.get(key) {
            Some(spec) => self.put(key, spec).await,
            None => Ok(()),
        }
    }

    async fn put(&mut self, key: &KeyName, spec: &GenerateSpec) -> Result<()> {
        let made = self.make(key, spec).await?;
        for (output, value) in outputs(key, spec).map_err(invalid)?.into_iter().zip(made.values) {
            self.values.insert(output, value);
        }
        match made.renew_at {
            Some(at) => self.state.renewals.insert(key.clone(), at),
            None => self.state.renewals.remove(key),
        };
        Ok(())
    }

    async fn make(&self, key: &KeyName, spec: &GenerateSpec) -> Result<Made> {
        let authority = match spec {
            GenerateSpec::Certificate(spec) => match &spec.issuer {
                Some(issuer) => Some(self.door.issuer(self.ctx, issuer).await?),
                None => None,
            },
            _ => None,
        };
        let (spec, now): (GenerateSpec, Timestamp) = (spec.clone(), self.ctx.now());
        // An RSA key takes seconds of a processor, which others wait for meanwhile.
        let made = tokio::task::spawn_blocking(move || make(&spec, authority.as_ref(), now)).await;
        made.map_err(Error::internal)?.map_err(|error| match error {
            MakeError::Key(error) => Error::internal(error),
            MakeError::Specification(_) | MakeError::Certificate(_) => {
                invalid_message(format!("generated key '{key}': {error}"))
            }
        })
    }
}

impl LocalDoor {
    /// The authority that a certificate names; the namespace needs `read` on its record.
    async fn issuer(&self, ctx: &OpContext, issuer: &IssuerSpec) -> Result<Authority> {
        let path =
            RecordPath::parse(&issuer.path).map_err(|error| Error::new(Reason::InvalidPath, error.to_string()))?;
        let read = self
            .vault
            .records()
            .read_as(ctx, &path, None, Capability::Read, Action::RecordRead)
            .await
            .map_err(|error| of_issuer(&path, &error))?;
        let value = |key: &str| {
            let value = read
                .data
                .get(key)
                .map(|value| Zeroizing::new(value.as_bytes().to_vec()));
            value.ok_or_else(|| {
                let message = format!("the issuer '{path}' has no key '{key}'; add it, or name another under issuer");
                Error::new(Reason::InvalidRecord, message)
            })
        };
        Ok(Authority {
            certificate: value(issuer.certificate())?,
            private_key: value(issuer.private_key())?,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
pub(super) fn invalid(error: SourceError) -> Error {
    invalid_message(error.to_string())
}

fn invalid_message(message: String) -> Error {
    Error::new(Reason::InvalidRequest, message)
}

/// Says that it is the issuer's record that stands in the way.
fn of_issuer(path: &RecordPath, error: &Error) -> Error {
    let message = format!("the issuer '{path}': {}", error.message());
    let named = Error::new(error.reason(), message);
    match error.source_for_log() {
        Some(source) => named.because(source),
        None => named,
    }
}
