//! From all of RBAC to who reaches a tenant's namespaces, and through what. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use serde::Serialize;
use tenure_crds::customer_tenant::{MemberKind, TenantRole};
use tenure_crds::{AccessGrant, CustomerTenantSpec, is_ours, keys};
use tenure_rbac::{Attributes, Rbac, RoleName, Source, Subject, Wanted, foreign};

use super::is_true;
use super::people::People;
use crate::output::{self, plain};

/// What no reading of roles and bindings shows.
const NOT_SEEN: [&str; 4] = [
    "who is in a group, beyond what StaffMembers list",
    "system:masters, the Node authorizer and authorization webhooks: they are asked besides RBAC",
    "who may act as somebody else (impersonate, tokens of ServiceAccounts, certificates), and so as those listed here",
    "whoever reaches nodes, etcd or a pod's own accounts past the API server",
];

/// Everything that is looked at.
pub struct Seen {
    pub tenant: String,
    /// The tenant's identity, which its marks carry.
    pub tenant_id: String,
    pub namespaces: BTreeSet<String>,
    /// Nothing where the CustomerTenant is gone.
    pub spec: Option<CustomerTenantSpec>,
    pub grants: Vec<AccessGrant>,
    pub people: People,
    pub rbac: Rbac,
    /// The RoleBindings of the namespaces, for their marks.
    pub bindings: Vec<RoleBinding>,
    /// Where the operator lives.
    pub operators: String,
}

/// Who can reach a tenant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    tenant: String,
    namespaces: Vec<String>,
    /// What was asked; anything at all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    access: Vec<Row>,
    /// Bindings whose role is not there: whoever makes it brings them to life.
    dangling: Vec<Row>,
    /// Rows that are shown with `--all` only: the tenant's own ServiceAccounts, and components.
    hidden: Hidden,
    not_seen: [&'static str; 4],
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hidden {
    own_accounts: usize,
    components: usize,
}

/// One subject, through one binding.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    subject: Who,
    /// Who that is, as far as known: owners of a user name, or members of a group.
    persons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    role: String,
    binding: String,
    /// Where; none where it is every namespace.
    namespaces: Vec<String>,
    every_namespace: bool,
    origin: Origin,
}

#[derive(Debug, PartialEq, Serialize)]
struct Who {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

/// What a binding is, for one of its subjects. In the order in which they are shown.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
enum Origin {
    /// Nobody declared it.
    Foreign,
    /// Of an AccessGrant.
    Grant {
        name: String,
        person: String,
        not_after: String,
        has_ended: bool,
    },
    /// Of an entry of `deployers`.
    Deployer { entry: String },
    /// Of an entry of `members`.
    Member { entry: String },
    /// Of the tenant to its own ServiceAccount.
    OwnAccount,
    /// Of Kubernetes or this operator to its own component.
    Component,
}

impl Origin {
    /// In a sentence.
    fn text(&self) -> String {
        match self {
            Self::Foreign => "FOREIGN: nobody declared it".into(),
            Self::Grant {
                name,
                person,
                not_after,
                has_ended: false,
            } => format!("AccessGrant {name} of {person}, until {not_after}"),
            Self::Grant { name, person, .. } => {
                format!("AccessGrant {name} of {person}, which has ENDED")
            }
            Self::Deployer { entry } => format!("deployer {entry}"),
            Self::Member { entry } => format!("member {entry}"),
            Self::OwnAccount => "the tenant's own".into(),
            Self::Component => "component of the cluster".into(),
        }
    }

    /// Whether it is only shown where everything is.
    fn is_usual(&self) -> bool {
        matches!(self, Self::OwnAccount | Self::Component)
    }
}

/// What tells one row from another: a grant has a binding in each of its namespaces, all of one name.
type Key = (Origin, Subject, RoleName, String, bool);

impl Seen {
    /// Who can do it, or anything where nothing is asked.
    pub fn who_can(&self, asked: Option<&Attributes>, all: bool) -> Reach {
        let wanted = asked.map_or(Wanted::Anything, Wanted::This);
        let namespaces = || self.namespaces.iter().map(String::as_str);
        let found = self.rbac.who_can(namespaces(), wanted);
        let mut access = self.rows(found.into_values().flatten());
        let mut dangling = self.rows(self.rbac.dangling(namespaces()));
        let counted = |origin: &Origin| access.iter().filter(|row| row.origin == *origin).count();
        let mut hidden = Hidden::default();
        if !all {
            hidden.own_accounts = counted(&Origin::OwnAccount);
            hidden.components = counted(&Origin::Component);
            access.retain(|row| !row.origin.is_usual());
            dangling.retain(|row| !row.origin.is_usual());
        }
        Reach {
            tenant: self.tenant.clone(),
            namespaces: self.namespaces.iter().cloned().collect(),
            asked: asked.map(question),
            access,
            dangling,
            hidden,
            not_seen: NOT_SEEN,
        }
    }

