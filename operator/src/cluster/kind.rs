//! The closed list of kinds the operator manages inside and around tenants, and for sessions.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;

/// A kind the operator may create, change and delete. There is no other.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// The tenant's namespaces.
    Namespace,
    /// Isolation.
    NetworkPolicy,
    /// Isolation above NetworkPolicy, where it is known to be enforced.
    ClusterNetworkPolicy,
    /// Most a namespace may use.
    ResourceQuota,
    /// Container defaults.
    LimitRange,
    /// Access of deployers, members and grants; who may fetch a session's token.
    RoleBinding,
    /// Fetching a session's token; in the sessions' namespace alone.
    Role,
    /// Whom a session acts as; in the sessions' namespace alone.
    ServiceAccount,
}

impl Kind {
    /// The kind's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::ResourceQuota => "ResourceQuota",
            Self::LimitRange => "LimitRange",
            Self::RoleBinding => "RoleBinding",
            Self::Role => "Role",
            Self::ServiceAccount => "ServiceAccount",
        }
    }

    /// Where the API server serves the kind.
    pub fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::Namespace => ("", "v1", "namespaces"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "networkpolicies"),
            Self::ClusterNetworkPolicy => (
                "policy.networking.k8s.io",
                "v1alpha2",
                "clusternetworkpolicies",
            ),
            Self::ResourceQuota => ("", "v1", "resourcequotas"),
            Self::LimitRange => ("", "v1", "limitranges"),
            Self::RoleBinding => ("rbac.authorization.k8s.io", "v1", "rolebindings"),
            Self::Role => ("rbac.authorization.k8s.io", "v1", "roles"),
            Self::ServiceAccount => ("", "v1", "serviceaccounts"),
        };
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(group, version, self.as_str()),
            plural,
        )
    }

    /// Whether objects of the kind live in a namespace.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::ClusterNetworkPolicy)
    }
}
