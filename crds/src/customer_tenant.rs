//! CustomerTenant: one customer, from declaration to the end of its data.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{ControlStatus, Party};
use crate::tenancy_policy::Limits;
pub use crate::words::SecretRef;
use crate::words::{
    Amounts, CONTROL, Classification, DATE, DAYS, DIGEST, DNS_LABEL, DNS_SUBDOMAIN, EMAIL, ENTRY,
    EXPOSED_HOST, Enforcement, Evidence, GATEWAY, HOST, INSTANT, LABEL_KEYS, LABEL_VALUE, Language,
    NO_PASSWORD, PRINTABLE, PendingApproval, PodSecurity, Port, QUANTITIES, QUOTA_COUNTS,
    QUOTA_RESOURCES, TENANT_ID, URL, USER,
};

/// One customer of the platform and what its agreement demands.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "tenure.dev",
    version = "v1alpha1",
    kind = "CustomerTenant",
    plural = "customertenants",
    shortname = "ct",
    category = "tenure",
    status = "CustomerTenantStatus",
    derive = "PartialEq",
    doc = "One customer: its agreement, its namespaces, and what is proven about them.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Compliant", type_ = "string", json_path = ".status.compliant"),
    printcolumn(
        name = "Classification",
        type_ = "string",
        json_path = ".spec.classification"
    ),
    printcolumn(name = "Exit", type_ = "string", json_path = ".status.exit"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Enforcement",
        type_ = "string",
        json_path = ".spec.enforcement",
        priority = 1
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[kube(validation = Rule::new("self.metadata.name.size() <= 48 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("a tenant's name is a lower-case DNS label of at most 48 characters that starts with a letter"))]
#[kube(validation = Rule::new("self.metadata.name != 'kube' && !self.metadata.name.startsWith('kube-')").message("a tenant's namespaces start with its name, and kube- is the cluster's own"))]
#[kube(validation = Rule::new("self.metadata.name != 'tenure' && !self.metadata.name.startsWith('tenure-')").message("tenure- is the operator's own: give the tenant another name"))]
#[kube(validation = Rule::new("self.spec.namespaces.all(n, !has(n.existingName) || !self.spec.namespaces.exists(m, !has(m.existingName) && self.metadata.name + '-' + m.name == n.existingName))").message("an existing namespace has the name that another entry of the list will get"))]
#[kube(validation = Rule::new("!has(oldSelf.spec) || has(self.spec)").message("spec cannot be removed"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.tenantID) || (has(self.tenantID) && self.tenantID == oldSelf.tenantID)").message("tenantID is immutable: keys, logs and certificates carry it").reason(Reason::FieldValueForbidden).field_path(".tenantID"))]
#[x_kube(validation = Rule::new("!(self.classification in ['Confidential', 'Restricted']) || !has(self.network) || !has(self.network.egressTo) || self.network.egressTo.all(peer, !has(peer.cidr) || !isCIDR(peer.cidr) || cidr(peer.cidr).prefixLength() >= (peer.cidr.contains(':') ? 32 : 8))").message("egress of a Confidential or Restricted tenant must name its destinations: no IPv4 prefix shorter than /8, no IPv6 prefix shorter than /32 (0.0.0.0/0 and its halves included)"))]
#[x_kube(validation = Rule::new("self.namespaces.all(n, !has(n.existingName) || self.namespaces.exists_one(m, has(m.existingName) && m.existingName == n.existingName))").message("the same existing namespace is named twice"))]
#[x_kube(validation = Rule::new("!has(self.network) || !has(self.network.egressTo) || self.network.egressTo.all(peer, !has(peer.cidr) || !isCIDR(peer.cidr) || self.classification == 'Public' || self.classification == 'Internal' || !cidr('64:ff9b::/96').containsCIDR(peer.cidr) || cidr(peer.cidr).prefixLength() >= 104)").message("egress of a Confidential or Restricted tenant must name its destinations: 64:ff9b::/96 is the whole IPv4 Internet behind NAT64"))]
#[x_kube(validation = Rule::new("!(self.classification in ['Confidential', 'Restricted']) || !has(self.network) || !has(self.network.ingressFrom) || self.network.ingressFrom.all(peer, !has(peer.cidr) || !isCIDR(peer.cidr) || cidr(peer.cidr).prefixLength() >= (peer.cidr.contains(':') ? 32 : 8))").message("a Confidential or Restricted tenant is reached from the Internet through an edge, never directly: no IPv4 prefix shorter than /8, no IPv6 prefix shorter than /32"))]
#[x_kube(validation = Rule::new("self.namespaces.all(n, !has(n.order) || self.agreements.exists(a, has(a.orders) && a.orders.exists(o, o.name == n.order)))").message("namespaces[].order must be the name of an entry of agreements[].orders"))]
#[x_kube(validation = Rule::new("!has(self.controls) || self.controls.all(c, !has(c.notApplicable) || self.agreements.exists(a, has(a.amendments) && a.amendments.exists(m, m.name == c.notApplicable.amendment)))").message("notApplicable.amendment must be the name of an entry of agreements[].amendments (DSA 4)"))]
#[x_kube(validation = Rule::new("!has(self.termination) || !has(self.termination.deadlineReference) || self.agreements.exists(a, has(a.amendments) && a.amendments.exists(m, m.name == self.termination.deadlineReference))").message("termination.deadlineReference must be the name of an entry of agreements[].amendments (DSA 4)"))]
#[x_kube(validation = Rule::new("!has(self.termination) || !has(self.termination.destination) || !isURL(self.termination.destination.address) || (has(self.customer.returnHosts) && url(self.termination.destination.address).getHostname() in self.customer.returnHosts)").message("termination.destination must lie on one of customer.returnHosts, fixed at onboarding"))]
#[x_kube(validation = Rule::new("!has(self.encryption) || !has(self.encryption.workloads) || self.encryption.workloads.all(w, self.namespaces.exists(n, n.name == w.__namespace__))").message("encryption.workloads[].namespace must be the short name of an entry of namespaces"))]
pub struct CustomerTenantSpec {
    /// The customer's identity for ever: a UUID, made once (`uuidgen`), never used twice. Keys,
    /// logs and certificates carry it.
    #[serde(rename = "tenantID")]
    #[schemars(length(max = 36), regex(pattern = TENANT_ID))]
    #[x_kube(validation = Rule::new("self != '00000000-0000-0000-0000-000000000000'").message("the nil UUID names nobody: make one with uuidgen"))]
    pub tenant_id: String,
    /// Who the customer is.
    pub customer: Customer,
    /// Who answers for the tenant at the provider (DSA 2.1, 2.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// How sensitive the customer's data is (DSA 2.3).
    pub classification: Classification,
    /// Whether controls bite; Enforce when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// The signed agreements.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub agreements: Vec<Agreement>,
    /// The tenant's namespaces. One that leaves the list is parked, never deleted.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub namespaces: Vec<TenantNamespace>,
    /// Declared traffic; all else is denied both ways (DSA 2.6, 2.8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// How the tenant may be reached from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// How the tenant's data is encrypted (DSA 2.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Where the tenant's logs go (DSA 2.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Controllers that deploy into the tenant's namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub deployers: Vec<Deployer>,
    /// The customer's own people: the customer's responsibility, reviewed too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub members: Vec<Member>,
    /// Subcontractors the customer consented to (DSA 2.10, SEC 1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub subcontractors: Vec<Subcontractor>,
    /// Persons the customer wants not to work remotely (DSA 2.9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["person"]))]
    pub telework_exclusions: Vec<TeleworkExclusion>,
    /// Deviations from the catalogue, each with its reference (DSA 1 matrix, DSA 4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub controls: Vec<ControlOverride>,
    /// A declared suspension (DSA 7). It stops no isolation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_majeure: Option<ForceMajeure>,
    /// The end of the agreement, wholly or in part (DSA 2.13, 8; SEC 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination: Option<Termination>,
}

/// Who the customer is.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// Legal name, on one line.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub name: String,
    /// The customer's number in the provider's own books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub reference: Option<String>,
    /// Language of titles and certificates; English when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whom to reach, by role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["role"]))]
    pub contacts: Vec<Contact>,
    /// The customer's persons who may decide for it, by their identities. One identity is one person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(p, p.identities.all(i, self.exists_one(q, i in q.identities)))").message("an identity belongs to one person only: separation of duties compares persons (DSA 2.4)"))]
    pub persons: Vec<CustomerPerson>,
    /// Public keys returned data is encrypted to, registered at onboarding and confirmed out of band.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub return_recipients: Vec<ReturnRecipient>,
    /// Hosts returned data may be sent to, fixed at onboarding; a termination cannot name another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN)), extend("x-kubernetes-list-type" = "set"))]
    pub return_hosts: Vec<String>,
}

/// What a contact is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum ContactRole {
    /// Security incidents (DSA 2.11).
    Security,
    /// Notices and the agreement itself.
    Legal,
    /// Data protection.
    Privacy,
    /// Day-to-day operation.
    Operations,
}

/// Whom to reach.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Contact {
    /// What the contact is for.
    pub role: ContactRole,
    /// Name of the person or function, on one line.
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

/// A person of the customer.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct CustomerPerson {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// User names by which API servers know the person.
    #[schemars(length(min = 1, max = 4), inner(length(min = 1, max = 256), regex(pattern = USER)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!self.exists(i, i.startsWith('system:'))").message("system: users are no persons"))]
    pub identities: Vec<String>,
}

/// A public key returned data is encrypted to.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnRecipient {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// An age public key.
    #[schemars(length(max = 128), regex(pattern = r"^age1[0-9a-z]{58}$"))]
    pub age_public_key: String,
    /// `sha256:` fingerprint of the key, as the customer confirmed it out of band.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub fingerprint: String,
    /// Where the confirmation stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub confirmation: Option<String>,
}

