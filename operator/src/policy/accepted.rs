//! The settings in force, parsed: after this nobody reads a raw `TenancyPolicySpec`.
//!
//! Whatever a TenancyPolicy leaves out has the strictest built-in value, so that `spec: {}` (and no
//! TenancyPolicy at all) is a safe platform on which little is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use jiff::SignedDuration;
use tenure_crds::TenancyPolicySpec;
use tenure_crds::keys::DEFAULT_BREAK_GLASS_GROUP;
use tenure_crds::tenancy_policy::{
    Applier, Baseline, Dns, ExposureClass, ExposureKind, GrantableRole, Guard, Hosting,
    IdentityProvider, KeyService, KeyServiceKind, Limits, LogSink, PlatformIngress,
    RetentionDefaults, SecurityContact, SourceKind, SourceRange, TrustedController,
};
use tenure_crds::words::{Amounts, Classification, PodSecurity, Port, Protocol};

use super::ports::PortSet;
use super::quantity::Quantity;

/// One thing in a spec that cannot be put in force.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Invalid {
    /// Where, e.g. `spec.baselines[Restricted].anyEgress`.
    pub field: String,
    /// What is wrong and what to write instead; deterministic, without secrets.
    pub message: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.message)
    }
}

/// What a classification demands at least (DSA 2.3, SEC 5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParsedBaseline {
    /// Weakest Pod Security level a namespace may have.
    pub pod_security: PodSecurity,
    /// Storage classes claims may name; none where empty.
    pub storage_classes: BTreeSet<String>,
    /// Whether declared egress may cover (nearly) the whole Internet.
    pub any_egress: bool,
    /// Grantable roles a grant to such a tenant may name; every one where absent.
    pub roles: Option<BTreeSet<String>>,
    /// Quota of a namespace that names none.
    pub quota: Amounts,
    /// Container defaults and maxima of a namespace that names none.
    pub limits: Limits,
}

/// A role an access grant may name (DSA 2.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParsedRole {
    /// Longest grant.
    pub longest: SignedDuration,
    /// Approvals a grant needs, by different persons.
    pub approvals: i32,
    /// Roles the same person may not hold at the same time.
    pub exclusive_with: BTreeSet<String>,
    /// Only through a session credential.
    pub session_only: bool,
    /// Reviewed as privileged.
    pub privileged: bool,
    /// Longest time between two reviews of its grants.
    pub review_every: SignedDuration,
    /// Whether sessions open at the end of a grant are cut.
    pub cut_sessions: bool,
}

/// Pods of a namespace, and the ports traffic with them may use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reach {
    /// The namespace.
    pub namespace: String,
    /// Labels of the pods; every pod of the namespace where empty.
    pub pod_labels: BTreeMap<String, String>,
    /// The ports.
    pub ports: PortSet,
}

/// Classes through which tenants may be reached, each with how it is protected (DSA 2.8).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Classes {
    /// IngressClasses; the value says how a web application firewall protects it, if one does.
    pub ingress: BTreeMap<String, Option<String>>,
    /// GatewayClasses, likewise.
    pub gateway: BTreeMap<String, Option<String>>,
    /// Shared gateways as `namespace/name`, likewise.
    pub shared_gateways: BTreeMap<String, Option<String>>,
}

/// Between two reviews lie at most three months (DSA 2.4), the longest of which have 92 days.
pub const LONGEST_REVIEW: &str = "P92D";

/// How the identity provider reports a second factor (DSA 2.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mfa {
    /// Key in the user's extra information.
    pub extra_key: String,
    /// Values that mean a second factor was used; never empty.
    pub extra_values: BTreeSet<String>,
}

/// A network from which staff may reach tenants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StaffRange {
    /// The network.
    pub net: IpNet,
    /// What it is.
    pub kind: SourceKind,
}

/// A key service tenants may name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPlace {
    /// What it is.
    pub kind: KeyServiceKind,
    /// Its `https://` address.
    pub address: String,
    /// Secret in the operator's namespace with the credentials, where it asks for any.
    pub credentials: Option<String>,
}

/// A log sink tenants may name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogPlace {
    /// Its `https://` or `s3://` address.
    pub address: String,
    /// Secret in the operator's namespace with the credentials, where it asks for any.
    pub credentials: Option<String>,
}

/// Retention where a tenant's agreement names none, in days.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// Log files (DSA 2.7).
    pub logs: Option<i32>,
    /// Backups.
    pub backups: Option<i32>,
}

