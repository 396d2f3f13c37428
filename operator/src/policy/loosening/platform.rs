//! Weighing a TenancyPolicy, setting by setting.

use std::collections::BTreeMap;

use ipnet::IpNet;
use tenure_crds::keys::DEFAULT_BREAK_GLASS_GROUP;
use tenure_crds::tenancy_policy::{
    Applier, Baseline, ClusterNetworkPolicySupport, Dns, Edge, ExposureClass, GrantableRole,
    Hosting, IdentityProvider, KeyService, LogSink, PlatformIngress, RetentionDefaults,
    SourceRange, SupplierParagraph, TenancyPolicySpec, TrustedController,
};
use tenure_crds::words::{Classification, PodSecurity};

use super::{Loosening, NONE, Rule, Scale, kept_shorter, period_within, rules, show_list, shown};
use crate::policy::accepted::{LONGEST_REVIEW, builtin_dns};
use crate::policy::ports::PortSet;

rules! {
    /// What loosens a TenancyPolicy (approval `Loosen`).
    POLICY_RULES:
    BASELINE_PODS = "baselines[].podSecurity", "weaker Pod Security level";
    BASELINE_STORAGE = "baselines[].storageClasses", "further storage class allowed";
    BASELINE_EGRESS = "baselines[].anyEgress", "egress to the whole Internet allowed";
    BASELINE_ROLES = "baselines[].roles", "further role can be granted for the classification";
    ROLE_NEW = "grantableRoles[]", "further role can be granted";
    ROLE_LONGEST = "grantableRoles[].longest", "longer window of a grant";
    ROLE_APPROVALS = "grantableRoles[].approvals", "fewer approvals of a grant";
    ROLE_EXCLUSIVE = "grantableRoles[].exclusiveWith", "roles that exclude each other no longer do";
    ROLE_SESSION = "grantableRoles[].sessionOnly", "role can be bound to the person's own identity";
    ROLE_PRIVILEGED = "grantableRoles[].privileged", "role no longer reviewed as privileged";
    ROLE_REVIEW = "grantableRoles[].reviewEvery", "longer time between two reviews of its grants";
    ROLE_CUT = "grantableRoles[].cutSessions", "open sessions outlive a grant";
    PRIVILEGED_ROLE = "privilegedRoles[]", "role no longer kept out of tenant namespaces";
    PLATFORM_INGRESS = "platformIngress[]", "further traffic reaches every tenant's pods";
    EDGE = "edges[]", "further namespace through which tenants can be reached";
    CLASS = "exposureClasses[]", "further class through which tenants can be reached";
    CLASS_WAF = "exposureClasses[].waf", "class no longer protected by a web application firewall";
    DNS = "dns", "every tenant's pods can reach other pods as DNS";
    SOURCE_RANGE = "sourceRanges[]", "staff can reach tenants from further networks";
    TRUSTED = "trustedControllers[]", "further identity exempt from a guard";
    BREAK_GLASS = "breakGlassGroup", "another group passes the guards";
    APPLIER = "gitopsAppliers[]", "further identity acts for the repository";
    RESTORE = "restore", "another identity acts as the restore tool";
    MFA_KEY = "identityProvider", "second factor no longer asked for, or read from elsewhere";
    MFA_VALUE = "identityProvider.mfaExtraValues", "further value taken for a second factor";
    KEY_SERVICE = "keyServices[]", "tenants' keys can be kept in another place";
    LOG_SINK = "logSinks[]", "tenants' logs can be sent to another place";
    RETENTION = "retention", "shorter retention";
    HOSTING = "hosting", "clause no longer applies";
    CNP = "clusterNetworkPolicy.enforced", "Admin-tier isolation removed";
    SUPPLIER = "supplierParagraph.coveredByMainContract", "supplier paragraph no longer applies";
}

