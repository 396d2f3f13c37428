//! What of a spec goes into the record: everything that decides, and no personal data beyond user names. Pure.

use tenure_crds::CustomerTenantSpec;

/// Stands where a name is not kept.
const WITHHELD: &str = "(not recorded)";

/// A spec without the names, addresses and telephone numbers of people. Its digest is that of the whole one, and stands beside it.
///
/// The record can never be rewritten, so what a person may ask to have erased must not be in it. User names stay: they are what
/// is bound, approved and proven.
pub fn without_personal_data(spec: &CustomerTenantSpec) -> CustomerTenantSpec {
    let mut spec = spec.clone();
    for contact in &mut spec.customer.contacts {
        WITHHELD.clone_into(&mut contact.name);
        contact.email = None;
        contact.phone = None;
    }
    if let Some(owner) = &mut spec.owner {
        WITHHELD.clone_into(&mut owner.name);
        owner.email = None;
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_addresses_go_and_what_decides_stays() {
        let spec: CustomerTenantSpec = serde_json::from_value(json!({
            "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11", "classification": "Internal",
            "customer": {
                "name": "Example", "persons": [{"name": "director", "identities": ["oidc:7"]}],
                "contacts": [{"role": "Security", "name": "First Last", "email": "first@example.com", "phone": "+32 2 000"}]
            },
            "owner": {"name": "Other Name", "email": "other@example.com"},
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}],
            "namespaces": [{"name": "prod"}]
        }))
        .unwrap();
        let kept = without_personal_data(&spec);
        let text = serde_json::to_string(&kept).unwrap();
        for personal in ["First", "first@", "+32", "Other", "other@"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        assert_eq!(
            kept.customer.contacts[0].role,
            spec.customer.contacts[0].role
        );
        assert_eq!(kept.customer.persons, spec.customer.persons);
        assert_eq!(kept.namespaces, spec.namespaces);
        assert_eq!(without_personal_data(&kept), kept);
    }
}
