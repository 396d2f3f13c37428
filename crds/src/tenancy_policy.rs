//! TenancyPolicy: the platform's own settings, typed and visible.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{
    Amounts, CONTAINER_RESOURCES, Classification, DAYS, DNS_LABEL, DNS_SUBDOMAIN, EMAIL, ENTRY,
    LABEL_KEYS, LABEL_VALUE, NO_PASSWORD, PRINTABLE, PendingApproval, PodSecurity, Port,
    QUANTITIES, QUOTA_COUNTS, QUOTA_RESOURCES, SecretRef, URL, USER,
};

/// The platform's settings. There is one, named `default`; `spec: {}` is valid and strict.
///
/// Guards read the accepted copy, never this object: a tightening is accepted at once, a loosening
/// waits for an approval while the old setting stays in force.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize,
)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "TenancyPolicy",
    plural = "tenancypolicies",
    shortname = "tp",
    category = "tenure",
    status = "TenancyPolicyStatus",
    derive = "PartialEq",
    doc = "The platform's own tenancy settings; the only one is named `default`.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[kube(validation = Rule::new("self.metadata.name == 'default'").message("there is one TenancyPolicy, named default"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || has(self.spec)").message("spec cannot be removed"))]
#[serde(rename_all = "camelCase")]
pub struct TenancyPolicySpec {
    /// What each classification demands at least; a classification left out has the built-in strict baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["classification"]))]
    pub baselines: Vec<Baseline>,
    /// Roles an access grant may name. None are grantable where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub grantable_roles: Vec<GrantableRole>,
    /// Roles no RoleBinding in a tenant namespace may name, beside the built-in list
    /// (`cluster-admin`, `admin`, `system:*`, `tenure-*`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253), regex(pattern = USER)), extend("x-kubernetes-list-type" = "set"))]
    pub privileged_roles: Vec<String>,
    /// Platform services that reach every tenant's pods: scraping, backup, mesh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub platform_ingress: Vec<PlatformIngress>,
    /// Namespaces through which outside traffic reaches tenants: the DMZ (DSA 2.8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub edges: Vec<Edge>,
    /// Ingress and gateway classes tenants may be given, and how they are protected (DSA 2.8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"]))]
    pub exposure_classes: Vec<ExposureClass>,
    /// Where cluster DNS runs; `kube-system` with `k8s-app: kube-dns` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Networks from which staff may reach tenants: VPN or zero-trust access (DSA 2.4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub source_ranges: Vec<SourceRange>,
    /// Controllers a guard lets through, each with its reason; shown on the controls they touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["guard", "username"]))]
    pub trusted_controllers: Vec<TrustedController>,
    /// Group whose members pass the guards, on record; `tenure:break-glass` (empty) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = USER))]
    #[x_kube(validation = Rule::new("!self.startsWith('system:')").message("break-glass must be a group of its own, never a system: group"))]
    pub break_glass_group: Option<String>,
    /// Identities that apply from Git: where they change a spec, the requester is nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["username"]))]
    pub gitops_appliers: Vec<Applier>,
    /// Identity of the restore tool: it may create what carries our marks, tenants' records included. What it brings back stays not ready until matched by tenantID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Applier>,
    /// How the identity provider reports multi-factor authentication (DSA 2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_provider: Option<IdentityProvider>,
    /// Key services tenants may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub key_services: Vec<KeyService>,
    /// Log sinks tenants may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub log_sinks: Vec<LogSink>,
    /// Retention where a tenant's agreement names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionDefaults>,
    /// Where the platform runs and who works on it; decides which conditional clauses apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Hosting>,
    /// Whom customers reach about security (DSA 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_contact: Option<SecurityContact>,
    /// Whether ClusterNetworkPolicy is known to be enforced here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_network_policy: Option<ClusterNetworkPolicySupport>,
    /// Whether the supplier paragraph's points are already covered by the main contract, so that
    /// its controls do not apply (SEC, opening sentence).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier_paragraph: Option<SupplierParagraph>,
}