/// Who answers for the tenant at the provider.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Owner {
    /// Name of the person, function or team, on one line.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub name: String,
    /// Electronic mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320), regex(pattern = EMAIL))]
    pub email: Option<String>,
}

/// Which text an agreement follows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Profile {
    /// Data Security Agreement.
    Dsa,
    /// Supplier security paragraph, version 1.0 of October 2019.
    SupplierParagraph,
}

/// A signed agreement.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.expiresOn) || self.expiresOn >= self.signedOn").message("expiresOn is before signedOn"))]
pub struct Agreement {
    /// Name of the agreement.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// Which text it follows.
    pub profile: Profile,
    /// Number or title of the main contract it belongs to (MSA), as both parties know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = PRINTABLE))]
    pub reference: Option<String>,
    /// `sha256:` digest of the signed document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub document_digest: Option<String>,
    /// Date of signature.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub signed_on: String,
    /// Date on which it expires, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub expires_on: Option<String>,
    /// Signed amendments (DSA 4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub amendments: Vec<SignedDocument>,
    /// Policies and instructions the customer gave in writing (DSA 1, 2.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub customer_instructions: Vec<SignedDocument>,
    /// Customer orders and statements of work under the agreement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub orders: Vec<Order>,
}

/// A document by name, date and digest.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedDocument {
    /// Name of the document.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// Date of signature or receipt.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub signed_on: String,
    /// `sha256:` digest of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: Option<String>,
}

