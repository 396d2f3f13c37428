//! How an object is kept in memory.
//!
//! A typed Kubernetes object is mostly empty fields and half-empty tree nodes; its JSON takes a fraction of that. What
//! there is many of for each tenant is kept as JSON, and unpacked for whoever looks at it.

use std::marker::PhantomData;
use std::sync::Arc;

use kube::core::DeserializeGuard;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A form in which a `K` is kept.
pub trait Keep<K>: Send + Sync + 'static {
    /// Keeps an object.
    fn keep(object: Arc<K>) -> Self;
    /// The object as it was.
    fn whole(&self) -> Arc<K>;
}

/// As it is: for what there is little of, or what is looked at all the time.
impl<K: Send + Sync + 'static> Keep<K> for Arc<K> {
    fn keep(object: Arc<K>) -> Self {
        object
    }

    fn whole(&self) -> Arc<K> {
        self.clone()
    }
}

/// A value as its JSON.
pub struct Packed<T> {
    json: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs a value.
    pub fn new(value: &T) -> Self {
        let json = serde_json::to_vec(value)
            .unwrap_or_else(|error| unreachable!("what is packed has a JSON form: {error}"));
        Self {
            json: json.into_boxed_slice(),
            of: PhantomData,
        }
    }

    /// The value.
    pub fn open(&self) -> T {
        self.open_as()
    }

    /// The value as another type that reads the same JSON.
    pub fn open_as<V: DeserializeOwned>(&self) -> V {
        serde_json::from_slice(&self.json)
            .unwrap_or_else(|error| unreachable!("what was packed can be read: {error}"))
    }
}

impl<T> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl<K: Serialize + DeserializeOwned + 'static> Keep<K> for Packed<K> {
    fn keep(object: Arc<K>) -> Self {
        Self::new(&object)
    }

    fn whole(&self) -> Arc<K> {
        Arc::new(self.open())
    }
}

/// An object that can be read is packed; one that cannot has nothing to pack but why.
impl<K> Keep<DeserializeGuard<K>> for Result<Packed<K>, Arc<DeserializeGuard<K>>>
where
    K: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn keep(object: Arc<DeserializeGuard<K>>) -> Self {
        match &object.0 {
            Ok(readable) => Ok(Packed::new(readable)),
            Err(_) => Err(object),
        }
    }

    fn whole(&self) -> Arc<DeserializeGuard<K>> {
        match self {
            Ok(packed) => Arc::new(DeserializeGuard(Ok(packed.open()))),
            Err(invalid) => invalid.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt as _;
    use serde_json::json;
    use tenure_crds::CustomerTenant;

    use super::*;

    type Guarded = DeserializeGuard<CustomerTenant>;
    type Kept = Result<Packed<CustomerTenant>, Arc<Guarded>>;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:04:05Z", "managedFields": [{"manager": "m"}]},
            "data": {"key": "line\nand \u{e9}"}, "binaryData": {"b": "AAH/"},
        }))
        .unwrap();
        assert_eq!(Packed::new(&map).open(), map);
    }

    #[test]
    fn what_cannot_be_read_is_kept_with_why() {
        let broken: Guarded =
            serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": 7})).unwrap();
        let kept = Kept::keep(Arc::new(broken));
        let whole = kept.whole();
        assert_eq!(whole.name_any(), "a");
        assert!(whole.0.is_err());
    }
}
