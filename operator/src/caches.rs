//! Everything the operator keeps in memory of the cluster, and the tasks that follow it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{
    ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Service,
    ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use tenure_crds::{
    AccessGrant, AccessReview, Approval, Attestation, CustomerTenant, LegalHold, StaffMember,
    TenancyPolicy, is_ours, keys,
};
use tenure_rbac::Rbac;

use crate::access::{EVERYBODY, REVIEWS, SESSIONS, is_about_a_grant};
use crate::assess::changes::Changes;
use crate::cluster::cache::follow;
use crate::cluster::keep::Keep;
use crate::cluster::{Cache, Change, Handover, Kind, Packed, PackedCache, Queue};
use crate::isolation::{
    ClusterNetworkPolicy, ClusterPolicyFacts, NamespaceFacts, PodFacts, PolicyFacts, World,
};

/// Name under which the queue holds the platform's own work.
pub const PLATFORM: &str = "";

/// The model of who can reach whom, and which namespaces changed since it was last evaluated.
pub type SharedWorld = Arc<RwLock<World>>;

/// The model of who may do what.
type SharedRbac = Arc<RwLock<Rbac>>;

/// CustomerTenants, packed where they can be read.
pub type Tenants = Cache<
    DeserializeGuard<CustomerTenant>,
    Result<Packed<CustomerTenant>, Arc<DeserializeGuard<CustomerTenant>>>,
>;

/// Caches of every kind the operator reads. Packed is what there is many of.
pub struct Caches {
    /// Tenants as declared.
    pub tenants: Arc<Tenants>,
    /// The platform's settings as declared.
    pub policies: Arc<Cache<DeserializeGuard<TenancyPolicy>>>,
    /// Decisions.
    pub approvals: Arc<Cache<DeserializeGuard<Approval>>>,
    /// Duties to keep data.
    pub holds: Arc<Cache<DeserializeGuard<LegalHold>>>,
    /// What people attested.
    pub attestations: Arc<Cache<DeserializeGuard<Attestation>>>,
    /// People who may be let in.
    pub staff: Arc<Cache<DeserializeGuard<StaffMember>>>,
    /// Access they are granted.
    pub grants: Arc<Cache<DeserializeGuard<AccessGrant>>>,
    /// Whose they are.
    pub grants_of: Arc<ByTenant>,
    /// Reviews of who has access.
    pub reviews: Arc<Cache<DeserializeGuard<AccessReview>>>,
    /// Whose they are; of those about every tenant, nobody's.
    pub reviews_of: Arc<ByTenant>,
    /// Whose the decisions about grants are.
    pub grant_approvals_of: Arc<ByTenant>,
    /// Namespaces, everybody's.
    pub namespaces: Arc<PackedCache<Namespace>>,
    /// NetworkPolicies, everybody's.
    pub network_policies: Arc<PackedCache<NetworkPolicy>>,
    /// Quotas.
    pub quotas: Arc<PackedCache<ResourceQuota>>,
    /// Limit ranges.
    pub limits: Arc<PackedCache<LimitRange>>,
    /// Role bindings.
    pub bindings: Arc<PackedCache<RoleBinding>>,
    /// Standing cluster-wide bindings.
    pub cluster_bindings: Arc<Cache<ClusterRoleBinding>>,
    /// Services.
    pub services: Arc<PackedCache<Service>>,
    /// Ingresses.
    pub ingresses: Arc<PackedCache<Ingress>>,
    /// Roles.
    pub roles: Arc<PackedCache<Role>>,
    /// ServiceAccounts of sessions.
    pub accounts: Arc<PackedCache<ServiceAccount>>,
    /// Cluster roles.
    pub cluster_roles: Arc<Cache<ClusterRole>>,
    /// Claims.
    pub claims: Arc<PackedCache<PersistentVolumeClaim>>,
    /// The guards' parameters: the one ConfigMap of that name.
    pub parameters: Arc<Cache<ConfigMap>>,
    /// Guards: validating policies.
    pub guards: Arc<Cache<ValidatingAdmissionPolicy>>,
    /// Guards: their bindings.
    pub guard_bindings: Arc<Cache<ValidatingAdmissionPolicyBinding>>,
    /// Stamps: mutating policies.
    pub stamps: Arc<Cache<MutatingAdmissionPolicy>>,
    /// Stamps: their bindings.
    pub stamp_bindings: Arc<Cache<MutatingAdmissionPolicyBinding>>,
    /// ClusterNetworkPolicies, where the cluster has the kind.
    pub cluster_network_policies: Arc<Cache<ClusterNetworkPolicy>>,
    /// Who can reach whom.
    pub world: SharedWorld,
    rbac: SharedRbac,
    pods: Arc<Pods>,
}

