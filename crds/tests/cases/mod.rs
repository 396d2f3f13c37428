//! What the API server must accept and refuse, as data: asked of a CEL evaluator in unit tests
//! and of a real API server in the end-to-end tests, so that both speak of the same objects.

use serde_json::{Value, json};

/// UUID of the tenant in every case.
pub const TENANT_ID: &str = "5b0f7c1e-2d34-4a56-8b78-90abcdef1234";
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Changes of an object: JSON pointer and new value; `null` removes.
pub type Edits = Vec<(&'static str, Value)>;

/// One refused object and its accepted twin: the nearest legitimate one.
#[derive(Clone)]
pub struct Case {
    /// Kind of both.
    pub kind: &'static str,
    /// What is tried.
    pub name: String,
    /// The object before, where the case is an update.
    pub old: Option<Value>,
    /// Refused object.
    pub refused: Value,
    /// Accepted object.
    pub twin: Value,
    /// Part of the refusal's text.
    pub message: &'static str,
}

/// The smallest valid object of a kind.
pub fn minimal(kind: &str) -> Value {
    match kind {
        "TenancyPolicy" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {},
        }),
        "CustomerTenant" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": "acme"},
            "spec": {
                "tenantID": TENANT_ID,
                "customer": {"name": "Example Logistics"},
                "classification": "Restricted",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-31"}],
                "namespaces": [{"name": "prod"}],
            },
        }),
        "Approval" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "acme-amend"},
            "spec": {
                "action": "Amend",
                "tenantRef": {"name": "acme"},
                "subject": {"kind": "CustomerTenant", "name": "acme", "tenantID": TENANT_ID, "digest": DIGEST, "digestVersion": 1},
                "decision": "Approve",
                "reason": "Signed by both parties.",
            },
        }),
        "StaffMember" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "StaffMember", "metadata": {"name": "operator-one"},
            "spec": {"identities": ["operator-one@provider.example"], "status": "Active"},
        }),
        "AccessGrant" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "acme-chg-1042"},
            "spec": {
                "tenantRef": {"name": "acme"},
                "tenantID": TENANT_ID,
                "person": "operator-one",
                "role": "tenure-tenant-operator",
                "namespaces": ["acme-prod"],
                "reason": "Restart of a workload that hangs.",
                "ticket": "CHG-1042",
                "notAfter": "2026-02-01T16:00:00Z",
            },
        }),
        "AccessReview" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessReview", "metadata": {"name": "acme-1"},
            "spec": {
                "tenantRef": {"name": "acme"},
                "tenantID": TENANT_ID,
                "frozenAt": "2026-03-18T08:00:00Z",
                "dueAt": "2026-04-01T08:00:00Z",
                "lines": [
                    {
                        "name": "grant-1", "kind": "Grant", "who": ["StaffMember/operator-one"],
                        "role": "ClusterRole/tenure-tenant-operator", "reference": "AccessGrant/acme-chg-1042",
                    },
                    {
                        "name": "binding-1", "kind": "Binding", "who": ["User/somebody"],
                        "role": "ClusterRole/view", "reference": "ClusterRoleBinding/somebody",
                    },
                ],
            },
        }),
        "LegalHold" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "LegalHold", "metadata": {"name": "case-2026-17"},
            "spec": {
                "tenantRef": {"name": "acme"},
                "tenantID": TENANT_ID,
                "reference": "Case 2026/17",
                "authority": "Enterprise Court",
                "scope": {"extent": "WholeTenant"},
                "reason": "Dispute over an invoice.",
                "placedBy": "Legal department",
                "placedOn": "2026-03-01",
            },
        }),
        "Attestation" => json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "Attestation", "metadata": {"name": "policy-2026"},
            "spec": {
                "control": "dsa-2.1-security-policy",
                "subject": {"kind": "Platform"},
                "statement": "The policy was reviewed and approved by management.",
                "attestedBy": "Security officer",
                "issuedOn": "2026-01-15",
                "validUntil": "2027-01-14",
                "evidence": {"uri": "https://dms.example.com/50", "digest": DIGEST},
            },
        }),
        other => panic!("no minimal {other}"),
    }
}

/// A valid object of a kind in which every field of the spec is set.
pub fn full(kind: &str) -> Value {
    match kind {
        "TenancyPolicy" => full_policy(),
        "CustomerTenant" => full_tenant(),
        "Approval" => edited(
            minimal("Approval"),
            vec![
                (
                    "/spec/onBehalfOf",
                    json!({"party": "Customer", "evidence": {"uri": "https://dms.example.com/42", "digest": DIGEST}}),
                ),
                ("/spec/notAfter", json!("2027-01-31T12:00:00Z")),
                (
                    "/spec/approver",
                    json!({"username": "security-desk", "groups": ["approvers"]}),
                ),
            ],
        ),
        "StaffMember" => edited(
            minimal("StaffMember"),
            vec![
                (
                    "/spec/identities",
                    json!(["operator-one@provider.example", "operator-one-admin"]),
                ),
                ("/spec/groups", json!(["platform-team"])),
                ("/spec/displayName", json!("The first operator")),
                ("/spec/employer", json!("Example Datacentres")),
                ("/spec/jobRole", json!("Platform engineer")),
                (
                    "/spec/training",
                    json!({"completedOn": "2026-01-10", "reference": "LMS-7"}),
                ),
                (
                    "/spec/acceptableUse",
                    json!({"signedOn": "2026-01-10", "reference": "HR-7"}),
                ),
                (
                    "/spec/confidentiality",
                    json!({"signedOn": "2026-01-10", "reference": "HR-8"}),
                ),
                (
                    "/spec/mfa",
                    json!({"signedOn": "2026-01-10", "reference": "IT-3"}),
                ),
                (
                    "/spec/telework",
                    json!({"signedOn": "2026-01-10", "reference": "HR-9"}),
                ),
            ],
        ),
        "AccessGrant" => edited(
            minimal("AccessGrant"),
            vec![
                ("/spec/identity", json!("operator-one@provider.example")),
                ("/spec/namespaces", json!(["acme-prod", "acme-test"])),
                ("/spec/notBefore", json!("2026-02-01T08:00:00Z")),
                ("/spec/location", json!("OnSite")),
                ("/spec/breakGlass", json!(true)),
                ("/spec/credential", json!("Session")),
                ("/spec/exceptionReference", json!("Amendment 3")),
                ("/spec/revoked", json!({"reason": "The work is done."})),
                ("/spec/requestedBy", json!("team-lead@provider.example")),
            ],
        ),
        "AccessReview" => edited(
            minimal("AccessReview"),
            vec![
                ("/spec/lines/0/namespaces", json!(["acme-prod"])),
                ("/spec/lines/0/privileged", json!(true)),
                ("/spec/lines/0/decision", json!("Revoke")),
                ("/spec/lines/0/reason", json!("The work is done.")),
                (
                    "/spec/lines/0/decidedBy",
                    json!("reviewer@provider.example"),
                ),
            ],
        ),
        "LegalHold" => edited(
            minimal("LegalHold"),
            vec![
                (
                    "/spec/scope",
                    json!({"extent": "Named", "namespaces": ["acme-prod"], "stores": ["archive"]}),
                ),
                ("/spec/reviewOn", json!("2026-09-01")),
            ],
        ),
        "Attestation" => edited(
            minimal("Attestation"),
            vec![(
                "/spec/subject",
                json!({"kind": "Tenant", "name": "acme", "tenantID": TENANT_ID}),
            )],
        ),
        other => panic!("no full {other}"),
    }
}

fn full_policy() -> Value {
    let spec = json!({
        "baselines": [{
            "classification": "Public", "podSecurity": "Baseline", "storageClasses": ["encrypted"], "anyEgress": true,
            "roles": ["tenant-operator"], "quota": {"pods": "50"},
            "limits": {"default": {"memory": "256Mi"}, "defaultRequest": {"memory": "128Mi"}, "max": {"memory": "4Gi"}},
        }],
        "grantableRoles": [{
            "name": "tenant-operator", "longest": "PT8H", "approvals": 1, "exclusiveWith": ["tenant-auditor"],
            "sessionOnly": true, "privileged": true, "reviewEvery": "P30D", "cutSessions": true,
        }],
        "privilegedRoles": ["platform-admin"],
        "platformIngress": [{
            "name": "scrape", "namespace": "monitoring", "podLabels": {"app": "prometheus"},
            "ports": [{"port": 9090, "endPort": 9091, "protocol": "TCP"}],
        }],
        "edges": [{"namespace": "edge"}],
        "exposureClasses": [{"kind": "Ingress", "name": "waf", "waf": "Managed rule set, blocking"}],
        "dns": {"namespace": "kube-system", "podLabels": {"k8s-app": "kube-dns"}, "ports": [{"port": 53, "endPort": 53, "protocol": "UDP"}]},
        "sourceRanges": [{"name": "vpn", "cidr": "198.51.100.0/24", "kind": "Vpn"}],
        "trustedControllers": [{
            "guard": "exposure", "username": "system:serviceaccount:cert-manager:cert-manager", "reason": "HTTP-01 solvers",
        }],
        "breakGlassGroup": "tenure:break-glass",
        "gitopsAppliers": [{"username": "system:serviceaccount:argocd:argocd-application-controller"}],
        "restore": {"username": "system:serviceaccount:velero:velero"},
        "identityProvider": {"mfaExtraKey": "authentication.example.com/amr", "mfaExtraValues": ["mfa"]},
        "keyServices": [{"name": "bao", "kind": "Vault", "address": "https://bao.example.com:8200", "credentialsRef": {"name": "bao"}}],
        "logSinks": [{"name": "archive", "address": "s3://logs.example.com/tenants", "credentialsRef": {"name": "archive"}}],
        "retention": {"logs": "P365D", "backups": "P30D"},
        "hosting": {"ownDatacentre": true, "publicCloud": false, "telework": true, "subcontractors": false},
        "securityContact": {"name": "Security desk", "email": "security@example.com", "phone": "+32 2 555 01 00"},
        "clusterNetworkPolicy": {"enforced": false},
        "supplierParagraph": {"coveredByMainContract": false},
    });
    edited(minimal("TenancyPolicy"), vec![("/spec", spec)])
}

