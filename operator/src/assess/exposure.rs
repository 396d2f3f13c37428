//! Paths from outside into a tenant's namespaces (DSA 2.6 in transit, 2.8).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use tenure_controls::facts::ExposureFacts;

use crate::context::Context;
use crate::policy::accepted::Accepted;
use crate::record::TenantRecord;

/// What stands in the caches. Gateways and routes are refused by the guard and not yet read back.
pub(super) fn facts(
    context: &Context,
    record: &TenantRecord,
    accepted: &Accepted,
) -> ExposureFacts {
    let mut facts = ExposureFacts::default();
    for namespace in &record.namespaces {
        for service in context
            .caches
            .services
            .in_namespace(namespace)
            .iter()
            .filter(|service| is_direct(service))
        {
            facts
                .direct
                .push(format!("Service/{namespace}/{}", service.name_any()));
        }
        for ingress in context.caches.ingresses.in_namespace(namespace) {
            let place = format!("Ingress/{namespace}/{}", ingress.name_any());
            facts.plain.extend(
                plain_hosts(&ingress)
                    .into_iter()
                    .map(|host| format!("{place}: {host} without TLS")),
            );
            let class = class_of(&ingress);
            let protected = class.as_ref().is_some_and(|class| {
                accepted
                    .classes
                    .ingress
                    .get(class)
                    .is_some_and(Option::is_some)
            });
            if !protected {
                facts.unprotected.push(format!(
                    "{place}: class {}",
                    class.as_deref().unwrap_or("none")
                ));
            }
        }
    }
    facts
}

fn is_direct(service: &Service) -> bool {
    let Some(spec) = &service.spec else {
        return false;
    };
    matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"))
        || spec
            .external_ips
            .as_ref()
            .is_some_and(|addresses| !addresses.is_empty())
}

fn class_of(ingress: &Ingress) -> Option<String> {
    let named = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.clone());
    named.or_else(|| {
        ingress
            .annotations()
            .get("kubernetes.io/ingress.class")
            .cloned()
    })
}

fn plain_hosts(ingress: &Ingress) -> Vec<String> {
    let Some(spec) = &ingress.spec else {
        return Vec::new();
    };
    let covered: BTreeSet<&str> = spec
        .tls
        .iter()
        .flatten()
        .flat_map(|tls| tls.hosts.iter().flatten())
        .map(String::as_str)
        .collect();
    let hosts = spec
        .rules
        .iter()
        .flatten()
        .map(|rule| rule.host.as_deref().unwrap_or("*"));
    let mut plain: Vec<String> = hosts
        .filter(|host| !covered.contains(host))
        .map(str::to_owned)
        .collect();
    if spec.default_backend.is_some() && covered.is_empty() {
        plain.push("default backend".into());
    }
    plain
}
