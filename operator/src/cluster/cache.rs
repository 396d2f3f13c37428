//! Caches of what the API server holds, fed by watches and by our own writes.
//!
//! Keyed by namespace, so that listing one tenant's objects does not walk everybody's. Our own
//! writes are put in at once: a reconcile that follows a write sees it, and does not write again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::keep::{Keep, Packed};

/// What happened to an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was created or changed, or seen again in a new listing.
    Seen,
    /// We wrote it. Its echo in the watch is no news.
    Written,
    /// It is gone.
    Gone,
    /// We deleted it. Its echo in the watch is no news.
    Deleted,
}

impl Change {
    /// Whether the object is there no more.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Gone | Self::Deleted)
    }

    /// Whether we did it ourselves.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Written | Self::Deleted)
    }
}

/// What a watch hands on: to a [`Cache`], or to a model that keeps less than the object.
pub trait Handover<K>: Send + Sync + 'static {
    /// A full listing begins: until [`Handover::listed`], what is seen is part of it.
    fn listing(&self) {}
    /// One object was created, changed or listed.
    fn seen(&self, object: K);
    /// One object is gone.
    fn gone(&self, object: K);
    /// A full listing has ended; what is not in `names` (namespace, name) is gone.
    fn listed(&self, names: &HashSet<(String, String)>);
}

/// What is called for every change.
type Touched<K> = dyn Fn(&K, Change) + Send + Sync;

/// What is known of one object.
struct Known<S> {
    uid: Option<Box<str>>,
    version: Option<u128>,
    object: S,
}

/// Objects by namespace and name.
type Objects<S> = HashMap<String, BTreeMap<String, Known<S>>>;

/// A cache of objects that are kept packed.
pub type PackedCache<K> = Cache<K, Packed<K>>;

/// The objects of one kind, each kept as an `S`.
pub struct Cache<K, S = Arc<K>> {
    objects: RwLock<Objects<S>>,
    /// What we wrote since the running listing began, where one runs: (namespace, name).
    written: Mutex<Option<HashSet<(String, String)>>>,
    ready: watch::Sender<bool>,
    touched: Box<Touched<K>>,
    /// Held while a change is taken in and told, so that changes are told in the order in which they were taken in.
    turn: Mutex<()>,
}

