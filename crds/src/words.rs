//! Types that several kinds share.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DNS label (RFC 1123): namespaces and short names.
pub(crate) const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// DNS subdomain (RFC 1123): names of most objects.
pub(crate) const DNS_SUBDOMAIN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Fully qualified host name: one label alone would be looked up inside the cluster first.
pub(crate) const HOST: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$";
/// Host name to expose; `*.` may stand before it, never before a top-level domain.
pub(crate) const EXPOSED_HOST: &str =
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$";
/// A shared gateway, `namespace/name`.
pub(crate) const GATEWAY: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// Name of an entry that other entries may refer to: ASCII, so that no look-alike passes for it.
pub(crate) const ENTRY: &str = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// A UUID in its one spelling: lower case, with hyphens.
pub(crate) const TENANT_ID: &str =
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// Id of a control of the catalogue.
pub(crate) const CONTROL: &str = r"^(dsa|sec)-[0-9]+(\.[0-9]+)?(-[a-z0-9]+)*$";
/// SHA-256 digest.
pub(crate) const DIGEST: &str = r"^sha256:[0-9a-f]{64}$";
/// Electronic mail address, roughly: it is shown to people, never written to by the API server.
pub(crate) const EMAIL: &str = r"^[^@\s]+@[^@\s]+$";
/// Calendar date; the format checks that the day exists.
pub(crate) const DATE: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
/// RFC 3339 instant; the format checks that it exists, this that it is spelled as clocks print it.
pub(crate) const INSTANT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})$";
/// ISO 8601 period in whole days, at least one.
pub(crate) const DAYS: &str = r"^P[1-9][0-9]{0,4}D$";
/// One line of text without control, format or line-separating characters (no bidirectional tricks).
pub(crate) const PRINTABLE: &str = r"^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$";
/// User or group name: no blank at either end, nothing invisible, no comma (guards read lists of names).
pub(crate) const USER: &str =
    r"^[^\s,\p{Cc}\p{Cf}]([^,\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*[^\s,\p{Cc}\p{Cf}])?$";
/// User or group name of a person: printable ASCII without comma, so that no look-alike passes for another.
pub(crate) const IDENTITY: &str = r"^[!-+\--~]([ -+\--~]*[!-+\--~])?$";
/// Group name of a person: printable ASCII; directories put commas in theirs.
pub(crate) const GROUP: &str = r"^[!-~]([ -~]*[!-~])?$";
/// Value of a label.
pub(crate) const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// Address without blanks.
pub(crate) const URL: &str = r"^[a-z0-9]+://[^\s/]+(/\S*)?$";

/// CEL over a map of labels: every key is a label key (the API server would refuse the object made from it).
pub(crate) const LABEL_KEYS: &str = r"self.all(k, k.size() <= 253 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))";
/// CEL over a map of amounts: every value is a quantity and none is below zero.
pub(crate) const QUANTITIES: &str =
    "self.all(k, isQuantity(self[k]) && quantity(self[k]).compareTo(quantity('0')) >= 0)";
/// CEL over a map of amounts: every key is a resource a ResourceQuota knows.
pub(crate) const QUOTA_RESOURCES: &str = r"self.all(k, k in ['cpu', 'memory', 'ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.storage', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory', 'limits.ephemeral-storage', 'pods', 'services', 'services.loadbalancers', 'services.nodeports', 'secrets', 'configmaps', 'persistentvolumeclaims', 'replicationcontrollers', 'resourcequotas'] || (k.size() <= 253 && k.matches('^(count/[a-z0-9]([-a-z0-9.]*[a-z0-9])?|requests[.][a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?|[a-z0-9]([-a-z0-9.]*[a-z0-9])?[.]storageclass[.]storage[.]k8s[.]io/(requests[.]storage|persistentvolumeclaims)|(requests[.])?hugepages-[1-9][0-9]*[KMG]i)$')))";
/// CEL over a map of amounts: what counts objects is a whole number.
pub(crate) const QUOTA_COUNTS: &str = "self.all(k, !(k in ['pods', 'services', 'services.loadbalancers', 'services.nodeports', 'secrets', 'configmaps', 'persistentvolumeclaims', 'replicationcontrollers', 'resourcequotas'] || k.startsWith('count/') || k.endsWith('/persistentvolumeclaims')) || !isQuantity(self[k]) || quantity(self[k]).isInteger())";
/// CEL over a map of amounts: every key is a resource of a container.
pub(crate) const CONTAINER_RESOURCES: &str =
    "self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])";