fn full_tenant() -> Value {
    let document = json!({"name": "first", "signedOn": "2026-02-01", "digest": DIGEST});
    let peer = json!({
        "name": "bank", "cidr": "198.51.100.0/24", "hosts": ["api.bank.example"], "ports": [{"port": 443, "endPort": 443, "protocol": "TCP"}],
        "reference": "Order 7",
    });
    let inside =
        json!({"name": "reporting", "namespace": "reporting", "podLabels": {"app": "reports"}});
    edited(
        minimal("CustomerTenant"),
        vec![
            (
                "/spec/customer",
                json!({
                    "name": "Example Logistics", "reference": "C-1042", "language": "nl",
                    "contacts": [{"role": "Security", "name": "Security desk", "email": "security@logistics.example", "phone": "+32 2 555 01 01"}],
                    "persons": [{"name": "contract-owner", "identities": ["contract-owner@logistics.example"]}],
                    "returnRecipients": [{
                        "name": "vault", "agePublicKey": format!("age1{}", "q".repeat(58)), "fingerprint": DIGEST, "confirmation": "By telephone, ticket 12",
                    }],
                    "returnHosts": ["sftp.logistics.example"],
                }),
            ),
            (
                "/spec/owner",
                json!({"name": "Customer team North", "email": "north@example.com"}),
            ),
            ("/spec/enforcement", json!("Enforce")),
            (
                "/spec/agreements",
                json!([{
                    "name": "dsa", "profile": "dsa", "reference": "MSA 2026-17", "documentDigest": DIGEST, "signedOn": "2026-01-31",
                    "expiresOn": "2029-01-30", "amendments": [document], "customerInstructions": [document],
                    "orders": [{"name": "sow-1", "signedOn": "2026-02-01", "endsOn": "2027-02-01", "exitWithin": "P30D"}],
                }]),
            ),
            (
                "/spec/namespaces",
                json!([{
                    "name": "prod", "existingName": "logistics-prod", "order": "sow-1", "quota": {"requests.cpu": "4", "pods": "50"},
                    "limits": {"default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "4"}},
                    "podSecurity": "Restricted", "labels": {"cost-centre": "1042"},
                }]),
            ),
            (
                "/spec/network",
                json!({"ingressFrom": [inside], "egressTo": [peer], "onTighten": "Keep"}),
            ),
            (
                "/spec/exposure",
                json!({
                    "ingressClasses": ["waf"], "gatewayClasses": ["waf"], "gateways": ["edge/shared"], "hosts": ["*.logistics.example"],
                }),
            ),
            (
                "/spec/encryption",
                json!({
                    "keyService": "bao", "rotation": "P90D", "storageClassTemplate": "encrypted",
                    "workloads": [{"name": "writer", "namespace": "prod", "serviceAccount": "writer", "use": "Encrypt"}],
                }),
            ),
            (
                "/spec/logging",
                json!({"sink": "archive", "retention": "P365D", "customerReaders": ["logistics:auditors"]}),
            ),
            (
                "/spec/deployers",
                json!([{"name": "argocd", "namespace": "argocd", "serviceAccount": "deployer", "role": "Deployer"}]),
            ),
            (
                "/spec/members",
                json!([{"name": "operators", "kind": "Group", "subject": "logistics:operators", "role": "Member", "reference": "Ticket 13"}]),
            ),
            (
                "/spec/subcontractors",
                json!([{"name": "Example Datacentres", "consent": {"uri": "https://dms.example.com/43", "digest": DIGEST}}]),
            ),
            (
                "/spec/teleworkExclusions",
                json!([{"person": "engineer-7", "since": "2026-03-01", "reference": "Letter of 1 March"}]),
            ),
            (
                "/spec/controls",
                json!([{
                    "id": "dsa-2.4-mfa", "responsible": "Shared", "reference": "MSA matrix row 9", "notApplicable": {"reason": "Agreed", "amendment": "first"},
                }]),
            ),
            (
                "/spec/forceMajeure",
                json!({"since": "2026-04-01T00:00:00Z", "noticeReference": "Letter of 1 April", "description": "Flood"}),
            ),
            (
                "/spec/termination",
                json!({
                    "noticeReceivedAt": "2026-05-01T09:30:00Z", "noticeReference": "Letter of 30 April", "effectiveOn": "2026-06-01",
                    "scope": {"orders": ["sow-1"], "namespaces": ["prod"]}, "choice": "Return",
                    "destination": {"address": "sftp://sftp.logistics.example/in", "credentialsRef": {"name": "logistics-return"}},
                    "deadline": "2026-07-01", "deadlineReference": "first",
                }),
            ),
        ],
    )
}

/// `object` after `edits`; a pointer's parents must exist, `-` appends to a list.
pub fn edited(mut object: Value, edits: Edits) -> Value {
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = object
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{pointer} has no parent"));
        match parent {
            Value::Object(map) if value.is_null() => {
                assert!(map.remove(key).is_some(), "{pointer} is not there");
            }
            Value::Object(map) => {
                map.insert(key.replace("~1", "/"), value);
            }
            Value::Array(list) if key == "-" => list.push(value),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            other => panic!("{pointer}: {other} has no fields"),
        }
    }
    object
}

fn case(
    kind: &'static str,
    name: &str,
    message: &'static str,
    refused: Edits,
    twin: Edits,
) -> Case {
    let base = || minimal(kind);
    Case {
        kind,
        name: name.to_owned(),
        old: None,
        refused: edited(base(), refused),
        twin: edited(base(), twin),
        message,
    }
}

fn tenant(name: &str, message: &'static str, refused: Edits, twin: Edits) -> Case {
    case("CustomerTenant", name, message, refused, twin)
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = tenant_names();
    cases.extend(tenant_identity());
    cases.extend(tenant_network());
    cases.extend(tenant_amounts());
    cases.extend(tenant_references());
    cases.extend(tenant_texts());
    cases.extend(policy());
    cases.extend(approval());
    cases.extend(legal_hold());
    cases.extend(attestation());
    cases.extend(staff_member());
    cases.extend(access_grant());
    cases.extend(immutability());
    cases.extend(holds_and_attestations_keep());
    cases.extend(a_grant_only_ends_earlier());
    cases.extend(access_review());
    cases.extend(a_review_is_frozen());
    cases
}

fn tenant_names() -> Vec<Case> {
    let shape = "lower-case DNS label of at most 48 characters";
    let named = |name: &str| vec![("/metadata/name", json!(name))];
    let space = |name: &str| vec![("/spec/namespaces/0/name", json!(name))];
    vec![
        tenant(
            "a name of 49 characters",
            shape,
            named(&"a".repeat(49)),
            named(&"a".repeat(48)),
        ),
        tenant(
            "a name that starts with a digit",
            shape,
            named("2-acme"),
            named("acme-2"),
        ),
        tenant(
            "a name with a dot",
            shape,
            named("acme.prod"),
            named("acme-prod"),
        ),
        tenant(
            "kube",
            "kube- is the cluster's own",
            named("kube"),
            named("kubernetics"),
        ),
        tenant(
            "kube-x",
            "kube- is the cluster's own",
            named("kube-x"),
            named("kubex"),
        ),
        tenant(
            "tenure",
            "tenure- is the operator's own",
            named("tenure"),
            named("tenured"),
        ),
        tenant(
            "tenure-x",
            "tenure- is the operator's own",
            named("tenure-x"),
            named("x-tenure"),
        ),
        tenant(
            "a Cyrillic look-alike",
            "Invalid value",
            named("\u{430}cme"),
            named("acme"),
        ),
        tenant(
            "an upper-case look-alike",
            "Invalid value",
            named("Acme"),
            named("acme"),
        ),
        tenant(
            "a namespace of 64 characters",
            "may not be more than 63 bytes",
            space(&"a".repeat(64)),
            space(&"a".repeat(63)),
        ),
        tenant(
            "a namespace in upper case",
            "should match",
            space("Prod"),
            space("prod"),
        ),
        tenant(
            "a namespace with a look-alike",
            "should match",
            space("pr\u{43e}d"),
            space("prod"),
        ),
        tenant(
            "the same namespace twice",
            "Duplicate value",
            vec![("/spec/namespaces/-", json!({"name": "prod"}))],
            vec![("/spec/namespaces/-", json!({"name": "test"}))],
        ),
        tenant(
            "sixty-five namespaces",
            "must have at most 64 items",
            vec![("/spec/namespaces", many(65))],
            vec![("/spec/namespaces", many(64))],
        ),
        tenant(
            "thousands of namespaces",
            "must have at most 64 items",
            vec![("/spec/namespaces", many(5000))],
            vec![("/spec/namespaces", many(1))],
        ),
        tenant(
            "no namespace",
            "should have at least 1 items",
            vec![("/spec/namespaces", json!([]))],
            vec![("/spec/namespaces", many(1))],
        ),
        tenant(
            "no agreement",
            "should have at least 1 items",
            vec![("/spec/agreements", json!([]))],
            vec![],
        ),
    ]
}

fn many(count: usize) -> Value {
    (0..count)
        .map(|index| json!({"name": format!("n{index}")}))
        .collect()
}

