//! `kubectl tenure revoke`.

use anyhow::bail;
use clap::Args;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tenure_crds::AccessGrant;

use super::Format;
use crate::cluster::{Connection, said};
use crate::{Outcome, output};

/// How often a write that crossed another one is tried: an end should not fail because the operator wrote its status.
const TRIES: usize = 5;

const HELP: &str = "\
Ends a grant now. It cannot be taken back: whoever needs the access again asks for another grant.
The person's bindings go at once; that every API server says no is proven afterwards and stands in
the condition EndProven.

Needs the verb `request` or `approve` on the tenant, and the right to patch AccessGrants (roles
tenure-requester and tenure-approver). Who ended it is stamped by the API server.";

/// End a grant now.
#[derive(Args)]
#[command(long_about = HELP)]
pub struct Arguments {
    /// The AccessGrant.
    #[arg(value_name = "GRANT")]
    name: String,
    /// Why it ends early.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the AccessGrant as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let grants: Api<AccessGrant> = Api::all(arguments.connection.client().await?);
    let (before, made) = ended(&grants, arguments).await?;
    let text = match (arguments.json, &before.spec.revoked) {
        (true, _) => Format::Json.text(&serde_json::to_value(&made)?)?,
        (false, Some(earlier)) => format!(
            "AccessGrant {} was revoked before: {}\n",
            arguments.name,
            output::plain(&earlier.reason)
        ),
        (false, None) => next(&made),
    };
    output::print(&text)?;
    Ok(Outcome::Fine)
}

/// The grant before and after; the same where it was revoked already.
async fn ended(
    grants: &Api<AccessGrant>,
    arguments: &Arguments,
) -> anyhow::Result<(AccessGrant, AccessGrant)> {
    let what = format!("AccessGrant {}", arguments.name);
    for _ in 0..TRIES {
        let before = grants
            .get(&arguments.name)
            .await
            .map_err(|error| said(&what, error))?;
        if before.spec.revoked.is_some() {
            return Ok((before.clone(), before));
        }
        let change = Patch::Merge(change(&before, &arguments.reason));
        match grants
            .patch(&arguments.name, &PatchParams::default(), &change)
            .await
        {
            Ok(made) => return Ok((before, made)),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(said(&what, error)),
        }
    }
    bail!(
        "{what} changes all the time and was not ended: repeat the command, or delete the grant, which ends it too"
    )
}

/// The end of exactly the grant that was read: not of another one that has come under its name.
fn change(grant: &AccessGrant, reason: &str) -> Value {
    json!({
        "metadata": {"uid": grant.metadata.uid, "resourceVersion": grant.metadata.resource_version},
        "spec": {"revoked": {"reason": reason}},
    })
}

fn next(grant: &AccessGrant) -> String {
    let (name, spec) = (grant.name_any(), &grant.spec);
    format!(
        "AccessGrant {name} is revoked: {} as {} in {}

What next
1. The operator takes the access away, and proves that every API server says no:
     kubectl tenure status {} --all
2. It cannot be taken back. Whoever needs the access again asks for another grant.
",
        spec.person,
        spec.role,
        spec.namespaces.join(", "),
        spec.tenant_ref.name,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_that_was_read_is_the_one_that_ends() {
        let grant: AccessGrant = serde_json::from_value(json!({
            "metadata": {"name": "acme-1", "uid": "u-1", "resourceVersion": "17"},
            "spec": {
                "tenantRef": {"name": "acme"}, "tenantID": "5b0f7c1e-2d34-4a56-8b78-90abcdef1234", "person": "jane",
                "role": "viewer", "namespaces": ["acme-prod"], "reason": "x", "ticket": "y", "notAfter": "2026-02-01T16:00:00Z",
            },
        }))
        .unwrap();
        assert_eq!(
            change(&grant, "Done."),
            json!({"metadata": {"uid": "u-1", "resourceVersion": "17"}, "spec": {"revoked": {"reason": "Done."}}})
        );
        assert!(
            next(&grant)
                .starts_with("AccessGrant acme-1 is revoked: jane as viewer in acme-prod\n")
        );
    }
}