/// The spec that may be in force without approval, and what was left out of it.
pub(super) fn weigh(
    old: &TenancyPolicySpec,
    new: &TenancyPolicySpec,
) -> (TenancyPolicySpec, Vec<Loosening>) {
    let mut scale = Scale::default();
    // Without `..`: a new field must be weighed here before anything compiles.
    let merged = TenancyPolicySpec {
        baselines: scale.baselines(&old.baselines, &new.baselines),
        grantable_roles: scale.roles(&old.grantable_roles, &new.grantable_roles),
        privileged_roles: scale.duties(
            &PRIVILEGED_ROLE,
            "spec.privilegedRoles",
            &old.privileged_roles,
            &new.privileged_roles,
        ),
        platform_ingress: scale.permits(
            &PLATFORM_INGRESS,
            "spec.platformIngress",
            &old.platform_ingress,
            &new.platform_ingress,
            |entry| entry.name.clone(),
            platform_ingress_within,
            show_platform_ingress,
        ),
        edges: scale.permits(
            &EDGE,
            "spec.edges",
            &old.edges,
            &new.edges,
            |Edge { namespace }| namespace.clone(),
            |_, _| true,
            |Edge { namespace }| namespace.clone(),
        ),
        exposure_classes: scale.classes(&old.exposure_classes, &new.exposure_classes),
        dns: scale.dns(old.dns.as_ref(), new.dns.as_ref()),
        source_ranges: scale.source_ranges(&old.source_ranges, &new.source_ranges),
        trusted_controllers: scale.permits(
            &TRUSTED,
            "spec.trustedControllers",
            &old.trusted_controllers,
            &new.trusted_controllers,
            |TrustedController {
                 guard,
                 username,
                 reason: _,
             }| format!("{} {username}", guard.as_str()),
            |_, _| true,
            |entry| entry.username.clone(),
        ),
        break_glass_group: scale.break_glass(
            old.break_glass_group.as_ref(),
            new.break_glass_group.as_ref(),
        ),
        gitops_appliers: scale.permits(
            &APPLIER,
            "spec.gitopsAppliers",
            &old.gitops_appliers,
            &new.gitops_appliers,
            |Applier { username }| username.clone(),
            |_, _| true,
            |Applier { username }| username.clone(),
        ),
        restore: scale.restore(old.restore.as_ref(), new.restore.as_ref()),
        identity_provider: scale.mfa(
            old.identity_provider.as_ref(),
            new.identity_provider.as_ref(),
        ),
        key_services: scale.permits(
            &KEY_SERVICE,
            "spec.keyServices",
            &old.key_services,
            &new.key_services,
            |entry| entry.name.clone(),
            |KeyService {
                 name: _,
                 kind,
                 address,
                 credentials_ref: _,
             },
             old| { *kind == old.kind && *address == old.address },
            |entry| format!("{:?} at {}", entry.kind, entry.address),
        ),
        log_sinks: scale.permits(
            &LOG_SINK,
            "spec.logSinks",
            &old.log_sinks,
            &new.log_sinks,
            |entry| entry.name.clone(),
            |LogSink {
                 name: _,
                 address,
                 credentials_ref: _,
             },
             old| *address == old.address,
            |entry| entry.address.clone(),
        ),
        retention: scale.retention(old.retention.as_ref(), new.retention.as_ref()),
        hosting: scale.hosting(old.hosting.as_ref(), new.hosting.as_ref()),
        // Whom to reach about security is no setting that protects anything.
        security_contact: new.security_contact.clone(),
        cluster_network_policy: scale
            .cluster_network_policy(&old.cluster_network_policy, &new.cluster_network_policy),
        supplier_paragraph: scale.supplier(&old.supplier_paragraph, &new.supplier_paragraph),
    };
    (merged, scale.done())
}

impl Scale {
    fn baselines(&mut self, old: &[Baseline], new: &[Baseline]) -> Vec<Baseline> {
        let of = |list: &[Baseline], wanted: Classification| {
            let found = list
                .iter()
                .find(|baseline| baseline.classification == wanted);
            found.cloned().unwrap_or_else(|| empty_baseline(wanted))
        };
        Classification::ALL
            .into_iter()
            .map(|wanted| self.baseline(&of(old, wanted), &of(new, wanted)))
            .filter(|merged| *merged != empty_baseline(merged.classification))
            .collect()
    }