fn tenant_identity() -> Vec<Case> {
    let id = |id: &str| vec![("/spec/tenantID", json!(id))];
    let existing = |name: &str| vec![("/spec/namespaces/0/existingName", json!(name))];
    let cluster = "a namespace of the cluster itself cannot become a tenant's";
    let persons = |second: &str| {
        vec![(
            "/spec/customer/persons",
            json!([{"name": "a", "identities": ["one"]}, {"name": "b", "identities": [second]}]),
        )]
    };
    vec![
        tenant(
            "the nil UUID",
            "the nil UUID names nobody",
            id("00000000-0000-0000-0000-000000000000"),
            id(TENANT_ID),
        ),
        tenant(
            "a UUID in upper case",
            "should match",
            id(&TENANT_ID.to_uppercase()),
            id(TENANT_ID),
        ),
        tenant(
            "a UUID without hyphens",
            "should match",
            id(&TENANT_ID.replace('-', "")),
            id(TENANT_ID),
        ),
        tenant(
            "a UUID in braces",
            "spec.tenantID",
            id(&format!("{{{TENANT_ID}}}")),
            id(TENANT_ID),
        ),
        tenant(
            "kube-system as a wish",
            cluster,
            existing("kube-system"),
            existing("cube-system"),
        ),
        tenant(
            "default as a wish",
            cluster,
            existing("default"),
            existing("default-2"),
        ),
        tenant(
            "one existing namespace twice",
            "the same existing namespace is named twice",
            vec![(
                "/spec/namespaces",
                json!([{"name": "a", "existingName": "old"}, {"name": "b", "existingName": "old"}]),
            )],
            vec![(
                "/spec/namespaces",
                json!([{"name": "a", "existingName": "old"}, {"name": "b", "existingName": "older"}]),
            )],
        ),
        tenant(
            "an existing namespace that another entry will be called",
            "has the name that another entry of the list will get",
            vec![(
                "/spec/namespaces/-",
                json!({"name": "old", "existingName": "acme-prod"}),
            )],
            vec![(
                "/spec/namespaces/-",
                json!({"name": "old", "existingName": "acme-old"}),
            )],
        ),
        tenant(
            "one identity, two persons",
            "an identity belongs to one person only",
            persons("one"),
            persons("two"),
        ),
        tenant(
            "a system user as a person",
            "system: users are no persons",
            vec![(
                "/spec/customer/persons",
                json!([{"name": "a", "identities": ["system:admin"]}]),
            )],
            vec![(
                "/spec/customer/persons",
                json!([{"name": "a", "identities": ["admin@logistics.example"]}]),
            )],
        ),
        tenant(
            "system:masters as a member",
            "system: users and groups cannot be members",
            member("system:masters", "Member"),
            member("masters", "Member"),
        ),
        tenant(
            "a member who deploys",
            "deploying is for deployers",
            member("masters", "Deployer"),
            member("masters", "Viewer"),
        ),
        tenant(
            "a member with a blank at the end",
            "should match",
            member("masters ", "Member"),
            member("mas ters", "Member"),
        ),
        tenant(
            "everybody as a reader of logs",
            "system: users and groups are not the customer's",
            vec![(
                "/spec/logging",
                json!({"customerReaders": ["system:authenticated"]}),
            )],
            vec![(
                "/spec/logging",
                json!({"customerReaders": ["authenticated"]}),
            )],
        ),
    ]
}

fn member(subject: &str, role: &str) -> Edits {
    vec![(
        "/spec/members",
        json!([{"name": "m", "kind": "Group", "subject": subject, "role": role}]),
    )]
}

fn egress(class: &str, cidrs: &[&str]) -> Edits {
    flow("egressTo", class, cidrs)
}

fn flow(direction: &str, class: &str, cidrs: &[&str]) -> Edits {
    let peers: Vec<_> = cidrs
        .iter()
        .enumerate()
        .map(|(index, cidr)| json!({"name": format!("p{index}"), "cidr": cidr}))
        .collect();
    vec![
        ("/spec/classification", json!(class)),
        ("/spec/network", json!({direction: peers})),
    ]
}

fn tenant_network() -> Vec<Case> {
    let mut cases = Vec::new();
    for class in ["Restricted", "Confidential"] {
        for wide in [
            &["0.0.0.0/0"][..],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["128.0.0.0/1"],
            &["::/0"],
            &["8000::/1"],
            &["2000::/3"],
            &["8.0.0.0/7"],
        ] {
            cases.push(tenant(
                &format!("{wide:?} from {class}"),
                "must name its destinations: no IPv4 prefix",
                egress(class, wide),
                egress("Public", wide),
            ));
        }
        cases.push(tenant(
            &format!("NAT64 from {class}"),
            "is the whole IPv4 Internet behind NAT64",
            egress(class, &["64:ff9b::/96"]),
            egress("Internal", &["64:ff9b::/96"]),
        ));
        cases.push(tenant(
            &format!("the Internet into {class}"),
            "through an edge, never directly",
            flow("ingressFrom", class, &["0.0.0.0/0"]),
            flow("ingressFrom", class, &["10.0.0.0/8"]),
        ));
    }
    let cidr = |cidr: &str| egress("Restricted", &[cidr]);
    let peer = |more: Value| {
        vec![(
            "/spec/network",
            json!({"egressTo": [merged(json!({"name": "p"}), more)]}),
        )]
    };
    let both = "a peer is exactly one of namespace and cidr";
    cases.extend([
        tenant("host bits", "without host bits", cidr("198.51.100.7/24"), cidr("198.51.100.7/32")),
        tenant("a longer spelling", "in its shortest form", cidr("2001:0db8::/48"), cidr("2001:db8::/48")),
        tenant("an upper-case spelling", "in its shortest form", cidr("2001:DB8::/48"), cidr("2001:db8:1::/48")),
        tenant("an address", "must be a CIDR", cidr("198.51.100.7"), cidr("198.51.100.0/25")),
        tenant("a peer that is nothing", both, peer(json!({})), peer(json!({"namespace": "other"}))),
        tenant("a peer that is two things", both, peer(json!({"namespace": "other", "cidr": "10.0.0.0/8"})), peer(json!({"cidr": "10.0.0.0/8"}))),
        tenant("labels of a network", "podLabels go with namespace", peer(json!({"cidr": "10.0.0.0/8", "podLabels": {"a": "b"}})), peer(json!({"namespace": "o", "podLabels": {"a": "b"}}))),
        tenant("a label key with a blank", "every key must be a label key", peer(json!({"namespace": "o", "podLabels": {"a b": "c"}})), peer(json!({"namespace": "o", "podLabels": {"a.example/b": "c"}}))),
        tenant("an empty selector", "should have at least 1 properties", peer(json!({"namespace": "o", "podLabels": {}})), peer(json!({"namespace": "o"}))),
        tenant("hosts of a namespace", "hosts go with cidr", peer(json!({"namespace": "o", "hosts": ["a.example"]})), peer(json!({"cidr": "10.0.0.0/8", "hosts": ["a.example"]}))),
        tenant("a host within the cluster", "hosts are outside the cluster", peer(json!({"cidr": "10.0.0.0/8", "hosts": ["a.b.svc.cluster.local"]})), peer(json!({"cidr": "10.0.0.0/8", "hosts": ["a.svcs.example"]}))),
        tenant("a Service by its short name", "hosts are outside the cluster", peer(json!({"cidr": "10.0.0.0/8", "hosts": ["a.b.svc"]})), peer(json!({"cidr": "10.0.0.0/8", "hosts": ["a.b.example"]}))),
        tenant("a host of one label", "should match", peer(json!({"cidr": "10.0.0.0/8", "hosts": ["kubernetes"]})), peer(json!({"cidr": "10.0.0.0/8", "hosts": ["kubernetes.example"]}))),
        tenant("ports the wrong way round", "endPort must not be below port", peer(json!({"cidr": "10.0.0.0/8", "ports": [{"port": 443, "endPort": 80}]})), peer(json!({"cidr": "10.0.0.0/8", "ports": [{"port": 80, "endPort": 443}]}))),
        tenant("the same port twice is no harm, the same peer twice is", "Duplicate value", vec![("/spec/network", json!({"egressTo": [{"name": "p", "cidr": "10.0.0.0/8"}, {"name": "p", "cidr": "10.0.0.0/8"}]}))], vec![("/spec/network", json!({"egressTo": [{"name": "p", "cidr": "10.0.0.0/8", "ports": [{"port": 1}, {"port": 1}]}]}))]),
        tenant("all of a top-level domain", "should match", vec![("/spec/exposure", json!({"hosts": ["*.example"]}))], vec![("/spec/exposure", json!({"hosts": ["*.a.example"]}))]),
    ]);
    cases
}

fn merged(mut into: Value, more: Value) -> Value {
    into.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    into
}