/// Which tenant a namespace belongs to, as last rendered: an object whose marks were stripped is
/// still found through its namespace.
#[derive(Clone, Default)]
pub struct Holders(Arc<RwLock<Held>>);

#[derive(Default)]
struct Held {
    by_namespace: BTreeMap<String, String>,
    by_tenant: BTreeMap<String, BTreeSet<String>>,
}

impl Holders {
    /// The tenant that holds a namespace.
    pub fn of(&self, namespace: &str) -> Option<String> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.by_namespace.get(namespace).cloned()
    }

    /// Notes that a tenant holds exactly these namespaces; answers whether that is news.
    pub fn set<'a>(&self, tenant: &str, namespaces: impl Iterator<Item = &'a str>) -> bool {
        let next: BTreeSet<String> = namespaces.map(str::to_owned).collect();
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held
            .by_tenant
            .get(tenant)
            .map_or(next.is_empty(), |before| *before == next)
        {
            return false;
        }
        held.by_namespace.retain(|_, holder| holder != tenant);
        for namespace in &next {
            held.by_namespace
                .insert(namespace.clone(), tenant.to_owned());
        }
        held.by_tenant.insert(tenant.to_owned(), next);
        true
    }

    /// Every namespace that is held, sorted.
    pub fn namespaces(&self) -> Vec<String> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.by_namespace.keys().cloned().collect()
    }
}

/// Names of the objects that name a tenant, so that one tenant's are found without walking everybody's. What is found here is
/// looked at: an object that was made again may name another.
#[derive(Default)]
pub struct ByTenant(RwLock<BTreeMap<String, BTreeSet<String>>>);

impl ByTenant {
    /// The names of a tenant's.
    pub fn of(&self, tenant: &str) -> Vec<String> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names.get(tenant).into_iter().flatten().cloned().collect()
    }

    fn note(&self, tenant: &str, name: &str, change: Change) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !change.is_gone() {
            let theirs = names.entry(tenant.to_owned()).or_default();
            theirs.insert(name.to_owned());
            return;
        }
        if let Some(theirs) = names.get_mut(tenant) {
            theirs.remove(name);
            if theirs.is_empty() {
                names.remove(tenant);
            }
        }
    }
}

/// Wakes the tenants that an object concerns.
#[derive(Clone)]
struct Waker {
    queue: Arc<Queue>,
    holders: Holders,
    reach: Arc<Changes>,
}

impl Waker {
    /// Wakes for what others did; what we wrote ourselves, the tenant's reconcile knows.
    fn object<K: Resource>(&self, object: &K, change: Change) {
        if change.is_ours() {
            return;
        }
        let namespace = object
            .meta()
            .namespace
            .as_deref()
            .or(object.meta().name.as_deref());
        if let Some(tenant) = namespace.and_then(|namespace| self.holders.of(namespace)) {
            self.queue.wake(&tenant);
        }
        if let Some(tenant) = object
            .meta()
            .labels
            .as_ref()
            .and_then(|labels| labels.get(keys::TENANT))
        {
            self.queue.wake(tenant);
        }
    }

    /// Tells of a namespace, and of who may reach it, or be reached from it, otherwise than before.
    fn around(&self, world: &World, namespace: &str) {
        if !self.reach.is_followed() {
            return;
        }
        if world.has_cluster_policies() {
            self.reach.of_everybody();
        }
        self.reach.of(namespace);
        for neighbour in world.naming(namespace) {
            self.reach.of(&neighbour);
        }
    }

