//! What could carry access on after a grant has ended: what was created or changed while it let somebody in (DSA 2.4, 2.13).
//! Pure.
//!
//! Who did it, no object says, but for a CertificateSigningRequest, on which the API server stamps who asked. So whatever of these
//! kinds was created or changed counts, with what it claims about itself; and what the role lets nobody do is not looked for.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use tenure_crds::keys;

use crate::record::{Changed, Finding, Granted, How, Swept};
use tenure_rbac::{Attributes, Rule};

/// Most findings that are named of one grant.
pub const MOST_NAMED: usize = 64;
/// Most findings that are named of all of a tenant's open sweeps: they lie in its record, which is one object.
pub const MOST_KEPT: usize = 512;
/// What a grant let in is out this long after its end at the latest: its bindings are gone, and every API server has seen it.
pub const OUT: SignedDuration = SignedDuration::from_secs(60);

/// A kind of which an object may carry access on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Gives a role to somebody.
    RoleBinding,
    /// Says what a role lets do.
    Role,
    /// Acts by itself, or lets somebody act as it.
    ServiceAccount,
    /// Does again what it was told.
    CronJob,
    /// With ephemeral containers: what somebody put into a running pod stays there.
    Pod,
    /// Says what a role lets do, everywhere.
    ClusterRole,
    /// Gives a role to somebody, everywhere.
    ClusterRoleBinding,
    /// Becomes a certificate, with which somebody signs in.
    CertificateSigningRequest,
    /// Is told what is written, Secrets too.
    ValidatingWebhookConfiguration,
    /// Changes what is written.
    MutatingWebhookConfiguration,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::RoleBinding,
        Self::Role,
        Self::ServiceAccount,
        Self::CronJob,
        Self::Pod,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::CertificateSigningRequest,
        Self::ValidatingWebhookConfiguration,
        Self::MutatingWebhookConfiguration,
    ];

    /// The kind's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoleBinding => "RoleBinding",
            Self::Role => "Role",
            Self::ServiceAccount => "ServiceAccount",
            Self::CronJob => "CronJob",
            Self::Pod => "Pod",
            Self::ClusterRole => "ClusterRole",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::CertificateSigningRequest => "CertificateSigningRequest",
            Self::ValidatingWebhookConfiguration => "ValidatingWebhookConfiguration",
            Self::MutatingWebhookConfiguration => "MutatingWebhookConfiguration",
        }
    }

    /// Group, version and plural under which the API server serves it.
    pub fn resource(self) -> (&'static str, &'static str, &'static str) {
        const RBAC: &str = "rbac.authorization.k8s.io";
        const ADMISSION: &str = "admissionregistration.k8s.io";
        match self {
            Self::RoleBinding => (RBAC, "v1", "rolebindings"),
            Self::Role => (RBAC, "v1", "roles"),
            Self::ServiceAccount => ("", "v1", "serviceaccounts"),
            Self::CronJob => ("batch", "v1", "cronjobs"),
            Self::Pod => ("", "v1", "pods"),
            Self::ClusterRole => (RBAC, "v1", "clusterroles"),
            Self::ClusterRoleBinding => (RBAC, "v1", "clusterrolebindings"),
            Self::CertificateSigningRequest => {
                ("certificates.k8s.io", "v1", "certificatesigningrequests")
            }
            Self::ValidatingWebhookConfiguration => {
                (ADMISSION, "v1", "validatingwebhookconfigurations")
            }
            Self::MutatingWebhookConfiguration => {
                (ADMISSION, "v1", "mutatingwebhookconfigurations")
            }
        }
    }

    /// Whether its objects lie in namespaces.
    pub fn is_namespaced(self) -> bool {
        matches!(
            self,
            Self::RoleBinding | Self::Role | Self::ServiceAccount | Self::CronJob | Self::Pod
        )
    }
}