fn tenant_amounts() -> Vec<Case> {
    let quota = |key: &str, amount: &str| vec![("/spec/namespaces/0/quota", json!({key: amount}))];
    let limits = |limits: Value| vec![("/spec/namespaces/0/limits", limits)];
    let labels = |key: &str| vec![("/spec/namespaces/0/labels", json!({key: "x"}))];
    let reserved = "labels are not yours to set";
    vec![
        tenant(
            "less than nothing",
            "every amount must be a non-negative quantity",
            quota("requests.cpu", "-1"),
            quota("requests.cpu", "0"),
        ),
        tenant(
            "banana",
            "every amount must be a non-negative quantity",
            quota("requests.cpu", "banana"),
            quota("requests.cpu", "500m"),
        ),
        tenant(
            "nothing said",
            "every amount must be a non-negative quantity",
            quota("requests.cpu", ""),
            quota("requests.cpu", "1e3"),
        ),
        tenant(
            "an unknown resource",
            "unknown resource: use the names of a ResourceQuota",
            quota("bananas", "4"),
            quota("count/bananas.example.com", "4"),
        ),
        tenant(
            "an unknown request",
            "unknown resource: use the names of a ResourceQuota",
            quota("requests.bananas", "4"),
            quota("requests.example.com/gpu", "4"),
        ),
        tenant(
            "a resource in upper case",
            "unknown resource: use the names of a ResourceQuota",
            quota("Pods", "4"),
            quota("pods", "4"),
        ),
        tenant(
            "half a pod",
            "objects are counted in whole numbers",
            quota("pods", "500m"),
            quota("pods", "1k"),
        ),
        tenant(
            "half a job",
            "objects are counted in whole numbers",
            quota("count/jobs.batch", "0.5"),
            quota("count/jobs.batch", "5"),
        ),
        tenant(
            "containers of bananas",
            "unknown resource: containers have",
            limits(json!({"default": {"banana": "1"}})),
            limits(json!({"default": {"cpu": "1"}})),
        ),
        tenant(
            "a negative limit",
            "every amount must be a non-negative quantity such as 500m",
            limits(json!({"max": {"cpu": "-1"}})),
            limits(json!({"max": {"cpu": "1"}})),
        ),
        tenant(
            "a request above the limit",
            "defaultRequest must not exceed default",
            limits(json!({"defaultRequest": {"cpu": "2"}, "default": {"cpu": "1500m"}})),
            limits(json!({"defaultRequest": {"cpu": "1500m"}, "default": {"cpu": "2"}})),
        ),
        tenant(
            "a request above the most",
            "defaultRequest must not exceed max",
            limits(json!({"defaultRequest": {"memory": "1Gi"}, "max": {"memory": "1000Mi"}})),
            limits(json!({"defaultRequest": {"memory": "1Gi"}, "max": {"memory": "1024Mi"}})),
        ),
        tenant(
            "a limit above the most",
            "default must not exceed max",
            limits(json!({"default": {"memory": "2Gi"}, "max": {"memory": "1Gi"}})),
            limits(json!({"default": {"memory": "1Gi"}, "max": {"memory": "2Gi"}})),
        ),
        tenant(
            "our own labels",
            reserved,
            labels("tenure.dev/tenant"),
            labels("tenure.example/tenant"),
        ),
        tenant(
            "labels that look like ours",
            reserved,
            labels("x.tenure.dev/tenant"),
            labels("tenure"),
        ),
        tenant(
            "pod security by label",
            reserved,
            labels("pod-security.kubernetes.io/enforce"),
            labels("security.example/enforce"),
        ),
        tenant(
            "the cluster's own labels",
            reserved,
            labels("kubernetes.io/metadata.name"),
            labels("example.com/metadata.name"),
        ),
        tenant(
            "our manager's name",
            reserved,
            labels("app.kubernetes.io/managed-by"),
            labels("app.kubernetes.io/part-of"),
        ),
        tenant(
            "a label key with a blank in it",
            "every key must be a label key such as cost-centre",
            labels("cost centre"),
            labels("cost-centre"),
        ),
    ]
}

fn tenant_references() -> Vec<Case> {
    let orders = |name: &str| {
        (
            "/spec/agreements/0/orders",
            json!([{"name": name, "signedOn": "2026-02-01"}]),
        )
    };
    let amendments = |name: &str| {
        (
            "/spec/agreements/0/amendments",
            json!([{"name": name, "signedOn": "2026-02-01"}]),
        )
    };
    let not_applicable = (
        "/spec/controls",
        json!([{"id": "dsa-2.4-mfa", "notApplicable": {"reason": "Agreed", "amendment": "first"}}]),
    );
    let end = |more: Value| {
        let notice = json!({"noticeReceivedAt": "2026-05-01T09:30:00Z", "noticeReference": "Letter", "effectiveOn": "2026-06-01"});
        ("/spec/termination", merged(notice, more))
    };
    let to = |address: &str| {
        vec![
            (
                "/spec/customer/returnHosts",
                json!(["files.logistics.example"]),
            ),
            end(json!({"destination": {"address": address}})),
        ]
    };
    let hosts = "must lie on one of customer.returnHosts";
    let workload = |namespace: &str| {
        vec![(
            "/spec/encryption",
            json!({"workloads": [{"name": "w", "namespace": namespace, "serviceAccount": "w", "use": "Both"}]}),
        )]
    };
    let order = ("/spec/namespaces/0/order", json!("sow-1"));
    vec![
        tenant(
            "an order nobody signed",
            "namespaces[].order must be the name of",
            vec![orders("sow-2"), order.clone()],
            vec![orders("sow-1"), order.clone()],
        ),
        tenant(
            "an order where there is none",
            "namespaces[].order must be the name of",
            vec![order.clone()],
            vec![orders("sow-1"), order],
        ),
        tenant(
            "an amendment nobody signed",
            "notApplicable.amendment must be the name of",
            vec![amendments("second"), not_applicable.clone()],
            vec![amendments("first"), not_applicable],
        ),
        tenant(
            "a later deadline by nobody's word",
            "termination.deadlineReference must be the name of",
            vec![
                amendments("second"),
                end(json!({"deadlineReference": "first"})),
            ],
            vec![
                amendments("first"),
                end(json!({"deadlineReference": "first"})),
            ],
        ),
        tenant(
            "a deadline on day 91",
            "a deadline later than ninety days",
            vec![end(json!({"deadline": "2026-07-31"}))],
            vec![end(json!({"deadline": "2026-07-30"}))],
        ),
        tenant(
            "a later deadline without its amendment",
            "a deadline later than ninety days",
            vec![end(json!({"deadline": "2026-12-31"}))],
            vec![
                amendments("first"),
                end(json!({"deadline": "2026-12-31", "deadlineReference": "first"})),
            ],
        ),
        tenant(
            "an end before its notice",
            "effectiveOn is before the notice was received",
            vec![end(json!({"effectiveOn": "2026-04-01"}))],
            vec![end(json!({"effectiveOn": "2026-05-01"}))],
        ),
        tenant(
            "an empty scope",
            "an empty scope says nothing",
            vec![end(json!({"scope": {}}))],
            vec![end(json!({"scope": {"namespaces": ["gone"]}}))],
        ),
        tenant(
            "a scope of nothing",
            "an empty scope says nothing",
            vec![end(json!({"scope": {"orders": []}}))],
            vec![end(json!({"scope": {"orders": ["sow-1"]}}))],
        ),
        tenant(
            "another host than agreed",
            hosts,
            to("https://files.elsewhere.example/in"),
            to("https://files.logistics.example/in"),
        ),
        tenant(
            "the agreed host as a user name",
            hosts,
            to("https://files.logistics.example@elsewhere.example/in"),
            to("sftp://drop@files.logistics.example/in"),
        ),
        tenant(
            "plain text",
            "must be an https://, s3:// or sftp:// address",
            to("http://files.logistics.example/in"),
            to("s3://files.logistics.example/in"),
        ),
        tenant(
            "a password in an address",
            "credentials belong in a Secret",
            to("https://me:secret@files.logistics.example/in"),
            to("https://files.logistics.example:8443/in"),
        ),
        tenant(
            "a key for a namespace elsewhere",
            "encryption.workloads[].namespace must be the short name",
            workload("test"),
            workload("prod"),
        ),
        tenant(
            "an agreement that ends before it begins",
            "expiresOn is before signedOn",
            vec![("/spec/agreements/0/expiresOn", json!("2026-01-30"))],
            vec![("/spec/agreements/0/expiresOn", json!("2026-01-31"))],
        ),
        tenant(
            "an order that ends before it begins",
            "endsOn is before signedOn",
            vec![(
                "/spec/agreements/0/orders",
                json!([{"name": "o", "signedOn": "2026-02-01", "endsOn": "2026-01-31"}]),
            )],
            vec![(
                "/spec/agreements/0/orders",
                json!([{"name": "o", "signedOn": "2026-02-01", "endsOn": "2026-02-01"}]),
            )],
        ),
        tenant(
            "a control about which nothing is said",
            "say who is responsible, or why the control does not apply",
            vec![("/spec/controls", json!([{"id": "dsa-2.4-mfa"}]))],
            vec![(
                "/spec/controls",
                json!([{"id": "dsa-2.4-mfa", "responsible": "Shared", "reference": "row 9"}]),
            )],
        ),
        tenant(
            "a responsibility without its reference",
            "needs its reference in the matrix",
            vec![(
                "/spec/controls",
                json!([{"id": "dsa-2.4-mfa", "responsible": "Customer"}]),
            )],
            vec![(
                "/spec/controls",
                json!([{"id": "dsa-2.4-mfa", "responsible": "Customer", "reference": "row 9"}]),
            )],
        ),
    ]
}

fn tenant_texts() -> Vec<Case> {
    let name = |name: &str| vec![("/spec/customer/name", json!(name))];
    let signed = |day: &str| vec![("/spec/agreements/0/signedOn", json!(day))];
    let since = |at: &str| {
        vec![(
            "/spec/forceMajeure",
            json!({"since": at, "noticeReference": "Letter"}),
        )]
    };
    vec![
        tenant(
            "a name written backwards",
            "should match",
            name("Example \u{202e}scitsigoL"),
            name("Beispiel Löschwasser \u{65e5}\u{672c}"),
        ),
        tenant(
            "a name on two lines",
            "should match",
            name("Example\nLogistics"),
            name("Example Logistics"),
        ),
        tenant(
            "a name of a megabyte",
            "may not be more than 253 bytes",
            name(&"x".repeat(1_000_000)),
            name(&"x".repeat(253)),
        ),
        tenant(
            "a classification in lower case",
            "Unsupported value",
            vec![("/spec/classification", json!("restricted"))],
            vec![("/spec/classification", json!("Restricted"))],
        ),
        tenant(
            "a day that does not exist",
            "spec.agreements[0].signedOn",
            signed("2026-02-30"),
            signed("2026-02-28"),
        ),
        tenant(
            "a day written the other way round",
            "should match",
            signed("31-01-2026"),
            signed("2026-01-31"),
        ),
        tenant(
            "an instant without its zone",
            "should match",
            since("2026-04-01T00:00:00"),
            since("2026-04-01T00:00:00+02:00"),
        ),
        tenant(
            "an hour that does not exist",
            "spec.forceMajeure.since",
            since("2026-04-01T25:00:00Z"),
            since("2026-04-01T23:00:00Z"),
        ),
    ]
}