    fn rows(&self, sources: impl IntoIterator<Item = Source>) -> Vec<Row> {
        let mut rows: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        for source in sources {
            let origin = self.origin(&source);
            let is_cluster_wide = source.is_cluster_wide();
            let key = (
                origin,
                source.subject,
                source.role,
                source.name,
                is_cluster_wide,
            );
            let namespaces = rows.entry(key).or_default();
            namespaces.extend((!is_cluster_wide).then_some(source.namespace));
        }
        let rows = rows.into_iter();
        rows.map(
            |((origin, subject, role, name, every_namespace), namespaces)| {
                let kind = match every_namespace {
                    true => "ClusterRoleBinding",
                    false => "RoleBinding",
                };
                Row {
                    persons: self.people.behind(&subject),
                    warning: self.people.warning(&subject),
                    subject: subject.into(),
                    role: role.to_string(),
                    binding: format!("{kind}/{name}"),
                    namespaces,
                    every_namespace,
                    origin,
                }
            },
        )
        .collect()
    }

    fn origin(&self, source: &Source) -> Origin {
        if source.is_cluster_wide() {
            let mut bindings = self.rbac.bindings_in("");
            let found = bindings.find(|(name, _)| *name == source.name);
            let is_component =
                found.is_some_and(|(_, it)| foreign::is_component(it, &self.operators));
            return match is_component {
                true => Origin::Component,
                false => Origin::Foreign,
            };
        }
        if let Some(declared) = self.declared(source) {
            return declared;
        }
        match source.subject.is_account_of(&self.namespaces) {
            true => Origin::OwnAccount,
            false => Origin::Foreign,
        }
    }

    /// What the operator made a binding for: it carries our marks, and says what was declared.
    fn declared(&self, source: &Source) -> Option<Origin> {
        let binding = self.bindings.iter().find(|binding| {
            binding.namespace().as_deref() == Some(&source.namespace)
                && binding.name_any() == source.name
        })?;
        if !is_ours(binding, &self.tenant, &self.tenant_id) {
            return None;
        }
        match binding.labels().get(keys::GRANT) {
            Some(uid) => self.granted(uid, source),
            None => self.deployer(source).or_else(|| self.member(source)),
        }
    }

    fn granted(&self, uid: &str, source: &Source) -> Option<Origin> {
        let mut grants = self.grants.iter();
        let grant = grants.find(|grant| grant.metadata.uid.as_deref() == Some(uid))?;
        let (spec, status) = (&grant.spec, grant.status.as_ref()?);
        let is_let_in = match &source.subject {
            Subject::User(name) => status.identity.as_ref() == Some(name),
            Subject::ServiceAccount { namespace, name } => {
                let session = status.session.as_ref();
                session.is_some_and(|it| it.namespace == *namespace && it.name == *name)
            }
            Subject::Group(_) => false,
        };
        let is_as_granted = is_let_in
            && spec.tenant_ref.name == self.tenant
            && source.role == RoleName::cluster(&spec.role)
            && spec.namespaces.contains(&source.namespace);
        is_as_granted.then(|| Origin::Grant {
            name: grant.name_any(),
            person: spec.person.clone(),
            not_after: spec.not_after.clone(),
            has_ended: is_true(&status.conditions, "Ended"),
        })
    }

    fn deployer(&self, source: &Source) -> Option<Origin> {
        let mut deployers = self.spec.as_ref()?.deployers.iter();
        let found = deployers.find(|it| {
            let subject = Subject::ServiceAccount {
                namespace: it.namespace.clone(),
                name: it.service_account.clone(),
            };
            subject == source.subject
                && is_role(it.role.unwrap_or(TenantRole::Deployer), &source.role)
        })?;
        Some(Origin::Deployer {
            entry: found.name.clone(),
        })
    }

