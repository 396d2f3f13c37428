//! Every object a tenant should have, in one struct.

use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a namespace is held to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Hold {
    /// Its controls bite; pods start once its policies stand.
    Enforced,
    /// Nothing bites; what would is reported.
    Observed,
    /// It left the tenant's list: nothing in, nothing out, no new pods, never deleted.
    Parked,
}

/// Every object of a tenant.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendering {
    /// The namespaces with what belongs into them, sorted by name.
    pub namespaces: Vec<NamespaceRendering>,
    /// ClusterNetworkPolicies, where they are known to be enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_policies: Vec<Value>,
}

impl Rendering {
    /// Tells one rendering from another: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(self)
            .unwrap_or_else(|error| unreachable!("objects have a JSON form: {error}"));
        let hash = Sha256::digest(&text);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }

    /// The rendering of one namespace.
    pub fn namespace(&self, name: &str) -> Option<&NamespaceRendering> {
        self.namespaces
            .iter()
            .find(|rendering| rendering.name == name)
    }
}

/// One namespace with what belongs into it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRendering {
    /// Full name of the namespace.
    pub name: String,
    /// What it is held to.
    pub hold: Hold,
    /// The namespace itself, without its ready mark.
    pub namespace: Namespace,
    /// Its isolation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<NetworkPolicy>,
    /// Most it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<ResourceQuota>,
    /// Container defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitRange>,
    /// Who may work in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<RoleBinding>,
}