/// The platform's settings in force. Every value was checked; lists are sets or sorted maps, so
/// their order in the spec means nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    baselines: [ParsedBaseline; 4],
    /// Roles an access grant may name, by ClusterRole name.
    pub grantable_roles: BTreeMap<String, ParsedRole>,
    /// Roles no RoleBinding in a tenant namespace may name, beside the built-in ones.
    pub privileged_roles: BTreeSet<String>,
    /// Platform services that reach every tenant's pods, by entry name.
    pub platform_ingress: BTreeMap<String, Reach>,
    /// Namespaces through which outside traffic reaches tenants (DSA 2.8).
    pub edges: BTreeSet<String>,
    /// Classes tenants may be given.
    pub classes: Classes,
    /// Where cluster DNS runs.
    pub dns: Reach,
    /// Networks from which staff may reach tenants, by entry name; not declared where empty.
    pub source_ranges: BTreeMap<String, StaffRange>,
    trusted: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Group whose members pass the guards, on record.
    pub break_glass_group: String,
    /// Identities that apply from Git: as requester they are nobody.
    pub gitops_appliers: BTreeSet<String>,
    /// Identity of the restore tool.
    pub restore_identity: Option<String>,
    /// How a second factor is recognised; without it the rule is off and its control NotCovered.
    pub mfa: Option<Mfa>,
    /// Key services tenants may name.
    pub key_services: BTreeMap<String, KeyPlace>,
    /// Log sinks tenants may name.
    pub log_sinks: BTreeMap<String, LogPlace>,
    /// Retention where a tenant's agreement names none.
    pub retention: Retention,
    /// Which conditional clauses apply; an absent answer leaves their controls Unknown.
    pub hosting: Hosting,
    /// Whom customers reach about security (DSA 2.1).
    pub security_contact: Option<SecurityContact>,
    /// Whether the Admin tier of ClusterNetworkPolicy is known to be enforced here.
    pub cluster_network_policy: bool,
    /// Whether the main contract already covers the supplier paragraph (SEC, opening sentence).
    pub supplier_paragraph_covered: bool,
}

impl Accepted {
    /// The strict settings of a cluster without a TenancyPolicy; the same as `spec: {}`.
    pub fn builtin() -> Self {
        Self::from_spec(&TenancyPolicySpec::default())
            .unwrap_or_else(|faults| unreachable!("the built-in settings parse: {faults:?}"))
    }

    /// Parses a spec.
    ///
    /// # Errors
    /// Everything that is wrong with it, sorted by field; nothing of it may be put in force then.
    pub fn from_spec(spec: &TenancyPolicySpec) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::default();
        let accepted = parse(spec, &mut faults);
        faults.0.sort();
        faults.0.dedup();
        if faults.0.is_empty() {
            return Ok(accepted);
        }
        Err(faults.0)
    }

    /// What the classification demands at least.
    pub fn baseline(&self, classification: Classification) -> &ParsedBaseline {
        &self.baselines[index(classification)]
    }

    /// User names the guard lets through, each with its reason, sorted.
    pub fn trusted(&self, guard: Guard) -> impl Iterator<Item = (&str, &str)> {
        self.trusted
            .get(guard.as_str())
            .into_iter()
            .flatten()
            .map(|(user, reason)| (user.as_str(), reason.as_str()))
    }

    /// Namespaces outside a tenant that every tenant's policies may admit from, without the peers
    /// the tenant itself declares: platform services and edges.
    pub fn ingress_namespaces(&self) -> BTreeSet<&str> {
        let platform = self
            .platform_ingress
            .values()
            .map(|reach| reach.namespace.as_str());
        platform
            .chain(self.edges.iter().map(String::as_str))
            .collect()
    }
}

/// Built-in strict baseline of every classification: restricted pods, no storage, no wide egress,
/// and room for a small application.
pub fn builtin_baseline() -> ParsedBaseline {
    ParsedBaseline {
        pod_security: PodSecurity::Restricted,
        storage_classes: BTreeSet::new(),
        any_egress: false,
        roles: None,
        quota: amounts(&[
            ("requests.cpu", "4"),
            ("requests.memory", "8Gi"),
            ("requests.ephemeral-storage", "20Gi"),
            ("requests.storage", "100Gi"),
            ("limits.cpu", "8"),
            ("limits.memory", "16Gi"),
            ("limits.ephemeral-storage", "40Gi"),
            ("pods", "50"),
            ("services", "20"),
            ("services.loadbalancers", "0"),
            ("services.nodeports", "0"),
            ("configmaps", "100"),
            ("secrets", "100"),
            ("persistentvolumeclaims", "20"),
            ("count/jobs.batch", "100"),
        ]),
        limits: Limits {
            default: Some(amounts(&[
                ("cpu", "500m"),
                ("memory", "512Mi"),
                ("ephemeral-storage", "1Gi"),
            ])),
            default_request: Some(amounts(&[
                ("cpu", "100m"),
                ("memory", "128Mi"),
                ("ephemeral-storage", "128Mi"),
            ])),
            max: Some(amounts(&[
                ("cpu", "4"),
                ("memory", "8Gi"),
                ("ephemeral-storage", "10Gi"),
            ])),
        },
    }
}

/// Where cluster DNS runs unless said otherwise: `kube-system`, `k8s-app: kube-dns`, port 53.
pub fn builtin_dns() -> Dns {
    Dns {
        namespace: "kube-system".into(),
        pod_labels: [("k8s-app".to_owned(), "kube-dns".to_owned())].into(),
        ports: dns_ports(),
    }
}

/// Length of a period such as `PT30M`, `PT8H` or `P30D` (days of 24 hours); `None` where the text
/// is no such period.
pub fn period(text: &str) -> Option<SignedDuration> {
    let minutes = match text.strip_prefix("PT") {
        Some(time) => match time.split_at_checked(time.len().checked_sub(1)?)? {
            (count, "H") => number(count)?.checked_mul(60)?,
            (count, "M") => number(count)?,
            _ => return None,
        },
        None => number(text.strip_prefix('P')?.strip_suffix('D')?)?.checked_mul(24 * 60)?,
    };
    Some(SignedDuration::from_mins(minutes))
}