    fn member(&self, source: &Source) -> Option<Origin> {
        let mut members = self.spec.as_ref()?.members.iter();
        let found = members.find(|it| {
            let name = it.subject.clone();
            let subject = match it.kind {
                MemberKind::User => Subject::User(name),
                MemberKind::Group => Subject::Group(name),
            };
            subject == source.subject && is_role(it.role, &source.role)
        })?;
        Some(Origin::Member {
            entry: found.name.clone(),
        })
    }
}

fn is_role(role: TenantRole, bound: &RoleName) -> bool {
    *bound == RoleName::cluster(role.cluster_role())
}

/// What was asked, without a place: it is asked of each namespace.
fn question(asked: &Attributes) -> String {
    let text = asked.to_string();
    let text = text.strip_suffix(" cluster-wide").unwrap_or(&text);
    text.to_owned()
}

impl From<Subject> for Who {
    fn from(subject: Subject) -> Self {
        let (kind, namespace, name) = match subject {
            Subject::User(name) => ("User", None, name),
            Subject::Group(name) => ("Group", None, name),
            Subject::ServiceAccount { namespace, name } => {
                ("ServiceAccount", Some(namespace), name)
            }
        };
        Self {
            kind,
            namespace,
            name,
        }
    }
}

impl Row {
    fn who(&self) -> String {
        let Who {
            kind,
            namespace,
            name,
        } = &self.subject;
        let namespace = namespace
            .as_ref()
            .map_or_else(String::new, |it| format!("{it}/"));
        let more = [
            self.persons.join(", "),
            self.warning.clone().unwrap_or_default(),
        ];
        let more: Vec<String> = more.into_iter().filter(|text| !text.is_empty()).collect();
        match more.is_empty() {
            true => format!("{kind} {namespace}{name}"),
            false => format!("{kind} {namespace}{name} ({})", more.join("; ")),
        }
    }

