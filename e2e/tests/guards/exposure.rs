//! Row: ingresses, gateways, routes.

use serde_json::{Value, json};

use super::ask::{create, named, passes, patch, really_create, refused};
use super::world::{Tenant, world};

const WAF: &str = "dsa-2.8-web-application-firewall";
const TLS: &str = "dsa-2.6-encryption-in-transit-edge";
const SEPARATION: &str = "dsa-2.6-logical-separation";
const GUARD: &str = "exposure";
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

fn backend() -> Value {
    json!({ "service": { "name": "web", "port": { "number": 80 } } })
}

fn ingress(class: Option<&str>, host: Option<&str>, tls: Value) -> Value {
    let mut rule = json!({ "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend() }] } });
    if let Some(host) = host {
        rule["host"] = json!(host);
    }
    let mut body =
        json!({ "metadata": { "generateName": "web-" }, "spec": { "rules": [rule], "tls": tls } });
    if let Some(class) = class {
        body["spec"]["ingressClassName"] = json!(class);
    }
    body
}

fn ingresses(tenant: &Tenant) -> String {
    tenant.path("networking.k8s.io/v1", "ingresses")
}

#[tokio::test]
async fn an_ingress_names_a_declared_class() {
    let world = world().await;
    let tenant = world.tenant("class").await;
    let (admin, path) = (world.admin(), ingresses(&tenant));
    let host = Some("class.example.org");
    let tls = json!([{ "hosts": ["class.example.org"] }]);
    refused(
        &admin,
        create(&path, ingress(Some("open"), host, tls.clone())),
        GUARD,
        WAF,
        "open",
    )
    .await;
    refused(
        &admin,
        create(&path, ingress(None, host, tls.clone())),
        GUARD,
        WAF,
        "the default class",
    )
    .await;
    let mut steered = ingress(None, host, tls.clone());
    steered["metadata"]["annotations"] = json!({ "kubernetes.io/ingress.class": "open" });
    refused(&admin, create(&path, steered), GUARD, WAF, "open").await;
    let mut legacy = ingress(None, host, tls.clone());
    legacy["metadata"]["annotations"] = json!({ "kubernetes.io/ingress.class": "waf" });
    passes(&admin, create(&path, legacy)).await;
    let mut web = ingress(Some("waf"), host, tls);
    web["metadata"] = named("web");
    passes(&admin, really_create(&path, web)).await;
    let object = format!("{path}/web");
    refused(
        &admin,
        patch(&object, json!({ "spec": { "ingressClassName": "open" } })),
        GUARD,
        WAF,
        "open",
    )
    .await;
    let steer = json!({ "metadata": { "annotations": { "kubernetes.io/ingress.class": "open" } } });
    refused(&admin, patch(&object, steer), GUARD, WAF, "open").await;
    passes(
        &admin,
        patch(
            &object,
            json!({ "metadata": { "labels": { "cost": "1" } } }),
        ),
    )
    .await;
}

#[tokio::test]
async fn an_ingress_serves_its_own_hosts_over_tls_for_them() {
    let world = world().await;
    let tenant = world.tenant("hosts").await;
    let (admin, path) = (world.admin(), ingresses(&tenant));
    let class = Some("waf");
    let own = "hosts.example.org";
    refused(
        &admin,
        create(&path, ingress(class, Some(own), json!([]))),
        GUARD,
        TLS,
        own,
    )
    .await;
    refused(
        &admin,
        create(
            &path,
            ingress(class, Some(own), json!([{ "secretName": "s" }])),
        ),
        GUARD,
        TLS,
        own,
    )
    .await;
    let other = json!([{ "hosts": ["a.hosts.example.org"] }]);
    refused(
        &admin,
        create(&path, ingress(class, Some(own), other)),
        GUARD,
        TLS,
        own,
    )
    .await;
    let deep = json!([{ "hosts": ["*.hosts.example.org"] }]);
    refused(
        &admin,
        create(
            &path,
            ingress(class, Some("a.b.hosts.example.org"), deep.clone()),
        ),
        GUARD,
        TLS,
        "a.b.hosts",
    )
    .await;
    for host in [
        "rival.example.org",
        "hosts.example.org.evil.org",
        "evilhosts.example.org",
        "*.example.org",
    ] {
        let body = ingress(class, Some(host), json!([{ "hosts": [host] }]));
        refused(&admin, create(&path, body), GUARD, SEPARATION, host).await;
    }
    let theirs = json!([{ "hosts": [own] }, { "hosts": ["rival.example.org"] }]);
    refused(
        &admin,
        create(&path, ingress(class, Some(own), theirs)),
        GUARD,
        SEPARATION,
        "rival.example.org",
    )
    .await;
    let tls = json!([{ "hosts": [own], "secretName": "s" }]);
    refused(
        &admin,
        create(&path, ingress(class, None, tls.clone())),
        GUARD,
        SEPARATION,
        "every host",
    )
    .await;
    let mut catch_all = ingress(class, Some(own), tls.clone());
    catch_all["spec"]["defaultBackend"] = backend();
    refused(
        &admin,
        create(&path, catch_all),
        GUARD,
        SEPARATION,
        "every host",
    )
    .await;
    for (key, value) in [
        (
            "nginx.ingress.kubernetes.io/server-alias",
            "rival.example.org",
        ),
        ("nginx.ingress.kubernetes.io/ssl-redirect", "false"),
        ("kubernetes.io/ingress.allow-http", "true"),
    ] {
        let mut body = ingress(class, Some(own), tls.clone());
        body["metadata"]["annotations"] = json!({ key: value });
        refused(&admin, create(&path, body), GUARD, TLS, key).await;
    }

    passes(&admin, create(&path, ingress(class, Some(own), tls))).await;
    passes(
        &admin,
        create(&path, ingress(class, Some("a.hosts.example.org"), deep)),
    )
    .await;
    let solver = ingress(Some("open"), Some("hosts.example.org"), json!([]));
    passes(
        &world.machine("cert-manager", "cert-manager"),
        create(&path, solver.clone()),
    )
    .await;
    passes(&world.break_glass(), create(&path, solver.clone())).await;
    refused(
        &world.operator().await,
        create(&path, solver),
        GUARD,
        WAF,
        "open",
    )
    .await;
}

fn gateway(class: &str, listener: Value) -> Value {
    json!({ "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": { "generateName": "web-" },
        "spec": { "gatewayClassName": class, "listeners": [listener] } })
}

fn listener(hostname: &str) -> Value {
    json!({ "name": "https", "protocol": "HTTPS", "port": 443, "hostname": hostname,
        "tls": { "certificateRefs": [{ "name": "cert" }] } })
}

#[tokio::test]
async fn a_gateway_listens_by_its_class_for_its_hosts_with_tls_for_its_own() {
    let world = world().await;
    let tenant = world.tenant("listen").await;
    let (admin, path) = (world.admin(), tenant.path(GATEWAY_API, "gateways"));
    let class = "waf-gateway";
    let own = "listen.example.org";
    refused(
        &admin,
        create(&path, gateway("open", listener(own))),
        GUARD,
        WAF,
        "open",
    )
    .await;
    for protocol in ["HTTP", "TCP", "UDP"] {
        let mut plain = listener(own);
        plain["protocol"] = json!(protocol);
        refused(
            &admin,
            create(&path, gateway(class, plain)),
            GUARD,
            TLS,
            protocol,
        )
        .await;
    }
    let mut bare = listener(own);
    bare.as_object_mut().unwrap().remove("tls");
    refused(
        &admin,
        create(&path, gateway(class, bare)),
        GUARD,
        TLS,
        "https",
    )
    .await;
    refused(
        &admin,
        create(&path, gateway(class, listener("rival.example.org"))),
        GUARD,
        SEPARATION,
        "rival",
    )
    .await;
    let mut every = listener(own);
    every.as_object_mut().unwrap().remove("hostname");
    refused(
        &admin,
        create(&path, gateway(class, every)),
        GUARD,
        SEPARATION,
        "every host",
    )
    .await;
    let mut borrowed = listener(own);
    borrowed["tls"]["certificateRefs"][0]["namespace"] = json!("rival-prod");
    refused(
        &admin,
        create(&path, gateway(class, borrowed)),
        GUARD,
        SEPARATION,
        "rival-prod/cert",
    )
    .await;
    for namespaces in [
        json!({ "from": "All" }),
        json!({ "from": "Selector", "selector": { "matchLabels": { "team": "x" } } }),
        json!({ "from": "Selector", "selector": { "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["x"] }] } }),
    ] {
        let mut open = listener(own);
        open["allowedRoutes"] = json!({ "namespaces": namespaces });
        refused(
            &admin,
            create(&path, gateway(class, open)),
            GUARD,
            SEPARATION,
            "https",
        )
        .await;
    }
    let mut set = gateway(class, listener(own));
    set["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "All" } });
    refused(
        &admin,
        create(&path, set),
        GUARD,
        SEPARATION,
        "allowedListeners",
    )
    .await;

    passes(
        &admin,
        create(&path, gateway(class, listener("*.listen.example.org"))),
    )
    .await;
    let mut sister = listener(own);
    sister["allowedRoutes"] = json!({ "namespaces": { "from": "Selector",
        "selector": { "matchLabels": { "kubernetes.io/metadata.name": "listen-test" } } } });
    passes(&admin, create(&path, gateway(class, sister))).await;
    let mut web = gateway(class, listener(own));
    web["metadata"] = named("web");
    passes(&admin, really_create(&path, web)).await;
    let object = format!("{path}/web");
    let mut plain = listener(own);
    plain["protocol"] = json!("HTTP");
    refused(
        &admin,
        patch(&object, json!({ "spec": { "listeners": [plain] } })),
        GUARD,
        TLS,
        "HTTP",
    )
    .await;
    passes(
        &admin,
        patch(
            &object,
            json!({ "metadata": { "labels": { "cost": "1" } } }),
        ),
    )
    .await;
}

#[tokio::test]
async fn a_listener_set_is_judged_like_a_gateway() {
    let world = world().await;
    let tenant = world.tenant("sets").await;
    let admin = world.admin();
    for (version, plural, kind) in [
        (GATEWAY_API, "listenersets", "ListenerSet"),
        (
            "gateway.networking.x-k8s.io/v1alpha1",
            "xlistenersets",
            "XListenerSet",
        ),
    ] {
        let set = |parent: Value, listener: Value| {
            json!({ "apiVersion": version, "kind": kind, "metadata": { "generateName": "x-" },
                "spec": { "parentRef": parent, "listeners": [listener] } })
        };
        let path = tenant.path(version, plural);
        let own = "sets.example.org";
        let shared = json!({ "name": "shared", "namespace": "edge" });
        let mut plain = listener(own);
        plain["protocol"] = json!("HTTP");
        refused(
            &admin,
            create(&path, set(shared.clone(), plain)),
            GUARD,
            TLS,
            "HTTP",
        )
        .await;
        refused(
            &admin,
            create(&path, set(shared.clone(), listener("rival.example.org"))),
            GUARD,
            SEPARATION,
            "rival",
        )
        .await;
        let elsewhere = json!({ "name": "gw", "namespace": "rival-prod" });
        refused(
            &admin,
            create(&path, set(elsewhere, listener(own))),
            GUARD,
            SEPARATION,
            "rival-prod/gw",
        )
        .await;
        passes(&admin, create(&path, set(shared, listener(own)))).await;
    }
}

#[tokio::test]
async fn a_route_attaches_where_it_may_and_takes_its_own_hosts() {
    let world = world().await;
    let tenant = world.tenant("route").await;
    let admin = world.admin();
    for (plural, kind, version) in [
        ("httproutes", "HTTPRoute", "v1"),
        ("grpcroutes", "GRPCRoute", "v1"),
        ("tlsroutes", "TLSRoute", "v1alpha2"),
        ("tcproutes", "TCPRoute", "v1alpha2"),
        ("udproutes", "UDPRoute", "v1alpha2"),
    ] {
        let version = format!("gateway.networking.k8s.io/{version}");
        let path = tenant.path(&version, plural);
        let route = |parent: Value, hosts: Value| {
            let mut spec = json!({ "parentRefs": [parent], "rules": [] });
            if hosts != json!([]) {
                spec["hostnames"] = hosts;
            }
            json!({ "apiVersion": version, "kind": kind, "metadata": { "generateName": "web-" }, "spec": spec })
        };
        let own = json!(["a.route.example.org"]);
        let elsewhere = json!({ "name": "shared", "namespace": "rival-prod" });
        refused(
            &admin,
            create(&path, route(elsewhere, own.clone())),
            GUARD,
            SEPARATION,
            "rival-prod/shared",
        )
        .await;
        let unshared = json!({ "name": "private", "namespace": "edge" });
        refused(
            &admin,
            create(&path, route(unshared, own.clone())),
            GUARD,
            SEPARATION,
            "edge/private",
        )
        .await;
        let shared = json!({ "name": "shared", "namespace": "edge" });
        refused(
            &admin,
            create(&path, route(shared.clone(), json!([]))),
            GUARD,
            SEPARATION,
            "every host",
        )
        .await;
        let here = json!({ "name": "web" });
        passes(&admin, create(&path, route(here.clone(), json!([])))).await;
        if ["tcproutes", "udproutes"].contains(&plural) {
            continue;
        }
        for hosts in [
            json!(["rival.example.org"]),
            json!(["a.route.example.org", "*.example.org"]),
        ] {
            refused(
                &admin,
                create(&path, route(shared.clone(), hosts.clone())),
                GUARD,
                SEPARATION,
                "example.org",
            )
            .await;
            refused(
                &admin,
                create(&path, route(here.clone(), hosts)),
                GUARD,
                SEPARATION,
                "example.org",
            )
            .await;
        }
        passes(&admin, create(&path, route(shared, own.clone()))).await;
        passes(
            &admin,
            create(
                &path,
                route(json!({ "name": "web", "namespace": "route-test" }), own),
            ),
        )
        .await;
    }
}