/// Days of a period such as `P90D`; `None` where the text is no such period.
pub fn days(text: &str) -> Option<i32> {
    let count = number(text.strip_prefix('P')?.strip_suffix('D')?)?;
    i32::try_from(count).ok()
}

/// Bare digits only: `parse` alone would take a sign.
fn number(digits: &str) -> Option<i64> {
    let bare =
        !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit());
    bare.then(|| digits.parse().ok())?
}

fn amounts(list: &[(&str, &str)]) -> Amounts {
    list.iter()
        .map(|(name, amount)| ((*name).into(), (*amount).into()))
        .collect()
}

fn dns_ports() -> Vec<Port> {
    [Protocol::UDP, Protocol::TCP]
        .map(|protocol| Port {
            port: 53,
            end_port: None,
            protocol: Some(protocol),
        })
        .into()
}

fn index(classification: Classification) -> usize {
    match classification {
        Classification::Public => 0,
        Classification::Internal => 1,
        Classification::Confidential => 2,
        Classification::Restricted => 3,
    }
}

/// Collects what is wrong, so that one reading shows everything at once.
#[derive(Default)]
struct Faults(Vec<Invalid>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Invalid {
            field: field.into(),
            message: message.into(),
        });
    }

    fn require(&mut self, holds: bool, field: &str, message: &str) {
        if !holds {
            self.add(field, message);
        }
    }

    /// A word that stands in a comma-separated list read by a guard.
    fn word(&mut self, field: &str, word: &str) -> String {
        let odd = |c: char| c == ',' || c.is_control();
        self.require(
            !word.is_empty() && word.trim() == word && !word.contains(odd),
            field,
            "must not be empty, hold a comma or begin or end with a space",
        );
        word.to_owned()
    }

    /// A user name a guard exempts: one exact identity, never one that anybody can have.
    fn username(&mut self, field: &str, name: &str) -> String {
        self.require(
            !name.contains('*') && name != "system:anonymous",
            field,
            "must be one identity, not one that anybody can have",
        );
        self.word(field, name)
    }

    fn map<V>(
        &mut self,
        list: &str,
        entries: impl IntoIterator<Item = (String, V)>,
    ) -> BTreeMap<String, V> {
        let mut out = BTreeMap::new();
        for (key, value) in entries {
            let field = format!("spec.{list}[{key}]");
            if out.insert(key, value).is_some() {
                self.add(field, "is listed twice");
            }
        }
        out
    }
}

fn parse(spec: &TenancyPolicySpec, faults: &mut Faults) -> Accepted {
    // Without `..`: a new field cannot be forgotten here.
    let TenancyPolicySpec {
        baselines,
        grantable_roles,
        privileged_roles,
        platform_ingress,
        edges,
        exposure_classes,
        dns,
        source_ranges,
        trusted_controllers,
        break_glass_group,
        gitops_appliers,
        restore,
        identity_provider,
        key_services,
        log_sinks,
        retention,
        hosting,
        security_contact,
        cluster_network_policy,
        supplier_paragraph,
    } = spec;
    Accepted {
        baselines: parse_baselines(baselines, faults),
        grantable_roles: parse_roles(grantable_roles, faults),
        privileged_roles: words("privilegedRoles", privileged_roles, faults),
        platform_ingress: parse_platform_ingress(platform_ingress, faults),
        edges: {
            let names: Vec<_> = edges.iter().map(|edge| edge.namespace.clone()).collect();
            words("edges", &names, faults)
        },
        classes: parse_classes(exposure_classes, faults),
        dns: parse_dns(dns.as_ref(), faults),
        source_ranges: parse_source_ranges(source_ranges, faults),
        trusted: parse_trusted(trusted_controllers, faults),
        break_glass_group: parse_break_glass(break_glass_group.as_deref(), faults),
        gitops_appliers: gitops_appliers
            .iter()
            .map(|Applier { username }| {
                faults.username(&format!("spec.gitopsAppliers[{username}]"), username)
            })
            .collect(),
        restore_identity: restore
            .as_ref()
            .map(|Applier { username }| faults.username("spec.restore.username", username)),
        mfa: identity_provider
            .as_ref()
            .map(|provider| parse_mfa(provider, faults)),
        key_services: parse_key_services(key_services, faults),
        log_sinks: parse_log_sinks(log_sinks, faults),
        retention: parse_retention(retention.as_ref(), faults),
        hosting: hosting.clone().unwrap_or_default(),
        security_contact: security_contact.clone(),
        cluster_network_policy: cluster_network_policy.as_ref().is_some_and(|c| c.enforced),
        supplier_paragraph_covered: supplier_paragraph
            .as_ref()
            .is_some_and(|s| s.covered_by_main_contract),
    }
}

fn words(list: &str, entries: &[String], faults: &mut Faults) -> BTreeSet<String> {
    entries
        .iter()
        .map(|word| faults.word(&format!("spec.{list}[{word}]"), word))
        .collect()
}