/// What a classification demands at least (DSA 2.3, SEC 5).
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.classification in ['Confidential', 'Restricted']) || !has(self.anyEgress) || !self.anyEgress").message("egress of Confidential and Restricted tenants always names its destinations"))]
pub struct Baseline {
    /// The classification.
    pub classification: Classification,
    /// Weakest Pod Security level; Restricted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// Storage classes volumes may use; none when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN)), extend("x-kubernetes-list-type" = "set"))]
    pub storage_classes: Vec<String>,
    /// Whether declared egress may cover (nearly) the whole Internet: an IPv4 prefix shorter than
    /// 8 or an IPv6 prefix shorter than 32. False when absent; never for Confidential and Restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_egress: Option<bool>,
    /// Grantable roles a grant to such a tenant may name; every one of `grantableRoles` when absent (DSA 2.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub roles: Option<Vec<String>>,
    /// Quota of a namespace that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new(QUANTITIES).message("every amount must be a non-negative quantity such as 4, 500m or 8Gi"))]
    #[x_kube(validation = Rule::new(QUOTA_RESOURCES).message("unknown resource: use the names of a ResourceQuota, e.g. requests.cpu, limits.memory, pods, count/jobs.batch"))]
    #[x_kube(validation = Rule::new(QUOTA_COUNTS).message("objects are counted in whole numbers: pods, services, secrets, count/..."))]
    pub quota: Option<Amounts>,
    /// Container defaults of a namespace that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Container defaults and maxima; they become a LimitRange.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.defaultRequest) || !has(self.default) || self.defaultRequest.all(k, !(k in self.default) || !isQuantity(self.defaultRequest[k]) || !isQuantity(self.default[k]) || quantity(self.defaultRequest[k]).compareTo(quantity(self.default[k])) <= 0)").message("defaultRequest must not exceed default"))]
#[x_kube(validation = Rule::new("!has(self.defaultRequest) || !has(self.max) || self.defaultRequest.all(k, !(k in self.max) || !isQuantity(self.defaultRequest[k]) || !isQuantity(self.max[k]) || quantity(self.defaultRequest[k]).compareTo(quantity(self.max[k])) <= 0)").message("defaultRequest must not exceed max"))]
#[x_kube(validation = Rule::new("!has(self.default) || !has(self.max) || self.default.all(k, !(k in self.max) || !isQuantity(self.default[k]) || !isQuantity(self.max[k]) || quantity(self.default[k]).compareTo(quantity(self.max[k])) <= 0)").message("default must not exceed max"))]
pub struct Limits {
    /// Limits of a container that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 3, "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new(CONTAINER_RESOURCES).message("unknown resource: containers have cpu, memory and ephemeral-storage"))]
    #[x_kube(validation = Rule::new(QUANTITIES).message("every amount must be a non-negative quantity such as 500m or 8Gi"))]
    pub default: Option<Amounts>,
    /// Requests of a container that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 3, "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new(CONTAINER_RESOURCES).message("unknown resource: containers have cpu, memory and ephemeral-storage"))]
    #[x_kube(validation = Rule::new(QUANTITIES).message("every amount must be a non-negative quantity such as 500m or 8Gi"))]
    pub default_request: Option<Amounts>,
    /// Most a container may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 3, "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new(CONTAINER_RESOURCES).message("unknown resource: containers have cpu, memory and ephemeral-storage"))]
    #[x_kube(validation = Rule::new(QUANTITIES).message("every amount must be a non-negative quantity such as 500m or 8Gi"))]
    pub max: Option<Amounts>,
}

/// A role an access grant may name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantableRole {
    /// Name of the ClusterRole.
    #[schemars(length(min = 1, max = 253), regex(pattern = USER))]
    pub name: String,
    /// Longest grant, as an ISO 8601 period (`PT8H`, `P30D`).
    #[schemars(
        length(max = 7),
        regex(pattern = r"^P([1-9][0-9]{0,3}D|T[1-9][0-9]{0,3}[HM])$")
    )]
    pub longest: String,
    /// Approvals a grant needs, by different persons.
    #[schemars(range(min = 1, max = 3))]
    pub approvals: i32,
    /// Roles the same person may not hold at the same time (DSA 2.4 separation of duties).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub exclusive_with: Vec<String>,
    /// Only through a session credential, never bound to the person's own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_only: Option<bool>,
    /// Reviewed as privileged (DSA 2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// Longest time between two reviews of its grants, in days; three months when absent, and never longer (DSA 2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = r"^P([1-9]|[1-8][0-9]|9[0-2])D$"))]
    pub review_every: Option<String>,
    /// Whether sessions that are open when a grant ends are cut, by deleting the pods they may be in: within 30 seconds, whatever time a pod asks for to end; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_sessions: Option<bool>,
}

