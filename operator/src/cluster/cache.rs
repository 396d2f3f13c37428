//! Caches of what the API server holds, fed by watches and by our own writes.
//!
//! Keyed by namespace, so that listing one tenant's objects does not walk everybody's. Our own
//! writes are put in at once: a reconcile that follows a write sees it, and does not write again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use futures::{StreamExt, TryStreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// What happened to an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was created or changed, or seen again in a new listing.
    Seen,
    /// It is gone.
    Gone,
}

/// What a watch hands on: to a [`Cache`], or to a model that keeps less than the object.
pub trait Handover<K>: Send + Sync + 'static {
    /// One object was created, changed or listed.
    fn seen(&self, object: K);
    /// One object is gone.
    fn gone(&self, object: K);
    /// A full listing has ended; what is not in `names` (namespace, name) is gone.
    fn listed(&self, names: &HashSet<(String, String)>);
}

/// What is called for every change.
type Touched<K> = dyn Fn(&K, Change) + Send + Sync;

/// The objects of one kind.
pub struct Cache<K> {
    objects: RwLock<HashMap<String, BTreeMap<String, Arc<K>>>>,
    ready: watch::Sender<bool>,
    touched: Box<Touched<K>>,
}

impl<K: Resource<DynamicType = ()> + 'static> Cache<K> {
    /// An empty cache that calls `touched` for every change it takes in from the watch.
    pub fn new(touched: impl Fn(&K, Change) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            objects: RwLock::default(),
            ready: watch::Sender::new(false),
            touched: Box::new(touched),
        })
    }

    /// The object of that name; `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|objects| objects.get(namespace)?.get(name).cloned())
    }

    /// The objects in one namespace, sorted by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read(|objects| {
            objects
                .get(namespace)
                .map(|found| found.values().cloned().collect())
                .unwrap_or_default()
        })
    }

    /// Every object.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read(|objects| {
            objects
                .values()
                .flat_map(BTreeMap::values)
                .cloned()
                .collect()
        })
    }

    /// Whether the first listing is complete.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until the first listing is complete.
    pub async fn ready(&self) {
        // The sender lives as long as self, so waiting cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Declares the (missing) listing complete: nothing of the kind exists.
    pub fn declare_ready(&self) {
        self.ready.send_replace(true);
    }

    /// Takes in the answer to our own write, unless something newer is known.
    pub fn remember(&self, object: K) {
        self.put(object);
    }

    /// Takes in our own deletion.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.write(|objects| {
            if let Some(found) = objects.get_mut(namespace) {
                found.remove(name);
            }
        });
    }

    fn put(&self, object: K) -> bool {
        let (namespace, name) = place(&object);
        self.write(|objects| {
            let slot = objects.entry(namespace).or_default();
            if slot
                .get(&name)
                .is_some_and(|known| is_older(&object, known.as_ref()))
            {
                return false;
            }
            slot.insert(name, Arc::new(object));
            true
        })
    }

    fn read<R>(&self, with: impl FnOnce(&HashMap<String, BTreeMap<String, Arc<K>>>) -> R) -> R {
        with(&self.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(
        &self,
        with: impl FnOnce(&mut HashMap<String, BTreeMap<String, Arc<K>>>) -> R,
    ) -> R {
        with(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static> Handover<K> for Cache<K> {
    fn seen(&self, object: K) {
        let (namespace, name) = place(&object);
        if self.put(object)
            && let Some(known) = self.get(&namespace, &name)
        {
            (self.touched)(&known, Change::Seen);
        }
    }

    fn gone(&self, object: K) {
        let (namespace, name) = place(&object);
        // A late delete of an earlier object must not hide the one that took its name.
        if self
            .get(&namespace, &name)
            .is_some_and(|known| known.uid() != object.uid())
        {
            return;
        }
        self.forget(&namespace, &name);
        (self.touched)(&object, Change::Gone);
    }

    fn listed(&self, names: &HashSet<(String, String)>) {
        let vanished: Vec<Arc<K>> = self
            .all()
            .into_iter()
            .filter(|object| !names.contains(&place(object.as_ref())))
            .collect();
        for object in vanished {
            let (namespace, name) = place(object.as_ref());
            self.forget(&namespace, &name);
            (self.touched)(&object, Change::Gone);
        }
        self.ready.send_replace(true);
    }
}

/// Whether `object` is an older state of the very object that is `known`.
fn is_older<K: Resource>(object: &K, known: &K) -> bool {
    let version = |object: &K| {
        object
            .meta()
            .resource_version
            .as_deref()
            .and_then(|text| text.parse::<u128>().ok())
    };
    object.meta().uid == known.meta().uid
        && matches!((version(object), version(known)), (Some(new), Some(old)) if new < old)
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default(),
    )
}

/// Follows a kind for ever: lists, watches, lists again after errors (with backoff), and hands on.
///
/// `failed` hears of every error before the backoff, so that a missing CRD can be told from a slow
/// server. Fields nobody reads are dropped on the way in; managers are kept by name and time only.
pub async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    to: Arc<impl Handover<K>>,
    failed: impl Fn(&watcher::Error) + Send,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut listing: HashSet<(String, String)> = HashSet::new();
    let stream = watcher::watcher(api, config)
        .inspect_err(failed)
        .default_backoff()
        .modify(slim);
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object)) => to.seen(object),
            Ok(Event::Delete(object)) => to.gone(object),
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply(object)) => {
                listing.insert(place(&object));
                to.seen(object);
            }
            Ok(Event::InitDone) => {
                to.listed(&listing);
                listing = HashSet::new();
            }
            Err(_) => {}
        }
    }
}

fn slim<K: Resource>(object: &mut K) {
    for entry in object.meta_mut().managed_fields.iter_mut().flatten() {
        entry.fields_v1 = None;
    }
    if let Some(annotations) = object.meta_mut().annotations.as_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}