    fn cells(&self) -> [String; 5] {
        let namespaces = match self.every_namespace {
            true => "every namespace".into(),
            false => self.namespaces.join(","),
        };
        [
            self.who(),
            self.role.clone(),
            namespaces,
            self.binding.clone(),
            self.origin.text(),
        ]
        .map(|cell| plain(&cell).into_owned())
    }
}

impl Reach {
    /// For people.
    pub fn table(&self) -> String {
        let what = self.asked.as_deref().unwrap_or("do anything");
        let namespaces = match self.namespaces.is_empty() {
            true => "no namespace yet".into(),
            false => self.namespaces.join(", "),
        };
        let title = format!(
            "Who can {what} in tenant {} ({namespaces}), by RBAC as it is now",
            self.tenant
        );
        let mut text = format!("{}\n\n", plain(&title));
        let rows = |rows: &[Row]| {
            let cells: Vec<_> = rows.iter().map(Row::cells).collect();
            output::table(["WHO", "ROLE", "WHERE", "THROUGH", "WHICH IS"], &cells)
        };
        match self.access.is_empty() {
            true => text.push_str("Nobody.\n"),
            false => text.push_str(&rows(&self.access)),
        }
        if !self.dangling.is_empty() {
            text.push_str(
                "\nBound to a role that is not there; whoever makes it brings these to life:\n",
            );
            text.push_str(&rows(&self.dangling));
        }
        text.push_str(&self.hidden.text());
        text.push_str("\nNot seen here:\n");
        for what in self.not_seen {
            text.push_str(&format!("  - {what}\n"));
        }
        text
    }
}

impl Hidden {
    fn text(&self) -> String {
        let Self {
            own_accounts,
            components,
        } = self;
        if own_accounts + components == 0 {
            return String::new();
        }
        format!(
            "\nNot listed, but for --all: {} of the tenant's own ServiceAccounts, {} of components of the cluster.\n",
            output::count(*own_accounts as u64, "row", "rows"),
            output::count(*components as u64, "row", "rows")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "5b0f7c1e-2d34-4a56-8b78-90abcdef1234";
    const UNTIL: &str = "2026-02-01T16:00:00Z";

    fn object<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn binding(namespace: Option<&str>, name: &str, role: &str, subjects: Value) -> Value {
        json!({
            "metadata": {"name": name, "namespace": namespace}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        })
    }

    fn user(name: &str) -> Value {
        json!({"kind": "User", "name": name})
    }

    fn account(namespace: &str, name: &str) -> Value {
        json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
    }

    /// As the operator marks what it makes.
    fn ours(mut binding: Value, grant: Option<&str>) -> Value {
        let metadata = &mut binding["metadata"];
        metadata["labels"] = json!({"tenure.dev/tenant": "acme"});
        metadata["annotations"] = json!({"tenure.dev/tenant-id": ID});
        metadata["managedFields"] = json!([{"manager": "tenure"}]);
        if let Some(uid) = grant {
            metadata["labels"]["tenure.dev/grant"] = json!(uid);
        }
        binding
    }

    fn grant(name: &str, uid: &str, identity: &str, conditions: Value) -> AccessGrant {
        object(json!({
            "metadata": {"name": name, "uid": uid},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": ID, "person": "jane-doe", "role": "operate",
                "namespaces": ["acme-prod", "acme-test"], "reason": "x", "ticket": "y", "notAfter": UNTIL,
            },
            "status": {"identity": identity, "conditions": conditions},
        }))
    }

    fn staff(
        name: &str,
        status: &str,
        identities: Value,
        groups: Value,
    ) -> tenure_crds::StaffMember {
        object(
            json!({"metadata": {"name": name}, "spec": {"identities": identities, "groups": groups, "status": status}}),
        )
    }

    /// One of everything that can be.
    fn seen() -> Seen {
        let spec: CustomerTenantSpec = object(json!({
            "tenantID": ID, "classification": "Internal", "namespaces": [{"name": "prod"}, {"name": "test"}],
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "customer": {"name": "Example", "persons": [{"name": "director", "identities": ["acme:7"]}]},
            "deployers": [{"name": "flux", "namespace": "flux-system", "serviceAccount": "flux"}],
            "members": [{"name": "boss", "kind": "User", "subject": "acme:7", "role": "Viewer"}],
        }));
        let people = [
            staff(
                "jane-doe",
                "Active",
                json!(["jane", "desk"]),
                json!(["devs"]),
            ),
            staff("joe", "Active", json!(["joe", "desk"]), json!(["devs"])),
            staff("gone", "Left", json!(["gone"]), json!([])),
        ];
        let mut rbac = Rbac::default();
        for (name, resource, verb) in [
            ("operate", "pods", "delete"),
            ("view", "pods", "get"),
            ("tenure-tenant-viewer", "pods", "get"),
            ("tenure-tenant-deployer", "secrets", "create"),
            ("system:controller:x", "pods", "list"),
            ("nodes", "nodes", "get"),
        ] {
            rbac.upsert_cluster_role(&object(json!({
                "metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": [verb]}],
            })));
        }
        let (prod, test) = (Some("acme-prod"), Some("acme-test"));
        let g = "tenure-grant-u-1";
        let bindings: Vec<RoleBinding> = [
            ours(
                binding(prod, g, "operate", json!([user("jane")])),
                Some("u-1"),
            ),
            ours(
                binding(test, g, "operate", json!([user("jane"), user("mallory")])),
                Some("u-1"),
            ),
            ours(
                binding(prod, "tenure-grant-u-2", "operate", json!([user("desk")])),
                Some("u-2"),
            ),
            // Marked as a grant's, and not as it was granted.
            ours(
                binding(test, "tenure-grant-u-2", "view", json!([user("desk")])),
                Some("u-2"),
            ),
            ours(
                binding(
                    prod,
                    "tenure-deployer-flux",
                    "tenure-tenant-deployer",
                    json!([account("flux-system", "flux")]),
                ),
                None,
            ),
            ours(
                binding(
                    prod,
                    "tenure-member-boss",
                    "tenure-tenant-viewer",
                    json!([user("acme:7")]),
                ),
                None,
            ),
            // Marked as a member's, and nobody's entry.
            ours(
                binding(
                    prod,
                    "tenure-member-eve",
                    "tenure-tenant-viewer",
                    json!([user("eve")]),
                ),
                None,
            ),
            binding(
                prod,
                "app",
                "view",
                json!([account("acme-test", "app"), user("Jane")]),
            ),
            // As the operator names one, and not its own.
            binding(
                test,
                "tenure-deployer-flux",
                "tenure-tenant-deployer",
                json!([account("flux-system", "flux")]),
            ),
            binding(test, "later", "not-yet", json!([user("gone")])),
        ]
        .into_iter()
        .map(object)
        .collect();
        bindings.iter().for_each(|it| rbac.upsert_binding(it));
        for it in [
            binding(
                None,
                "devs",
                "view",
                json!([{"kind": "Group", "name": "devs"}]),
            ),
            binding(
                None,
                "cluster-admin",
                "view",
                json!([{"kind": "Group", "name": "system:masters"}]),
            ),
            binding(
                None,
                "x",
                "system:controller:x",
                json!([account("kube-system", "x")]),
            ),
            binding(None, "nodes", "nodes", json!([user("joe")])),
        ] {
            rbac.upsert_cluster_binding(&object(it));
        }
        let ended = json!([{"type": "Ended", "status": "True", "reason": "Expired", "message": "", "lastTransitionTime": UNTIL}]);
        Seen {
            tenant: "acme".into(),
            tenant_id: ID.into(),
            namespaces: ["acme-prod", "acme-test"].map(str::to_owned).into(),
            people: People::of(&people, Some(&spec)),
            spec: Some(spec),
            grants: vec![
                grant("planned", "u-1", "jane", json!([])),
                grant("over", "u-2", "desk", ended),
            ],
            rbac,
            bindings,
            operators: "tenure-system".into(),
        }
    }