    fn any<K: Resource + 'static>(&self) -> impl Fn(&K, Change) + Send + Sync + 'static {
        let waker = self.clone();
        move |object, change| waker.object(object, change)
    }

    fn platform<K: 'static>(&self) -> impl Fn(&K, Change) + Send + Sync + 'static {
        let queue = self.queue.clone();
        move |_, _| queue.wake(PLATFORM)
    }
}

/// Wakes the tenants whose grants made an object, and who looks after the sessions' namespace.
#[derive(Clone)]
struct GrantWaker {
    grants: Arc<Queue>,
    sessions: String,
}

impl GrantWaker {
    fn object<K: Resource>(&self, object: &K, change: Change) {
        if change.is_ours() {
            return;
        }
        let label = |key: &str| object.meta().labels.as_ref()?.get(key);
        if label(keys::GRANT).is_some()
            && let Some(tenant) = label(keys::TENANT)
        {
            self.grants.wake(tenant);
        }
        // What somebody else put there may belong to nobody, and may have lost its marks.
        let is_session = object.meta().namespace.as_ref() == Some(&self.sessions);
        if change == Change::Seen && is_session {
            self.grants.wake(SESSIONS);
        }
    }
}

impl Caches {
    /// Empty caches whose changes wake names in `queue`, and of whoever has grants in `grants`, with sessions in the namespace
    /// `sessions`; `reach` is told when reachability may have changed.
    pub fn new(
        queue: &Arc<Queue>,
        (grants, sessions): (&Arc<Queue>, &str),
        holders: &Holders,
        reach: &Arc<Changes>,
    ) -> Self {
        let waker = Waker {
            queue: queue.clone(),
            holders: holders.clone(),
            reach: reach.clone(),
        };
        let world: SharedWorld = Arc::default();
        let rbac: SharedRbac = Arc::default();
        let tenant_queue = queue.clone();
        let (of_tenant, of_role, of_review) = (grants.clone(), grants.clone(), grants.clone());
        let (binding_waker, role_waker) = (waker.clone(), waker.clone());
        let of_account = GrantWaker {
            grants: grants.clone(),
            sessions: sessions.to_owned(),
        };
        let (of_grants_binding, of_grants_role) = (of_account.clone(), of_account.clone());
        let (grants_of, grant_approvals_of): (Arc<ByTenant>, Arc<ByTenant>) = Default::default();
        let reviews_of = Arc::<ByTenant>::default();
        let (of_bindings, of_cluster_bindings) = (rbac.clone(), rbac.clone());
        let (of_roles, of_cluster_roles) = (rbac.clone(), rbac.clone());
        Self {
            tenants: Cache::new(move |tenant: &DeserializeGuard<CustomerTenant>, change| {
                if !change.is_ours() {
                    tenant_queue.wake(&tenant.name_any());
                    // The customer's own people are persons too.
                    of_tenant.wake(&tenant.name_any());
                    of_tenant.wake(EVERYBODY);
                }
            }),
            policies: Cache::new(waker.platform()),
            approvals: Cache::new(approval_wakes(
                queue.clone(),
                grants.clone(),
                grant_approvals_of.clone(),
            )),
            holds: Cache::new(hold_wakes(queue.clone())),
            attestations: Cache::new(attestation_wakes(queue.clone(), grants.clone())),
            staff: Cache::new(staff_wakes(grants.clone())),
            grants: Cache::new(grant_wakes(grants.clone(), grants_of.clone())),
            grants_of,
            grant_approvals_of,
            reviews: Cache::new(review_wakes(of_review, reviews_of.clone())),
            reviews_of,
            namespaces: Cache::new(namespace_seen(waker.clone(), world.clone())),
            network_policies: Cache::new(policy_seen(waker.clone(), world.clone())),
            quotas: Cache::new(waker.any()),
            limits: Cache::new(waker.any()),
            bindings: Cache::new(move |binding: &RoleBinding, change| {
                may_do(&of_bindings, change, |rbac, is_gone| match is_gone {
                    false => rbac.upsert_binding(binding),
                    true => rbac.remove_binding(
                        &binding.namespace().unwrap_or_default(),
                        &binding.name_any(),
                    ),
                });
                binding_waker.object(binding, change);
                of_grants_binding.object(binding, change);
            }),
            cluster_bindings: Cache::new(move |binding: &ClusterRoleBinding, change| {
                may_do(
                    &of_cluster_bindings,
                    change,
                    |rbac, is_gone| match is_gone {
                        false => rbac.upsert_cluster_binding(binding),
                        true => rbac.remove_binding("", &binding.name_any()),
                    },
                );
            }),
            services: Cache::new(waker.any()),
            ingresses: Cache::new(waker.any()),
            roles: Cache::new(move |role: &Role, change| {
                may_do(&of_roles, change, |rbac, is_gone| match is_gone {
                    false => rbac.upsert_role(role),
                    true => {
                        rbac.remove_role(&role.namespace().unwrap_or_default(), &role.name_any());
                    }
                });
                role_waker.object(role, change);
                of_grants_role.object(role, change);
            }),
            accounts: Cache::new(move |account: &ServiceAccount, change| {
                of_account.object(account, change);
            }),
            // What a role lets do may come to be what nobody may be granted.
            cluster_roles: Cache::new(move |role: &ClusterRole, change| {
                may_do(&of_cluster_roles, change, |rbac, is_gone| match is_gone {
                    false => rbac.upsert_cluster_role(role),
                    true => rbac.remove_role("", &role.name_any()),
                });
                of_role.wake(EVERYBODY);
            }),
            claims: Cache::new(waker.any()),
            parameters: Cache::new(waker.platform()),
            guards: Cache::new(waker.platform()),
            guard_bindings: Cache::new(waker.platform()),
            stamps: Cache::new(waker.platform()),
            stamp_bindings: Cache::new(waker.platform()),
            cluster_network_policies: Cache::new(cluster_policy_seen(waker.clone(), world.clone())),
            pods: Arc::new(Pods {
                world: world.clone(),
                waker,
                ready: tokio::sync::watch::Sender::new(false),
            }),
            world,
            rbac,
        }
    }

