//! `tenure uninstall-check`: what an uninstall would leave behind half done. The chart's pre-delete hook asks it.
//!
//! Isolation outlives the release: policies, quotas, labels and kinds stay. What does not go on without an operator is
//! an exit under way, a deletion that waits for the operator's finalizer, and the end of access that is granted.

use anyhow::{Context as _, bail};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::Value;
use tenure_crds::{AccessGrant, CustomerTenant};

/// Fails, with what to do, where something live would be left behind.
///
/// # Errors
/// Where a tenant is in the middle of its end, or the tenants cannot be read: not knowing is no reason to go on.
pub async fn check() -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no Kubernetes configuration: set KUBECONFIG, or run in a pod")?;
    let kind = ApiResource::erase::<CustomerTenant>(&());
    // As they are: one that this version cannot decode may be in the middle of its end, too.
    let tenants: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let tenants = tenants
        .list(&ListParams::default())
        .await
        .context("the CustomerTenants cannot be read, so nobody knows what would be left behind")?;
    let kind = ApiResource::erase::<AccessGrant>(&());
    let grants: Api<DynamicObject> = Api::all_with(client, &kind);
    let grants = grants
        .list(&ListParams::default())
        .await
        .context("the AccessGrants cannot be read, so nobody knows who would stay let in")?;
    let tenants = tenants.iter().filter_map(left_behind);
    let live: Vec<String> = tenants.chain(grants.iter().filter_map(let_in)).collect();
    if live.is_empty() {
        println!("nothing live is left behind; isolation stays as it is");
        return Ok(());
    }
    bail!(
        "the release is still needed:\n  {}\nLet the operator finish, or withdraw what was asked for. To go on all the \
         same: helm uninstall --no-hooks; then nobody finishes it",
        live.join("\n  ")
    )
}

/// Whom a grant lets in: nobody but the operator ends that.
fn let_in(grant: &DynamicObject) -> Option<String> {
    let conditions = grant.data["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    // Where one of its bindings was refused another may stand.
    let is_active = |condition: &Value| {
        condition["type"] == "Active"
            && (condition["status"] == "True" || condition["reason"] == "Refused")
    };
    let text = |field: &str| {
        grant.data["spec"][field]
            .as_str()
            .unwrap_or("somebody")
            .to_owned()
    };
    conditions.into_iter().any(is_active).then(|| {
        format!(
            "AccessGrant {} lets {} in until {}: revoke it",
            grant.name_any(),
            text("person"),
            text("notAfter")
        )
    })
}

/// What of a tenant needs an operator; nothing where it just stands.
fn left_behind(tenant: &DynamicObject) -> Option<String> {
    let name = tenant.name_any();
    if tenant.meta().deletion_timestamp.is_some() {
        return Some(format!(
            "CustomerTenant {name} is being deleted and waits for the operator's finalizer"
        ));
    }
    let status = &tenant.data["status"];
    if let Some(exit) = status["exit"].as_str().filter(|exit| !exit.is_empty()) {
        return Some(format!("CustomerTenant {name} is in its exit: {exit}"));
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let is_approved = |condition: &Value| {
        condition["type"] == "TerminationApproved" && condition["status"] == "True"
    };
    conditions.into_iter().any(is_approved).then(|| {
        format!("CustomerTenant {name} has an approved termination that has not run its course")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(metadata: Value, status: Value) -> Option<String> {
        let mut object = json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": metadata, "status": status});
        object["metadata"]["name"] = json!("acme");
        left_behind(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn standing_tenant_is_no_reason_to_stay() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "TerminationApproved", "status": "False"}]});
        assert_eq!(said(json!({}), ready), None);
        assert_eq!(said(json!({}), json!(null)), None);
    }

    #[test]
    fn whoever_is_let_in_would_stay() {
        let grant = |status: &str| {
            let object = json!({
                "apiVersion": "tenure.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "chg-1"},
                "spec": {"person": "worker", "notAfter": "2026-11-23T10:00:00Z"},
                "status": {"conditions": [{"type": "Active", "status": status}, {"type": "Ready", "status": "True"}]}
            });
            let_in(&serde_json::from_value(object).unwrap())
        };
        assert_eq!(grant("False"), None);
        let said = grant("True").unwrap();
        assert!(said.contains("chg-1") && said.contains("worker"), "{said}");
    }

    #[test]
    fn tenant_in_the_middle_of_its_end_is_named() {
        let going =
            json!({"deletionTimestamp": "2026-11-23T10:00:00Z", "finalizers": ["tenure.dev/exit"]});
        let approved = json!({"conditions": [{"type": "TerminationApproved", "status": "True"}]});
        for (said, why) in [
            (said(going, json!({})), "finalizer"),
            (said(json!({}), json!({"exit": "Returning"})), "Returning"),
            (said(json!({}), approved), "approved termination"),
        ] {
            let said = said.unwrap();
            assert!(said.contains("acme") && said.contains(why), "{said}");
        }
    }
}
