//! Names that appear on objects in the cluster: label and annotation keys, the field manager, the
//! finalizer. Stated once, so that the operator, the guards and the tests mean the same thing.

/// API group of every Tenure kind.
pub const GROUP: &str = "tenure.dev";
/// Served and stored version of every Tenure kind.
pub const VERSION: &str = "v1alpha1";
/// Prefix of every label and annotation key that only the operator may write.
pub const PREFIX: &str = "tenure.dev/";

/// Server-side apply field manager of the operator; the third ownership mark.
pub const FIELD_MANAGER: &str = "tenure";
/// Finalizer that keeps a CustomerTenant until its exit has ended.
pub const FINALIZER: &str = "tenure.dev/exit";
/// Name of the only TenancyPolicy.
pub const POLICY_NAME: &str = "default";

/// Label: name of the CustomerTenant an object belongs to; the first ownership mark.
pub const TENANT: &str = "tenure.dev/tenant";
/// Annotation: the tenant's UUID; the second ownership mark.
pub const TENANT_ID: &str = "tenure.dev/tenant-id";
/// Label `app.kubernetes.io/managed-by`; informative only, it locks nothing.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "tenure";

/// Namespace label: `Enforce` or `Observe`; chooses the guards' binding.
pub const ENFORCEMENT: &str = "tenure.dev/enforcement";
/// Namespace label: the tenant's classification.
pub const CLASSIFICATION: &str = "tenure.dev/classification";
/// Namespace label: `true` while the namespace has left its tenant's list and is only kept isolated.
pub const PARKED: &str = "tenure.dev/parked";
/// Mark on requests with which the operator proves a guard alive; never exempt.
pub const PROBE: &str = "tenure.dev/probe";
/// Label on the ConfigMaps in which the operator remembers accepted specs.
pub const RECORD: &str = "tenure.dev/record";

/// Label on RoleBindings that an AccessGrant makes: the grant's uid. One that was made again under the same name is another grant.
pub const GRANT: &str = "tenure.dev/grant";
/// Annotation on the same: the grant's name.
pub const GRANT_NAME: &str = "tenure.dev/grant-name";

/// Namespace annotation: `true` once every policy of the namespace stands.
pub const READY: &str = "tenure.dev/ready";
/// Namespace annotation: the step of an approved end; without it the namespace cannot be deleted.
pub const STEP: &str = "tenure.dev/step";
/// Namespace annotation: the tenant's own namespaces.
pub const NAMESPACES: &str = "tenure.dev/namespaces";
/// Namespace annotation: namespaces outside the tenant that policies may admit from.
pub const INGRESS_NAMESPACES: &str = "tenure.dev/ingress-namespaces";
/// Namespace annotation: namespaces outside the tenant that policies may let out to.
pub const EGRESS_NAMESPACES: &str = "tenure.dev/egress-namespaces";
/// Namespace annotation: CIDRs that policies may admit from.
pub const INGRESS_CIDRS: &str = "tenure.dev/ingress-cidrs";
/// Namespace annotation: CIDRs that policies may let out to.
pub const EGRESS_CIDRS: &str = "tenure.dev/egress-cidrs";
/// Namespace annotation: outside host names an ExternalName service may point at.
pub const EGRESS_HOSTS: &str = "tenure.dev/egress-hosts";
/// Namespace annotation: ingress classes the tenant may use.
pub const INGRESS_CLASSES: &str = "tenure.dev/ingress-classes";
/// Namespace annotation: gateway classes the tenant may use.
pub const GATEWAY_CLASSES: &str = "tenure.dev/gateway-classes";
/// Namespace annotation: shared gateways (`namespace/name`) routes may attach to.
pub const GATEWAYS: &str = "tenure.dev/gateways";
/// Namespace annotation: host names the tenant may expose.
pub const HOSTS: &str = "tenure.dev/hosts";
/// Namespace annotation: storage classes claims may name.
pub const STORAGE_CLASSES: &str = "tenure.dev/storage-classes";

/// Annotation stamped by admission: who last changed the spec. Of a LegalHold who placed it: prolonging its review changes nothing
/// of what it holds, and whoever placed it must not come to be able to release it.
pub const CHANGED_BY: &str = "tenure.dev/changed-by";

/// Annotation of our definitions: every field of spec they know, so that none is forgotten when an older one is put back.
pub const FIELDS: &str = "tenure.dev/fields";

/// Pod Security admission label that refuses pods.
pub const POD_SECURITY_ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Pod Security admission label that annotates audit events.
pub const POD_SECURITY_AUDIT: &str = "pod-security.kubernetes.io/audit";
/// Pod Security admission label that warns the caller.
pub const POD_SECURITY_WARN: &str = "pod-security.kubernetes.io/warn";

/// ConfigMap in the operator's namespace from which the guards read accepted settings.
pub const GUARD_PARAMETERS: &str = "tenure-guard-parameters";
/// Key of [`GUARD_PARAMETERS`]: every tenant's namespaces.
pub const TENANT_NAMESPACES: &str = "tenant-namespaces";
/// Lease renewed only after a full evaluation pass.
pub const FRESHNESS_LEASE: &str = "tenure-freshness";
/// Lease of the process that may write.
pub const LEADER_LEASE: &str = "tenure-operator";
/// Lease that keeps what the probe pair last showed, in its annotations.
pub const PROBE_LEASE: &str = "tenure-probe";
/// Annotation of the probe's Lease: `passed` or `not passed`.
pub const PROBE_ALLOWED: &str = "tenure.dev/allowed-flow";
/// Annotation of the probe's Lease: `stopped` or `not stopped`.
pub const PROBE_DENIED: &str = "tenure.dev/denied-flow";
/// Break-glass group where TenancyPolicy names none. Nobody is in it by default.
pub const DEFAULT_BREAK_GLASS_GROUP: &str = "tenure:break-glass";