    /// Follows every kind until the process ends; `sessions` is the namespace of sessions.
    pub fn spawn(&self, client: &Client, namespace: &str, sessions: &str) {
        let config = || watcher::Config::default().page_size(500);
        spawn_follow(Api::all(client.clone()), config(), &self.namespaces);
        spawn_follow(Api::all(client.clone()), config(), &self.network_policies);
        spawn_follow(Api::all(client.clone()), config(), &self.quotas);
        spawn_follow(Api::all(client.clone()), config(), &self.limits);
        spawn_follow(Api::all(client.clone()), config(), &self.bindings);
        spawn_follow(Api::all(client.clone()), config(), &self.cluster_bindings);
        spawn_follow(Api::all(client.clone()), config(), &self.services);
        spawn_follow(Api::all(client.clone()), config(), &self.ingresses);
        spawn_follow(Api::all(client.clone()), config(), &self.roles);
        spawn_follow(Api::all(client.clone()), config(), &self.cluster_roles);
        spawn_follow(Api::all(client.clone()), config(), &self.claims);
        spawn_follow(
            Api::namespaced(client.clone(), namespace),
            config().fields(&format!("metadata.name={}", keys::GUARD_PARAMETERS)),
            &self.parameters,
        );
        let ours = || config().labels("app.kubernetes.io/part-of=tenure");
        spawn_follow(Api::all(client.clone()), ours(), &self.guards);
        spawn_follow(Api::all(client.clone()), ours(), &self.guard_bindings);
        spawn_follow(Api::all(client.clone()), ours(), &self.stamps);
        spawn_follow(Api::all(client.clone()), ours(), &self.stamp_bindings);
        spawn_accounts(client, sessions, &self.accounts);
        spawn_optional(client, &self.tenants);
        spawn_optional(client, &self.policies);
        spawn_optional(client, &self.approvals);
        spawn_optional(client, &self.holds);
        spawn_optional(client, &self.attestations);
        spawn_optional(client, &self.staff);
        spawn_optional(client, &self.grants);
        spawn_optional(client, &self.reviews);
        spawn_optional(client, &self.cluster_network_policies);
        let pods = self.pods.clone();
        tokio::spawn(follow(
            Api::<Pod>::all(client.clone()),
            config(),
            pods,
            |error| tracing::warn!(%error, kind = "Pod", "watch failed"),
        ));
    }

