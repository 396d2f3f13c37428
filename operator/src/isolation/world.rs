//! The model: namespaces, classes of pods, policies. Kept up to date one object at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;

use super::policy::{ClusterPolicyFacts, PolicyFacts};
use super::ports::Transport;
use super::selector::Labels;

/// A namespace, as far as policies see it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

impl From<&Namespace> for NamespaceFacts {
    fn from(namespace: &Namespace) -> Self {
        let mut labels = namespace.labels().clone();
        // The API server sets it on every namespace; a test's object may lack it.
        labels.insert("kubernetes.io/metadata.name".into(), namespace.name_any());
        Self {
            name: namespace.name_any(),
            labels,
        }
    }
}

/// Pods that policies cannot tell apart.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Class {
    /// Their namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: Labels,
    /// Whether they live in the node's network: then no policy selects them.
    pub host_network: bool,
    /// Numbers of their named ports.
    pub named_ports: BTreeMap<(Transport, String), u16>,
}

impl Class {
    /// A pod nobody has made yet: no labels, no named ports. What it could do shows before it comes.
    pub fn hypothetical(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            labels: Labels::new(),
            host_network: false,
            named_ports: BTreeMap::new(),
        }
    }
}

/// One pod, as far as policies see it.
#[derive(Clone, Debug, PartialEq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// The class it belongs to.
    pub class: Class,
    /// Whether it has ended and reaches nobody any more.
    pub ended: bool,
}

impl From<&Pod> for PodFacts {
    fn from(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        let containers = spec.iter().flat_map(|spec| &spec.containers);
        let sidecars = spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten())
            .filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports = containers
            .chain(sidecars)
            .flat_map(|container| container.ports.iter().flatten());
        let named_ports = ports
            .filter_map(|port| {
                let transport = Transport::parse(port.protocol.as_deref())?;
                Some((
                    (transport, port.name.clone()?),
                    u16::try_from(port.container_port).ok()?,
                ))
            })
            .collect();
        Self {
            name: pod.name_any(),
            class: Class {
                namespace: pod.namespace().unwrap_or_default(),
                labels: pod.labels().clone(),
                host_network: spec.and_then(|spec| spec.host_network).unwrap_or_default(),
                named_ports,
            },
            ended: pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref())
                .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed")),
        }
    }
}

/// Everything reachability depends on.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(super) namespaces: BTreeMap<String, Labels>,
    /// Classes by namespace, with how many pods each has.
    pub(super) classes: BTreeMap<String, BTreeMap<Arc<Class>, usize>>,
    pods: HashMap<(String, String), Arc<Class>>,
    pub(super) policies: BTreeMap<String, BTreeMap<String, PolicyFacts>>,
    pub(super) cluster_policies: BTreeMap<String, ClusterPolicyFacts>,
}

impl World {
    /// Takes in a namespace.
    pub fn upsert_namespace(&mut self, namespace: NamespaceFacts) {
        self.namespaces.insert(namespace.name, namespace.labels);
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Takes in a pod; answers whether its class is new, so that others may reach differently.
    pub fn upsert_pod(&mut self, pod: PodFacts) -> bool {
        let place = (pod.class.namespace.clone(), pod.name);
        if pod.ended {
            self.remove_pod(&place.0, &place.1);
            return false;
        }
        if self
            .pods
            .get(&place)
            .is_some_and(|known| **known == pod.class)
        {
            return false;
        }
        self.remove_pod(&place.0, &place.1);
        let classes = self.classes.entry(place.0.clone()).or_default();
        let known = classes
            .get_key_value(&pod.class)
            .map(|(class, _)| class.clone());
        let is_new = known.is_none();
        let class = known.unwrap_or_else(|| Arc::new(pod.class));
        *classes.entry(class.clone()).or_default() += 1;
        self.pods.insert(place, class);
        is_new
    }

    /// Forgets a pod.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(class) = self.pods.remove(&(namespace.to_owned(), name.to_owned())) else {
            return;
        };
        let Some(classes) = self.classes.get_mut(namespace) else {
            return;
        };
        if let Some(count) = classes.get_mut(&class) {
            *count -= 1;
            if *count == 0 {
                classes.remove(&class);
            }
        }
        if classes.is_empty() {
            self.classes.remove(namespace);
        }
    }

    /// Takes in a NetworkPolicy.
    pub fn upsert_policy(&mut self, policy: PolicyFacts) {
        self.policies
            .entry(policy.namespace.clone())
            .or_default()
            .insert(policy.name.clone(), policy);
    }

    /// Forgets a NetworkPolicy.
    pub fn remove_policy(&mut self, namespace: &str, name: &str) {
        if let Some(policies) = self.policies.get_mut(namespace) {
            policies.remove(name);
        }
    }

    /// Takes in a ClusterNetworkPolicy.
    pub fn upsert_cluster_policy(&mut self, policy: ClusterPolicyFacts) {
        self.cluster_policies.insert(policy.name.clone(), policy);
    }

    /// Forgets a ClusterNetworkPolicy.
    pub fn remove_cluster_policy(&mut self, name: &str) {
        self.cluster_policies.remove(name);
    }

    /// The classes of a namespace, and a pod nobody has made yet.
    pub(super) fn classes_in(&self, namespace: &str) -> Vec<Arc<Class>> {
        let hypothetical = Arc::new(Class::hypothetical(namespace));
        let mut classes: Vec<Arc<Class>> = self
            .classes
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect();
        if !classes.contains(&hypothetical) {
            classes.push(hypothetical);
        }
        classes
    }

    /// Pods of a namespace that live in the node's network, as labels.
    pub fn host_network_classes(&self, namespace: &str) -> Vec<Arc<Class>> {
        self.classes
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|class| class.host_network)
            .cloned()
            .collect()
    }

    /// Labels of a namespace; none where it is not known.
    pub(super) fn labels_of(&self, namespace: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(namespace).unwrap_or(&NONE)
    }
}
