//! Who is woken by what: a change in the vault wakes exactly the `VaultSecret`s that use the record; a change of policy, a namespace's new
//! labels, a restart or a gap in the feed wakes those for which the vault's answer differs from what is remembered.
//!
//! Answers come in bulk, without values: ten thousand resources are twenty questions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::context::{Context, Known, Resource};
use super::definition::Definition;
use super::key::Key;
use super::queue::{Causes, Class};
use super::reaper::Reaper;
use super::vault_secret::feed;
use super::vault_secret::heads::{all_live, asker, carried, synced};
use super::vault_secret::plan::{self, Plan};
use super::vault_secret::report::facts;
use super::vault_secret::status::{self, Outcome};
use crate::k8s::crd::VaultSecret;
use crate::service::door::{Asker, Inspection, RecordRef};
use crate::service::error::Error;

/// Resources of one question.
const CHUNK: usize = 500;
/// Pause after the vault did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be compared with the vault, beyond single records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// A namespace is another one, or has other labels.
    Namespace(String),
    /// Policies changed: decisions may differ.
    Decisions,
    /// A watch was listed anew, or the feed has a gap: anything may have happened.
    Everything,
}

/// The resources that are to be asked about.
struct Question {
    key: Key,
    object: Arc<Resource<VaultSecret>>,
    plan: Plan,
    ask: (Asker, Vec<RecordRef>),
}

/// Follows the change feed. Single records are woken here, at once; what concerns many is handed to [`compare_widely`], so that it is never
/// in their way.
pub(super) async fn follow_changes(context: &Context, reaper: &Reaper, wishes: mpsc::UnboundedSender<Wish>) {
    loop {
        match context.door.changes().await {
            Ok(changes) => {
                let users: BTreeSet<Key> = changes
                    .paths
                    .iter()
                    .flat_map(|path| context.index.using(path))
                    .collect();
                // What the vault is asked of a resource says nothing of the authority of its certificates.
                for key in changes.paths.iter().flat_map(|path| context.index.issued_by(path)) {
                    context.queue.add(key, Causes::VAULT, Class::Change, None);
                }
                wake_users(context, users).await;
                if changes.syncs {
                    reaper.confirmed();
                }
                // The receiver lives as long as the term, so sending cannot fail while this runs.
                if changes.everything {
                    let _ = wishes.send(Wish::Everything);
                } else if changes.policies {
                    let _ = wishes.send(Wish::Decisions);
                }
            }
            Err(error) => {
                warn!(
                    reason = error.reason().as_str(),
                    "the change feed does not answer; trying again"
                );
                sleep(PAUSE).await;
            }
        }
    }
}

/// Compares everything once, then whatever is wished for, and a part of everything every now and then.
pub(super) async fn compare_widely(context: &Context, reaper: &Reaper, mut wishes: mpsc::UnboundedReceiver<Wish>) {
    survey(context, Class::Routine).await;
    reaper.begin();
    let mut check = Check::new(context);
    loop {
        let first = tokio::select! {
            wish = wishes.recv() => wish,
            () = sleep_until(check.next) => {
                check.take_part(context).await;
                continue;
            }
        };
        let Some(first) = first else { return };
        let mut wished = vec![first];
        while let Ok(more) = wishes.try_recv() {
            wished.push(more);
        }
        if wished.contains(&Wish::Everything) {
            survey(context, Class::Change).await;
        } else if wished.contains(&Wish::Decisions) {
            persist(context, &all(context), Class::Change).await;
        } else {
            let concerned = |key: &Key| {
                wished
                    .iter()
                    .any(|wish| matches!(wish, Wish::Namespace(name) if **name == *key.namespace))
            };
            let keys: Vec<Key> = all(context).into_iter().filter(concerned).collect();
            persist(context, &keys, Class::Change).await;
        }
    }
}

fn all(context: &Context) -> Vec<Key> {
    context.vault_secrets.all().into_iter().map(|(key, _)| key).collect()
}