fn parse_baselines(list: &[Baseline], faults: &mut Faults) -> [ParsedBaseline; 4] {
    let mut out = std::array::from_fn(|_| builtin_baseline());
    let mut seen = BTreeSet::new();
    for baseline in list {
        let path = format!("spec.baselines[{}]", baseline.classification.as_str());
        faults.require(
            seen.insert(baseline.classification),
            &path,
            "is listed twice",
        );
        out[index(baseline.classification)] = parse_baseline(&path, baseline, faults);
    }
    out
}

fn parse_baseline(path: &str, baseline: &Baseline, faults: &mut Faults) -> ParsedBaseline {
    let Baseline {
        classification,
        pod_security,
        storage_classes,
        any_egress,
        roles,
        quota,
        limits,
    } = baseline;
    let builtin = builtin_baseline();
    let any_egress = any_egress.unwrap_or(builtin.any_egress);
    faults.require(
        !any_egress || *classification < Classification::Confidential,
        &format!("{path}.anyEgress"),
        "is never allowed for Confidential and Restricted (DSA 2.6, 2.8)",
    );
    if let Some(quota) = quota {
        check_quota(&format!("{path}.quota"), quota, faults);
    }
    if let Some(limits) = limits {
        check_limits(&format!("{path}.limits"), limits, faults);
    }
    ParsedBaseline {
        pod_security: pod_security.unwrap_or(builtin.pod_security),
        storage_classes: storage_classes
            .iter()
            .map(|class| faults.word(&format!("{path}.storageClasses[{class}]"), class))
            .collect(),
        any_egress,
        roles: roles.as_ref().map(|roles| roles.iter().cloned().collect()),
        quota: quota.clone().unwrap_or(builtin.quota),
        limits: limits.clone().unwrap_or(builtin.limits),
    }
}

fn check_quota(path: &str, quota: &Amounts, faults: &mut Faults) {
    const NAMES: [&str; 12] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "pods",
        "services",
        "services.loadbalancers",
        "services.nodeports",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "resourcequotas",
    ];
    for name in quota.keys() {
        let known = NAMES.contains(&name.as_str())
            || ["requests.", "limits.", "count/"]
                .iter()
                .any(|start| name.starts_with(start))
            || name.contains(".storageclass.storage.k8s.io/");
        faults.require(
            known,
            &format!("{path}.{name}"),
            "is no resource of a ResourceQuota, such as requests.cpu, limits.memory or pods",
        );
    }
    parse_amounts(path, quota, faults);
}

fn parse_amounts<'a>(
    path: &str,
    amounts: &'a Amounts,
    faults: &mut Faults,
) -> BTreeMap<&'a str, Quantity> {
    let mut out = BTreeMap::new();
    for (name, amount) in amounts {
        match Quantity::parse(amount) {
            Ok(quantity) => {
                out.insert(name.as_str(), quantity);
            }
            Err(error) => faults.add(format!("{path}.{name}"), format!("{amount:?} {error}")),
        }
    }
    out
}

/// The API server refuses a LimitRange whose request is above its limit, or limit above its maximum.
fn check_limits(path: &str, limits: &Limits, faults: &mut Faults) {
    let Limits {
        default,
        default_request,
        max,
    } = limits;
    let mut read = |name: &str, amounts: &'_ Option<Amounts>| {
        let parsed = amounts
            .as_ref()
            .map(|a| parse_amounts(&format!("{path}.{name}"), a, faults));
        let owned = parsed.unwrap_or_default().into_iter();
        owned
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<BTreeMap<_, _>>()
    };
    let default = read("default", default);
    let request = read("defaultRequest", default_request);
    let max = read("max", max);
    let mut above = |low: (&str, &BTreeMap<String, Quantity>),
                     high: (&str, &BTreeMap<String, Quantity>)| {
        for (name, amount) in low.1 {
            if high.1.get(name).is_some_and(|most| amount > most) {
                faults.add(
                    format!("{path}.{}.{name}", low.0),
                    format!("is above {}", high.0),
                );
            }
        }
    };
    above(("defaultRequest", &request), ("default", &default));
    above(("defaultRequest", &request), ("max", &max));
    above(("default", &default), ("max", &max));
}

fn parse_roles(list: &[GrantableRole], faults: &mut Faults) -> BTreeMap<String, ParsedRole> {
    let mut roles = parse_each_role(list, faults);
    // Two roles that one person may not hold together exclude each other, whichever of them says so.
    let pairs: Vec<(String, String)> = roles
        .iter()
        .flat_map(|(name, role)| {
            let others = role.exclusive_with.iter();
            others.map(|other| (other.clone(), name.clone()))
        })
        .collect();
    for (role, excluded) in pairs {
        if let Some(role) = roles.get_mut(&role) {
            role.exclusive_with.insert(excluded);
        }
    }
    roles
}