fn policy() -> Vec<Case> {
    let policy = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("TenancyPolicy", name, message, refused, twin)
    };
    let group = |name: &str| vec![("/spec/breakGlassGroup", json!(name))];
    let baseline = |more: Value| {
        vec![(
            "/spec/baselines",
            json!([merged(json!({"classification": "Restricted"}), more)]),
        )]
    };
    let open = |class: &str| {
        vec![(
            "/spec/baselines",
            json!([{"classification": class, "anyEgress": true}]),
        )]
    };
    let class = |kind: &str, name: &str| {
        vec![(
            "/spec/exposureClasses",
            json!([{"kind": kind, "name": name}]),
        )]
    };
    let range = |cidr: &str| {
        vec![(
            "/spec/sourceRanges",
            json!([{"name": "r", "cidr": cidr, "kind": "Vpn"}]),
        )]
    };
    let trusted = |name: &str| {
        vec![(
            "/spec/trustedControllers",
            json!([{"guard": "pods", "username": name, "reason": "r"}]),
        )]
    };
    let applier = |name: &str| vec![("/spec/gitopsAppliers", json!([{"username": name}]))];
    let mfa = |key: &str, value: &str| {
        vec![(
            "/spec/identityProvider",
            json!({"mfaExtraKey": key, "mfaExtraValues": [value]}),
        )]
    };
    let keys = |address: &str| {
        vec![(
            "/spec/keyServices",
            json!([{"name": "k", "kind": "Vault", "address": address}]),
        )]
    };
    let sink = |address: &str| vec![("/spec/logSinks", json!([{"name": "s", "address": address}]))];
    let scrape = |labels: Value| {
        vec![(
            "/spec/platformIngress",
            json!([{"name": "s", "namespace": "m", "podLabels": labels}]),
        )]
    };
    let dns = |labels: Value| vec![("/spec/dns", json!({"namespace": "d", "podLabels": labels}))];
    let role = |longest: &str| {
        vec![(
            "/spec/grantableRoles",
            json!([{"name": "r", "longest": longest, "approvals": 1}]),
        )]
    };
    let exact = "must be one exact user name";
    vec![
        policy(
            "a second policy",
            "there is one TenancyPolicy, named default",
            vec![("/metadata/name", json!("other"))],
            vec![],
        ),
        policy(
            "a policy called Default",
            "Invalid value",
            vec![("/metadata/name", json!("Default"))],
            vec![],
        ),
        policy(
            "break-glass for every administrator",
            "never a system: group",
            group("system:masters"),
            group("tenure:break-glass"),
        ),
        policy(
            "break-glass for everybody",
            "never a system: group",
            group("system:authenticated"),
            group("authenticated"),
        ),
        policy(
            "two break-glass groups in one",
            "should match",
            group("a,b"),
            group("a b"),
        ),
        policy(
            "any egress for Restricted",
            "always names its destinations",
            open("Restricted"),
            open("Public"),
        ),
        policy(
            "any egress for Confidential",
            "always names its destinations",
            open("Confidential"),
            open("Internal"),
        ),
        policy(
            "the same baseline twice",
            "Duplicate value",
            vec![(
                "/spec/baselines",
                json!([{"classification": "Public"}, {"classification": "Public"}]),
            )],
            vec![(
                "/spec/baselines",
                json!([{"classification": "Public"}, {"classification": "Internal"}]),
            )],
        ),
        policy(
            "a baseline of bananas",
            "every amount must be a non-negative quantity such as 4",
            baseline(json!({"quota": {"pods": "banana"}})),
            baseline(json!({"quota": {"pods": "4"}})),
        ),
        policy(
            "a baseline of unknown things",
            "unknown resource: use the names of a ResourceQuota",
            baseline(json!({"quota": {"bananas": "4"}})),
            baseline(json!({"quota": {"pods": "4"}})),
        ),
        policy(
            "a baseline of half pods",
            "objects are counted in whole numbers",
            baseline(json!({"quota": {"pods": "500m"}})),
            baseline(json!({"quota": {"pods": "5"}})),
        ),
        policy(
            "a baseline's containers of bananas",
            "unknown resource: containers have",
            baseline(json!({"limits": {"max": {"banana": "1"}}})),
            baseline(json!({"limits": {"max": {"cpu": "1"}}})),
        ),
        policy(
            "a baseline's negative limit",
            "every amount must be a non-negative quantity such as 500m",
            baseline(json!({"limits": {"max": {"cpu": "-1"}}})),
            baseline(json!({"limits": {"max": {"cpu": "1"}}})),
        ),
        policy(
            "a baseline's request above its limit",
            "defaultRequest must not exceed default",
            baseline(json!({"limits": {"defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}}})),
            baseline(json!({"limits": {"defaultRequest": {"cpu": "1"}, "default": {"cpu": "1"}}})),
        ),
        policy(
            "a baseline's request above the most",
            "defaultRequest must not exceed max",
            baseline(json!({"limits": {"defaultRequest": {"cpu": "2"}, "max": {"cpu": "1"}}})),
            baseline(json!({"limits": {"defaultRequest": {"cpu": "1"}, "max": {"cpu": "1"}}})),
        ),
        policy(
            "ports the wrong way round",
            "endPort must not be below port",
            vec![(
                "/spec/dns",
                json!({"namespace": "d", "podLabels": {"a": "b"}, "ports": [{"port": 53, "endPort": 52}]}),
            )],
            vec![(
                "/spec/dns",
                json!({"namespace": "d", "podLabels": {"a": "b"}, "ports": [{"port": 53, "endPort": 54}]}),
            )],
        ),
        policy(
            "a limit in the air",
            "default must not exceed max",
            baseline(json!({"limits": {"default": {"cpu": "2"}, "max": {"cpu": "1"}}})),
            baseline(json!({"limits": {"default": {"cpu": "1"}, "max": {"cpu": "2"}}})),
        ),
        policy(
            "a gateway without its namespace",
            "namespace/name of a SharedGateway",
            class("SharedGateway", "shared"),
            class("SharedGateway", "edge/shared"),
        ),
        policy(
            "a class with a namespace",
            "namespace/name of a SharedGateway",
            class("Ingress", "edge/shared"),
            class("Gateway", "shared"),
        ),
        policy(
            "a range with host bits",
            "without host bits",
            range("198.51.100.7/24"),
            range("198.51.100.0/24"),
        ),
        policy(
            "staff from anywhere",
            "(nearly) the whole Internet says nothing",
            range("0.0.0.0/0"),
            range("10.0.0.0/8"),
        ),
        policy(
            "staff from half of anywhere",
            "(nearly) the whole Internet says nothing",
            range("8000::/1"),
            range("2001:db8::/32"),
        ),
        policy(
            "trust in a pattern",
            exact,
            trusted("system:serviceaccount:*"),
            trusted("system:serviceaccount:a:b"),
        ),
        policy(
            "trust in nobody",
            exact,
            trusted("system:anonymous"),
            trusted("anonymous"),
        ),
        policy(
            "two users in one",
            "should match",
            trusted("a,b"),
            trusted("a"),
        ),
        policy(
            "nobody applies from Git",
            exact,
            applier("system:anonymous"),
            applier("git"),
        ),
        policy(
            "an extra key the API server would lower",
            "should match",
            mfa("Example.com/amr", "mfa"),
            mfa("example.com/amr", "mfa"),
        ),
        policy(
            "two values in one",
            "values must not contain a comma",
            mfa("example.com/amr", "mfa,hwk"),
            mfa("example.com/amr", "mfa"),
        ),
        policy(
            "keys in the clear",
            "must be an https:// address",
            keys("http://bao.example"),
            keys("https://bao.example"),
        ),
        policy(
            "a key service's password",
            "credentials belong in a Secret",
            keys("https://me:secret@bao.example"),
            keys("https://bao.example:8200/v1"),
        ),
        policy(
            "logs in the clear",
            "must be an https:// or s3:// address",
            sink("http://logs.example"),
            sink("s3://logs.example"),
        ),
        policy(
            "a label with a blank",
            "every key must be a label key",
            scrape(json!({"a b": "c"})),
            scrape(json!({"a-b": "c"})),
        ),
        policy(
            "a DNS label with a blank",
            "every key must be a label key",
            dns(json!({"a b": "c"})),
            dns(json!({"a-b": "c"})),
        ),
        policy(
            "DNS that may be anything",
            "should have at least 1 properties",
            dns(json!({})),
            dns(json!({"a": "b"})),
        ),
        policy(
            "a grant of no time at all",
            "should match",
            role("PT0H"),
            role("PT1H"),
        ),
        policy(
            "a grant for ever",
            "should match",
            role("P1Y"),
            role("P365D"),
        ),
    ]
}

fn approval() -> Vec<Case> {
    let approval = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("Approval", name, message, refused, twin)
    };
    let loosen = || {
        vec![
            ("/spec/action", json!("Loosen")),
            ("/spec/tenantRef", Value::Null),
            (
                "/spec/subject",
                json!({"kind": "TenancyPolicy", "name": "default", "digest": DIGEST, "digestVersion": 1}),
            ),
        ]
    };
    let with = |mut edits: Edits, more: Edits| {
        edits.extend(more);
        edits
    };
    let other = |action: &str, kind: &str| {
        vec![
            ("/spec/action", json!(action)),
            ("/spec/subject/kind", json!(kind)),
            ("/spec/subject/name", json!("x")),
        ]
    };
    let reference = "tenantRef is required, except for a TenancyPolicy";
    let together = "action and subject.kind do not go together";
    vec![
        approval(
            "nobody's approval",
            reference,
            vec![("/spec/tenantRef", Value::Null)],
            vec![],
        ),
        approval(
            "somebody's policy",
            reference,
            with(loosen(), vec![("/spec/tenantRef", json!({"name": "acme"}))]),
            loosen(),
        ),
        approval(
            "another policy",
            "there is one TenancyPolicy, named default",
            with(loosen(), vec![("/spec/subject/name", json!("other"))]),
            loosen(),
        ),
        approval(
            "a policy's identity",
            "subject.tenantID is required for a CustomerTenant",
            with(loosen(), vec![("/spec/subject/tenantID", json!(TENANT_ID))]),
            loosen(),
        ),
        approval(
            "a name without its identity",
            "subject.tenantID is required for a CustomerTenant",
            vec![("/spec/subject/tenantID", Value::Null)],
            vec![],
        ),
        approval(
            "a hold without its tenant's identity",
            "subject.tenantID is required for a CustomerTenant, a LegalHold or an AccessGrant",
            with(
                other("ReleaseHold", "LegalHold"),
                vec![("/spec/subject/tenantID", Value::Null)],
            ),
            other("ReleaseHold", "LegalHold"),
        ),
        approval(
            "one tenant's subject, another's reference",
            "subject.name and tenantRef.name must be the same",
            vec![("/spec/tenantRef/name", json!("other"))],
            vec![
                ("/spec/tenantRef/name", json!("other")),
                ("/spec/subject/name", json!("other")),
            ],
        ),
        approval(
            "the end of a policy",
            together,
            with(loosen(), vec![("/spec/action", json!("Terminate"))]),
            loosen(),
        ),
        approval(
            "a looser tenant",
            together,
            vec![("/spec/action", json!("Loosen"))],
            vec![("/spec/action", json!("Amend"))],
        ),
        approval(
            "a tenant as a grant",
            together,
            vec![("/spec/action", json!("Activate"))],
            other("Activate", "AccessGrant"),
        ),
        approval(
            "a tenant as a hold",
            together,
            vec![("/spec/action", json!("ReleaseHold"))],
            other("ReleaseHold", "LegalHold"),
        ),
        approval(
            "a hold as what a sweep found",
            together,
            other("AcceptSweep", "LegalHold"),
            other("AcceptSweep", "AccessGrant"),
        ),
        approval(
            "a tenant as a retention",
            together,
            vec![("/spec/action", json!("Retention"))],
            other("Retention", "DataRetention"),
        ),
        approval(
            "the end of a grant",
            together,
            other("Terminate", "AccessGrant"),
            vec![("/spec/action", json!("Terminate"))],
        ),
        approval(
            "a digest in upper case",
            "should match",
            vec![("/spec/subject/digest", json!(DIGEST.to_uppercase()))],
            vec![],
        ),
        approval(
            "a decision in lower case",
            "Unsupported value",
            vec![("/spec/decision", json!("approve"))],
            vec![("/spec/decision", json!("Reject"))],
        ),
        approval(
            "an identity in upper case",
            "should match",
            vec![("/spec/subject/tenantID", json!(TENANT_ID.to_uppercase()))],
            vec![],
        ),
        approval(
            "a reason of a megabyte",
            "may not be more than 4096 bytes",
            vec![("/spec/reason", json!("x".repeat(1_000_000)))],
            vec![("/spec/reason", json!("x".repeat(4096)))],
        ),
    ]
}

fn legal_hold() -> Vec<Case> {
    let hold = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("LegalHold", name, message, refused, twin)
    };
    let scope = |scope: Value| vec![("/spec/scope", scope)];
    let review = |day: &str| vec![("/spec/reviewOn", json!(day))];
    let names = "at least one of namespaces and stores";
    vec![
        hold(
            "a review before the hold",
            "reviewOn is before placedOn",
            review("2026-02-28"),
            review("2026-03-01"),
        ),
        hold(
            "everything, and something",
            names,
            scope(json!({"extent": "WholeTenant", "namespaces": ["acme-prod"]})),
            scope(json!({"extent": "Named", "namespaces": ["acme-prod"]})),
        ),
        hold(
            "named, and nothing is",
            names,
            scope(json!({"extent": "Named"})),
            scope(json!({"extent": "Named", "stores": ["archive"]})),
        ),
        hold(
            "named, and the lists are empty",
            names,
            scope(json!({"extent": "Named", "namespaces": [], "stores": []})),
            scope(json!({"extent": "WholeTenant", "namespaces": [], "stores": []})),
        ),
        hold(
            "everything, and a store",
            names,
            scope(json!({"extent": "WholeTenant", "stores": ["archive"]})),
            scope(json!({"extent": "WholeTenant"})),
        ),
        hold(
            "a day that does not exist",
            "must be of type date",
            review("2026-09-31"),
            review("2026-09-30"),
        ),
        hold(
            "an identity in upper case",
            "should match",
            vec![("/spec/tenantID", json!(TENANT_ID.to_uppercase()))],
            vec![],
        ),
    ]
}

fn attestation() -> Vec<Case> {
    let attestation = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("Attestation", name, message, refused, twin)
    };
    let about = |subject: Value| vec![("/spec/subject", subject)];
    let until = |day: &str| vec![("/spec/validUntil", json!(day))];
    let name = "name is required, except for the Platform";
    let identity = "tenantID is required for a Tenant";
    vec![
        attestation(
            "one of no time at all",
            "validUntil must be after issuedOn",
            until("2026-01-15"),
            until("2026-01-16"),
        ),
        attestation(
            "a place without a name",
            name,
            about(json!({"kind": "Location"})),
            about(json!({"kind": "Location", "name": "Datacentre West"})),
        ),
        attestation(
            "the platform by name",
            name,
            about(json!({"kind": "Platform", "name": "default"})),
            about(json!({"kind": "Platform"})),
        ),
        attestation(
            "a tenant without its identity",
            identity,
            about(json!({"kind": "Tenant", "name": "acme"})),
            about(json!({"kind": "Tenant", "name": "acme", "tenantID": TENANT_ID})),
        ),
        attestation(
            "the platform of a tenant",
            identity,
            about(json!({"kind": "Platform", "tenantID": TENANT_ID})),
            about(
                json!({"kind": "Subcontractor", "name": "Example Datacentres", "tenantID": TENANT_ID}),
            ),
        ),
        attestation(
            "a control by its title",
            "should match",
            vec![("/spec/control", json!("Security policy"))],
            vec![("/spec/control", json!("sec-5-appropriate-measures"))],
        ),
    ]
}