/// A customer order or statement of work.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.endsOn) || self.endsOn >= self.signedOn").message("endsOn is before signedOn"))]
pub struct Order {
    /// Name of the order; namespaces refer to it.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// Date of signature.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub signed_on: String,
    /// Date on which it ends, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub ends_on: Option<String>,
    /// Days to return or destroy after notice, where shorter than ninety (DSA 2.13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = r"^P([1-9]|[1-8][0-9]|90)D$"))]
    pub exit_within: Option<String>,
}

/// One namespace of the tenant.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.existingName) || !(self.existingName.startsWith('kube-') || self.existingName in ['default'])").message("a namespace of the cluster itself cannot become a tenant's").field_path(".existingName"))]
pub struct TenantNamespace {
    /// Short name; the namespace is called `<tenant>-<name>`, cut with a hash past 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// A namespace that exists already and is taken over, once an approval saw the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub existing_name: Option<String>,
    /// Order or statement of work the namespace serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub order: Option<String>,
    /// Most the namespace may use, as in a ResourceQuota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new(QUANTITIES).message("every amount must be a non-negative quantity such as 4, 500m or 8Gi"))]
    #[x_kube(validation = Rule::new(QUOTA_RESOURCES).message("unknown resource: use the names of a ResourceQuota, e.g. requests.cpu, limits.memory, pods, count/jobs.batch"))]
    #[x_kube(validation = Rule::new(QUOTA_COUNTS).message("objects are counted in whole numbers: pods, services, secrets, count/..."))]
    pub quota: Option<Amounts>,
    /// Container defaults and maxima.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Pod Security level; raised to the baseline where weaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// Further labels of the namespace (mesh, cost centre).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE}))]
    #[x_kube(validation = Rule::new("self.all(k, !k.contains('tenure.dev/') && !k.startsWith('pod-security.kubernetes.io/') && !k.startsWith('kubernetes.io/') && k != 'app.kubernetes.io/managed-by')").message("tenure.dev, pod-security.kubernetes.io and kubernetes.io labels are not yours to set"))]
    #[x_kube(validation = Rule::new(LABEL_KEYS).message("every key must be a label key such as cost-centre or example.com/team"))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// What happens to running pods when policies tighten: established connections survive a policy.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum OnTighten {
    /// Keep the pods; open connections live on until they end.
    #[default]
    Keep,
    /// Delete the pods, so that no old connection survives: within 30 seconds, whatever time a pod asks for to end.
    DeletePods,
}

