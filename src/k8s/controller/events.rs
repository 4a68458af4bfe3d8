//! Events: for what changed, never for what is as it was. They are published beside the work, never in its way; when there are too many to
//! publish, the rest is dropped, since conditions and metrics say the same.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tracing::debug;

const WAITING: usize = 512;

/// Where events are handed in.
#[derive(Clone)]
pub(super) struct Events(mpsc::Sender<(ObjectReference, Event)>);

/// Publishes what was handed in.
pub(super) struct Publisher {
    recorder: Recorder,
    waiting: mpsc::Receiver<(ObjectReference, Event)>,
}

/// Events and their publisher; the recorder adds up repetitions.
pub(super) fn events(client: Client, identity: &str) -> (Events, Publisher) {
    let (sender, waiting) = mpsc::channel(WAITING);
    let reporter = Reporter {
        controller: "aether-vault".to_owned(),
        instance: Some(identity.to_owned()),
    };
    (
        Events(sender),
        Publisher {
            recorder: Recorder::new(client, reporter),
            waiting,
        },
    )
}

impl Events {
    /// Something was done.
    pub(super) fn note(&self, about: &impl Resource<DynamicType = ()>, reason: &str, note: String) {
        self.hand_in(about.object_ref(&()), EventType::Normal, reason, note);
    }

    /// Something stands in the way.
    pub(super) fn warn(&self, about: &impl Resource<DynamicType = ()>, reason: &str, note: String) {
        self.hand_in(about.object_ref(&()), EventType::Warning, reason, note);
    }

    /// Something was done to an object of another kind.
    pub(super) fn note_of(&self, about: ObjectReference, reason: &str, note: String) {
        self.hand_in(about, EventType::Normal, reason, note);
    }

    /// Something stands in the way of more than one object.
    pub(super) fn warn_of(&self, about: ObjectReference, reason: &str, note: String) {
        self.hand_in(about, EventType::Warning, reason, note);
    }

    fn hand_in(&self, about: ObjectReference, type_: EventType, reason: &str, mut note: String) {
        // The API's bound is 1 kB.
        if note.len() > 1000 {
            let cut = (0..=1000).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
            note.truncate(cut);
        }
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if self.0.try_send((about, event)).is_err() {
            debug!(reason, "too many events; one was dropped");
        }
    }
}

impl Publisher {
    pub(super) async fn run(mut self) {
        while let Some((about, event)) = self.waiting.recv().await {
            if let Err(error) = self.recorder.publish(&event, &about).await {
                debug!(object = about.name.as_deref().unwrap_or_default(), %error, "an event was not published");
            }
        }
    }
}
