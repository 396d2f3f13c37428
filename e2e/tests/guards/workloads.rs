//! Rows: role bindings, services, volumes, pods.

use serde_json::{Value, json};

use super::ask::{create, named, passes, patch, really_create, refused};
use super::world::{IMAGE, OWN, Tenant, world};

const SEPARATION: &str = "dsa-2.6-logical-separation";
const WAF: &str = "dsa-2.8-web-application-firewall";
const SEGMENTATION: &str = "dsa-2.8-network-segmentation";
const AT_REST: &str = "dsa-2.6-encryption-at-rest";
const CLASSIFICATION: &str = "dsa-2.3-classification";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn bind(role_kind: &str, role: &str, subjects: Value) -> Value {
    json!({
        "metadata": { "generateName": "theirs-" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role },
        "subjects": subjects,
    })
}

fn account(namespace: &str) -> Value {
    json!([{ "kind": "ServiceAccount", "name": "app", "namespace": namespace }])
}

#[tokio::test]
async fn role_bindings_name_only_accounts_of_the_same_tenant() {
    let world = world().await;
    let tenant = world.tenant("bind").await;
    let (admin, path) = (world.admin(), tenant.path(RBAC, "rolebindings"));
    let group = |name: &str| json!([{ "kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io" }]);
    let user = |name: &str| json!([{ "kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io" }]);
    for (subjects, what) in [
        (user("jane"), "User jane"),
        (
            user("system:serviceaccount:bind-prod:app"),
            "User system:serviceaccount",
        ),
        (group("system:authenticated"), "Group system:authenticated"),
        (
            group("system:serviceaccounts"),
            "Group system:serviceaccounts",
        ),
        (account("rival-prod"), "ServiceAccount rival-prod/app"),
        (account("kube-system"), "ServiceAccount kube-system/app"),
    ] {
        let body = bind("ClusterRole", "view", subjects.clone());
        refused(
            &admin,
            create(&path, body.clone()),
            "rolebindings",
            "dsa-2.0-need-to-know",
            what,
        )
        .await;
        passes(&world.machine("mesh", "mesh"), create(&path, body.clone())).await;
        passes(&world.break_glass(), create(&path, body)).await;
    }
    let mut member = bind("ClusterRole", "tenure-tenant-member", user("jane"));
    member["metadata"] = named("tenure-member");
    passes(&world.operator().await, create(&path, member)).await;
    let mut chart = bind("Role", "app", account("bind-prod"));
    chart["metadata"] = named("app");
    passes(&admin, really_create(&path, chart)).await;
    passes(
        &admin,
        create(&path, bind("ClusterRole", "view", account("bind-test"))),
    )
    .await;
    let object = format!("{path}/app");
    let more = json!({ "subjects": [{ "kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io" }] });
    refused(
        &admin,
        patch(&object, more),
        "rolebindings",
        "dsa-2.0-need-to-know",
        "User jane",
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
async fn privileged_roles_are_not_bound() {
    let world = world().await;
    let tenant = world.tenant("roles").await;
    let (admin, path) = (world.admin(), tenant.path(RBAC, "rolebindings"));
    for role in [
        "cluster-admin",
        "admin",
        "edit",
        "system:node",
        "tenure-tenant-deployer",
        "billing-admin",
    ] {
        let body = bind("ClusterRole", role, account("roles-prod"));
        refused(
            &admin,
            create(&path, body),
            "rolebindings",
            "dsa-2.4-role-based-access",
            role,
        )
        .await;
    }
    passes(
        &admin,
        create(&path, bind("ClusterRole", "view", account("roles-prod"))),
    )
    .await;
    passes(
        &admin,
        create(&path, bind("Role", "admin", account("roles-prod"))),
    )
    .await;
}

fn service(spec: Value) -> Value {
    json!({ "metadata": { "generateName": "theirs-" }, "spec": spec })
}

#[tokio::test]
async fn services_open_no_door_of_their_own() {
    let world = world().await;
    let tenant = world.tenant("doors").await;
    let (admin, path) = (world.admin(), tenant.core("services"));
    let ports = json!([{ "port": 80 }]);
    for (spec, what) in [
        (json!({ "type": "NodePort", "ports": ports }), "NodePort"),
        (
            json!({ "type": "LoadBalancer", "ports": ports }),
            "LoadBalancer",
        ),
        (
            json!({ "ports": ports, "externalIPs": ["192.0.2.1"] }),
            "192.0.2.1",
        ),
    ] {
        refused(
            &admin,
            create(&path, service(spec.clone())),
            "services",
            WAF,
            what,
        )
        .await;
        refused(
            &world.operator().await,
            create(&path, service(spec.clone())),
            "services",
            WAF,
            what,
        )
        .await;
        passes(
            &world.machine("cert-manager", "cert-manager"),
            create(&path, service(spec.clone())),
        )
        .await;
        passes(&world.break_glass(), create(&path, service(spec))).await;
    }
    passes(
        &admin,
        create(
            &path,
            service(json!({ "clusterIP": "None", "ports": ports })),
        ),
    )
    .await;
    let mut web = service(json!({ "ports": ports }));
    web["metadata"] = named("web");
    passes(&admin, really_create(&path, web)).await;
    let object = format!("{path}/web");
    refused(
        &admin,
        patch(&object, json!({ "spec": { "type": "NodePort" } })),
        "services",
        WAF,
        "NodePort",
    )
    .await;
    let take = json!({ "spec": { "externalIPs": ["192.0.2.1"] } });
    refused(&admin, patch(&object, take), "services", WAF, "192.0.2.1").await;
    let turn = json!({ "spec": { "type": "ExternalName", "externalName": "db.rival-prod.svc.cluster.local", "clusterIP": null, "clusterIPs": null } });
    refused(
        &admin,
        patch(&object, turn),
        "services",
        SEGMENTATION,
        "db.rival-prod",
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
async fn an_external_name_leads_only_where_the_tenant_may_go() {
    let world = world().await;
    let tenant = world.tenant("names").await;
    let (admin, path) = (world.admin(), tenant.core("services"));
    for name in [
        "db.rival-prod.svc.cluster.local",
        "db.rival-prod.svc",
        "kubernetes.default.svc",
        "10-0-0-1.rival-prod.pod.cluster.local",
        "db.names-prod.svc.cluster.local.rival.example.org",
        "db.rival-prod.svc.names-prod.svc",
        "other.example.org",
        "localhost",
        "x.api.example.org",
        "169.254.169.254",
    ] {
        let body = service(json!({ "type": "ExternalName", "externalName": name }));
        refused(&admin, create(&path, body), "services", SEGMENTATION, name).await;
    }
    for name in [
        "api.example.org",
        "db.names-test.svc.cluster.local",
        "db.names-prod.svc",
    ] {
        passes(
            &admin,
            create(
                &path,
                service(json!({ "type": "ExternalName", "externalName": name })),
            ),
        )
        .await;
    }
}

fn claim(spec: Value) -> Value {
    let mut body = json!({ "metadata": { "generateName": "data-" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
    }});
    for (key, value) in spec.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    body
}

#[tokio::test]
async fn claims_use_the_tenants_storage_class_and_pick_no_volume() {
    let world = world().await;
    let tenant = world.tenant("claims").await;
    let (admin, path) = (world.admin(), tenant.core("persistentvolumeclaims"));
    let sealed = "claims-sealed";
    for spec in [
        json!({}),
        json!({ "storageClassName": "" }),
        json!({ "storageClassName": "rival-sealed" }),
    ] {
        refused(
            &admin,
            create(&path, claim(spec)),
            "storage",
            AT_REST,
            "is not bound to this tenant's key",
        )
        .await;
    }
    let mut legacy = claim(json!({ "storageClassName": sealed }));
    legacy["metadata"]["annotations"] =
        json!({ "volume.beta.kubernetes.io/storage-class": "rival-sealed" });
    refused(
        &admin,
        create(&path, legacy),
        "storage",
        AT_REST,
        "rival-sealed",
    )
    .await;
    let picked = claim(json!({ "storageClassName": sealed, "volumeName": "pv-rival" }));
    refused(
        &admin,
        create(&path, picked.clone()),
        "storage",
        SEPARATION,
        "pv-rival",
    )
    .await;
    let copied = json!({ "storageClassName": sealed,
        "dataSourceRef": { "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s", "namespace": "rival-prod" } });
    // The API server drops the namespace unless the feature is on; where it is kept, it is refused.
    let answer = super::ask::send(&admin, &create(&path, claim(copied))).await;
    match answer {
        Ok(kept) => assert!(
            kept["spec"]["dataSourceRef"].get("namespace").is_none(),
            "{kept}"
        ),
        Err(error) => assert!(error.to_string().contains(SEPARATION), "{error}"),
    }
    passes(
        &admin,
        create(&path, claim(json!({ "storageClassName": sealed }))),
    )
    .await;
    let copy = json!({ "storageClassName": sealed, "dataSourceRef": { "kind": "PersistentVolumeClaim", "name": "other" } });
    passes(&admin, create(&path, claim(copy))).await;
    passes(
        &world.machine("velero", "velero"),
        create(&path, picked.clone()),
    )
    .await;
    passes(
        &world.machine("local-path", "provisioner"),
        create(&path, picked.clone()),
    )
    .await;
    passes(&world.break_glass(), create(&path, picked)).await;

    let mut data = claim(json!({ "storageClassName": sealed }));
    data["metadata"] = named("data");
    passes(&admin, really_create(&path, data)).await;
    let choose = json!({ "spec": { "volumeName": "pv-rival" } });
    let object = format!("{path}/data");
    refused(
        &admin,
        patch(&object, choose.clone()),
        "storage",
        SEPARATION,
        "pv-rival",
    )
    .await;
    passes(
        &world.machine("kube-system", "persistent-volume-binder"),
        patch(&object, choose),
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
async fn a_volume_is_tied_to_a_claim_by_the_binders_only() {
    let world = world().await;
    let admin = world.admin();
    let path = "/api/v1/persistentvolumes";
    let volume = |name: &str, claim: Option<Value>| {
        let mut body = json!({ "metadata": { "name": name }, "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"],
            "csi": { "driver": "x.example.org", "volumeHandle": "h" }, "storageClassName": "static",
        }});
        if let Some(claim) = claim {
            body["spec"]["claimRef"] = claim;
        }
        body
    };
    let claim =
        json!({ "kind": "PersistentVolumeClaim", "namespace": "rival-prod", "name": "data" });
    let tied = volume("tied", Some(claim.clone()));
    for client in [
        world.admin(),
        world.operator().await,
        world.machine("somewhere", "strange"),
    ] {
        refused(
            &client,
            create(path, tied.clone()),
            "storage",
            SEPARATION,
            "rival-prod/data",
        )
        .await;
    }
    let binder = world.machine("kube-system", "persistent-volume-binder");
    for client in [
        &binder,
        &world.machine("local-path", "provisioner"),
        &world.machine("velero", "velero"),
        &world.break_glass(),
    ] {
        passes(client, create(path, tied.clone())).await;
    }
    passes(&admin, really_create(path, volume("free", None))).await;
    let tie = json!({ "spec": { "claimRef": claim } });
    let object = format!("{path}/free");
    refused(
        &admin,
        patch(&object, tie.clone()),
        "storage",
        SEPARATION,
        "rival-prod/data",
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
    passes(&binder, super::ask::really_patch(&object, tie)).await;
    let cut = json!({ "spec": { "claimRef": null } });
    refused(
        &admin,
        patch(&object, cut.clone()),
        "storage",
        SEPARATION,
        "rival-prod/data",
    )
    .await;
    let turn = json!({ "spec": { "claimRef": { "namespace": "other-prod" } } });
    refused(
        &admin,
        patch(&object, turn),
        "storage",
        SEPARATION,
        "other-prod/data",
    )
    .await;
    passes(&binder, patch(&object, cut)).await;
}

/// A pod at the restricted level.
pub(crate) fn pod() -> Value {
    json!({ "metadata": { "generateName": "app-" }, "spec": template() })
}

/// A pod's spec at the restricted level.
pub(crate) fn template() -> Value {
    json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "app", "image": "registry.example.org/app:1",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    })
}

#[tokio::test]
async fn no_pod_before_the_namespace_is_ready() {
    let world = world().await;
    let tenant = Tenant {
        name: "early".to_owned(),
    };
    let (operator, admin) = (world.operator().await, world.admin());
    let mut body = tenant.namespace("prod", "Enforce");
    body["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("tenure.dev/ready");
    passes(&operator, really_create("/api/v1/namespaces", body)).await;
    super::lifecycle::default_account(&admin, &tenant.prod()).await;
    for client in [
        &admin,
        &operator,
        &world.machine("kube-system", "replicaset-controller"),
    ] {
        refused(
            client,
            create(tenant.core("pods"), pod()),
            "pods",
            SEPARATION,
            "is not ready",
        )
        .await;
    }
    passes(
        &world.machine("mesh", "mesh"),
        create(tenant.core("pods"), pod()),
    )
    .await;
    passes(&world.break_glass(), create(tenant.core("pods"), pod())).await;
    let ready = json!({ "metadata": { "annotations": { "tenure.dev/ready": "true" } } });
    passes(
        &operator,
        super::ask::really_patch(format!("/api/v1/namespaces/{}", tenant.prod()), ready),
    )
    .await;
    tenure_e2e::eventually(
        std::time::Duration::from_secs(10),
        "a pod passes",
        async || Ok(super::ask::send(&admin, &create(tenant.core("pods"), pod())).await?),
    )
    .await
    .unwrap();
}

/// Attacks on the pod-security level: where in the spec, what, and what the refusal says.
fn beyond() -> Vec<(&'static str, Value, &'static str)> {
    let context = "/containers/0/securityContext";
    vec![
        ("/hostNetwork", json!(true), "hostNetwork"),
        ("/hostPID", json!(true), "hostPID"),
        ("/hostIPC", json!(true), "hostIPC"),
        (
            "/volumes",
            json!([{ "name": "v", "hostPath": { "path": "/" } }]),
            "hostPath volume v",
        ),
        (
            "/volumes",
            json!([{ "name": "v", "nfs": { "server": "x", "path": "/" } }]),
            "volume v",
        ),
        (
            "/containers/0/ports",
            json!([{ "containerPort": 80, "hostPort": 80 }]),
            "hostPort in app",
        ),
        (context, json!({ "privileged": true }), "privileged app"),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"], "add": ["SYS_ADMIN"] } }),
            "capabilities added",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"], "add": ["CHOWN"] } }),
            "capabilities not dropped",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false }),
            "capabilities not dropped",
        ),
        (
            context,
            json!({ "capabilities": { "drop": ["ALL"] } }),
            "allowPrivilegeEscalation in app",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsNonRoot": false }),
            "runAsNonRoot",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsUser": 0 }),
            "runAsUser 0 in app",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "Unconfined" } }),
            "seccomp Unconfined",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "seLinuxOptions": { "type": "spc_t" } }),
            "SELinux",
        ),
        (
            context,
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "appArmorProfile": { "type": "Unconfined" } }),
            "AppArmor",
        ),
        (
            "/securityContext",
            json!({ "runAsNonRoot": true }),
            "no seccomp profile in app",
        ),
        (
            "/securityContext",
            json!({ "seccompProfile": { "type": "RuntimeDefault" } }),
            "runAsNonRoot",
        ),
        (
            "/securityContext/sysctls",
            json!([{ "name": "kernel.msgmax", "value": "1" }]),
            "sysctl kernel.msgmax",
        ),
        (
            "/initContainers",
            json!([{ "name": "init", "image": "x", "securityContext": { "privileged": true } }]),
            "privileged init",
        ),
    ]
}