/// Declared traffic.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Who may reach the tenant's pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ingress_from: Vec<Peer>,
    /// Whom the tenant's pods may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub egress_to: Vec<Peer>,
    /// What happens to running pods when policies tighten; Keep when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_tighten: Option<OnTighten>,
}

/// A declared peer: a namespace or a network.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.__namespace__) != has(self.cidr)").message("a peer is exactly one of namespace and cidr"))]
#[x_kube(validation = Rule::new("!has(self.podLabels) || has(self.__namespace__)").message("podLabels go with namespace"))]
#[x_kube(validation = Rule::new("!has(self.hosts) || self.hosts.size() == 0 || has(self.cidr)").message("hosts go with cidr"))]
pub struct Peer {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// A namespace outside the tenant. Another tenant's must declare the flow too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: Option<String>,
    /// Labels of the peer's pods; every pod of the namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE}))]
    #[x_kube(validation = Rule::new(LABEL_KEYS).message("every key must be a label key such as app or example.com/team"))]
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// A network outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43))]
    #[x_kube(validation = Rule::new("isCIDR(self) && string(cidr(self).masked()) == self").message("must be a CIDR in its shortest form and without host bits, such as 198.51.100.0/24 or 2001:db8::/48"))]
    pub cidr: Option<String>,
    /// Host names at that network, for ExternalName services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253), regex(pattern = HOST)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!self.exists(h, h.endsWith('.svc') || h.contains('.svc.') || h.endsWith('.cluster.local'))").message("hosts are outside the cluster: name a Service by its namespace"))]
    pub hosts: Vec<String>,
    /// Ports; every port when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub ports: Vec<Port>,
    /// Where the flow was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reference: Option<String>,
}

/// How the tenant may be reached from outside.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// Ingress classes, from those TenancyPolicy names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub ingress_classes: Vec<String>,
    /// Gateway classes, from those TenancyPolicy names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub gateway_classes: Vec<String>,
    /// Shared gateways (`namespace/name`) routes may attach to, from those TenancyPolicy names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 3, max = 317), regex(pattern = GATEWAY)), extend("x-kubernetes-list-type" = "set"))]
    pub gateways: Vec<String>,
    /// Host names the tenant may expose; a leading `*.` covers one label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 253), regex(pattern = EXPOSED_HOST)), extend("x-kubernetes-list-type" = "set"))]
    pub hosts: Vec<String>,
}

/// How the tenant's data is encrypted.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Key service, from those TenancyPolicy names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub key_service: Option<String>,
    /// How often the key is rotated, in days (`P90D`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = DAYS))]
    pub rotation: Option<String>,
    /// Storage class the tenant's own class is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_template: Option<String>,
    /// Workloads that may encrypt or decrypt, each bound to one namespace (DSA 2.6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub workloads: Vec<KeyWorkload>,
}

/// What a workload may do with the tenant's key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum KeyUse {
    /// Encrypt only.
    Encrypt,
    /// Decrypt only.
    Decrypt,
    /// Both; reported, because no person may have both.
    Both,
}