/// CEL over an address: it carries no password.
pub(crate) const NO_PASSWORD: &str = "!self.matches('^[a-z0-9]+://[^/@]*:[^/@]*@')";

/// Resource amounts by resource name, as in a ResourceQuota: `{"requests.cpu": "4", "pods": "50"}`.
pub type Amounts = BTreeMap<String, String>;

/// How sensitive a customer's data is; picks the baseline (DSA 2.3).
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Classification {
    /// Meant for everybody.
    Public,
    /// For the customer's own use.
    Internal,
    /// Would harm the customer if disclosed.
    Confidential,
    /// Would gravely harm the customer or persons if disclosed.
    Restricted,
}

impl Classification {
    /// Every classification, weakest first.
    pub const ALL: [Self; 4] = [
        Self::Public,
        Self::Internal,
        Self::Confidential,
        Self::Restricted,
    ];

    /// The word as it stands in specs and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "Public",
            Self::Internal => "Internal",
            Self::Confidential => "Confidential",
            Self::Restricted => "Restricted",
        }
    }
}

/// Whether the agreement's controls bite.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Enforcement {
    /// Report what would be cut or refused and change nothing that bites. Never Compliant.
    Observe,
    /// Enforce, repair and report.
    #[default]
    Enforce,
}

impl Enforcement {
    /// The word as it stands in specs and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "Observe",
            Self::Enforce => "Enforce",
        }
    }
}

/// Language of titles and certificates: the languages of the agreements.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Language {
    /// Dutch.
    Nl,
    /// French.
    Fr,
    /// English.
    #[default]
    En,
}

/// Level of the Kubernetes Pod Security Standards, weakest first.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum PodSecurity {
    /// No restriction.
    Privileged,
    /// Known privilege escalations are refused.
    Baseline,
    /// Current hardening practice is required.
    Restricted,
}

impl PodSecurity {
    /// The value of the Pod Security admission labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Transport protocol of a port.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Protocol {
    /// Transmission Control Protocol.
    #[default]
    TCP,
    /// User Datagram Protocol.
    UDP,
    /// Stream Control Transmission Protocol.
    SCTP,
}

impl Protocol {
    /// The word as it stands in Kubernetes objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TCP => "TCP",
            Self::UDP => "UDP",
            Self::SCTP => "SCTP",
        }
    }
}

/// One port or a range of ports.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.endPort) || self.endPort >= self.port").message("endPort must not be below port"))]
pub struct Port {
    /// First (or only) port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Last port of a range; absent for a single port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
    /// Transport protocol; TCP when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// A document outside the cluster: where it is, and what it said.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Where the document can be found.
    #[schemars(length(min = 1, max = 2048), regex(pattern = PRINTABLE))]
    pub uri: String,
    /// `sha256:` and 64 hexadecimal digits over the document's bytes.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: String,
}

/// A request that waits for an approval; everything plain kubectl needs to write one.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// Action the approval must name.
    pub action: crate::approval::Action,
    /// Digest the approval must name.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: String,
    /// Version of the field list the digest is computed over.
    #[schemars(range(min = 1))]
    pub digest_version: i32,
    /// How many approvals by different persons are needed.
    #[schemars(range(min = 1))]
    pub approvals_needed: i32,
    /// What would happen once approved.
    #[schemars(length(max = 32768))]
    pub effect: String,
}

/// Names a Secret in the operator's namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}
