//! What changed since reachability was last evaluated.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// What changed since reachability was last evaluated.
#[derive(Default)]
pub struct Changes {
    /// Before anybody follows, nothing is noted: whoever begins to, evaluates everything.
    followed: AtomicBool,
    namespaces: Mutex<BTreeSet<String>>,
    everybody: Mutex<bool>,
    told: Notify,
}

impl Changes {
    /// From now on changes are noted.
    pub(super) fn begin(&self) {
        self.followed.store(true, Ordering::Release);
    }

    /// Ends once something was noted.
    pub(super) async fn noted(&self) {
        self.told.notified().await;
    }

    /// Whether anybody follows.
    pub fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Acquire)
    }

    /// Something in a namespace changed.
    pub fn of(&self, namespace: &str) {
        if !self.is_followed() {
            return;
        }
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(namespace.to_owned());
        self.told.notify_one();
    }

    /// Something changed that may concern every tenant.
    pub fn of_everybody(&self) {
        *self
            .everybody
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_one();
    }

    /// Everything noted since this was last called: namespaces, and whether everybody is concerned.
    pub(super) fn take(&self) -> (BTreeSet<String>, bool) {
        let namespaces = std::mem::take(
            &mut *self
                .namespaces
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let everybody = std::mem::take(
            &mut *self
                .everybody
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        (namespaces, everybody)
    }
}