    fn baseline(&mut self, old: &Baseline, new: &Baseline) -> Baseline {
        let path = format!("spec.baselines[{}]", new.classification.as_str());
        let level = |baseline: &Baseline| baseline.pod_security.unwrap_or(PodSecurity::Restricted);
        let any = |baseline: &Baseline| baseline.any_egress.unwrap_or_default();
        Baseline {
            classification: new.classification,
            pod_security: self.choose(
                &BASELINE_PODS,
                &format!("{path}.podSecurity"),
                (&old.pod_security, &new.pod_security),
                level(new) < level(old),
                |value| value.unwrap_or(PodSecurity::Restricted).label().to_owned(),
            ),
            storage_classes: self.permitted(
                &BASELINE_STORAGE,
                &format!("{path}.storageClasses"),
                &old.storage_classes,
                &new.storage_classes,
            ),
            any_egress: self.choose(
                &BASELINE_EGRESS,
                &format!("{path}.anyEgress"),
                (&old.any_egress, &new.any_egress),
                any(new) && !any(old),
                |value| value.unwrap_or_default().to_string(),
            ),
            roles: self.baseline_roles(&path, old.roles.as_ref(), new.roles.as_ref()),
            quota: new.quota.clone(),
            limits: new.limits.clone(),
        }
    }

    /// Without a list every grantable role may be granted.
    fn baseline_roles(
        &mut self,
        path: &str,
        old: Option<&Vec<String>>,
        new: Option<&Vec<String>>,
    ) -> Option<Vec<String>> {
        let field = format!("{path}.roles");
        let mut roles = match (old, new) {
            (None, new) => new?.clone(),
            (Some(old), Some(new)) => self.permitted(&BASELINE_ROLES, &field, old, new),
            (Some(old), None) => {
                let before = show_list(old, String::clone);
                self.note(
                    &BASELINE_ROLES,
                    field,
                    before,
                    "(every grantable role)".into(),
                );
                old.clone()
            }
        };
        roles.sort();
        Some(roles)
    }

    fn roles(&mut self, old: &[GrantableRole], new: &[GrantableRole]) -> Vec<GrantableRole> {
        let before: BTreeMap<&str, &GrantableRole> =
            old.iter().map(|role| (role.name.as_str(), role)).collect();
        let mut merged = BTreeMap::new();
        for role in new {
            match before.get(role.name.as_str()) {
                Some(known) => {
                    merged.insert(role.name.clone(), self.role(known, role));
                }
                None => {
                    let field = format!("spec.grantableRoles[{}]", role.name);
                    self.note(&ROLE_NEW, field, NONE.into(), role.name.clone());
                }
            }
        }
        merged.into_values().collect()
    }

    fn role(&mut self, old: &GrantableRole, new: &GrantableRole) -> GrantableRole {
        let path = format!("spec.grantableRoles[{}]", new.name);
        let flag = |value: &Option<bool>| value.unwrap_or_default();
        let show_flag = |value: &Option<bool>| value.unwrap_or_default().to_string();
        fn between(value: &Option<String>) -> &str {
            value.as_deref().unwrap_or(LONGEST_REVIEW)
        }
        GrantableRole {
            name: new.name.clone(),
            longest: self.choose(
                &ROLE_LONGEST,
                &format!("{path}.longest"),
                (&old.longest, &new.longest),
                !period_within(&new.longest, &old.longest),
                String::clone,
            ),
            approvals: self.choose(
                &ROLE_APPROVALS,
                &format!("{path}.approvals"),
                (&old.approvals, &new.approvals),
                new.approvals < old.approvals,
                i32::to_string,
            ),
            exclusive_with: self.duties(
                &ROLE_EXCLUSIVE,
                &format!("{path}.exclusiveWith"),
                &old.exclusive_with,
                &new.exclusive_with,
            ),
            session_only: self.choose(
                &ROLE_SESSION,
                &format!("{path}.sessionOnly"),
                (&old.session_only, &new.session_only),
                flag(&old.session_only) && !flag(&new.session_only),
                show_flag,
            ),
            privileged: self.choose(
                &ROLE_PRIVILEGED,
                &format!("{path}.privileged"),
                (&old.privileged, &new.privileged),
                flag(&old.privileged) && !flag(&new.privileged),
                show_flag,
            ),
            review_every: self.choose(
                &ROLE_REVIEW,
                &format!("{path}.reviewEvery"),
                (&old.review_every, &new.review_every),
                !period_within(between(&new.review_every), between(&old.review_every)),
                |value| between(value).to_owned(),
            ),
            cut_sessions: self.choose(
                &ROLE_CUT,
                &format!("{path}.cutSessions"),
                (&old.cut_sessions, &new.cut_sessions),
                flag(&old.cut_sessions) && !flag(&new.cut_sessions),
                show_flag,
            ),
        }
    }