/// User names nobody's grant may carry, and what is said of them.
const NO_IDENTITY: [(&str, &str, &str); 9] = [
    ("the masters", "system:masters", NO_SYSTEM),
    ("an administrator of the system", "system:admin", NO_SYSTEM),
    (
        "a ServiceAccount",
        "system:serviceaccount:acme-prod:default",
        NO_SYSTEM,
    ),
    ("a node", "system:node:node-1", NO_SYSTEM),
    ("nobody", "", "should be at least 1 chars long"),
    ("a Cyrillic look-alike", "\u{430}lice", "should match"),
    ("an invisible character", "ali\u{200b}ce", "should match"),
    ("two in one", "alice,bob", "should match"),
    ("a blank at the end", "alice ", "should match"),
];
const NO_SYSTEM: &str = "a person's identity never starts with system:";

fn staff_member() -> Vec<Case> {
    let staff = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("StaffMember", name, message, refused, twin)
    };
    let identities = |identities: Value| vec![("/spec/identities", identities)];
    let groups = |groups: Value| vec![("/spec/groups", groups)];
    let mut cases: Vec<Case> = NO_IDENTITY
        .iter()
        .map(|(name, identity, message)| {
            staff(
                &format!("{name} as a person"),
                message,
                identities(json!(["alice", identity])),
                identities(json!(["alice", "alice-admin"])),
            )
        })
        .collect();
    cases.extend([
        staff(
            "a person without identity",
            "should have at least 1 items",
            identities(json!([])),
            identities(json!(["alice"])),
        ),
        staff(
            "one identity twice",
            "Duplicate value",
            identities(json!(["alice", "alice"])),
            identities(json!(["alice", "Alice"])),
        ),
        staff(
            "everybody as a group",
            "a person's group never starts with system:",
            groups(json!(["system:authenticated"])),
            groups(json!(["authenticated"])),
        ),
        staff(
            "a group that looks like another",
            "should match",
            groups(json!(["pl\u{430}tform"])),
            groups(json!(["platform"])),
        ),
        staff(
            "somebody on leave",
            "Unsupported value",
            vec![("/spec/status", json!("Away"))],
            vec![("/spec/status", json!("Left"))],
        ),
        staff(
            "a training on a day that does not exist",
            "spec.training.completedOn",
            vec![("/spec/training", json!({"completedOn": "2026-02-30"}))],
            vec![("/spec/training", json!({"completedOn": "2026-02-28"}))],
        ),
        staff(
            "a signature without its day",
            "spec.mfa.signedOn: Required value",
            vec![("/spec/mfa", json!({"reference": "IT-3"}))],
            vec![("/spec/mfa", json!({"signedOn": "2026-01-10"}))],
        ),
    ]);
    cases
}