    #[test]
    fn everybody_is_listed_with_what_lets_them_in() {
        let text = seen().who_can(None, false).table();
        let expect = "\
Who can do anything in tenant acme (acme-prod, acme-test), by RBAC as it is now

";
        assert!(text.starts_with(expect), "{text}");
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .filter(|cells: &Vec<&str>| cells.len() == 5)
            .collect();
        let foreign = "FOREIGN: nobody declared it";
        assert_eq!(
            rows,
            [
                ["WHO", "ROLE", "WHERE", "THROUGH", "WHICH IS"],
                [
                    "Group devs (StaffMember/jane-doe, StaffMember/joe)",
                    "ClusterRole/view",
                    "every namespace",
                    "ClusterRoleBinding/devs",
                    foreign
                ],
                [
                    "Group system:masters (may do everything, whatever RBAC says)",
                    "ClusterRole/view",
                    "every namespace",
                    "ClusterRoleBinding/cluster-admin",
                    foreign
                ],
                [
                    "ServiceAccount flux-system/flux",
                    "ClusterRole/tenure-tenant-deployer",
                    "acme-test",
                    "RoleBinding/tenure-deployer-flux",
                    foreign
                ],
                [
                    "User Jane (nobody's user name; looks like jane)",
                    "ClusterRole/view",
                    "acme-prod",
                    "RoleBinding/app",
                    foreign
                ],
                [
                    "User desk (StaffMember/jane-doe, StaffMember/joe; shared by several persons)",
                    "ClusterRole/view",
                    "acme-test",
                    "RoleBinding/tenure-grant-u-2",
                    foreign
                ],
                [
                    "User eve (nobody's user name)",
                    "ClusterRole/tenure-tenant-viewer",
                    "acme-prod",
                    "RoleBinding/tenure-member-eve",
                    foreign
                ],
                [
                    "User mallory (nobody's user name)",
                    "ClusterRole/operate",
                    "acme-test",
                    "RoleBinding/tenure-grant-u-1",
                    foreign
                ],
                [
                    "User desk (StaffMember/jane-doe, StaffMember/joe; shared by several persons)",
                    "ClusterRole/operate",
                    "acme-prod",
                    "RoleBinding/tenure-grant-u-2",
                    "AccessGrant over of jane-doe, which has ENDED"
                ],
                [
                    "User jane (StaffMember/jane-doe)",
                    "ClusterRole/operate",
                    "acme-prod,acme-test",
                    "RoleBinding/tenure-grant-u-1",
                    "AccessGrant planned of jane-doe, until 2026-02-01T16:00:00Z"
                ],
                [
                    "ServiceAccount flux-system/flux",
                    "ClusterRole/tenure-tenant-deployer",
                    "acme-prod",
                    "RoleBinding/tenure-deployer-flux",
                    "deployer flux"
                ],
                [
                    "User acme:7 (Customer/director)",
                    "ClusterRole/tenure-tenant-viewer",
                    "acme-prod",
                    "RoleBinding/tenure-member-boss",
                    "member boss"
                ],
                ["WHO", "ROLE", "WHERE", "THROUGH", "WHICH IS"],
                [
                    "User gone (StaffMember/gone; no longer works here: StaffMember/gone)",
                    "ClusterRole/not-yet",
                    "acme-test",
                    "RoleBinding/later",
                    foreign
                ],
            ]
            .map(|row| row.to_vec())
        );
        assert!(
            text.contains("Not listed, but for --all: 1 row of the tenant's own ServiceAccounts, 1 row of components"),
            "{text}"
        );
        assert!(
            text.contains("\nNot seen here:\n  - who is in a group"),
            "{text}"
        );
    }