    /// Waits until the first listing of every kind is complete (or our kinds are known to be missing).
    pub async fn ready(&self) {
        self.namespaces.ready().await;
        self.network_policies.ready().await;
        self.quotas.ready().await;
        self.limits.ready().await;
        self.bindings.ready().await;
        self.cluster_bindings.ready().await;
        self.services.ready().await;
        self.ingresses.ready().await;
        self.roles.ready().await;
        self.accounts.ready().await;
        self.cluster_roles.ready().await;
        self.claims.ready().await;
        self.parameters.ready().await;
        self.guards.ready().await;
        self.guard_bindings.ready().await;
        self.stamps.ready().await;
        self.stamp_bindings.ready().await;
        self.tenants.ready().await;
        self.policies.ready().await;
        self.approvals.ready().await;
        self.holds.ready().await;
        self.attestations.ready().await;
        self.staff.ready().await;
        self.grants.ready().await;
        self.reviews.ready().await;
        self.cluster_network_policies.ready().await;
        let _ = self.pods.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// A managed object as it is.
    pub fn live(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        match kind {
            Kind::Namespace => self.namespaces.look("", name, Packed::open_as),
            Kind::NetworkPolicy => self.network_policies.look(namespace, name, Packed::open_as),
            Kind::ResourceQuota => self.quotas.look(namespace, name, Packed::open_as),
            Kind::LimitRange => self.limits.look(namespace, name, Packed::open_as),
            Kind::RoleBinding => self.bindings.look(namespace, name, Packed::open_as),
            Kind::Role => self.roles.look(namespace, name, Packed::open_as),
            Kind::ServiceAccount => self.accounts.look(namespace, name, Packed::open_as),
            Kind::ClusterNetworkPolicy => {
                json(self.cluster_network_policies.get("", name)?.as_ref())
            }
        }
    }

    /// Objects of a kind in a namespace that carry all three ownership marks of a tenant and are not among `desired`.
    pub fn surplus(
        &self,
        kind: Kind,
        namespace: &str,
        desired: &[Value],
        (tenant, tenant_id): (&str, &str),
    ) -> Vec<Value> {
        let by = (desired, tenant, tenant_id);
        match kind {
            Kind::NetworkPolicy => surplus(&self.network_policies, namespace, by),
            Kind::ResourceQuota => surplus(&self.quotas, namespace, by),
            Kind::LimitRange => surplus(&self.limits, namespace, by),
            Kind::RoleBinding => surplus(&self.bindings, namespace, by),
            Kind::ClusterNetworkPolicy => surplus(&self.cluster_network_policies, "", by),
            Kind::Namespace | Kind::Role | Kind::ServiceAccount => Vec::new(),
        }
    }

    /// Names in a namespace that begin so, of the kinds that sessions consist of.
    pub fn names_from(&self, kind: Kind, namespace: &str, prefix: &str) -> Vec<String> {
        match kind {
            Kind::RoleBinding => self.bindings.names_from(namespace, prefix),
            Kind::Role => self.roles.names_from(namespace, prefix),
            Kind::ServiceAccount => self.accounts.names_from(namespace, prefix),
            _ => Vec::new(),
        }
    }

    /// Takes in the answer to our own write.
    pub fn remember(&self, kind: Kind, object: Value) {
        match kind {
            Kind::Namespace => remember(&self.namespaces, object),
            Kind::NetworkPolicy => remember(&self.network_policies, object),
            Kind::ResourceQuota => remember(&self.quotas, object),
            Kind::LimitRange => remember(&self.limits, object),
            Kind::RoleBinding => remember(&self.bindings, object),
            Kind::Role => remember(&self.roles, object),
            Kind::ServiceAccount => remember(&self.accounts, object),
            Kind::ClusterNetworkPolicy => remember(&self.cluster_network_policies, object),
        }
    }

    /// Takes in our own deletion of what was looked at. What a finalizer holds stands until its watch says that it is gone.
    pub fn forget(&self, kind: Kind, live: &Value) {
        let metadata = &live["metadata"];
        let finalizers = metadata["finalizers"].as_array();
        if finalizers.is_some_and(|finalizers| !finalizers.is_empty()) {
            return;
        }
        let part = |key: &str| metadata[key].as_str().unwrap_or_default();
        let (namespace, name, uid) = (part("namespace"), part("name"), part("uid"));
        match kind {
            Kind::NetworkPolicy => self.network_policies.forget(namespace, name, uid),
            Kind::ResourceQuota => self.quotas.forget(namespace, name, uid),
            Kind::LimitRange => self.limits.forget(namespace, name, uid),
            Kind::RoleBinding => self.bindings.forget(namespace, name, uid),
            Kind::Role => self.roles.forget(namespace, name, uid),
            Kind::ServiceAccount => self.accounts.forget(namespace, name, uid),
            Kind::ClusterNetworkPolicy => {
                self.cluster_network_policies.forget(namespace, name, uid);
            }
            Kind::Namespace => {}
        }
    }
}

/// Names first: where nothing is surplus, nothing is unpacked.
fn surplus<K, S>(
    cache: &Cache<K, S>,
    namespace: &str,
    (desired, tenant, tenant_id): (&[Value], &str, &str),
) -> Vec<Value>
where
    K: Resource<DynamicType = ()> + Serialize + 'static,
    S: Keep<K>,
{
    let is_wanted = |name: &str| {
        desired
            .iter()
            .any(|object| object["metadata"]["name"] == name)
    };
    let mut names = cache.names_in(namespace);
    names.retain(|name| !is_wanted(name));
    // Bindings of grants come and go with those.
    let is_grants = |object: &K| {
        object
            .meta()
            .labels
            .iter()
            .any(|labels| labels.contains_key(keys::GRANT))
    };
    names
        .iter()
        .filter_map(|name| cache.get(namespace, name))
        .filter(|object| is_ours(object.as_ref(), tenant, tenant_id) && !is_grants(object))
        .filter_map(|object| json(object.as_ref()))
        .collect()
}

fn json(object: &impl Serialize) -> Option<Value> {
    serde_json::to_value(object).ok()
}

fn remember<K, S>(cache: &Cache<K, S>, object: Value)
where
    K: Resource<DynamicType = ()> + serde::de::DeserializeOwned + 'static,
    S: Keep<K>,
{
    if let Ok(object) = serde_json::from_value(object) {
        cache.remember(object);
    }
}

fn spawn_follow<K, S>(api: Api<K>, config: watcher::Config, cache: &Arc<Cache<K, S>>)
where
    S: Keep<K>,
    K: Resource<DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let kind = K::kind(&()).into_owned();
    let failed =
        move |error: &watcher::Error| tracing::warn!(%error, kind, "watch failed; retrying");
    tokio::spawn(follow(api, config, cache.clone(), failed));
}

