//! Takes what the watch of `VaultSecret`s tells: keeps the index, wakes what changed, lets go of what is gone.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::context::{Context, LetGo, Resource};
use super::index::Uses;
use super::key::Key;
use super::queue::{Causes, Class};
use super::vault_secret::feed::{ROTATE_NOW, SYNC_NOW};
use super::vault_secret::plan;
use super::vault_secret::source::SourcePlan;
use super::wake::Wish;
use super::watch::Notice;
use crate::k8s::crd::VaultSecret;

/// Takes what the watch of `VaultSecret`s tells.
pub(super) struct VaultSecretDesk<'a> {
    context: &'a Context,
    wishes: &'a mpsc::UnboundedSender<Wish>,
    /// How many resources each namespace has.
    populations: HashMap<Arc<str>, usize>,
    /// The first listing is over.
    listed: bool,
}

impl<'a> VaultSecretDesk<'a> {
    pub(super) fn new(context: &'a Context, wishes: &'a mpsc::UnboundedSender<Wish>) -> Self {
        Self {
            context,
            wishes,
            populations: HashMap::new(),
            listed: false,
        }
    }

    pub(super) fn notice(&mut self, notice: Notice<'_, Resource<VaultSecret>>) {
        match notice {
            Notice::Applied {
                key,
                object,
                before,
                listing,
            } => self.applied(key, object, before.as_deref(), listing),
            Notice::Gone { key, object } => self.gone(key, object),
            Notice::Listed => {
                // The first comparison of everything begins by itself.
                if std::mem::replace(&mut self.listed, true) {
                    let _ = self.wishes.send(Wish::Everything);
                }
                self.context.gone.notify_one();
            }
        }
    }

    fn applied(
        &mut self,
        key: &Key,
        object: &Resource<VaultSecret>,
        before: Option<&Resource<VaultSecret>>,
        listing: bool,
    ) {
        let context = self.context;
        let population = self.populations.entry(Arc::clone(&key.namespace)).or_default();
        let newcomer = before.is_none_or(|before| before.uid() != object.uid());
        // See `namespaces`: who moves into an empty namespace may have moved into another one than we know.
        if newcomer && self.listed && (*population == 0 || listing) {
            context.namespaces.doubt(&key.namespace);
        }
        if before.is_none() {
            *population += 1;
        }
        if let Some(before) = before.filter(|_| newcomer) {
            context.notes.remove(before.uid());
            context.gone.notify_one();
        }
        if let Some(resource_version) = &object.meta().resource_version {
            context
                .notes
                .change(object.uid(), |notes| notes.own_status.told(resource_version));
        }
        self.index(key, object);
        let same = before.is_some_and(|before| {
            !newcomer
                && before.meta().generation == object.meta().generation
                && before.meta().deletion_timestamp == object.meta().deletion_timestamp
        });
        let asked = |name: &str| {
            let annotation = |object: &Resource<VaultSecret>| object.meta().annotations.as_ref()?.get(name).cloned();
            annotation(object).is_some() && before.is_some_and(|before| annotation(before) != annotation(object))
        };
        let (sync, rotate) = (asked(SYNC_NOW), asked(ROTATE_NOW));
        if sync {
            context.notes.change(object.uid(), |notes| notes.forced = true);
        }
        if (sync || rotate) && !listing {
            context.queue.add(key.clone(), Causes::AGAIN, Class::Change, None);
        }
        // While everything is listed, nothing is woken: the comparison that follows finds what differs.
        if !listing && !same {
            context.queue.add(key.clone(), Causes::CLUSTER, Class::Change, None);
        }
    }

    fn index(&self, key: &Key, object: &Resource<VaultSecret>) {
        let context = self.context;
        let plan = match object {
            Resource::Sound(object) => plan::plan(context.door.prefix(), object).ok(),
            Resource::Malformed(_) => None,
        };
        let former = match plan {
            Some(plan) => context.index.set(
                key,
                Uses {
                    paths: plan.paths(),
                    issuers: plan.issuers(),
                    follows: plan.follows(),
                    target: plan.target,
                },
            ),
            None => context.index.remove(key),
        };
        if let Some(target) = former {
            self.wake_rivals(&target);
        }
    }

    fn gone(&mut self, key: &Key, object: &Resource<VaultSecret>) {
        let context = self.context;
        if let Some(population) = self.populations.get_mut(&key.namespace) {
            *population = population.saturating_sub(1);
            if *population == 0 {
                self.populations.remove(&key.namespace);
            }
        }
        context.queue.forget(key);
        context.calendar.remove(key);
        self.let_go(key, object);
        context.notes.remove(object.uid());
        if let Some(target) = context.index.remove(key) {
            self.wake_rivals(&target);
        }
        context.gone.notify_one();
    }

    /// What is remembered of a resource is forgotten with its Secret, and its record given back then. One that never got that far may have fed
    /// its record all the same.
    fn let_go(&self, key: &Key, object: &Resource<VaultSecret>) {
        let Resource::Sound(sound) = object else { return };
        let context = self.context;
        if let Ok(plan) = plan::plan(context.door.prefix(), sound)
            && plan.source.as_ref().is_some_and(SourcePlan::manages)
            && context.memory.get(object.uid()).is_none()
        {
            context.let_go(LetGo {
                key: key.clone(),
                uid: object.uid().to_owned(),
                record: plan.own,
            });
        }
    }

    /// Those that wanted a Secret which another one had.
    fn wake_rivals(&self, target: &Key) {
        for rival in self.context.index.targeting(target) {
            self.context.queue.add(rival, Causes::AGAIN, Class::Change, None);
        }
    }
}