    #[test]
    fn all_lists_the_tenants_own_and_the_clusters_too() {
        let found = seen().who_can(None, true);
        let usual: Vec<String> = found
            .access
            .iter()
            .filter(|row| row.origin.is_usual())
            .map(|row| row.cells().join(" | "))
            .collect();
        assert_eq!(
            usual,
            [
                "ServiceAccount acme-test/app | ClusterRole/view | acme-prod | RoleBinding/app | the tenant's own",
                "ServiceAccount kube-system/x | ClusterRole/system:controller:x | every namespace | ClusterRoleBinding/x | component of the cluster",
            ]
        );
        assert_eq!(found.hidden, Hidden::default());
    }

    #[test]
    fn only_who_can_do_exactly_that_is_listed_and_machines_read_it() {
        let asked = Attributes::on("delete", "", "pods", "").named("web-0");
        let mut seen = seen();
        seen.grants.remove(1);
        let found = serde_json::to_value(seen.who_can(Some(&asked), false)).unwrap();
        assert_eq!(
            found,
            json!({
                "tenant": "acme", "namespaces": ["acme-prod", "acme-test"], "asked": "delete pods web-0",
                "access": [
                    {
                        "subject": {"kind": "User", "name": "desk"}, "persons": ["StaffMember/jane-doe", "StaffMember/joe"],
                        "warning": "shared by several persons", "role": "ClusterRole/operate", "binding": "RoleBinding/tenure-grant-u-2",
                        "namespaces": ["acme-prod"], "everyNamespace": false, "origin": {"kind": "Foreign"},
                    },
                    {
                        "subject": {"kind": "User", "name": "mallory"}, "persons": [], "warning": "nobody's user name",
                        "role": "ClusterRole/operate", "binding": "RoleBinding/tenure-grant-u-1",
                        "namespaces": ["acme-test"], "everyNamespace": false, "origin": {"kind": "Foreign"},
                    },
                    {
                        "subject": {"kind": "User", "name": "jane"}, "persons": ["StaffMember/jane-doe"],
                        "role": "ClusterRole/operate", "binding": "RoleBinding/tenure-grant-u-1",
                        "namespaces": ["acme-prod", "acme-test"], "everyNamespace": false,
                        "origin": {"kind": "Grant", "name": "planned", "person": "jane-doe", "notAfter": UNTIL, "hasEnded": false},
                    },
                ],
                "dangling": [{
                    "subject": {"kind": "User", "name": "gone"}, "persons": ["StaffMember/gone"],
                    "warning": "no longer works here: StaffMember/gone", "role": "ClusterRole/not-yet", "binding": "RoleBinding/later",
                    "namespaces": ["acme-test"], "everyNamespace": false, "origin": {"kind": "Foreign"},
                }],
                "hidden": {"ownAccounts": 0, "components": 0}, "notSeen": NOT_SEEN,
            })
        );
    }

    #[test]
    fn without_its_object_nothing_of_a_tenant_is_declared_but_grants() {
        let mut seen = seen();
        seen.spec = None;
        let found = seen.who_can(None, false);
        let flux = found.access.iter().find(|row| row.subject.name == "flux");
        assert_eq!(flux.unwrap().origin, Origin::Foreign);
        seen.namespaces.clear();
        let found = seen.who_can(None, false);
        assert!(found.access.iter().all(|row| row.every_namespace));
        assert!(found.table().contains("(no namespace yet)"));
    }

    #[test]
    fn a_name_cannot_steer_a_terminal() {
        let mut seen = seen();
        let evil = binding(Some("acme-prod"), "b", "view", json!([user("\u{1b}[2J")]));
        seen.rbac.upsert_binding(&object(evil));
        let text = seen.who_can(None, false).table();
        assert!(
            text.contains("\\u{1b}[2J") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}