/// Verbs that make or change.
const WRITES: [&str; 3] = ["create", "update", "patch"];
/// API groups of Kubernetes' own in which nothing starts a workload but what is named below. Of any other nobody knows what it starts.
const KNOWN_GROUPS: [&str; 13] = [
    "",
    "apps",
    "autoscaling",
    "batch",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "gateway.networking.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
];
/// What lets somebody act as a workload, with all that its account may do: going into it, starting one, reading its token.
const AS_WORKLOAD: [(&[&str], &str, &[&str]); 6] = [
    (
        &["get", "create", "update", "patch", "delete"],
        "",
        &[
            "pods/exec",
            "pods/attach",
            "pods/portforward",
            "pods/proxy",
            "services/proxy",
        ],
    ),
    (&["get", "list", "watch"], "", &["secrets"]),
    (
        &WRITES,
        "",
        &[
            "pods",
            "pods/ephemeralcontainers",
            "replicationcontrollers",
            "podtemplates",
            "secrets",
            "serviceaccounts/token",
        ],
    ),
    (
        &WRITES,
        "apps",
        &["deployments", "daemonsets", "statefulsets", "replicasets"],
    ),
    (&WRITES, "batch", &["jobs", "cronjobs"]),
    (
        &WRITES,
        "extensions",
        &["deployments", "daemonsets", "replicasets"],
    ),
];
/// What a role may let write by itself.
const BY_ITSELF: [Kind; 3] = [Kind::RoleBinding, Kind::Role, Kind::ServiceAccount];

/// Of which kinds somebody could have made or changed objects with these rules; of a role that is gone, of all.
pub fn possible(rules: Option<&[Rule]>) -> BTreeSet<Kind> {
    let Some(rules) = rules else {
        return Kind::ALL.into();
    };
    // Whatever name a rule is limited to, it lets do it once.
    let rules: Vec<Rule> = rules
        .iter()
        .map(|rule| Rule {
            names: Vec::new(),
            ..rule.clone()
        })
        .collect();
    let allows = |verbs: &[&str], group: &str, resource: &str| {
        verbs.iter().any(|verb| {
            let what = Attributes::on(verb, group, resource, "any");
            rules.iter().any(|rule| rule.allows(&what))
        })
    };
    let as_workload = AS_WORKLOAD.iter().any(|(verbs, group, resources)| {
        let mut resources = resources.iter();
        resources.any(|resource| allows(verbs, group, resource))
    });
    if as_workload || rules.iter().any(starts_the_unknown) {
        return Kind::ALL.into();
    }
    let writable = BY_ITSELF.into_iter().filter(|kind| {
        let (group, _, plural) = kind.resource();
        allows(&WRITES, group, plural)
    });
    writable.collect()
}

fn starts_the_unknown(rule: &Rule) -> bool {
    let writes = rule.verbs.iter();
    let mut writes = writes.filter(|verb| *verb == "*" || WRITES.contains(&verb.as_str()));
    let mut groups = rule.groups.iter();
    writes.next().is_some()
        && !rule.resources.is_empty()
        && groups.any(|group| !KNOWN_GROUPS.contains(&group.as_str()))
}

/// What is read of an object beside its metadata.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Beside {
    /// How many ephemeral containers a pod has.
    pub ephemeral_containers: usize,
    /// User name, groups and signer of a CertificateSigningRequest, as the API server stamped them.
    pub asked: Option<(String, Vec<String>, String)>,
}

/// An object, as far as a sweep needs to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Object {
    kind: Kind,
    namespace: String,
    name: String,
    uid: String,
    created: Option<Timestamp>,
    /// Instant and claimed author of each change that counts, but for its status.
    changes: Vec<(Timestamp, String)>,
    /// Whether nothing on it says when it was changed.
    has_no_history: bool,
    author: Option<String>,
}