fn parse_each_role(list: &[GrantableRole], faults: &mut Faults) -> BTreeMap<String, ParsedRole> {
    let entries: Vec<_> = list
        .iter()
        .map(|role| {
            let GrantableRole {
                name,
                longest,
                approvals,
                exclusive_with,
                session_only,
                privileged,
                review_every,
                cut_sessions,
            } = role;
            let path = format!("spec.grantableRoles[{name}]");
            let span = period(longest).filter(|span| span.is_positive());
            faults.require(
                span.is_some(),
                &format!("{path}.longest"),
                "must be a period above zero, such as PT8H or P30D",
            );
            let between = period(review_every.as_deref().unwrap_or(LONGEST_REVIEW))
                .filter(|span| span.is_positive());
            faults.require(
                between.is_some(),
                &format!("{path}.reviewEvery"),
                "must be a number of days, such as P30D",
            );
            faults.require(
                *approvals >= 1,
                &format!("{path}.approvals"),
                "must be at least 1",
            );
            let parsed = ParsedRole {
                longest: span.unwrap_or_default(),
                approvals: *approvals,
                exclusive_with: exclusive_with.iter().cloned().collect(),
                session_only: session_only.unwrap_or_default(),
                privileged: privileged.unwrap_or_default(),
                review_every: between.unwrap_or_default(),
                cut_sessions: cut_sessions.unwrap_or_default(),
            };
            (name.clone(), parsed)
        })
        .collect();
    faults.map("grantableRoles", entries)
}

fn parse_platform_ingress(
    list: &[PlatformIngress],
    faults: &mut Faults,
) -> BTreeMap<String, Reach> {
    let entries: Vec<_> = list
        .iter()
        .map(
            |PlatformIngress {
                 name,
                 namespace,
                 pod_labels,
                 ports,
             }| {
                let path = format!("spec.platformIngress[{name}]");
                let reach = Reach {
                    namespace: faults.word(&format!("{path}.namespace"), namespace),
                    pod_labels: pod_labels.clone().unwrap_or_default(),
                    ports: parse_ports(&format!("{path}.ports"), ports, faults),
                };
                (name.clone(), reach)
            },
        )
        .collect();
    faults.map("platformIngress", entries)
}

fn parse_ports(path: &str, ports: &[Port], faults: &mut Faults) -> PortSet {
    for Port {
        port,
        end_port,
        protocol: _,
    } in ports
    {
        let last = end_port.unwrap_or(*port);
        faults.require(
            *port >= 1 && last <= 65535 && *port <= last,
            path,
            "ports lie between 1 and 65535, and endPort is not below port",
        );
    }
    PortSet::new(ports)
}

fn parse_classes(list: &[ExposureClass], faults: &mut Faults) -> Classes {
    let mut classes = Classes::default();
    for ExposureClass { kind, name, waf } in list {
        let field = format!("spec.exposureClasses[{kind:?} {name}]");
        let word = faults.word(&field, name);
        let (map, shape) = match kind {
            ExposureKind::Ingress => (&mut classes.ingress, !name.contains('/')),
            ExposureKind::Gateway => (&mut classes.gateway, !name.contains('/')),
            ExposureKind::SharedGateway => (&mut classes.shared_gateways, is_shared_gateway(name)),
        };
        let twice = map.insert(word, waf.clone()).is_some();
        faults.require(
            shape,
            &field,
            "a class has a plain name, a shared gateway is namespace/name",
        );
        faults.require(!twice, &field, "is listed twice");
    }
    classes
}

fn is_shared_gateway(name: &str) -> bool {
    name.split_once('/').is_some_and(|(namespace, gateway)| {
        !namespace.is_empty() && !gateway.is_empty() && !gateway.contains('/')
    })
}

fn parse_dns(dns: Option<&Dns>, faults: &mut Faults) -> Reach {
    let Dns {
        namespace,
        pod_labels,
        ports,
    } = dns.cloned().unwrap_or_else(builtin_dns);
    faults.require(
        !pod_labels.is_empty(),
        "spec.dns.podLabels",
        "must name the DNS pods: without labels every pod of the namespace could be reached",
    );
    let ports = if ports.is_empty() { dns_ports() } else { ports };
    Reach {
        namespace: faults.word("spec.dns.namespace", &namespace),
        pod_labels,
        ports: parse_ports("spec.dns.ports", &ports, faults),
    }
}

fn parse_source_ranges(list: &[SourceRange], faults: &mut Faults) -> BTreeMap<String, StaffRange> {
    let mut entries = Vec::new();
    for SourceRange { name, cidr, kind } in list {
        match cidr.parse::<IpNet>() {
            Ok(net) => entries.push((
                name.clone(),
                StaffRange {
                    net: net.trunc(),
                    kind: *kind,
                },
            )),
            Err(_) => faults.add(
                format!("spec.sourceRanges[{name}].cidr"),
                format!("{cidr:?} is not a CIDR such as 198.51.100.0/24"),
            ),
        }
    }
    faults.map("sourceRanges", entries)
}

fn parse_trusted(
    list: &[TrustedController],
    faults: &mut Faults,
) -> BTreeMap<&'static str, BTreeMap<String, String>> {
    let mut out: BTreeMap<&'static str, BTreeMap<String, String>> = BTreeMap::new();
    for TrustedController {
        guard,
        username,
        reason,
    } in list
    {
        let field = format!("spec.trustedControllers[{} {username}]", guard.as_str());
        let user = faults.username(&field, username);
        let twice = out
            .entry(guard.as_str())
            .or_default()
            .insert(user, reason.clone());
        faults.require(twice.is_none(), &field, "is listed twice");
    }
    out
}

fn parse_break_glass(group: Option<&str>, faults: &mut Faults) -> String {
    let field = "spec.breakGlassGroup";
    let group = group.unwrap_or(DEFAULT_BREAK_GLASS_GROUP);
    faults.require(
        !group.starts_with("system:"),
        field,
        "must be a group of its own, never a system: group",
    );
    faults.word(field, group)
}