    fn classes(&mut self, old: &[ExposureClass], new: &[ExposureClass]) -> Vec<ExposureClass> {
        let key = |entry: &ExposureClass| format!("{:?} {}", entry.kind, entry.name);
        let show = |entry: &ExposureClass| entry.name.clone();
        let merged = self.permits(
            &CLASS,
            "spec.exposureClasses",
            old,
            new,
            key,
            |_, _| true,
            show,
        );
        let protected = |entry: ExposureClass| {
            let known = old.iter().find(|known| key(known) == key(&entry));
            let before = known.and_then(|known| known.waf.clone());
            let waf = self.choose(
                &CLASS_WAF,
                &format!("spec.exposureClasses[{}].waf", key(&entry)),
                (&before, &entry.waf),
                before.is_some() && entry.waf.is_none(),
                |waf| shown(waf.as_ref()),
            );
            ExposureClass { waf, ..entry }
        };
        merged.into_iter().map(protected).collect()
    }

    fn dns(&mut self, old: Option<&Dns>, new: Option<&Dns>) -> Option<Dns> {
        let effective = |dns: Option<&Dns>| {
            let mut dns = dns.cloned().unwrap_or_else(builtin_dns);
            if dns.ports.is_empty() {
                dns.ports = builtin_dns().ports;
            }
            dns
        };
        let within = |new: &Dns, old: &Dns| {
            let Dns {
                namespace,
                pod_labels,
                ports,
            } = new;
            *namespace == old.namespace
                && selects_within(pod_labels, &old.pod_labels)
                && PortSet::new(ports).within(&PortSet::new(&old.ports))
        };
        let looser = !within(&effective(new), &effective(old));
        self.choose(
            &DNS,
            "spec.dns",
            (&old.cloned(), &new.cloned()),
            looser,
            |dns| {
                let Dns {
                    namespace,
                    pod_labels,
                    ports,
                } = effective(dns.as_ref());
                show_reach(&namespace, &pod_labels, &PortSet::new(&ports))
            },
        )
    }

    /// While no range is declared nothing is limited, so the list waits as a whole: taking entries
    /// out one by one must not end at "no limit".
    fn source_ranges(&mut self, old: &[SourceRange], new: &[SourceRange]) -> Vec<SourceRange> {
        let mut merged = self.source_ranges_in_force(old, new).to_vec();
        merged.sort_by(|a, b| a.name.cmp(&b.name));
        merged
    }