fn access_grant() -> Vec<Case> {
    let grant = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("AccessGrant", name, message, refused, twin)
    };
    let identity = |identity: &str| vec![("/spec/identity", json!(identity))];
    let person = |person: &str| vec![("/spec/person", json!(person))];
    let role = |role: &str| vec![("/spec/role", json!(role))];
    let namespaces = |namespaces: Value| vec![("/spec/namespaces", namespaces)];
    let until = |instant: &str| vec![("/spec/notAfter", json!(instant))];
    let window = |from: &str, until: &str| {
        vec![
            ("/spec/notBefore", json!(from)),
            ("/spec/notAfter", json!(until)),
        ]
    };
    let order = "notAfter must be after notBefore";
    let (start, end) = ("2026-02-01T08:00:00Z", "2026-02-01T16:00:00Z");
    let mut cases: Vec<Case> = NO_IDENTITY
        .iter()
        .map(|(name, value, message)| {
            grant(
                &format!("a grant to {name}"),
                message,
                identity(value),
                identity("alice-admin"),
            )
        })
        .collect();
    cases.extend([
        grant(
            "an end before its start",
            order,
            window(end, start),
            window(start, end),
        ),
        grant(
            "no time at all",
            order,
            window(end, end),
            window("2026-02-01T15:59:59Z", end),
        ),
        grant(
            "an end before its start in another zone",
            order,
            window("2026-02-01T15:30:00Z", "2026-02-01T16:00:00+02:00"),
            window("2026-02-01T13:30:00Z", "2026-02-01T16:00:00+02:00"),
        ),
        grant(
            "an end without its zone",
            "should match",
            until("2026-02-01T16:00:00"),
            until(end),
        ),
        grant(
            "an end that no clock shows",
            "spec.notAfter",
            until("2026-02-01T25:00:00Z"),
            until("2026-02-01T23:00:00Z"),
        ),
        grant(
            "no end",
            "spec.notAfter: Required value",
            vec![("/spec/notAfter", Value::Null)],
            vec![],
        ),
        grant(
            "a group as the person",
            "should match",
            person("system:masters"),
            person("masters"),
        ),
        grant(
            "a user name as the person",
            "should match",
            person("operator-one@provider.example"),
            person("operator-one"),
        ),
        grant(
            "everybody as the person",
            "should match",
            person("*"),
            person("all"),
        ),
        grant(
            "a Cyrillic look-alike as the person",
            "should match",
            person("oper\u{430}tor-one"),
            person("operator-one"),
        ),
        grant(
            "nobody as the person",
            "should be at least 1 chars long",
            person(""),
            person("a"),
        ),
        grant(
            "every role",
            "should match",
            role("*"),
            role("tenure-tenant-viewer"),
        ),
        grant(
            "a role of the system",
            "should match",
            role("system:aggregate-to-admin"),
            role("aggregate-to-admin"),
        ),
        grant(
            "every namespace",
            "should match",
            namespaces(json!(["*"])),
            namespaces(json!(["acme-prod"])),
        ),
        grant(
            "no namespace",
            "should have at least 1 items",
            namespaces(json!([])),
            namespaces(json!(["acme-prod"])),
        ),
        grant(
            "one namespace twice",
            "Duplicate value",
            namespaces(json!(["acme-prod", "acme-prod"])),
            namespaces(json!(["acme-prod", "acme-test"])),
        ),
        grant(
            "no reason",
            "should be at least 1 chars long",
            vec![("/spec/reason", json!(""))],
            vec![("/spec/reason", json!("It hangs.\nAgain."))],
        ),
        grant(
            "a ticket on two lines",
            "should match",
            vec![("/spec/ticket", json!("CHG-1\nCHG-2"))],
            vec![("/spec/ticket", json!("CHG-1 CHG-2"))],
        ),
        grant(
            "a tenant's identity in upper case",
            "should match",
            vec![("/spec/tenantID", json!(TENANT_ID.to_uppercase()))],
            vec![],
        ),
        grant(
            "no tenant's identity",
            "spec.tenantID: Required value",
            vec![("/spec/tenantID", Value::Null)],
            vec![],
        ),
        grant(
            "a password as the credential",
            "Unsupported value",
            vec![("/spec/credential", json!("Password"))],
            vec![("/spec/credential", json!("Session"))],
        ),
        grant(
            "an end without a reason",
            "spec.revoked.reason: Required value",
            vec![("/spec/revoked", json!({}))],
            vec![("/spec/revoked", json!({"reason": "Done."}))],
        ),
    ]);
    cases
}