/// Sets a value anywhere in a JSON document.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
}

#[tokio::test]
async fn no_pod_beyond_its_level() {
    let world = world().await;
    let tenant = Tenant {
        name: "level".to_owned(),
    };
    let admin = world.admin();
    // Without the label the API server's own plugin lets everything through; the guard then takes the strictest level.
    let mut body = tenant.namespace("prod", "Enforce");
    for label in [
        "pod-security.kubernetes.io/enforce",
        "pod-security.kubernetes.io/enforce-version",
    ] {
        body["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove(label);
    }
    passes(
        &world.operator().await,
        really_create("/api/v1/namespaces", body),
    )
    .await;
    super::lifecycle::default_account(&admin, &tenant.prod()).await;
    for (place, value, what) in beyond() {
        let mut body = pod();
        set(&mut body["spec"], place, value);
        refused(
            &admin,
            create(tenant.core("pods"), body),
            "pods",
            CLASSIFICATION,
            what,
        )
        .await;
    }
    let mut unmasked = pod();
    set(&mut unmasked["spec"], "/hostUsers", json!(false));
    set(
        &mut unmasked["spec"],
        "/containers/0/securityContext/procMount",
        json!("Unmasked"),
    );
    refused(
        &admin,
        create(tenant.core("pods"), unmasked),
        "pods",
        CLASSIFICATION,
        "procMount in app",
    )
    .await;
    passes(&admin, create(tenant.core("pods"), pod())).await;
    let mut allowed = pod();
    set(
        &mut allowed["spec"],
        "/volumes",
        json!([{ "name": "t", "emptyDir": {} }, { "name": "c", "configMap": { "name": "x" } }]),
    );
    set(
        &mut allowed["spec"],
        "/containers/0/securityContext/capabilities/add",
        json!(["NET_BIND_SERVICE"]),
    );
    passes(&admin, create(tenant.core("pods"), allowed)).await;

    let mut named = pod();
    named["metadata"] = json!({ "name": "app" });
    passes(&admin, really_create(tenant.core("pods"), named)).await;
    let path = format!("{}/app/ephemeralcontainers", tenant.core("pods"));
    let debug = |context: Value| json!({ "spec": { "ephemeralContainers": [{ "name": "debug", "image": "x", "securityContext": context }] } });
    refused(
        &admin,
        patch(&path, debug(json!({ "privileged": true }))),
        "pods",
        CLASSIFICATION,
        "privileged debug",
    )
    .await;
    passes(
        &admin,
        patch(
            &path,
            debug(
                json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } }),
            ),
        ),
    )
    .await;
}

