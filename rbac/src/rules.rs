//! One rule of a role, and what it allows.

use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;
use tenure_crds::keys;

use crate::attributes::{Attributes, Resource, Target};

/// Everything, wherever rules list something.
pub(crate) const ALL: &str = "*";
/// The verbs that change nothing.
pub(crate) const READS: [&str; 3] = ["get", "list", "watch"];

/// Kubernetes' own resources that lie in no namespace, by API group. What is not listed counts as lying in one.
pub const CLUSTER_SCOPED: [(&str, &[&str]); 15] = [
    (
        "",
        &[
            "componentstatuses",
            "namespaces",
            "nodes",
            "persistentvolumes",
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    (
        "authentication.k8s.io",
        &["selfsubjectreviews", "tokenreviews"],
    ),
    (
        "authorization.k8s.io",
        &[
            "selfsubjectaccessreviews",
            "selfsubjectrulesreviews",
            "subjectaccessreviews",
        ],
    ),
    (
        "certificates.k8s.io",
        &["certificatesigningrequests", "clustertrustbundles"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["flowschemas", "prioritylevelconfigurations"],
    ),
    (
        "networking.k8s.io",
        &["ingressclasses", "ipaddresses", "servicecidrs"],
    ),
    ("node.k8s.io", &["runtimeclasses"]),
    (
        "rbac.authorization.k8s.io",
        &["clusterrolebindings", "clusterroles"],
    ),
    (
        "resource.k8s.io",
        &["deviceclasses", "devicetaintrules", "resourceslices"],
    ),
    ("scheduling.k8s.io", &["priorityclasses"]),
    (
        "storage.k8s.io",
        &[
            "csidrivers",
            "csinodes",
            "storageclasses",
            "volumeattachments",
            "volumeattributesclasses",
        ],
    ),
    ("storagemigration.k8s.io", &["storageversionmigrations"]),
];

/// The groups of what is asked by creating it: who is this, what may they do.
const REVIEWS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// What of a rule's lists is allowed together: every verb on every resource of every group.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// API groups.
    pub groups: Vec<String>,
    /// Resources and subresources: `pods`, `pods/exec`, `*/scale`.
    pub resources: Vec<String>,
    /// Names of objects; none means any.
    pub names: Vec<String>,
    /// Paths that are no resources; a `*` at the end takes in what follows.
    pub urls: Vec<String>,
}

impl From<&PolicyRule> for Rule {
    fn from(rule: &PolicyRule) -> Self {
        Self {
            verbs: rule.verbs.clone(),
            groups: rule.api_groups.clone().unwrap_or_default(),
            resources: rule.resources.clone().unwrap_or_default(),
            names: rule.resource_names.clone().unwrap_or_default(),
            urls: rule.non_resource_urls.clone().unwrap_or_default(),
        }
    }
}

impl Rule {
    /// The rules of a role.
    pub fn all(rules: Option<&[PolicyRule]>) -> Vec<Self> {
        rules.unwrap_or_default().iter().map(Self::from).collect()
    }

    /// Whether it allows that.
    pub fn allows(&self, attributes: &Attributes) -> bool {
        has(&self.verbs, &attributes.verb)
            && match &attributes.target {
                Target::Url(path) => self.urls.iter().any(|url| takes_in(url, path)),
                Target::Resource(resource) => self.is_about(resource),
            }
    }

    fn is_about(&self, asked: &Resource) -> bool {
        // A name that was not given is not any name: a list of everything is no object of that name.
        has(&self.groups, &asked.group)
            && self.has_resource(asked)
            && (self.names.is_empty() || self.names.contains(&asked.name))
    }

    fn has_resource(&self, asked: &Resource) -> bool {
        let combined = asked.combined();
        self.resources.iter().any(|resource| {
            resource == ALL
                || *resource == combined
                || (!asked.subresource.is_empty()
                    && resource.strip_prefix("*/") == Some(&asked.subresource))
        })
    }

    /// Whether it allows anything on any resource.
    pub(crate) fn is_about_resources(&self) -> bool {
        !self.verbs.is_empty() && !self.groups.is_empty() && !self.resources.is_empty()
    }

    /// Whether a ClusterRoleBinding of it reaches what lies in namespaces. It does not where it only reads what lies in
    /// none, asks for reviews, or concerns our own kinds. Whoever writes what lies in none (webhooks, roles, volumes) reaches
    /// further than it seems.
    pub fn reaches_into_namespaces(&self) -> bool {
        let reads = self.verbs.iter().all(|verb| READS.contains(&verb.as_str()));
        let creates = self.verbs.iter().all(|verb| verb == "create");
        let stays_out = |group: &str, resource: &String| {
            let is_harmless = reads || (creates && REVIEWS.contains(&group));
            group == keys::GROUP || (is_harmless && is_cluster_scoped(group, resource))
        };
        let stays_out_of_all = |group: &String| {
            let mut resources = self.resources.iter();
            resources.all(|resource| stays_out(group, resource))
        };
        self.is_about_resources() && !self.groups.iter().all(stays_out_of_all)
    }
}

fn is_cluster_scoped(group: &str, resource: &str) -> bool {
    let known = CLUSTER_SCOPED.iter();
    known
        .filter(|(known, _)| *known == group)
        .any(|(_, resources)| resources.contains(&resource))
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

fn takes_in(url: &str, path: &str) -> bool {
    url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names come from others: quoted, what cannot be printed is escaped.
        write!(f, "verbs {:?}", self.verbs)?;
        let lists = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (what, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            write!(f, ", {what} {list:?}")?;
        }
        Ok(())
    }
}