/// A workload that may use the tenant's key.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyWorkload {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 63), regex(pattern = ENTRY))]
    pub name: String,
    /// Namespace, by its short name.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// ServiceAccount it runs as.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub service_account: String,
    /// What it may do.
    #[serde(rename = "use")]
    pub key_use: KeyUse,
}

/// Where the tenant's logs go.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Log sink, from those TenancyPolicy names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub sink: Option<String>,
    /// How long logs are kept, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = DAYS))]
    pub retention: Option<String>,
    /// Users or groups of the customer who may read the tenant's logs (DSA 2.7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512), regex(pattern = USER)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!self.exists(r, r.startsWith('system:'))").message("system: users and groups are not the customer's"))]
    pub customer_readers: Vec<String>,
}

/// A controller that deploys into the tenant's namespaces.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployer {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// Namespace of its ServiceAccount.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: String,
    /// Its ServiceAccount.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub service_account: String,
    /// What it may do; Deployer when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<TenantRole>,
}

/// Roles the chart ships for use inside tenant namespaces.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum TenantRole {
    /// Create and change workloads (`tenure-tenant-deployer`).
    Deployer,
    /// Operate workloads, without Secrets and RBAC (`tenure-tenant-member`).
    Member,
    /// See workloads, without Secrets (`tenure-tenant-viewer`).
    Viewer,
}

impl TenantRole {
    /// Name of the ClusterRole the chart ships.
    pub fn cluster_role(self) -> &'static str {
        match self {
            Self::Deployer => "tenure-tenant-deployer",
            Self::Member => "tenure-tenant-member",
            Self::Viewer => "tenure-tenant-viewer",
        }
    }
}

/// Whether a member is a person or a group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum MemberKind {
    /// One person.
    User,
    /// A group of the customer's identity provider.
    Group,
}

/// One of the customer's own people.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("!self.subject.startsWith('system:')").message("system: users and groups cannot be members"))]
#[x_kube(validation = Rule::new("self.role != 'Deployer'").message("members are Member or Viewer; deploying is for deployers"))]
pub struct Member {
    /// Name of the entry.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// Person or group.
    pub kind: MemberKind,
    /// User or group name, as the API server knows it.
    #[schemars(length(min = 1, max = 512), regex(pattern = USER))]
    pub subject: String,
    /// What it may do.
    pub role: TenantRole,
    /// Where the customer asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reference: Option<String>,
}

/// A subcontractor the customer consented to.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Subcontractor {
    /// Its name, on one line.
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTABLE))]
    pub name: String,
    /// The customer's written consent.
    pub consent: Evidence,
}

/// A person the customer wants not to work remotely.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TeleworkExclusion {
    /// The person, by StaffMember name.
    #[schemars(length(min = 1, max = 253))]
    pub person: String,
    /// Date from which it holds.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub since: String,
    /// Where the customer asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reference: Option<String>,
}

/// A deviation from the catalogue.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.responsible) || has(self.notApplicable)").message("say who is responsible, or why the control does not apply"))]
#[x_kube(validation = Rule::new("!has(self.responsible) || has(self.reference)").message("another party's responsibility needs its reference in the matrix (DSA 1)"))]
pub struct ControlOverride {
    /// Control id of the catalogue.
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL))]
    pub id: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<Party>,
    /// Where the responsibility matrix says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reference: Option<String>,
    /// Why the control does not apply, with the signed amendment that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<NotApplicable>,
}

/// Why a control does not apply.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct NotApplicable {
    /// Why the control does not apply.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// The amendment, by its name under `agreements[].amendments`.
    #[schemars(length(min = 1, max = 63))]
    pub amendment: String,
}

/// A declared suspension (DSA 7).
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForceMajeure {
    /// RFC 3339 instant since when.
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub since: String,
    /// The written notice to the other party.
    #[schemars(length(min = 1, max = 1024))]
    pub notice_reference: String,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
}

/// What the customer chose.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Choice {
    /// Give the data back, then destroy it.
    Return,
    /// Destroy the data.
    Destroy,
}