/// Follows a kind the cluster may not have: ours with their CRD deleted (isolation is repaired from
/// the record all the same), or one of an optional API. A missing kind has no objects.
fn spawn_optional<K, S>(client: &Client, cache: &Arc<Cache<K, S>>)
where
    S: Keep<K>,
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let kind = K::kind(&()).into_owned();
    let missing = cache.clone();
    let failed = move |error: &watcher::Error| {
        if is_missing_kind(error) {
            tracing::debug!(kind, "the cluster does not have this kind");
            missing.declare_ready();
        } else {
            tracing::warn!(%error, kind, "watch failed; retrying");
        }
    };
    let config = watcher::Config::default().page_size(500);
    tokio::spawn(follow(
        Api::all(client.clone()),
        config,
        cache.clone(),
        failed,
    ));
}

/// Follows the ServiceAccounts of sessions. Where their namespace is gone, our right to read there is gone too: then there are
/// none, and isolation does not wait for them.
fn spawn_accounts(client: &Client, sessions: &str, cache: &Arc<PackedCache<ServiceAccount>>) {
    let closed = cache.clone();
    let failed = move |error: &watcher::Error| {
        tracing::warn!(%error, kind = "ServiceAccount", "watch failed; retrying");
        if is_closed(error) {
            closed.declare_ready();
        }
    };
    let (api, config) = (
        Api::namespaced(client.clone(), sessions),
        watcher::Config::default().page_size(500),
    );
    tokio::spawn(follow(api, config, cache.clone(), failed));
}