/// A hold never comes to hold less, an attestation never says something else.
fn holds_and_attestations_keep() -> Vec<Case> {
    let other_id = "5b0f7c1e-2d34-4a56-8b78-90abcdef1235";
    let hold: [(&'static str, Value); 14] = [
        ("/spec/tenantRef/name", json!("other")),
        ("/spec/tenantID", json!(other_id)),
        ("/spec/reference", json!("Case 2026/18")),
        ("/spec/authority", json!("Nobody")),
        ("/spec/scope", json!({"extent": "WholeTenant"})),
        ("/spec/scope/namespaces", json!(["acme-prod", "acme-test"])),
        ("/spec/scope/namespaces", json!(["acme-test"])),
        ("/spec/scope/namespaces", Value::Null),
        ("/spec/scope/stores", json!(["archive", "backup"])),
        ("/spec/scope/stores", Value::Null),
        ("/spec/scope/stores", json!([])),
        ("/spec/reason", json!("Another one.")),
        ("/spec/placedBy", json!("Somebody else")),
        ("/spec/placedOn", json!("2026-02-01")),
    ];
    let review: [(&'static str, Value); 2] = [
        ("/spec/reviewOn", json!("2026-08-31")),
        ("/spec/reviewOn", Value::Null),
    ];
    let attestation: [(&'static str, Value); 14] = [
        ("/spec/control", json!("dsa-2.5-media-disposal")),
        ("/spec/subject", json!({"kind": "Platform"})),
        ("/spec/subject/kind", json!("Location")),
        ("/spec/subject/name", json!("other")),
        ("/spec/subject/tenantID", json!(other_id)),
        ("/spec/statement", json!("Something else.")),
        ("/spec/attestedBy", json!("Somebody else")),
        ("/spec/issuedOn", json!("2026-01-14")),
        ("/spec/issuedOn", json!("2026-02-01")),
        ("/spec/validUntil", json!("2028-01-14")),
        ("/spec/validUntil", json!("2026-12-31")),
        ("/spec/evidence/uri", json!("https://dms.example.com/51")),
        ("/spec/evidence/digest", json!(DIGEST.replace('9', "8"))),
        (
            "/spec/subject",
            json!({"kind": "Location", "name": "Datacentre West"}),
        ),
    ];
    let later = || vec![("/spec/reviewOn", json!("2026-12-01"))];
    let label = || vec![("/metadata/labels", json!({"team": "north"}))];
    let of = |kind: &'static str,
              changes: &[(&'static str, Value)],
              message: &'static str,
              twin: fn() -> Edits| {
        let case = |(pointer, value): &(&'static str, Value)| Case {
            kind,
            name: format!("{kind} {pointer} becomes {value}"),
            old: Some(full(kind)),
            refused: edited(full(kind), vec![(*pointer, value.clone())]),
            twin: edited(full(kind), twin()),
            message,
        };
        changes.iter().map(case).collect::<Vec<_>>()
    };
    [
        of(
            "LegalHold",
            &hold,
            "a LegalHold is immutable but for reviewOn",
            later,
        ),
        of("LegalHold", &review, "reviewOn only moves later", later),
        of(
            "Attestation",
            &attestation,
            "an Attestation is immutable",
            label,
        ),
    ]
    .concat()
}

/// Updates: what may not change, tried by replacing and by removing.
fn immutability() -> Vec<Case> {
    let spec_gone = "spec";
    let change =
        |kind: &'static str, name: String, message: &'static str, edits: Edits, twin: Edits| Case {
            kind,
            name,
            old: Some(full(kind)),
            refused: edited(full(kind), edits),
            twin: edited(full(kind), twin),
            message,
        };
    let label = || vec![("/metadata/labels", json!({"team": "north"}))];
    let mut cases = vec![
        change(
            "CustomerTenant",
            "another tenantID".into(),
            "tenantID is immutable",
            vec![(
                "/spec/tenantID",
                json!("5b0f7c1e-2d34-4a56-8b78-90abcdef1235"),
            )],
            vec![("/spec/customer/reference", json!("C-1043"))],
        ),
        change(
            "CustomerTenant",
            "no tenantID".into(),
            "spec.tenantID: Required value",
            vec![("/spec/tenantID", Value::Null)],
            label(),
        ),
    ];
    for kind in [
        "TenancyPolicy",
        "CustomerTenant",
        "Approval",
        "LegalHold",
        "Attestation",
        "StaffMember",
        "AccessGrant",
        "AccessReview",
    ] {
        cases.push(change(
            kind,
            format!("{kind} without spec"),
            spec_gone,
            vec![("/spec", Value::Null)],
            label(),
        ));
    }
    let immutable = "an Approval is immutable";
    let replacements: [(&'static str, Value); 16] = [
        ("/spec/action", json!("Terminate")),
        ("/spec/subject/digest", json!(DIGEST.replace('9', "8"))),
        ("/spec/subject/digestVersion", json!(2)),
        (
            "/spec/subject/tenantID",
            json!("5b0f7c1e-2d34-4a56-8b78-90abcdef1235"),
        ),
        ("/spec/decision", json!("Reject")),
        ("/spec/reason", json!("Another one.")),
        ("/spec/notAfter", json!("2028-01-31T12:00:00Z")),
        ("/spec/notAfter", Value::Null),
        ("/spec/onBehalfOf", Value::Null),
        (
            "/spec/onBehalfOf/evidence/uri",
            json!("https://dms.example.com/44"),
        ),
        (
            "/spec/onBehalfOf/evidence/digest",
            json!(DIGEST.replace('9', "8")),
        ),
        ("/spec/approver", Value::Null),
        ("/spec/approver/username", json!("somebody-else")),
        ("/spec/approver/groups", json!(["approvers", "more"])),
        ("/spec/approver/groups", Value::Null),
        ("/spec/approver/groups", json!([])),
    ];
    for (pointer, value) in replacements {
        let name = format!("Approval {pointer} becomes {value}");
        cases.push(change(
            "Approval",
            name,
            immutable,
            vec![(pointer, value)],
            label(),
        ));
    }
    cases
}

/// A grant never comes to give more, or something else: it only ends earlier.
fn a_grant_only_ends_earlier() -> Vec<Case> {
    let full = || full("AccessGrant");
    let live = || edited(full(), vec![("/spec/revoked", Value::Null)]);
    let later = "2026-02-01T16:00:01Z";
    let earlier = || vec![("/spec/notAfter", json!("2026-02-01T12:00:00Z"))];
    let revoke = || vec![("/spec/revoked", json!({"reason": "The work is done."}))];
    let case =
        |name: String, message: &'static str, old: Value, refused: Edits, twin: Edits| Case {
            kind: "AccessGrant",
            name,
            refused: edited(old.clone(), refused),
            twin: edited(old.clone(), twin),
            old: Some(old),
            message,
        };
    let replaced: [(&'static str, Value); 17] = [
        ("/spec/tenantRef/name", json!("other")),
        (
            "/spec/tenantID",
            json!("5b0f7c1e-2d34-4a56-8b78-90abcdef1235"),
        ),
        ("/spec/person", json!("operator-two")),
        ("/spec/identity", json!("operator-one-admin")),
        ("/spec/role", json!("tenure-tenant-debugger")),
        (
            "/spec/namespaces",
            json!(["acme-prod", "acme-test", "acme-more"]),
        ),
        ("/spec/namespaces", json!(["acme-prod"])),
        ("/spec/namespaces/1", json!("acme-other")),
        ("/spec/reason", json!("Another one.")),
        ("/spec/ticket", json!("CHG-1043")),
        ("/spec/notBefore", json!("2026-02-01T07:00:00Z")),
        ("/spec/notBefore", json!("2026-02-01T09:00:00Z")),
        ("/spec/location", json!("Remote")),
        ("/spec/breakGlass", json!(false)),
        ("/spec/credential", json!("Identity")),
        ("/spec/exceptionReference", json!("Amendment 4")),
        ("/spec/requestedBy", json!("operator-one@provider.example")),
    ];
    let removed = [
        "/spec/identity",
        "/spec/notBefore",
        "/spec/location",
        "/spec/breakGlass",
        "/spec/credential",
        "/spec/exceptionReference",
        "/spec/requestedBy",
    ]
    .map(|pointer| (pointer, Value::Null));
    let added: [(&'static str, Value); 7] = [
        ("/spec/identity", json!("operator-one-admin")),
        ("/spec/notBefore", json!("2026-01-01T00:00:00Z")),
        ("/spec/location", json!("OnSite")),
        ("/spec/breakGlass", json!(true)),
        ("/spec/credential", json!("Identity")),
        ("/spec/exceptionReference", json!("Amendment 3")),
        ("/spec/requestedBy", json!("nobody")),
    ];
    let immutable = "an AccessGrant is immutable, except that it may end earlier";
    let mut cases = Vec::new();
    for (pointer, value) in replaced.into_iter().chain(removed) {
        let name = format!("AccessGrant {pointer} becomes {value}");
        cases.push(case(
            name,
            immutable,
            live(),
            vec![(pointer, value)],
            earlier(),
        ));
    }
    for (pointer, value) in added {
        let name = format!("AccessGrant {pointer}, absent, becomes {value}");
        let old = minimal("AccessGrant");
        cases.push(case(name, immutable, old, vec![(pointer, value)], revoke()));
    }
    let stands = "a revocation stands";
    cases.extend([
        case(
            "a grant that ends later".into(),
            "notAfter may only move earlier",
            live(),
            vec![("/spec/notAfter", json!(later))],
            earlier(),
        ),
        case(
            "a grant that is revoked and ends later".into(),
            "notAfter may only move earlier",
            live(),
            [revoke(), vec![("/spec/notAfter", json!(later))]].concat(),
            [revoke(), earlier()].concat(),
        ),
        case(
            "a grant that ends before it starts".into(),
            "notAfter must be after notBefore",
            live(),
            vec![("/spec/notAfter", json!("2026-02-01T08:00:00Z"))],
            vec![("/spec/notAfter", json!("2026-02-01T08:00:01Z"))],
        ),
        case(
            "a revocation taken back".into(),
            stands,
            full(),
            vec![("/spec/revoked", Value::Null)],
            earlier(),
        ),
        case(
            "a revocation for another reason".into(),
            stands,
            full(),
            vec![("/spec/revoked/reason", json!("A mistake."))],
            vec![("/metadata/labels", json!({"team": "north"}))],
        ),
    ]);
    cases
}

fn access_review() -> Vec<Case> {
    let review = |name: &str, message: &'static str, refused: Edits, twin: Edits| {
        case("AccessReview", name, message, refused, twin)
    };
    let decided = |decision: &str| ("/spec/lines/0/decision", json!(decision));
    let why = || ("/spec/lines/0/reason", json!("The work is done."));
    vec![
        review(
            "a review of a tenant without its tenantID",
            "tenantRef and tenantID go together",
            vec![("/spec/tenantID", Value::Null)],
            vec![
                ("/spec/tenantID", Value::Null),
                ("/spec/tenantRef", Value::Null),
            ],
        ),
        review(
            "a review of a tenantID without its name",
            "tenantRef and tenantID go together",
            vec![("/spec/tenantRef", Value::Null)],
            vec![
                ("/spec/tenantID", Value::Null),
                ("/spec/tenantRef", Value::Null),
            ],
        ),
        review(
            "a revocation without a reason",
            "whoever revokes says why",
            vec![decided("Revoke")],
            vec![decided("Revoke"), why()],
        ),
        review(
            "a reason without a decision",
            "a reason goes with a decision",
            vec![why()],
            vec![decided("Keep"), why()],
        ),
        review(
            "a decision that is neither Keep nor Revoke",
            "spec.lines[0].decision: Unsupported value",
            vec![decided("Maybe")],
            vec![decided("Keep")],
        ),
        review(
            "two lines of one name",
            "Duplicate value",
            vec![("/spec/lines/1/name", json!("grant-1"))],
            vec![("/spec/lines/1/name", json!("grant-2"))],
        ),
        review(
            "a line of an unknown kind",
            "spec.lines[0].kind: Unsupported value",
            vec![("/spec/lines/0/kind", json!("Person"))],
            vec![("/spec/lines/0/kind", json!("Member"))],
        ),
        review(
            "a line whose name is a look-alike",
            "spec.lines[0].name in body should match",
            vec![("/spec/lines/0/name", json!("grаnt-1"))],
            vec![("/spec/lines/0/name", json!("grant-3"))],
        ),
    ]
}

/// What is listed stays as it was; only decisions and their reasons are written.
fn a_review_is_frozen() -> Vec<Case> {
    let full = || full("AccessReview");
    let decide = || {
        vec![
            ("/spec/lines/1/decision", json!("Keep")),
            ("/spec/lines/0/decision", json!("Keep")),
            ("/spec/lines/0/reason", Value::Null),
        ]
    };
    let frozen = "what a review is about is frozen";
    let lines = "the lines of a review are frozen";
    let replaced: [(&'static str, Value, &'static str); 16] = [
        ("/spec/tenantRef/name", json!("other"), frozen),
        (
            "/spec/tenantID",
            json!("5b0f7c1e-2d34-4a56-8b78-90abcdef1235"),
            frozen,
        ),
        ("/spec/frozenAt", json!("2026-03-19T08:00:00Z"), frozen),
        ("/spec/dueAt", json!("2026-05-01T08:00:00Z"), frozen),
        ("/spec/lines/0/name", json!("grant-2"), lines),
        ("/spec/lines", json!([]), lines),
        ("/spec/lines/0/kind", json!("Member"), lines),
        (
            "/spec/lines/0/who",
            json!(["StaffMember/operator-two"]),
            lines,
        ),
        ("/spec/lines/0/who", json!([]), lines),
        ("/spec/lines/0/role", json!("ClusterRole/view"), lines),
        ("/spec/lines/0/reference", json!("AccessGrant/other"), lines),
        ("/spec/lines/0/namespaces", json!(["acme-test"]), lines),
        ("/spec/lines/0/namespaces", Value::Null, lines),
        ("/spec/lines/0/privileged", json!(false), lines),
        ("/spec/lines/0/privileged", Value::Null, lines),
        ("/spec/lines/1/privileged", json!(true), lines),
    ];
    let changes = replaced.into_iter().map(|(pointer, value, message)| Case {
        kind: "AccessReview",
        name: format!("AccessReview {pointer} becomes {value}"),
        refused: edited(full(), vec![(pointer, value)]),
        twin: edited(full(), decide()),
        old: Some(full()),
        message,
    });
    let whole = || {
        edited(
            full(),
            vec![
                ("/spec/tenantRef", Value::Null),
                ("/spec/tenantID", Value::Null),
            ],
        )
    };
    let becomes_everybodys = Case {
        kind: "AccessReview",
        name: "a review of a tenant that becomes one of all".into(),
        refused: whole(),
        twin: edited(full(), decide()),
        old: Some(full()),
        message: frozen,
    };
    let becomes_a_tenants = Case {
        kind: "AccessReview",
        name: "a review of all that becomes one of a tenant".into(),
        refused: full(),
        twin: edited(whole(), decide()),
        old: Some(whole()),
        message: frozen,
    };
    changes
        .chain([becomes_everybodys, becomes_a_tenants])
        .collect()
}