/// The end of the agreement.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.deadline) || has(self.deadlineReference) || self.deadline <= self.noticeReceivedAt + duration('2160h')").message("a deadline later than ninety days after receipt of the notice needs deadlineReference, a signed amendment (DSA 2.13, 4)"))]
#[x_kube(validation = Rule::new("self.effectiveOn + duration('24h') >= self.noticeReceivedAt").message("effectiveOn is before the notice was received"))]
pub struct Termination {
    /// RFC 3339 instant at which the written notice was received; ninety days start here (DSA 2.13, 8).
    #[schemars(extend("format" = "date-time"), length(max = 40), regex(pattern = INSTANT))]
    pub notice_received_at: String,
    /// The written notice.
    #[schemars(length(min = 1, max = 1024))]
    pub notice_reference: String,
    /// Date on which the termination takes effect, as the notice says.
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub effective_on: String,
    /// What ends; the whole tenant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TerminationScope>,
    /// The customer's choice; may come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// Where returned data goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// Last day for return or destruction, where it is not ninety days after receipt of the notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"), length(max = 10), regex(pattern = DATE))]
    pub deadline: Option<String>,
    /// The amendment behind a deadline later than ninety days after receipt of the notice, by its
    /// name under `agreements[].amendments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub deadline_reference: Option<String>,
}

/// What ends in a partial exit.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("(has(self.orders) && self.orders.size() > 0) || (has(self.namespaces) && self.namespaces.size() > 0)").message("an empty scope says nothing: leave it out to end the whole tenant, or name orders or namespaces"))]
pub struct TerminationScope {
    /// Orders that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub orders: Vec<String>,
    /// Namespaces that end, by short name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
}

/// Where returned data goes.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Address; its host was fixed at onboarding.
    #[schemars(length(min = 1, max = 2048), regex(pattern = URL))]
    #[x_kube(validation = Rule::new("self.startsWith('https://') || self.startsWith('s3://') || self.startsWith('sftp://')").message("must be an https://, s3:// or sftp:// address"))]
    #[x_kube(validation = Rule::new(NO_PASSWORD).message("credentials belong in a Secret, never in an address"))]
    pub address: String,
    /// Secret in the operator's namespace with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,
}

/// State of one namespace.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum NamespaceState {
    /// Its policies are being applied; pods cannot start yet.
    Pending,
    /// Its policies stand; pods may start.
    Ready,
    /// Left the list: isolated and kept until an approved partial exit.
    Parked,
    /// Exists and is not ours; waits for an Adopt approval.
    AwaitingAdoption,
    /// Is being deleted and does not finish.
    Terminating,
}

/// One namespace as it is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceStatus {
    /// The namespace's full name.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its state.
    pub state: NamespaceState,
    /// What blocks it, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
}

/// What enforcement would do, while it is only observed.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObserveReport {
    /// Flows that are possible now and would be cut; the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub flows_cut: Vec<String>,
    /// How many flows would be cut in all.
    #[serde(default)]
    pub flows_cut_total: i64,
    /// Pods that would be refused, with the API server's reason; the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 4096)), extend("x-kubernetes-list-type" = "atomic"))]
    pub pods_refused: Vec<String>,
    /// How many pods would be refused in all.
    #[serde(default)]
    pub pods_refused_total: i64,
}

/// What the operator made of a CustomerTenant. Everything here can be computed again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerTenantStatus {
    /// Generation of the object this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Compliant`, `Frozen`, `Contested`, `TerminationApproved`, `NeverUsed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Compliant controls over applicable ones, e.g. `58/61`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub compliant: Option<String>,
    /// Where the exit stands; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub exit: Option<String>,
    /// Digest of the spec in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub accepted_digest: Option<String>,
    /// Digest of the objects that last stood complete, all of one accepted state. While it is not that of what is in
    /// force, a change is under way, and what differs is not yet made rather than drifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub applied_digest: Option<String>,
    /// The namespaces as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub namespaces: Vec<NamespaceStatus>,
    /// The verdict of every control, small on purpose; the ledger holds the story. One writer and one piece: ownership of
    /// each field of each verdict would be as large as the verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub controls: Vec<ControlStatus>,
    /// What waits for an approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub pending_approvals: Vec<PendingApproval>,
    /// What enforcement would do; only with `enforcement: Observe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<ObserveReport>,
}