fn is_closed(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403
    )
}

fn is_missing_kind(error: &watcher::Error) -> bool {
    let api = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            api(error)
        }
        _ => false,
    }
}

fn approval_wakes(
    queue: Arc<Queue>,
    grants: Arc<Queue>,
    of_tenant: Arc<ByTenant>,
) -> impl Fn(&DeserializeGuard<Approval>, Change) + Send + Sync + 'static {
    move |approval, change| {
        if let Ok(approval) = &approval.0
            && is_about_a_grant(approval)
        {
            if let Some(tenant) = &approval.spec.tenant_ref {
                of_tenant.note(&tenant.name, &approval.name_any(), change);
                if !change.is_ours() {
                    grants.wake(&tenant.name);
                }
            }
            return;
        }
        queue.wake(PLATFORM);
        if let Ok(approval) = &approval.0
            && let Some(tenant) = &approval.spec.tenant_ref
        {
            queue.wake(&tenant.name);
        }
    }
}

fn attestation_wakes(
    queue: Arc<Queue>,
    grants: Arc<Queue>,
) -> impl Fn(&DeserializeGuard<Attestation>, Change) + Send + Sync + 'static {
    move |_, change| {
        queue.wake(PLATFORM);
        if !change.is_ours() {
            // A subcontractor's agreement may be among them.
            grants.wake(EVERYBODY);
        }
    }
}

fn staff_wakes(
    grants: Arc<Queue>,
) -> impl Fn(&DeserializeGuard<StaffMember>, Change) + Send + Sync + 'static {
    move |_, change| {
        if !change.is_ours() {
            grants.wake(EVERYBODY);
        }
    }
}

fn grant_wakes(
    grants: Arc<Queue>,
    of_tenant: Arc<ByTenant>,
) -> impl Fn(&DeserializeGuard<AccessGrant>, Change) + Send + Sync + 'static {
    move |grant, change| {
        let Ok(grant) = &grant.0 else { return };
        let tenant = &grant.spec.tenant_ref.name;
        of_tenant.note(tenant, &grant.name_any(), change);
        if !change.is_ours() {
            grants.wake(tenant);
        }
    }
}

fn review_wakes(
    grants: Arc<Queue>,
    of_tenant: Arc<ByTenant>,
) -> impl Fn(&DeserializeGuard<AccessReview>, Change) + Send + Sync + 'static {
    move |review, change| {
        let Ok(review) = &review.0 else { return };
        let tenant = review.spec.tenant_ref.as_ref();
        let name = tenant.map_or("", |tenant| tenant.name.as_str());
        of_tenant.note(name, &review.name_any(), change);
        if change.is_ours() {
            return;
        }
        match tenant {
            Some(tenant) => grants.wake(&tenant.name),
            None => grants.wake(REVIEWS),
        }
    }
}

fn hold_wakes(
    queue: Arc<Queue>,
) -> impl Fn(&DeserializeGuard<LegalHold>, Change) + Send + Sync + 'static {
    move |hold, change| {
        queue.wake(PLATFORM);
        if let Ok(hold) = &hold.0
            && !change.is_ours()
        {
            queue.wake(&hold.spec.tenant_ref.name);
        }
    }
}