/// A platform service that reaches every tenant's pods.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformIngress {
    /// Name of the entry, e.g. `scrape`.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// Namespace the service runs in.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: String,
    /// Labels of the service's pods; every pod of the namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE}))]
    #[x_kube(validation = Rule::new(LABEL_KEYS).message("every key must be a label key such as app or example.com/team"))]
    pub pod_labels: Option<std::collections::BTreeMap<String, String>>,
    /// Ports it may reach; every port when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub ports: Vec<Port>,
}

/// A namespace through which outside traffic reaches tenants.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Edge {
    /// The namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: String,
}

/// Which API an exposure class belongs to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum ExposureKind {
    /// `IngressClass`.
    Ingress,
    /// `GatewayClass`.
    Gateway,
    /// A shared Gateway, named `namespace/name`.
    SharedGateway,
}

/// A class through which tenants may be reached from outside.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.kind == 'SharedGateway' ? self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$') : self.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("name is the name of the class, or namespace/name of a SharedGateway"))]
pub struct ExposureClass {
    /// Which API the class belongs to.
    pub kind: ExposureKind,
    /// Name of the class, or `namespace/name` of a shared gateway.
    #[schemars(length(min = 1, max = 317))]
    pub name: String,
    /// How the class is protected by a web application firewall; absent means it is not (DSA 2.8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub waf: Option<String>,
}

/// Where cluster DNS runs.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// Namespace of the DNS pods.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: String,
    /// Labels of the DNS pods.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE}))]
    #[x_kube(validation = Rule::new(LABEL_KEYS).message("every key must be a label key such as app or example.com/team"))]
    pub pod_labels: std::collections::BTreeMap<String, String>,
    /// Ports the pods listen on; 53 over UDP and TCP when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub ports: Vec<Port>,
}

/// What a source range is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum SourceKind {
    /// A virtual private network.
    Vpn,
    /// A zero-trust access proxy.
    ZeroTrust,
    /// The provider's own premises.
    OnSite,
}

/// A network from which staff may reach tenants.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct SourceRange {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// The range.
    #[schemars(length(max = 43))]
    #[x_kube(validation = Rule::new("isCIDR(self) && string(cidr(self).masked()) == self").message("must be a CIDR in its shortest form and without host bits, such as 198.51.100.0/24 or 2001:db8::/48"))]
    #[x_kube(validation = Rule::new("!isCIDR(self) || cidr(self).prefixLength() >= 8").message("a range that is (nearly) the whole Internet says nothing about where staff come from: no prefix shorter than /8"))]
    pub cidr: String,
    /// What it is.
    pub kind: SourceKind,
}

/// A guard a controller can be trusted on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Guard {
    /// NetworkPolicies in tenant namespaces.
    Networkpolicies,
    /// RoleBindings in tenant namespaces.
    Rolebindings,
    /// Services.
    Services,
    /// Ingresses, gateways and routes.
    Exposure,
    /// Claims and volumes.
    Storage,
    /// Minting ServiceAccount tokens.
    Tokens,
    /// Pods.
    Pods,
}

impl Guard {
    /// Every guard a controller can be trusted on.
    pub const ALL: [Self; 7] = [
        Self::Networkpolicies,
        Self::Rolebindings,
        Self::Services,
        Self::Exposure,
        Self::Storage,
        Self::Tokens,
        Self::Pods,
    ];

    /// The guard's name, as in its policy `tenure-<name>`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Networkpolicies => "networkpolicies",
            Self::Rolebindings => "rolebindings",
            Self::Services => "services",
            Self::Exposure => "exposure",
            Self::Storage => "storage",
            Self::Tokens => "tokens",
            Self::Pods => "pods",
        }
    }
}