fn parse_mfa(provider: &IdentityProvider, faults: &mut Faults) -> Mfa {
    let IdentityProvider {
        mfa_extra_key,
        mfa_extra_values,
    } = provider;
    let path = "spec.identityProvider.mfaExtraValues";
    faults.require(
        !mfa_extra_values.is_empty(),
        path,
        "must name at least one value",
    );
    Mfa {
        extra_key: faults.word("spec.identityProvider.mfaExtraKey", mfa_extra_key),
        extra_values: mfa_extra_values
            .iter()
            .map(|value| faults.word(path, value))
            .collect(),
    }
}

fn parse_key_services(list: &[KeyService], faults: &mut Faults) -> BTreeMap<String, KeyPlace> {
    let entries: Vec<_> = list
        .iter()
        .map(
            |KeyService {
                 name,
                 kind,
                 address,
                 credentials_ref,
             }| {
                faults.require(
                    address.starts_with("https://"),
                    &format!("spec.keyServices[{name}].address"),
                    "must be an https:// address (DSA 2.6)",
                );
                let place = KeyPlace {
                    kind: *kind,
                    address: address.clone(),
                    credentials: credentials_ref.as_ref().map(|secret| secret.name.clone()),
                };
                (name.clone(), place)
            },
        )
        .collect();
    faults.map("keyServices", entries)
}

fn parse_log_sinks(list: &[LogSink], faults: &mut Faults) -> BTreeMap<String, LogPlace> {
    let entries: Vec<_> = list
        .iter()
        .map(
            |LogSink {
                 name,
                 address,
                 credentials_ref,
             }| {
                faults.require(
                    address.starts_with("https://") || address.starts_with("s3://"),
                    &format!("spec.logSinks[{name}].address"),
                    "must be an https:// or s3:// address (DSA 2.6)",
                );
                let credentials = credentials_ref.as_ref().map(|secret| secret.name.clone());
                (
                    name.clone(),
                    LogPlace {
                        address: address.clone(),
                        credentials,
                    },
                )
            },
        )
        .collect();
    faults.map("logSinks", entries)
}

