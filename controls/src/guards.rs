//! Which admission policies a control's verdict leans on.
//!
//! A control that only admission makes so is worth what its guards are worth: one that is not
//! proven alive, or whose text is not the built-in one, leaves the control Unknown.

/// Every guard the chart ships, by name without the `tenure-` prefix.
pub const GUARDS: [&str; 23] = [
    "accessgrants",
    "accessreviews",
    "approvals",
    "crds",
    "customertenants",
    "exposure",
    "legalholds",
    "managed-objects",
    "namespaces",
    "networkpolicies",
    "ownership",
    "own-pods",
    "pods",
    "rolebindings",
    "services",
    "session-accounts",
    "sessions",
    "staffmembers",
    "stamp-changed-by",
    "status",
    "storage",
    "tenancypolicies",
    "tokens",
];

/// What holds that staff get in by a grant alone, and that a grant rests on what others wrote about the person.
const GRANTS: &[&str] = &["accessgrants", "rolebindings", "staffmembers", "tokens"];

/// Controls and the guards they lean on. A control that is not listed leans on none.
pub const DEPENDENCIES: &[(&str, &[&str])] = &[
    (
        "dsa-1-purpose-limitation",
        &["accessgrants", "rolebindings", "session-accounts", "tokens"],
    ),
    (
        "dsa-2.0-need-to-know",
        &["accessgrants", "rolebindings", "session-accounts", "tokens"],
    ),
    ("dsa-2.2-annual-training", GRANTS),
    ("dsa-2.3-acceptable-use", GRANTS),
    (
        "dsa-2.3-classification",
        &[
            "managed-objects",
            "namespaces",
            "ownership",
            "pods",
            "storage",
        ],
    ),
    (
        "dsa-2.4-role-based-access",
        &["managed-objects", "ownership", "rolebindings", "tokens"],
    ),
    (
        "dsa-2.4-separation-of-duties",
        &[
            "accessgrants",
            "approvals",
            "staffmembers",
            "stamp-changed-by",
        ],
    ),
    (
        "dsa-2.4-quarterly-access-review",
        &["accessreviews", "staffmembers"],
    ),
    (
        "dsa-2.4-quarterly-privileged-review",
        &["accessreviews", "staffmembers"],
    ),
    ("dsa-2.4-mfa", &["sessions", "staffmembers"]),
    ("dsa-2.4-immediate-revocation", GRANTS),
    ("dsa-2.4-unique-user-ids", GRANTS),
    (
        "dsa-2.6-logical-separation",
        &[
            "managed-objects",
            "namespaces",
            "networkpolicies",
            "ownership",
            "pods",
            "services",
        ],
    ),
    (
        "dsa-2.6-encryption-in-transit-edge",
        &["exposure", "namespaces", "services"],
    ),
    ("dsa-2.6-encryption-at-rest", &["namespaces", "storage"]),
    // The verdicts stand in status and are made by the operator's own pods.
    ("dsa-2.6-regular-assessment", &["own-pods", "status"]),
    (
        "dsa-2.8-network-segmentation",
        &[
            "managed-objects",
            "namespaces",
            "networkpolicies",
            "ownership",
            "pods",
            "services",
        ],
    ),
    (
        "dsa-2.8-web-application-firewall",
        &["exposure", "namespaces", "services"],
    ),
    (
        "dsa-2.8-dmz",
        &[
            "exposure",
            "managed-objects",
            "namespaces",
            "networkpolicies",
            "ownership",
            "pods",
            "services",
        ],
    ),
    (
        "dsa-2.9-telework-exclusion",
        &[
            "accessgrants",
            "customertenants",
            "rolebindings",
            "staffmembers",
            "tokens",
        ],
    ),
    ("dsa-2.10-subcontractor-agreements", GRANTS),
    ("dsa-2.13-return-or-destroy", &["legalholds"]),
    (
        "dsa-4-amendments",
        &[
            "approvals",
            "crds",
            "customertenants",
            "stamp-changed-by",
            "status",
            "tenancypolicies",
        ],
    ),
    ("sec-1-confidentiality", GRANTS),
    ("sec-1-third-party-consent", GRANTS),
    (
        "sec-5-appropriate-measures",
        &[
            "managed-objects",
            "namespaces",
            "ownership",
            "pods",
            "storage",
        ],
    ),
    (
        "sec-6-remote-maintenance",
        &[
            "accessgrants",
            "rolebindings",
            "sessions",
            "staffmembers",
            "tokens",
        ],
    ),
];

/// The guards a control leans on.
pub fn guards_of(control: &str) -> &'static [&'static str] {
    DEPENDENCIES
        .iter()
        .find(|(id, _)| *id == control)
        .map_or(&[], |(_, guards)| guards)
}