impl<K: Resource<DynamicType = ()> + 'static, S: Keep<K>> Cache<K, S> {
    /// An empty cache that calls `touched` for every change it takes in, in their order; `touched` must not write to it.
    pub fn new(touched: impl Fn(&K, Change) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            objects: RwLock::default(),
            written: Mutex::default(),
            ready: watch::Sender::new(false),
            touched: Box::new(touched),
            turn: Mutex::default(),
        })
    }

    /// The object of that name; `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.look(namespace, name, S::whole)
    }

    /// What `with` makes of the object of that name as it is kept.
    pub fn look<R>(&self, namespace: &str, name: &str, with: impl FnOnce(&S) -> R) -> Option<R> {
        self.read(|objects| Some(with(&objects.get(namespace)?.get(name)?.object)))
    }

    /// The objects in one namespace, sorted by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read(|objects| {
            objects
                .get(namespace)
                .map(|found| found.values().map(|known| known.object.whole()).collect())
                .unwrap_or_default()
        })
    }

    /// Whether a namespace holds any.
    pub fn is_empty_in(&self, namespace: &str) -> bool {
        self.read(|objects| objects.get(namespace).is_none_or(BTreeMap::is_empty))
    }

    /// Every object.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read(|objects| {
            let all = objects.values().flat_map(BTreeMap::values);
            all.map(|known| known.object.whole()).collect()
        })
    }

    /// The names of the objects in one namespace, sorted; `namespace` is empty for cluster-scoped kinds.
    pub fn names_in(&self, namespace: &str) -> Vec<String> {
        self.read(|objects| {
            let found = objects.get(namespace).into_iter();
            found.flat_map(BTreeMap::keys).cloned().collect()
        })
    }

    /// Those of them that begin so.
    pub fn names_from(&self, namespace: &str, prefix: &str) -> Vec<String> {
        let range = (Bound::Included(prefix), Bound::Unbounded);
        self.read(|objects| {
            let found = objects.get(namespace).into_iter();
            let from = found.flat_map(|found| found.range::<str, _>(range));
            from.map(|(name, _)| name)
                .take_while(|name| name.starts_with(prefix))
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
    pub fn remember(&self, mut object: K) {
        // An answer to a write carries what the watch has stripped; it would stay until the next change.
        slim(&mut object);
        let object = Arc::new(object);
        let _turn = self.turn();
        if let Some(written) = self.written().as_mut() {
            written.insert(place(object.as_ref()));
        }
        if self.put(object.clone(), false) {
            (self.touched)(&object, Change::Written);
        }
    }

    /// Takes in our own deletion of the object of this uid; what took its name meanwhile stays.
    pub fn forget(&self, namespace: &str, name: &str, uid: &str) {
        let _turn = self.turn();
        if let Some(known) = self.take_exactly(namespace, name, Some(uid)) {
            (self.touched)(&known.object.whole(), Change::Deleted);
        }
    }

    /// Takes out the object of that name, where it is the one of this uid.
    fn take_exactly(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Known<S>> {
        let is_it = self.read(|objects| {
            let known = objects.get(namespace).and_then(|found| found.get(name));
            known.is_some_and(|known| known.uid.as_deref() == uid)
        });
        match is_it {
            true => self.take(namespace, name),
            false => None,
        }
    }

    fn take(&self, namespace: &str, name: &str) -> Option<Known<S>> {
        self.write(|objects| {
            let found = objects.get_mut(namespace)?;
            let known = found.remove(name);
            if found.is_empty() {
                objects.remove(namespace);
            }
            known
        })
    }

    /// Answers whether it is news.
    fn put(&self, object: Arc<K>, outranks: bool) -> bool {
        let (namespace, name) = place(object.as_ref());
        let known = Known {
            uid: object.meta().uid.as_deref().map(Box::from),
            version: version(object.as_ref()),
            object: S::keep(object),
        };
        self.write(|objects| {
            let slot = objects.entry(namespace).or_default();
            if let Some(before) = slot.get(&name)
                && !outranks
                && (is_same(&known, before) || is_older(&known, before))
            {
                return false;
            }
            slot.insert(name, known);
            true
        })
    }

    /// Whether a listing outranks what is known of an object. It does, even where it is older: a store that was restored
    /// from a backup has gone back. Only what we wrote since it began may be newer than it.
    fn is_outranked(&self, place: &(String, String)) -> bool {
        self.written()
            .as_ref()
            .is_some_and(|written| !written.contains(place))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, Option<HashSet<(String, String)>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<R>(&self, with: impl FnOnce(&Objects<S>) -> R) -> R {
        with(&self.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, with: impl FnOnce(&mut Objects<S>) -> R) -> R {
        with(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K, S> Handover<K> for Cache<K, S>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    S: Keep<K>,
{
    fn listing(&self) {
        *self.written() = Some(HashSet::new());
    }

    fn seen(&self, object: K) {
        let object = Arc::new(object);
        let _turn = self.turn();
        let outranks = self.is_outranked(&place(object.as_ref()));
        if self.put(object.clone(), outranks) {
            (self.touched)(&object, Change::Seen);
        }
    }

    fn gone(&self, object: K) {
        let (namespace, name) = place(&object);
        // A late delete of an earlier object must not hide the one that took its name; of what is not known there is no news.
        let _turn = self.turn();
        let uid = object.meta().uid.as_deref();
        if self.take_exactly(&namespace, &name, uid).is_some() {
            (self.touched)(&object, Change::Gone);
        }
    }

    fn listed(&self, names: &HashSet<(String, String)>) {
        let written = self.written().take().unwrap_or_default();
        let places: Vec<(String, String)> = self.read(|objects| {
            let all = objects.iter().flat_map(|(namespace, found)| {
                let names = found.keys();
                names.map(|name| (namespace.clone(), name.clone()))
            });
            all.collect()
        });
        let is_there =
            |place: &&(String, String)| names.contains(*place) || written.contains(*place);
        for (namespace, name) in places.iter().filter(|place| !is_there(place)) {
            let _turn = self.turn();
            if let Some(known) = self.take(namespace, name) {
                (self.touched)(&known.object.whole(), Change::Gone);
            }
        }
        self.ready.send_replace(true);
    }
}

/// Whether `object` is the very state that is `known`.
fn is_same<S>(object: &Known<S>, known: &Known<S>) -> bool {
    object.uid.is_some()
        && object.uid == known.uid
        && object.version.is_some()
        && object.version == known.version
}

/// Whether `object` is an older state of the very object that is `known`.
fn is_older<S>(object: &Known<S>, known: &Known<S>) -> bool {
    object.uid == known.uid
        && matches!((object.version, known.version), (Some(new), Some(old)) if new < old)
}

fn version<K: Resource>(object: &K) -> Option<u128> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default(),
    )
}

/// After the first error in a row.
const SHORTEST: Duration = Duration::from_millis(500);
/// However many there were: a kind that comes back is noticed within this.
const LONGEST: Duration = Duration::from_secs(8);

/// Follows a kind for ever: lists, watches, lists again after errors (with backoff), and hands on.
///
/// `failed` hears of every error before the backoff, so that a missing CRD can be told from a slow
/// server. The watcher's own backoff begins anew with every try to list; this one with what was
/// really heard. Fields nobody reads are dropped on the way in; managers are kept by name and time only.
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
        .modify(slim);
    let mut stream = std::pin::pin!(stream);
    let mut pause = SHORTEST;
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object)) => {
                pause = SHORTEST;
                to.seen(object);
            }
            Ok(Event::Delete(object)) => {
                pause = SHORTEST;
                to.gone(object);
            }
            Ok(Event::Init) => {
                listing.clear();
                to.listing();
            }
            Ok(Event::InitApply(object)) => {
                listing.insert(place(&object));
                to.seen(object);
            }
            Ok(Event::InitDone) => {
                to.listed(&listing);
                listing = HashSet::new();
                pause = SHORTEST;
            }
            Err(_) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    fn map(name: &str, version: u32) -> ConfigMap {
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": version.to_string()}}),
        )
        .unwrap()
    }

    /// A cache, and what it tells.
    fn noting() -> (Arc<Cache<ConfigMap>>, Arc<Mutex<Vec<Change>>>) {
        let told: Arc<Mutex<Vec<Change>>> = Arc::default();
        let noted = told.clone();
        let cache = Cache::new(move |_: &ConfigMap, change| noted.lock().unwrap().push(change));
        (cache, told)
    }

    fn known(cache: &Cache<ConfigMap>, name: &str) -> Option<String> {
        cache.get("n", name)?.resource_version()
    }

    fn list(cache: &Cache<ConfigMap>, objects: &[ConfigMap]) {
        for object in objects {
            cache.seen(object.clone());
        }
        cache.listed(&objects.iter().map(place).collect());
    }

    #[test]
    fn echo_of_our_own_write_is_no_news_and_a_listing_is() {
        let (cache, told) = noting();
        cache.remember(map("a", 7));
        cache.seen(map("a", 7));
        assert_eq!(*told.lock().unwrap(), [Change::Written]);
        // A store that went back in time may have given the same version to something else.
        cache.listing();
        list(&cache, &[map("a", 7)]);
        assert_eq!(*told.lock().unwrap(), [Change::Written, Change::Seen]);
    }

    #[test]
    fn echo_of_our_own_deletion_is_no_news_and_what_comes_back_is() {
        let (cache, told) = noting();
        cache.seen(map("a", 7));
        cache.forget("n", "a", "another");
        cache.forget("n", "a", "a");
        cache.gone(map("a", 8));
        cache.forget("n", "a", "a");
        assert_eq!(*told.lock().unwrap(), [Change::Seen, Change::Deleted]);
        // An event of before the deletion comes late: then its end is news.
        cache.seen(map("a", 7));
        cache.gone(map("a", 8));
        assert_eq!(told.lock().unwrap()[2..], [Change::Seen, Change::Gone]);
        assert_eq!(known(&cache, "a"), None);
    }

    #[test]
    fn late_event_never_undoes_a_newer_state() {
        let cache = Cache::new(|_, _| {});
        cache.seen(map("a", 7));
        cache.seen(map("a", 5));
        cache.remember(map("a", 6));
        assert_eq!(known(&cache, "a").as_deref(), Some("7"));
    }

    #[test]
    fn new_listing_outranks_what_was_known_before_it_even_where_it_is_older() {
        let cache = Cache::new(|_, _| {});
        cache.listing();
        list(&cache, &[map("a", 7), map("b", 8)]);
        cache.listing();
        list(&cache, &[map("a", 5)]);
        assert_eq!(known(&cache, "a").as_deref(), Some("5"));
        assert_eq!(known(&cache, "b"), None);
        cache.seen(map("a", 4));
        assert_eq!(
            known(&cache, "a").as_deref(),
            Some("5"),
            "an event is no listing"
        );
    }

    #[test]
    fn what_was_written_while_a_listing_ran_is_newer_than_the_listing() {
        let cache = Cache::new(|_, _| {});
        cache.listing();
        cache.remember(map("a", 9));
        cache.remember(map("new", 10));
        list(&cache, &[map("a", 5)]);
        assert_eq!(known(&cache, "a").as_deref(), Some("9"));
        assert_eq!(known(&cache, "new").as_deref(), Some("10"));
    }
}
