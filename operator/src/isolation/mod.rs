//! Effective isolation: from all NetworkPolicies, ClusterNetworkPolicies, namespaces and pods, who
//! can reach whom across tenants and from outside, and on which ports (DSA 2.6, 2.8).
//!
//! Pure: no client, no clock. Pods that policies cannot tell apart (same namespace, labels and named
//! ports) form one class, so the work grows with classes and not with pods. What it says is about
//! objects; that packets obey them is the probe pair's to show.
//!
//! - A pair is open where the source's egress *and* the destination's ingress allow it.
//! - Policies do not select pods in the node's network, and nodes reach every pod (kubelet probes):
//!   such pods are a residual that is shown, not a hole in a policy.
//! - Outside the cluster there are only addresses: what blocks open is told to the address, less what
//!   was declared. That some network plugins match pods by blocks too is not modelled: who is let in
//!   by a block that was not declared is reported as that block.
//! - ClusterNetworkPolicies of equal priority may be applied in any order: what some order opens is open.
//! - A policy that is not understood counts as one that may allow anything, never as one that isolates.

mod addresses;
mod cluster_policy;
mod cut;
mod evaluate;
mod exposure;
mod policy;
mod ports;
mod ranges;
mod selector;
mod world;

#[cfg(test)]
mod generated;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

pub use cluster_policy::{ClusterNetworkPolicy, ClusterNetworkPolicySpec, ClusterPolicyFacts};
pub use cut::{Flow, would_cut};
pub use exposure::{Expected, Exposure, Side, Unexpected, exposures, unexpected};
pub use policy::{NotUnderstood, PolicyFacts};
pub use ports::{PortSet, Transport};
pub use world::{Class, NamespaceFacts, PodFacts, PodNews, World};