#[tokio::test]
async fn the_baseline_level_allows_what_restricted_does_not() {
    let world = world().await;
    let tenant = Tenant {
        name: "lower".to_owned(),
    };
    let mut body = tenant.namespace("prod", "Enforce");
    body["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("baseline");
    passes(
        &world.operator().await,
        really_create("/api/v1/namespaces", body),
    )
    .await;
    let admin = world.admin();
    super::lifecycle::default_account(&admin, &tenant.prod()).await;
    let root = json!({ "metadata": { "name": "root" }, "spec": { "containers": [{ "name": "app", "image": "x" }] } });
    passes(&admin, create(tenant.core("pods"), root.clone())).await;
    let mut net = root;
    net["spec"]["hostNetwork"] = json!(true);
    // The API server's own plugin answers first.
    let error = super::ask::send(&admin, &create(tenant.core("pods"), net))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("hostNetwork"), "{error}");
}

#[tokio::test]
async fn only_the_release_runs_in_our_own_namespace() {
    let world = world().await;
    let admin = world.admin();
    super::lifecycle::default_account(&admin, OWN).await;
    let path = format!("/api/v1/namespaces/{OWN}/pods");
    let own = |name: &str| {
        let mut body = json!({ "metadata": { "name": name }, "spec": template() });
        body["spec"]["containers"][0]["image"] = json!(IMAGE);
        body["spec"]["serviceAccountName"] = json!("tenure-operator");
        body
    };
    let attacks = [
        (
            "/containers/0/image",
            json!("registry.example.org/evil:1"),
            "registry.example.org/evil:1",
        ),
        (
            "/serviceAccountName",
            json!("default"),
            "ServiceAccount default",
        ),
        (
            "/volumes",
            json!([{ "name": "v", "hostPath": { "path": "/" } }]),
            "hostPath",
        ),
        ("/hostNetwork", json!(true), "host namespaces"),
        (
            "/initContainers",
            json!([{ "name": "i", "image": "evil" }]),
            "evil",
        ),
    ];
    for (place, value, what) in attacks {
        let mut body = own("x");
        set(&mut body["spec"], place, value);
        for client in [&admin, &world.operator().await] {
            refused(
                client,
                create(&path, body.clone()),
                "own-pods",
                SEPARATION,
                what,
            )
            .await;
        }
        if place != "/serviceAccountName" {
            passes(&world.break_glass(), create(&path, body)).await;
        }
    }
    passes(&admin, really_create(&path, own("operator"))).await;
    let mut hook = own("hook");
    hook["spec"]["serviceAccountName"] = json!("tenure-hooks");
    passes(&admin, create(&path, hook)).await;
    let mut swapped = super::ask::send(
        &admin,
        &super::ask::connect("GET", format!("{path}/operator")),
    )
    .await
    .unwrap();
    swapped["spec"]["containers"][0]["image"] = json!("evil");
    refused(
        &admin,
        super::ask::replace(format!("{path}/operator"), swapped),
        "own-pods",
        SEPARATION,
        "evil",
    )
    .await;
    let debug =
        json!({ "spec": { "ephemeralContainers": [{ "name": "debug", "image": "evil" }] } });
    refused(
        &admin,
        patch(format!("{path}/operator/ephemeralcontainers"), debug),
        "own-pods",
        SEPARATION,
        "evil",
    )
    .await;
    passes(
        &admin,
        patch(
            format!("{path}/operator"),
            json!({ "metadata": { "labels": { "cost": "1" } } }),
        ),
    )
    .await;
}
