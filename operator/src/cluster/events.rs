//! Kubernetes Events about our own objects. An event that cannot be written never fails the work.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Writes events in the operator's name.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Events through `client`, reported by `tenure-operator`; `instance` names the process.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        Self {
            recorder: Recorder::new(
                client,
                Reporter {
                    controller: "tenure-operator".into(),
                    instance,
                },
            ),
        }
    }

    /// Something a person should look at.
    pub async fn warn(&self, about: &ObjectReference, reason: &str, action: &str, note: String) {
        self.publish(about, None, EventType::Warning, reason, action, note)
            .await;
    }

    /// Something a person should look at, about one object and concerning another: events that
    /// concern different objects are not folded into one series.
    pub async fn warn_concerning(
        &self,
        about: &ObjectReference,
        concerning: ObjectReference,
        reason: &str,
        action: &str,
        note: String,
    ) {
        self.publish(
            about,
            Some(concerning),
            EventType::Warning,
            reason,
            action,
            note,
        )
        .await;
    }

    /// Something that went as it should.
    pub async fn note(&self, about: &ObjectReference, reason: &str, action: &str, note: String) {
        self.publish(about, None, EventType::Normal, reason, action, note)
            .await;
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "these are the fields of an event"
    )]
    async fn publish(
        &self,
        about: &ObjectReference,
        secondary: Option<ObjectReference>,
        type_: EventType,
        reason: &str,
        action: &str,
        note: String,
    ) {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(shorten(note)),
            action: action.into(),
            secondary,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason, object = about.name, "event not written");
        }
    }
}

/// The API server refuses notes past 1 kB.
fn shorten(mut note: String) -> String {
    if note.len() > 1000 {
        let end = (0..=1000)
            .rev()
            .find(|&index| note.is_char_boundary(index))
            .unwrap_or(0);
        note.truncate(end);
    }
    note
}
