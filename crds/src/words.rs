//! Types that several kinds share.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Resource amounts by resource name, as in a ResourceQuota: `{"requests.cpu": "4", "pods": "50"}`.
pub type Amounts = BTreeMap<String, String>;

/// How sensitive a customer's data is; picks the baseline (DSA 2.3).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
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
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Confidential, Self::Restricted];

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
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
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
    #[schemars(length(min = 1, max = 2048))]
    pub uri: String,
    /// `sha256:` and 64 hexadecimal digits over the document's bytes.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

/// A request that waits for an approval; everything plain kubectl needs to write one.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// Action the approval must name.
    pub action: crate::approval::Action,
    /// Digest the approval must name.
    pub digest: String,
    /// Version of the field list the digest is computed over.
    pub digest_version: i32,
    /// How many approvals by different persons are needed.
    pub approvals_needed: i32,
    /// What would happen once approved.
    pub effect: String,
}