impl Object {
    /// An object of that kind; nothing where it carries no access on.
    pub fn of(kind: Kind, meta: &ObjectMeta, beside: &Beside) -> Option<Self> {
        if carries_nothing(kind, meta, beside) {
            return None;
        }
        let entries = meta.managed_fields.as_deref().unwrap_or_default();
        let counts = |entry: &&ManagedFieldsEntry| match kind {
            // Whatever else happens to a pod, only what was put into it counts.
            Kind::Pod => entry.subresource.as_deref() == Some("ephemeralcontainers"),
            _ => entry.subresource.as_deref() != Some("status"),
        };
        let changes: Vec<(Timestamp, String)> = entries
            .iter()
            .filter(counts)
            .filter_map(|entry| {
                let at = entry.time.as_ref()?.0;
                Some((at, entry.manager.clone().unwrap_or_default()))
            })
            .collect();
        Some(Self {
            kind,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|at| at.0),
            has_no_history: changes.is_empty() && !is_bare(kind, meta),
            changes,
            author: beside.asked.as_ref().map(|(user, ..)| user.clone()),
        })
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Whether it may have been created or changed since then.
    pub fn is_touched_since(&self, begin: Timestamp) -> bool {
        let since = |at: Timestamp| at.as_second() >= begin.as_second();
        self.has_no_history
            || self.created.is_none_or(since)
            || self.changes.iter().any(|(at, _)| since(*at))
    }

    fn finding(&self, window: &Window) -> Option<Finding> {
        // Creation times are cut to the second.
        if self.created.is_some_and(|at| at > window.end) {
            return None;
        }
        let inside = |at: Timestamp| {
            at.as_second() >= window.begin.as_second() && at.as_second() <= window.look.as_second()
        };
        let created = self.created.filter(|at| inside(*at));
        let changes = || self.changes.iter().filter(|(at, _)| inside(*at));
        let (first, last) = (changes().min(), changes().max());
        let (change, when, by) = match (created, last) {
            // Of a pod not that it was made counts, but what was put into it.
            (Some(at), _) if self.kind != Kind::Pod => (Changed::Created, Some(at), first),
            (_, Some((at, _))) => (Changed::Changed, Some(*at), last),
            (Some(_), None) => (Changed::Changed, None, None),
            (None, None) if self.has_no_history => (Changed::Changed, None, None),
            (None, None) => return None,
        };
        let claimed = by.map(|(_, manager)| manager.clone());
        Some(Finding {
            kind: self.kind.as_str().into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            change,
            when: when.map(|at| at.to_string()),
            author: self.author.clone(),
            claimed: claimed.filter(|claimed| !claimed.is_empty()),
        })
    }
}

/// Whether an object carries no access on, whenever it was made:
///
/// - what the operator makes and repairs, which carries all three of our marks: a guard keeps others from it;
/// - the account `default` of a namespace as its controller makes it: nothing was ever set on it;
/// - a pod into which nothing was put;
/// - a node's request for its own certificates: who asked is stamped, and such a signer signs nothing for anybody else.
fn carries_nothing(kind: Kind, meta: &ObjectMeta, beside: &Beside) -> bool {
    match kind {
        Kind::RoleBinding => is_ours(meta),
        Kind::ServiceAccount => {
            meta.name.as_deref() == Some("default") && entries(meta) == 0 && is_bare(kind, meta)
        }
        Kind::Pod => beside.ephemeral_containers == 0,
        Kind::CertificateSigningRequest => is_of_a_node(beside),
        _ => false,
    }
}

fn entries(meta: &ObjectMeta) -> usize {
    meta.managed_fields.as_ref().map_or(0, Vec::len)
}

fn is_ours(meta: &ObjectMeta) -> bool {
    let has = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        map.as_ref().and_then(|map| map.get(key)).cloned()
    };
    let mut managers = meta.managed_fields.iter().flatten();
    meta.name
        .as_ref()
        .is_some_and(|name| name.as_str() == keys::MANAGED_BY_VALUE || name.starts_with("tenure-"))
        && has(&meta.labels, keys::MANAGED_BY).as_deref() == Some(keys::MANAGED_BY_VALUE)
        && has(&meta.annotations, keys::TENANT_ID).is_some()
        && managers.any(|entry| entry.manager.as_deref() == Some(keys::FIELD_MANAGER))
}

