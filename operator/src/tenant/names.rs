//! Names of a tenant's namespaces.

use sha2::{Digest, Sha256};

/// Longest name of a namespace: a DNS label.
const LONGEST: usize = 63;

/// The namespace's full name: `<tenant>-<name>`, cut with a hash of the whole past 63 characters.
pub fn namespace(tenant: &str, name: &str) -> String {
    let whole = format!("{tenant}-{name}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let hash: String = Sha256::digest(&whole)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let kept: String = whole.chars().take(LONGEST - hash.len() - 1).collect();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

/// Whether a namespace belongs to the cluster itself and can never become a tenant's.
pub fn is_system(namespace: &str) -> bool {
    namespace.starts_with("kube-") || namespace == "default"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_names_are_joined() {
        assert_eq!(namespace("acme", "prod"), "acme-prod");
    }

    #[test]
    fn long_names_that_share_a_beginning_stay_apart() {
        let (left, right) = (
            namespace("acme", &"x".repeat(63)),
            namespace("acme", &"x".repeat(62)),
        );
        assert_ne!(left, right);
        assert_eq!(left.len(), LONGEST);
    }

    proptest! {
        #[test]
        fn a_name_is_always_a_dns_label(tenant in "[a-z]([a-z0-9-]{0,46}[a-z0-9])?", name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
            let full = namespace(&tenant, &name);
            prop_assert!(full.len() <= LONGEST);
            prop_assert!(full.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!full.ends_with('-') && !full.starts_with('-'));
        }
    }
}
