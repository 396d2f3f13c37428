//! The model: namespaces, classes of pods, policies. Kept up to date one object at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;

use super::cluster_policy::ClusterPolicyFacts;
use super::policy::PolicyFacts;
use super::ports::Transport;
use super::selector::{Labels, Selector};

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
    /// Their named ports. Containers of one pod may give the same name to different numbers.
    pub named_ports: BTreeSet<(Transport, String, u16)>,
}

impl Class {
    /// A pod nobody has made yet: no labels, no named ports. What it could do shows before it comes.
    pub fn hypothetical(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            labels: Labels::new(),
            host_network: false,
            named_ports: BTreeSet::new(),
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
        // Init containers listen too, while they run.
        let containers = spec.iter().flat_map(|spec| {
            let init = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(init)
        });
        let ports = containers.flat_map(|container| container.ports.iter().flatten());
        let named_ports = ports
            .filter_map(|port| {
                let transport = Transport::parse(port.protocol.as_deref())?;
                let number = u16::try_from(port.container_port).ok()?;
                Some((transport, port.name.clone()?, number))
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

/// What a pod that was taken in changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PodNews {
    /// It was not known.
    pub is_new_pod: bool,
    /// Nothing like it was known, or the last of its kind is no more: others may reach differently.
    pub changes_classes: bool,
}

/// Everything reachability depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub(super) namespaces: BTreeMap<String, Labels>,
    /// Namespaces by label key and value: most selectors ask for one value, and few have it.
    by_label: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Classes by namespace, with how many pods each has.
    pub(super) classes: BTreeMap<String, BTreeMap<Arc<Class>, usize>>,
    /// Every pod, by namespace and name, with its class while it has not ended.
    pods: HashMap<String, BTreeMap<Box<str>, Option<Arc<Class>>>>,
    policies: BTreeMap<String, BTreeMap<String, PolicyFacts>>,
    cluster_policies: BTreeMap<String, ClusterPolicyFacts>,
    /// Names of the ClusterNetworkPolicies whose subject takes in a namespace.
    subject_to: BTreeMap<String, BTreeSet<String>>,
}

impl World {
    /// Whether a namespace is known as it is.
    pub fn knows(&self, namespace: &NamespaceFacts) -> bool {
        self.namespaces.get(&namespace.name) == Some(&namespace.labels)
    }

    /// Takes in a namespace.
    pub fn upsert_namespace(&mut self, namespace: NamespaceFacts) {
        if self.knows(&namespace) {
            return;
        }
        let NamespaceFacts { name, labels } = namespace;
        self.remove_namespace(&name);
        for (key, value) in &labels {
            let values = self.by_label.entry(key.clone()).or_default();
            let names = values.entry(value.clone()).or_default();
            names.insert(name.clone());
        }
        let selecting = self.cluster_policies.values();
        let selecting = selecting.filter(|policy| policy.namespaces.matches(&labels));
        let selecting: BTreeSet<String> = selecting.map(|policy| policy.name.clone()).collect();
        if !selecting.is_empty() {
            self.subject_to.insert(name.clone(), selecting);
        }
        self.namespaces.insert(name, labels);
    }

    /// Forgets a namespace; its pods and policies go by themselves.
    pub fn remove_namespace(&mut self, name: &str) {
        self.subject_to.remove(name);
        for (key, value) in self.namespaces.remove(name).unwrap_or_default() {
            let Some(values) = self.by_label.get_mut(&key) else {
                continue;
            };
            forget(values, &value, name);
            if values.is_empty() {
                self.by_label.remove(&key);
            }
        }
    }

    /// Takes in a pod.
    pub fn upsert_pod(&mut self, pod: PodFacts) -> PodNews {
        let PodFacts { name, class, ended } = pod;
        let namespace = class.namespace.clone();
        let class = (!ended).then_some(class);
        let before = self.pods.get(&namespace).and_then(|pods| pods.get(&*name));
        if before.is_some_and(|before| before.as_deref() == class.as_ref()) {
            return PodNews::default();
        }
        let mut news = PodNews {
            is_new_pod: before.is_none(),
            changes_classes: false,
        };
        news.changes_classes = self.remove_pod(&namespace, &name);
        let class = class.map(|class| {
            let classes = self.classes.entry(namespace.clone()).or_default();
            let known = classes.get_key_value(&class);
            let known = known.map(|(class, _)| class.clone());
            news.changes_classes |= known.is_none();
            let class = known.unwrap_or_else(|| Arc::new(class));
            *classes.entry(class.clone()).or_default() += 1;
            class
        });
        let pods = self.pods.entry(namespace).or_default();
        pods.insert(name.into_boxed_str(), class);
        news
    }

    /// Forgets a pod; answers whether it was the last of its kind.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) -> bool {
        let Some(pods) = self.pods.get_mut(namespace) else {
            return false;
        };
        let removed = pods.remove(name).flatten();
        if pods.is_empty() {
            self.pods.remove(namespace);
        }
        let (Some(class), Some(classes)) = (removed, self.classes.get_mut(namespace)) else {
            return false;
        };
        let Some(count) = classes.get_mut(&class) else {
            return false;
        };
        *count -= 1;
        let was_last = *count == 0;
        if was_last {
            classes.remove(&class);
        }
        if classes.is_empty() {
            self.classes.remove(namespace);
        }
        was_last
    }

    /// Whether a namespace holds a pod, ended or not.
    pub fn has_pod(&self, namespace: &str) -> bool {
        self.pods.contains_key(namespace)
    }

    /// Namespace and name of every pod.
    pub fn pods(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pods.iter().flat_map(|(namespace, pods)| {
            let names = pods.keys();
            names.map(move |name| (namespace.as_str(), name.as_ref()))
        })
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
        let Some(policies) = self.policies.get_mut(namespace) else {
            return;
        };
        policies.remove(name);
        if policies.is_empty() {
            self.policies.remove(namespace);
        }
    }

    /// Takes in a ClusterNetworkPolicy.
    pub fn upsert_cluster_policy(&mut self, policy: ClusterPolicyFacts) {
        self.remove_cluster_policy(&policy.name);
        for (namespace, labels) in &self.namespaces {
            if policy.namespaces.matches(labels) {
                let names = self.subject_to.entry(namespace.clone()).or_default();
                names.insert(policy.name.clone());
            }
        }
        self.cluster_policies.insert(policy.name.clone(), policy);
    }

    /// Forgets a ClusterNetworkPolicy.
    pub fn remove_cluster_policy(&mut self, name: &str) {
        if self.cluster_policies.remove(name).is_none() {
            return;
        }
        self.subject_to.retain(|_, names| {
            names.remove(name);
            !names.is_empty()
        });
    }

    /// Whether any ClusterNetworkPolicy stands: then a namespace may concern any other.
    pub fn has_cluster_policies(&self) -> bool {
        !self.cluster_policies.is_empty()
    }

    /// Namespaces with a NetworkPolicy that lets a namespace through, as its labels are now: what happens there may open
    /// something, or close it, here.
    pub fn naming(&self, namespace: &str) -> BTreeSet<String> {
        let labels = self.labels_of(namespace);
        let all = self.policies.iter();
        let naming = all.filter(|(_, policies)| {
            let mut policies = policies.values();
            policies.any(|policy| policy.names(labels))
        });
        naming.map(|(name, _)| name.clone()).collect()
    }

    /// The NetworkPolicies of a namespace, by name.
    pub(super) fn policies_in(&self, namespace: &str) -> impl Iterator<Item = &PolicyFacts> {
        let policies = self.policies.get(namespace).into_iter();
        policies.flat_map(BTreeMap::values)
    }

    /// The ClusterNetworkPolicies whose subject takes in a namespace.
    pub(super) fn cluster_policies_on(&self, namespace: &str) -> Vec<&ClusterPolicyFacts> {
        if !self.namespaces.contains_key(namespace) {
            // A namespace not seen yet: by the labels it would have without any of its own.
            let all = self.cluster_policies.values();
            return all
                .filter(|policy| policy.namespaces.matches(self.labels_of(namespace)))
                .collect();
        }
        let names = self.subject_to.get(namespace).into_iter().flatten();
        names
            .filter_map(|name| self.cluster_policies.get(name))
            .collect()
    }

    /// The namespaces a selector selects, found without asking each where the selector names values.
    pub(super) fn namespaces_matching(&self, selector: &Selector) -> Vec<&str> {
        let having = |(key, values): (&str, &[String])| -> Vec<&str> {
            let known = self.by_label.get(key).into_iter();
            let known = known.flat_map(|known| values.iter().filter_map(|value| known.get(value)));
            known.flatten().map(String::as_str).collect()
        };
        let fewest = selector.required().map(having).min_by_key(Vec::len);
        let asked = fewest.unwrap_or_else(|| self.namespaces.keys().map(String::as_str).collect());
        let selected = asked.into_iter();
        selected
            .filter(|name| selector.matches(self.labels_of(name)))
            .collect()
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

    /// Namespaces with pods in the node's network, and how many: nodes reach every pod whatever
    /// policies say, so these are what remains where everything else is closed.
    pub fn host_network_pods(&self) -> BTreeMap<String, usize> {
        let mut residual = BTreeMap::new();
        for (class, pods) in self.classes.values().flatten() {
            if class.host_network {
                *residual.entry(class.namespace.clone()).or_default() += pods;
            }
        }
        residual
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

fn forget(values: &mut BTreeMap<String, BTreeSet<String>>, value: &str, name: &str) {
    let Some(names) = values.get_mut(value) else {
        return;
    };
    names.remove(name);
    if names.is_empty() {
        values.remove(value);
    }
}