/// Whether there is nothing on it that could have been set: what was never set has no history either. Nobody changes what a request
/// for a certificate asks for, and the API server keeps no history of it.
fn is_bare(kind: Kind, meta: &ObjectMeta) -> bool {
    let is_empty = |map: &Option<std::collections::BTreeMap<String, String>>| {
        map.as_ref().is_none_or(|map| map.is_empty())
    };
    match kind {
        Kind::CertificateSigningRequest => true,
        Kind::ServiceAccount => is_empty(&meta.labels) && is_empty(&meta.annotations),
        _ => false,
    }
}

fn is_of_a_node(beside: &Beside) -> bool {
    let Some((user, groups, signer)) = &beside.asked else {
        return false;
    };
    let is_in = |group: &str| groups.iter().any(|known| known == group);
    let is_node = user.starts_with("system:node:") && is_in("system:nodes");
    let joins = user.starts_with("system:bootstrap:") && is_in("system:bootstrappers");
    let signs_for_nodes = [
        "kubernetes.io/kube-apiserver-client-kubelet",
        "kubernetes.io/kubelet-serving",
    ];
    (is_node || joins) && signs_for_nodes.contains(&signer.as_str())
}

/// When something must have happened to count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// When the grant began to let somebody in.
    pub begin: Timestamp,
    /// When nobody could come by it any more: what was made later is not of it.
    pub end: Timestamp,
    /// The first look. A change says only when it was last made; one between the end and the look may hide one before.
    pub look: Timestamp,
}

impl Window {
    /// That of a grant which has ended, first looked at then.
    pub fn of(granted: &Granted, look: Timestamp) -> Option<Self> {
        let ended: Timestamp = granted.ended.as_ref()?.at.parse().ok()?;
        Some(Self {
            begin: granted.activated_at()?,
            end: ended.checked_add(OUT).ok()?,
            look,
        })
    }
}

/// What was found for one grant, in order.
pub fn findings(
    window: &Window,
    kinds: &BTreeSet<Kind>,
    namespaces: &[String],
    objects: &[Object],
) -> Vec<Finding> {
    let is_asked = |object: &&Object| {
        let is_there = !object.kind.is_namespaced() || namespaces.contains(&object.namespace);
        kinds.contains(&object.kind) && is_there
    };
    let found = objects.iter().filter(is_asked);
    let found: BTreeSet<Finding> = found.filter_map(|object| object.finding(window)).collect();
    found.into_iter().collect()
}

/// What is open after another look: what is seen, and what was named before and is there still. That somebody touched it once more
/// does not take it off the list.
pub fn still(
    seen: Vec<Finding>,
    before: Option<&Swept>,
    present: &BTreeSet<String>,
) -> Vec<Finding> {
    let known: BTreeSet<String> = seen.iter().map(|one| one.uid.clone()).collect();
    let named = before.into_iter().flat_map(|before| &before.findings);
    let stays = named.filter(|one| !known.contains(&one.uid) && present.contains(&one.uid));
    let mut all: Vec<Finding> = stays.cloned().chain(seen).collect();
    all.sort();
    all
}

/// What a look came to: `room` is for how many findings there is room in the record.
pub fn swept(
    at: Timestamp,
    before: Option<&Swept>,
    (open, digest): (Vec<Finding>, String),
    not_looked_at: Vec<String>,
    room: usize,
) -> Swept {
    let first = before.map_or_else(|| at.to_string(), |before| before.at.clone());
    if open.is_empty() && not_looked_at.is_empty() {
        let mut next = before
            .cloned()
            .unwrap_or_else(|| Swept::at_once(at, How::NothingFound));
        if next.is_open() {
            next.settle(at, How::Removed, Vec::new());
        }
        return next;
    }
    let named = room.min(MOST_NAMED).min(open.len());
    Swept {
        at: first,
        digest,
        more: open.len() - named,
        findings: open.into_iter().take(named).collect(),
        not_looked_at,
        settled: None,
    }
}

/// Whether a grant's sweep is not settled: it was not looked, or something is open.
pub fn is_open(granted: &Granted) -> bool {
    !granted.is_live() && granted.sweep.as_ref().is_none_or(Swept::is_open)
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