/// A controller a guard lets through.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct TrustedController {
    /// The guard.
    pub guard: Guard,
    /// Exact user name, e.g. `system:serviceaccount:cert-manager:cert-manager`.
    #[schemars(length(min = 1, max = 512), regex(pattern = USER))]
    #[x_kube(validation = Rule::new("!self.contains('*') && self != 'system:anonymous'").message("must be one exact user name, and somebody's"))]
    pub username: String,
    /// Why it may.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// An identity that writes on behalf of a repository or a backup.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct Applier {
    /// Exact user name.
    #[schemars(length(min = 1, max = 512), regex(pattern = USER))]
    #[x_kube(validation = Rule::new("!self.contains('*') && self != 'system:anonymous'").message("must be one exact user name, and somebody's"))]
    pub username: String,
}

/// How the identity provider reports multi-factor authentication.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProvider {
    /// Key in the user's extra information, e.g. `authentication.example.com/amr`.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9._/]*[a-z0-9])?$")
    )]
    pub mfa_extra_key: String,
    /// Values that mean a second factor was used.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253), regex(pattern = PRINTABLE)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(v, !v.contains(','))").message("values must not contain a comma"))]
    pub mfa_extra_values: Vec<String>,
}

/// Kind of key service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum KeyServiceKind {
    /// OpenBao or Vault transit.
    Vault,
    /// AWS Key Management Service.
    AwsKms,
}

/// A key service tenants may name.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyService {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// What it is.
    pub kind: KeyServiceKind,
    /// Where it answers; TLS only (DSA 2.6).
    #[schemars(length(min = 1, max = 2048), regex(pattern = URL))]
    #[x_kube(validation = Rule::new(NO_PASSWORD).message("credentials belong in a Secret, never in an address"))]
    #[x_kube(validation = Rule::new("self.startsWith('https://')").message("must be an https:// address"))]
    pub address: String,
    /// Secret in the operator's namespace with the credentials, where the service asks for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,
}

/// A log sink tenants may name.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSink {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// Where it takes logs; TLS only (DSA 2.6).
    #[schemars(length(min = 1, max = 2048), regex(pattern = URL))]
    #[x_kube(validation = Rule::new(NO_PASSWORD).message("credentials belong in a Secret, never in an address"))]
    #[x_kube(validation = Rule::new("self.startsWith('https://') || self.startsWith('s3://')").message("must be an https:// or s3:// address"))]
    pub address: String,
    /// Secret in the operator's namespace with the credentials, where the sink asks for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,
}

/// Retention where a tenant's agreement names none, as ISO 8601 periods in days.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct RetentionDefaults {
    /// Log files (DSA 2.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = DAYS))]
    pub logs: Option<String>,
    /// Backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = DAYS))]
    pub backups: Option<String>,
}

/// Where the platform runs and who works on it. An absent answer leaves the clause's controls Unknown.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hosting {
    /// Customer data is in a datacentre owned or run by the provider (DSA 2.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_datacentre: Option<bool>,
    /// Customer data is in a public cloud (DSA 2.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_cloud: Option<bool>,
    /// Staff work from elsewhere (DSA 2.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telework: Option<bool>,
    /// Subcontractors have access (DSA 2.10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcontractors: Option<bool>,
}

/// Whom customers reach about security.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SecurityContact {
    /// Name of the function or team, on one line.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub name: String,
    /// Electronic mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320), regex(pattern = EMAIL))]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub phone: Option<String>,
}

/// Whether ClusterNetworkPolicy is known to be enforced here.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ClusterNetworkPolicySupport {
    /// True only where the network plugin is known to enforce the Admin tier.
    pub enforced: bool,
}

/// Whether the supplier paragraph applies.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SupplierParagraph {
    /// The main contract, service level agreement or processing agreement already covers its points.
    pub covered_by_main_contract: bool,
}

/// What the operator made of the TenancyPolicy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenancyPolicyStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted` (the spec is in force, or which fields wait), `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Digest of the settings in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub accepted_digest: Option<String>,
    /// Changes that wait for an approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["action", "digest"]))]
    pub pending_approvals: Vec<PendingApproval>,
}