/// Brings the model of who may do what up to date.
fn may_do(rbac: &SharedRbac, change: Change, take_in: impl FnOnce(&mut Rbac, bool)) {
    let mut model = rbac.write().unwrap_or_else(PoisonError::into_inner);
    take_in(&mut model, change.is_gone());
}

fn namespace_seen(
    waker: Waker,
    world: SharedWorld,
) -> impl Fn(&Namespace, Change) + Send + Sync + 'static {
    move |namespace, change| {
        let name = namespace.name_any();
        let facts = NamespaceFacts::from(namespace);
        let mut model = world.write().unwrap_or_else(PoisonError::into_inner);
        let is_gone = change.is_gone();
        let concerns_others = is_gone || !model.knows(&facts);
        // Whoever named it as it was, and whoever names it as it is.
        if concerns_others {
            waker.around(&model, &name);
        }
        match is_gone {
            true => model.remove_namespace(&name),
            false => model.upsert_namespace(facts),
        }
        if concerns_others {
            waker.around(&model, &name);
        }
        drop(model);
        waker.object(namespace, change);
        waker.reach.of(&name);
    }
}

fn policy_seen(
    waker: Waker,
    world: SharedWorld,
) -> impl Fn(&NetworkPolicy, Change) + Send + Sync + 'static {
    move |policy, change| {
        // Repair first: the tenant is woken before the model is brought up to date.
        waker.object(policy, change);
        let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
        let mut model = world.write().unwrap_or_else(PoisonError::into_inner);
        match (change, PolicyFacts::try_from(policy)) {
            (Change::Seen | Change::Written, Ok(facts)) => model.upsert_policy(facts),
            (Change::Seen | Change::Written, Err(error)) => {
                tracing::error!(%error, namespace, policy = name, "NetworkPolicy not understood: it counts as open");
                model.upsert_policy(PolicyFacts::opaque(&namespace, &name));
            }
            (Change::Gone | Change::Deleted, _) => model.remove_policy(&namespace, &name),
        }
        drop(model);
        waker.reach.of(&namespace);
    }
}

fn cluster_policy_seen(
    waker: Waker,
    world: SharedWorld,
) -> impl Fn(&ClusterNetworkPolicy, Change) + Send + Sync + 'static {
    move |policy, change| {
        waker.object(policy, change);
        let mut model = world.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Seen | Change::Written => {
                model.upsert_cluster_policy(ClusterPolicyFacts::from(policy));
            }
            Change::Gone | Change::Deleted => model.remove_cluster_policy(&policy.name_any()),
        }
        drop(model);
        waker.reach.of_everybody();
    }
}

/// Pods are not kept: only what reachability needs goes into the model.
struct Pods {
    world: SharedWorld,
    waker: Waker,
    ready: tokio::sync::watch::Sender<bool>,
}

impl Handover<Pod> for Pods {
    fn seen(&self, pod: Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        let news = world.upsert_pod(PodFacts::from(&pod));
        if news.changes_classes {
            self.waker.around(&world, &namespace);
        }
        drop(world);
        if news.is_new_pod {
            self.waker.object(&pod, Change::Seen);
        }
    }

    fn gone(&self, pod: Pod) {
        self.remove(&pod.namespace().unwrap_or_default(), &pod.name_any());
    }

    fn listed(&self, names: &HashSet<(String, String)>) {
        let vanished: Vec<(String, String)> = {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            let pods = world.pods();
            let places = pods.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
            places.filter(|place| !names.contains(place)).collect()
        };
        for (namespace, name) in vanished {
            self.remove(&namespace, &name);
        }
        self.ready.send_replace(true);
    }
}

impl Pods {
    fn remove(&self, namespace: &str, name: &str) {
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        if world.remove_pod(namespace, name) {
            self.waker.around(&world, namespace);
        }
    }
}

impl Caches {
    /// Who may do what. Not to be held while anything is waited for.
    pub fn rbac(&self) -> RwLockReadGuard<'_, Rbac> {
        self.rbac.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a namespace holds a pod now.
    pub fn has_pod(&self, namespace: &str) -> bool {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        world.has_pod(namespace)
    }
}