fn parse_retention(retention: Option<&RetentionDefaults>, faults: &mut Faults) -> Retention {
    let mut read = |name: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let parsed = days(text).filter(|count| *count > 0);
        let field = format!("spec.retention.{name}");
        faults.require(
            parsed.is_some(),
            &field,
            "must be at least one day, such as P365D",
        );
        parsed
    };
    let Some(RetentionDefaults { logs, backups }) = retention else {
        return Retention::default();
    };
    Retention {
        logs: read("logs", logs),
        backups: read("backups", backups),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::samples;

    #[track_caller]
    fn check(spec: Value, expect: &[&str]) {
        let faults = Accepted::from_spec(&samples::policy(spec))
            .err()
            .unwrap_or_default();
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, expect);
    }

    #[test]
    fn an_empty_spec_is_strict() {
        let accepted = Accepted::builtin();
        for classification in Classification::ALL {
            let baseline = accepted.baseline(classification);
            assert_eq!(baseline.pod_security, PodSecurity::Restricted);
            assert!(baseline.storage_classes.is_empty() && !baseline.any_egress);
            assert!(baseline.quota.contains_key("pods") && baseline.limits.default.is_some());
        }
        assert!(accepted.grantable_roles.is_empty() && accepted.edges.is_empty());
        assert!(accepted.platform_ingress.is_empty() && accepted.gitops_appliers.is_empty());
        assert_eq!(accepted.classes, Classes::default());
        assert!(
            Guard::ALL
                .into_iter()
                .all(|guard| accepted.trusted(guard).next().is_none())
        );
        assert_eq!(accepted.break_glass_group, "tenure:break-glass");
        assert_eq!((accepted.restore_identity, accepted.mfa), (None, None));
        assert!(!accepted.cluster_network_policy && !accepted.supplier_paragraph_covered);
        assert_eq!(accepted.dns.namespace, "kube-system");
        assert_eq!(accepted.dns.pod_labels["k8s-app"], "kube-dns");
        assert_eq!(accepted.dns.ports, PortSet::new(&dns_ports()));
        assert_eq!(accepted.hosting, Hosting::default());
    }

    #[test]
    fn the_built_in_baseline_would_pass_as_a_written_one() {
        let builtin = builtin_baseline();
        let written = TenancyPolicySpec {
            baselines: vec![Baseline {
                classification: Classification::Restricted,
                pod_security: Some(builtin.pod_security),
                storage_classes: vec![],
                any_egress: Some(builtin.any_egress),
                roles: None,
                quota: Some(builtin.quota),
                limits: Some(builtin.limits),
            }],
            ..TenancyPolicySpec::default()
        };
        assert_eq!(Accepted::from_spec(&written), Ok(Accepted::builtin()));
    }

    #[test]
    fn roles_exclude_each_other_whichever_says_so() {
        let role = |name: &str, others: &[&str]| GrantableRole {
            name: name.into(),
            longest: "PT1H".into(),
            approvals: 1,
            exclusive_with: others.iter().map(|other| (*other).to_owned()).collect(),
            session_only: None,
            privileged: None,
            review_every: None,
            cut_sessions: None,
        };
        let roles = [
            role("reader", &["writer", "unlisted"]),
            role("writer", &[]),
            role("third", &[]),
        ];
        let mut faults = Faults::default();
        let parsed = parse_roles(&roles, &mut faults);
        assert!(parsed["writer"].exclusive_with.contains("reader"));
        assert_eq!(parsed["reader"].exclusive_with.len(), 2);
        assert!(parsed["third"].exclusive_with.is_empty() && !parsed.contains_key("unlisted"));
    }

    #[test]
    fn every_field_of_a_full_policy_arrives() {
        let accepted = Accepted::from_spec(&samples::policy(samples::full_policy())).unwrap();
        let internal = accepted.baseline(Classification::Internal);
        assert_eq!(internal.pod_security, PodSecurity::Baseline);
        assert!(internal.any_egress && internal.storage_classes.contains("encrypted"));
        assert_eq!(internal.roles, Some(["reader".to_owned()].into()));
        assert_eq!(internal.quota["pods"], "20");
        assert_eq!(
            *accepted.baseline(Classification::Public),
            builtin_baseline()
        );
        let reader = &accepted.grantable_roles["reader"];
        assert_eq!(
            (reader.longest, reader.approvals),
            (SignedDuration::from_hours(8), 2)
        );
        assert!(
            reader.session_only && reader.privileged && reader.exclusive_with.contains("writer")
        );
        assert!(accepted.privileged_roles.contains("platform-admin"));
        assert_eq!(accepted.platform_ingress["scrape"].namespace, "monitoring");
        assert_eq!(
            accepted.ingress_namespaces(),
            ["ingress", "monitoring"].into()
        );
        assert_eq!(
            accepted.classes.ingress["public"].as_deref(),
            Some("rule set 4")
        );
        assert_eq!(accepted.dns.namespace, "dns");
        assert_eq!(
            accepted.source_ranges["vpn"].net,
            "198.51.100.0/24".parse().unwrap()
        );
        let trusted: Vec<_> = accepted.trusted(Guard::Exposure).collect();
        assert_eq!(
            trusted,
            [(
                "system:serviceaccount:cert-manager:cert-manager",
                "solves HTTP-01 challenges"
            )]
        );
        assert_eq!(accepted.break_glass_group, "emergency");
        assert!(
            accepted
                .gitops_appliers
                .contains("system:serviceaccount:flux:applier")
        );
        assert_eq!(
            accepted.restore_identity.unwrap(),
            "system:serviceaccount:velero:velero"
        );
        assert_eq!(
            accepted.mfa.unwrap().extra_values,
            ["otp".to_owned()].into()
        );
        assert_eq!(
            accepted.key_services["vault"].credentials.as_deref(),
            Some("vault")
        );
        assert_eq!(accepted.log_sinks["archive"].address, "s3://logs");
        assert_eq!(
            accepted.retention,
            Retention {
                logs: Some(365),
                backups: Some(30)
            }
        );
        assert_eq!(accepted.hosting.telework, Some(true));
        assert_eq!(accepted.security_contact.unwrap().name, "Security desk");
        assert!(accepted.cluster_network_policy && accepted.supplier_paragraph_covered);
    }

    #[test]
    fn what_cannot_be_in_force_is_refused_with_its_place() {
        let baseline = |patch: Value| {
            let mut baseline = json!({"classification": "Restricted"});
            baseline
                .as_object_mut()
                .unwrap()
                .extend(patch.as_object().unwrap().clone());
            json!({"baselines": [baseline]})
        };
        check(json!({}), &[]);
        check(
            baseline(json!({"anyEgress": true})),
            &["spec.baselines[Restricted].anyEgress"],
        );
        check(
            json!({"baselines": [
                {"classification": "Confidential", "anyEgress": true},
                {"classification": "Internal", "anyEgress": true},
                {"classification": "Internal"}
            ]}),
            &[
                "spec.baselines[Confidential].anyEgress",
                "spec.baselines[Internal]",
            ],
        );
        check(
            baseline(json!({"storageClasses": ["a,b"]})),
            &["spec.baselines[Restricted].storageClasses[a,b]"],
        );
        check(
            baseline(json!({"quota": {"pods": "-1", "lots": "1", "limits.cpu": "many"}})),
            &[
                "spec.baselines[Restricted].quota.limits.cpu",
                "spec.baselines[Restricted].quota.lots",
                "spec.baselines[Restricted].quota.pods",
            ],
        );
        check(
            baseline(json!({"limits": {
                "default": {"cpu": "2"}, "defaultRequest": {"cpu": "3"}, "max": {"cpu": "1500m"}
            }})),
            &[
                "spec.baselines[Restricted].limits.default.cpu",
                "spec.baselines[Restricted].limits.defaultRequest.cpu",
                "spec.baselines[Restricted].limits.defaultRequest.cpu",
            ],
        );
        let role = |longest: &str, approvals: i32| json!({"grantableRoles": [{"name": "r", "longest": longest, "approvals": approvals}]});
        check(role("PT8H", 1), &[]);
        for longest in ["PT0M", "P0D", "8h", "P", "PT", "PT8", "P-1D", "P1W", "PTH"] {
            check(role(longest, 1), &["spec.grantableRoles[r].longest"]);
        }
        check(role("PT8H", 0), &["spec.grantableRoles[r].approvals"]);
        check(
            json!({"privilegedRoles": ["a,b"]}),
            &["spec.privilegedRoles[a,b]"],
        );
        let scrape = |port: i32, end: i32| {
            json!({"platformIngress": [
                {"name": "s", "namespace": "n", "ports": [{"port": port, "endPort": end}]}
            ]})
        };
        check(scrape(1, 65535), &[]);
        check(scrape(9, 8), &["spec.platformIngress[s].ports"]);
        check(scrape(0, 8), &["spec.platformIngress[s].ports"]);
        check(scrape(1, 65536), &["spec.platformIngress[s].ports"]);
        check(json!({"edges": [{"namespace": ""}]}), &["spec.edges[]"]);
        let class =
            |kind: &str, name: &str| json!({"exposureClasses": [{"kind": kind, "name": name}]});
        check(class("SharedGateway", "ns/gw"), &[]);
        check(
            class("SharedGateway", "gw"),
            &["spec.exposureClasses[SharedGateway gw]"],
        );
        check(
            class("SharedGateway", "a/b/c"),
            &["spec.exposureClasses[SharedGateway a/b/c]"],
        );
        check(
            class("Ingress", "a/b"),
            &["spec.exposureClasses[Ingress a/b]"],
        );
        check(
            json!({"dns": {"namespace": "d", "podLabels": {}}}),
            &["spec.dns.podLabels"],
        );
        check(
            json!({"sourceRanges": [{"name": "v", "cidr": "10.0.0.0/33", "kind": "Vpn"}]}),
            &["spec.sourceRanges[v].cidr"],
        );
        let trust = |user: &str| json!({"trustedControllers": [{"guard": "pods", "username": user, "reason": "x"}]});
        check(trust("Jane Doe"), &[]);
        for user in [
            "*",
            "system:anonymous",
            "a,b",
            " a",
            "system:serviceaccount:*",
        ] {
            check(
                trust(user),
                &[&format!("spec.trustedControllers[pods {user}]")],
            );
        }
        check(
            json!({"breakGlassGroup": "system:masters"}),
            &["spec.breakGlassGroup"],
        );
        check(json!({"breakGlassGroup": "a,b"}), &["spec.breakGlassGroup"]);
        check(
            json!({"gitopsAppliers": [{"username": "system:anonymous"}]}),
            &["spec.gitopsAppliers[system:anonymous]"],
        );
        check(
            json!({"restore": {"username": "*"}}),
            &["spec.restore.username"],
        );
        check(
            json!({"identityProvider": {"mfaExtraKey": "k", "mfaExtraValues": []}}),
            &["spec.identityProvider.mfaExtraValues"],
        );
        check(
            json!({"keyServices": [{"name": "v", "kind": "Vault", "address": "http://v"}]}),
            &["spec.keyServices[v].address"],
        );
        check(
            json!({"logSinks": [{"name": "s", "address": "http://s"}]}),
            &["spec.logSinks[s].address"],
        );
        check(
            json!({"retention": {"logs": "P0D", "backups": "30"}}),
            &["spec.retention.backups", "spec.retention.logs"],
        );
    }

    #[test]
    fn an_entry_listed_twice_is_refused() {
        let twice = |list: &str, entry: Value| json!({list: [entry, entry]});
        let role = json!({"name": "r", "longest": "PT8H", "approvals": 1});
        check(twice("grantableRoles", role), &["spec.grantableRoles[r]"]);
        let entry = json!({"name": "s", "namespace": "n"});
        check(
            twice("platformIngress", entry),
            &["spec.platformIngress[s]"],
        );
        let class = json!({"kind": "Gateway", "name": "c"});
        check(
            twice("exposureClasses", class),
            &["spec.exposureClasses[Gateway c]"],
        );
        let trust = json!({"guard": "pods", "username": "u", "reason": "x"});
        check(
            twice("trustedControllers", trust),
            &["spec.trustedControllers[pods u]"],
        );
        let range = json!({"name": "v", "cidr": "10.0.0.0/8", "kind": "Vpn"});
        check(twice("sourceRanges", range), &["spec.sourceRanges[v]"]);
        let service = json!({"name": "v", "kind": "Vault", "address": "https://v"});
        check(twice("keyServices", service), &["spec.keyServices[v]"]);
        let sink = json!({"name": "s", "address": "https://s"});
        check(twice("logSinks", sink), &["spec.logSinks[s]"]);
    }

    #[test]
    fn periods_read_as_they_are_written() {
        assert_eq!(period("PT30M"), Some(SignedDuration::from_mins(30)));
        assert_eq!(period("PT8H"), Some(SignedDuration::from_hours(8)));
        assert_eq!(period("P2D"), Some(SignedDuration::from_hours(48)));
        for nonsense in [
            "",
            "P",
            "PT",
            "P1",
            "PT1",
            "P+1D",
            "PT1S",
            "P1DT1H",
            "P9999999999D",
            "é",
        ] {
            assert_eq!(period(nonsense), None, "{nonsense}");
        }
        assert_eq!(days("P90D"), Some(90));
        assert_eq!(days("PT90H"), None);
    }
}