    fn source_ranges_in_force<'a>(
        &mut self,
        old: &'a [SourceRange],
        new: &'a [SourceRange],
    ) -> &'a [SourceRange] {
        const LIST: &str = "spec.sourceRanges";
        if old.is_empty() {
            return new;
        }
        if new.is_empty() {
            let before = show_list(old, show_range);
            self.note(&SOURCE_RANGE, LIST, before, "(no limit)".into());
            return old;
        }
        let before = self.found.len();
        let key = |entry: &SourceRange| entry.name.clone();
        self.permits(&SOURCE_RANGE, LIST, old, new, key, range_within, show_range);
        if self.found.len() > before {
            return old;
        }
        new
    }

    fn break_glass(&mut self, old: Option<&String>, new: Option<&String>) -> Option<String> {
        let group = |value: &Option<String>| {
            value
                .clone()
                .unwrap_or_else(|| DEFAULT_BREAK_GLASS_GROUP.to_owned())
        };
        let (old, new) = (old.cloned(), new.cloned());
        let looser = group(&old) != group(&new);
        self.choose(
            &BREAK_GLASS,
            "spec.breakGlassGroup",
            (&old, &new),
            looser,
            group,
        )
    }

    fn restore(&mut self, old: Option<&Applier>, new: Option<&Applier>) -> Option<Applier> {
        let looser = new.is_some() && new != old;
        let values = (&old.cloned(), &new.cloned());
        self.choose(&RESTORE, "spec.restore", values, looser, |applier| {
            shown(applier.as_ref().map(|Applier { username }| username))
        })
    }

    fn mfa(
        &mut self,
        old: Option<&IdentityProvider>,
        new: Option<&IdentityProvider>,
    ) -> Option<IdentityProvider> {
        let mut merged = self.mfa_in_force(old, new)?;
        merged.mfa_extra_values.sort();
        Some(merged)
    }

    fn mfa_in_force(
        &mut self,
        old: Option<&IdentityProvider>,
        new: Option<&IdentityProvider>,
    ) -> Option<IdentityProvider> {
        let Some(before) = old else {
            return new.cloned();
        };
        let Some(after) = new.filter(|after| after.mfa_extra_key == before.mfa_extra_key) else {
            let key = |provider: &IdentityProvider| provider.mfa_extra_key.clone();
            let wanted = shown(new.map(key));
            self.note(&MFA_KEY, "spec.identityProvider", key(before), wanted);
            return old.cloned();
        };
        let list = "spec.identityProvider.mfaExtraValues";
        let IdentityProvider {
            mfa_extra_key,
            mfa_extra_values,
        } = after;
        let values = self.permitted(&MFA_VALUE, list, &before.mfa_extra_values, mfa_extra_values);
        if values.is_empty() {
            // None of the old values stays: an empty list would lock everybody out.
            return old.cloned();
        }
        Some(IdentityProvider {
            mfa_extra_key: mfa_extra_key.clone(),
            mfa_extra_values: values,
        })
    }

    fn retention(
        &mut self,
        old: Option<&RetentionDefaults>,
        new: Option<&RetentionDefaults>,
    ) -> Option<RetentionDefaults> {
        let (before, after) = (
            old.cloned().unwrap_or_default(),
            new.cloned().unwrap_or_default(),
        );
        let mut keep = |name: &str, old: &Option<String>, new: &Option<String>| {
            let field = format!("spec.retention.{name}");
            let looser = kept_shorter(old.as_deref(), new.as_deref());
            self.choose(&RETENTION, &field, (old, new), looser, |value| {
                shown(value.as_ref())
            })
        };
        let merged = RetentionDefaults {
            logs: keep("logs", &before.logs, &after.logs),
            backups: keep("backups", &before.backups, &after.backups),
        };
        (merged != RetentionDefaults::default()).then_some(merged)
    }

    /// Only a plain "no" takes a clause away; an absent answer leaves its controls Unknown.
    fn hosting(&mut self, old: Option<&Hosting>, new: Option<&Hosting>) -> Option<Hosting> {
        let (before, after) = (
            old.cloned().unwrap_or_default(),
            new.cloned().unwrap_or_default(),
        );
        let mut answer = |name: &str, old: &Option<bool>, new: &Option<bool>| {
            let looser = *new == Some(false) && *old != Some(false);
            let field = format!("spec.hosting.{name}");
            self.choose(&HOSTING, &field, (old, new), looser, |value| shown(*value))
        };
        let merged = Hosting {
            own_datacentre: answer(
                "ownDatacentre",
                &before.own_datacentre,
                &after.own_datacentre,
            ),
            public_cloud: answer("publicCloud", &before.public_cloud, &after.public_cloud),
            telework: answer("telework", &before.telework, &after.telework),
            subcontractors: answer(
                "subcontractors",
                &before.subcontractors,
                &after.subcontractors,
            ),
        };
        (merged != Hosting::default()).then_some(merged)
    }

    fn cluster_network_policy(
        &mut self,
        old: &Option<ClusterNetworkPolicySupport>,
        new: &Option<ClusterNetworkPolicySupport>,
    ) -> Option<ClusterNetworkPolicySupport> {
        let on = |value: &Option<ClusterNetworkPolicySupport>| {
            value
                .as_ref()
                .is_some_and(|ClusterNetworkPolicySupport { enforced }| *enforced)
        };
        let field = "spec.clusterNetworkPolicy.enforced";
        self.choose(&CNP, field, (old, new), on(old) && !on(new), |value| {
            on(value).to_string()
        })
    }

    fn supplier(
        &mut self,
        old: &Option<SupplierParagraph>,
        new: &Option<SupplierParagraph>,
    ) -> Option<SupplierParagraph> {
        let covered = |value: &Option<SupplierParagraph>| {
            value.as_ref().is_some_and(
                |SupplierParagraph {
                     covered_by_main_contract,
                 }| { *covered_by_main_contract },
            )
        };
        let field = "spec.supplierParagraph.coveredByMainContract";
        let looser = covered(new) && !covered(old);
        self.choose(&SUPPLIER, field, (old, new), looser, |value| {
            covered(value).to_string()
        })
    }
}