/// Looks at the definition until the API server answers; `false` if it is gone or going.
pub(super) async fn learn_definition(context: &Context) -> bool {
    loop {
        match context.definitions.look::<VaultSecret>().await {
            Ok(Definition::Standing { uid }) => {
                context.set_definition_uid(uid);
                return true;
            }
            Ok(Definition::Leaving) => return false,
            Err(error) => {
                warn!(%error, "cannot read the definition of VaultSecret; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Looks at the definition, then compares everything.
async fn survey(context: &Context, class: Class) {
    if !learn_definition(context).await {
        // Its resources are going; there is nothing to compare, and the next listing brings us here again.
        return;
    }
    let keys = all(context);
    let woken = persist(context, &keys, class).await;
    context.metrics.caught_up.set(1);
    info!(
        resources = keys.len(),
        woken,
        remembered = context.memory.len(),
        "compared everything with the vault"
    );
}

/// Wakes the resources that use a record which changed. They have a change to carry, so they are woken even if the vault does not answer now.
async fn wake_users(context: &Context, users: BTreeSet<Key>) {
    let keys: Vec<Key> = users.into_iter().collect();
    for chunk in keys.chunks(CHUNK) {
        if compare(context, chunk, Class::Change).await.is_err() {
            for key in chunk {
                context.queue.add(key.clone(), Causes::VAULT, Class::Change, None);
            }
        }
    }
}

/// Compares until the vault answers; answers how many were woken.
async fn persist(context: &Context, keys: &[Key], class: Class) -> usize {
    let mut woken = 0;
    for chunk in keys.chunks(CHUNK) {
        loop {
            match compare(context, chunk, class).await {
                Ok(some) => {
                    woken += some;
                    break;
                }
                Err(error) => {
                    warn!(
                        reason = error.reason().as_str(),
                        "the vault does not answer; trying again"
                    );
                    sleep(PAUSE).await;
                }
            }
        }
    }
    woken
}

/// Asks about some resources and wakes those for which the answer is new.
async fn compare(context: &Context, keys: &[Key], class: Class) -> Result<usize, Error> {
    let mut questions = Vec::with_capacity(keys.len());
    let mut woken = 0;
    for key in keys {
        match question(context, key).await {
            Some(question) => questions.push(question),
            // Whatever is wrong with it costs nothing to find out.
            None => {
                context.queue.add(key.clone(), Causes::VAULT, class, None);
                woken += 1;
            }
        }
    }
    let asks: Vec<_> = questions.iter().map(|question| question.ask.clone()).collect();
    let answers = if asks.is_empty() {
        Vec::new()
    } else {
        let answers = context.door.inspect(&asks).await;
        context.vault_answered(answers.is_ok());
        answers?
    };
    for (question, answer) in questions.into_iter().zip(answers) {
        let known = answer.ok().map(|inspections| Known {
            refs: question.ask.1.clone(),
            inspections,
        });
        if known.as_ref().is_none_or(|known| is_news(context, &question, known)) {
            context.queue.add(question.key, Causes::VAULT, class, known);
            woken += 1;
        }
    }
    Ok(woken)
}

/// What to ask about a resource; none if it cannot be asked.
async fn question(context: &Context, key: &Key) -> Option<Question> {
    let object = context.vault_secrets.get(key)?;
    let Resource::Sound(vault_secret) = &*object else {
        return None;
    };
    if vault_secret.spec.suspend == Some(true) {
        return None;
    }
    let plan = plan::plan(context.door.prefix(), vault_secret).ok()?;
    let namespace = context.namespaces.look_up(&key.namespace).await.ok()?.name;
    let generation = vault_secret.metadata.generation.unwrap_or_default();
    let ask = (asker(namespace, object.uid(), generation), plan.refs.clone());
    Some(Question {
        key: key.clone(),
        object,
        plan,
        ask,
    })
}

/// Whether an answer differs from the last one; after a restart, from what is remembered of the Secret and shown in the status.
fn is_news(context: &Context, question: &Question, known: &Known) -> bool {
    let uid = question.object.uid();
    if let Resource::Sound(object) = &*question.object {
        let own = question.plan.own_at().and_then(|at| known.inspections.get(at));
        let head = match own {
            Some(Inspection::Present(head)) => Some(head),
            _ => None,
        };
        if feed::schedule(context, object, &question.plan, head) {
            return true;
        }
    }
    let notes = context.notes.get(uid);
    // Feeding takes more than the right to sync, which is all that is asked here.
    if notes.failures > 0 && question.plan.source.is_some() {
        return true;
    }
    if let Some(last) = notes.known {
        return last != *known;
    }
    let news = !stands(context, question, known);
    if !news {
        context.notes.change(uid, |notes| notes.known = Some(known.clone()));
    }
    news
}

/// Whether everything is as it was left: the records, the spec, the Secret and the status.
fn stands(context: &Context, question: &Question, known: &Known) -> bool {
    let Resource::Sound(object) = &*question.object else {
        return false;
    };
    let Some(row) = context.memory.get(question.object.uid()) else {
        return false;
    };
    let heads: Vec<_> = known
        .inspections
        .iter()
        .filter_map(|inspection| match inspection {
            Inspection::Present(head) => Some(head.clone()),
            _ => None,
        })
        .collect();
    let facts = facts(context, object, Some(&question.plan), carried(&row, &question.plan));
    let expected = status::status(
        &Outcome::Synced,
        facts,
        object.metadata.generation,
        object.status.as_ref(),
        context.clock.now(),
    );
    all_live(known)
        && Some(row.generation) == object.metadata.generation
        && row.name == object.name_any()
        && row.secret_name == *question.plan.target.name
        && row.records == synced(&known.refs, &heads)
        && context.untouched(&row)
        && object
            .status
            .as_ref()
            .is_some_and(|status| status::says_the_same(status, &expected))
}

/// The periodic comparison, a part at a time, spread over the interval.
struct Check {
    keys: Vec<Key>,
    next: Instant,
    interval: Duration,
}

impl Check {
    fn new(context: &Context) -> Self {
        let interval = context.settings.full_check_interval;
        Self {
            keys: Vec::new(),
            next: Instant::now() + interval,
            interval,
        }
    }

    async fn take_part(&mut self, context: &Context) {
        if self.keys.is_empty() {
            self.keys = all(context);
        }
        let total = context.vault_secrets.all().len().max(1);
        let part: Vec<Key> = self.keys.split_off(self.keys.len().saturating_sub(CHUNK));
        if let Err(error) = compare(context, &part, Class::Routine).await {
            warn!(
                reason = error.reason().as_str(),
                "the periodic comparison was put off: the vault does not answer"
            );
        }
        let parts = u32::try_from(total.div_ceil(CHUNK)).unwrap_or(u32::MAX);
        self.next = Instant::now() + self.interval / parts;
    }
}