fn empty_baseline(classification: Classification) -> Baseline {
    Baseline {
        classification,
        pod_security: None,
        storage_classes: Vec::new(),
        any_egress: None,
        roles: None,
        quota: None,
        limits: None,
    }
}

fn platform_ingress_within(new: &PlatformIngress, old: &PlatformIngress) -> bool {
    let PlatformIngress {
        name: _,
        namespace,
        pod_labels,
        ports,
    } = new;
    let none = BTreeMap::new();
    let (mine, theirs) = (
        pod_labels.as_ref().unwrap_or(&none),
        old.pod_labels.as_ref().unwrap_or(&none),
    );
    *namespace == old.namespace
        && selects_within(mine, theirs)
        && PortSet::new(ports).within(&PortSet::new(&old.ports))
}

fn show_platform_ingress(entry: &PlatformIngress) -> String {
    let labels = entry.pod_labels.clone().unwrap_or_default();
    show_reach(&entry.namespace, &labels, &PortSet::new(&entry.ports))
}

/// Whether a selector picks no pod the other does not: every further label narrows.
fn selects_within(new: &BTreeMap<String, String>, old: &BTreeMap<String, String>) -> bool {
    old.iter().all(|(key, value)| new.get(key) == Some(value))
}

fn show_reach(namespace: &str, labels: &BTreeMap<String, String>, ports: &PortSet) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let labels = if labels.is_empty() {
        "every pod".into()
    } else {
        labels.join(",")
    };
    let ports: Vec<String> = match ports {
        PortSet::All => vec!["every port".into()],
        PortSet::Only(_) => ports
            .to_ports()
            .into_iter()
            .map(|port| {
                let protocol = port.protocol.unwrap_or_default().as_str();
                let end = port
                    .end_port
                    .map(|end| format!("-{end}"))
                    .unwrap_or_default();
                format!("{protocol} {}{end}", port.port)
            })
            .collect(),
    };
    format!("{namespace}: {labels}, {}", ports.join(","))
}

fn range_within(new: &SourceRange, old: &SourceRange) -> bool {
    let SourceRange {
        name: _,
        cidr,
        kind,
    } = new;
    if *kind != old.kind {
        return false;
    }
    match (cidr.parse::<IpNet>(), old.cidr.parse::<IpNet>()) {
        (Ok(new), Ok(old)) => old.contains(&new),
        _ => *cidr == old.cidr,
    }
}

fn show_range(range: &SourceRange) -> String {
    format!("{:?} {}", range.kind, range.cidr)
}
