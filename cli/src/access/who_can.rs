//! `kubectl tenure who-can`.

use std::collections::BTreeSet;
use std::fmt::Debug;

use anyhow::{Context as _, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::discovery::Discovery;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tenure_crds::{AccessGrant, CustomerTenant, StaffMember, keys};
use tenure_rbac::{Attributes, Rbac};

use super::people::People;
use super::reach::Seen;
use crate::cluster::{Connection, said};
use crate::{Outcome, output};

const HELP: &str = "\
Reads all roles and bindings that reach a tenant's namespaces, and lists whom they let in: as what,
where, through which binding, and what that binding is: of an AccessGrant, of a deployer or member
of the tenant, or FOREIGN, which nobody declared. User names and groups are shown with the persons
that StaffMembers and the tenant name.

With --verb and --resource, only who can do exactly that. It is the cluster as it is now; who was
let in before says `kubectl tenure report access`.

Needs the right to read roles, bindings, namespaces and Tenure's kinds in the whole cluster: the
ClusterRole tenure-auditor.";

const AFTER: &str = "\
Examples:
  kubectl tenure who-can acme
  kubectl tenure who-can acme --verb create --resource pods/exec
  kubectl tenure who-can acme --verb get --resource secrets --name db-password --json";

/// Show who can reach a tenant's namespaces, and through what.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    /// The tenant.
    tenant: String,
    /// Only who can do this: get, list, create, ...
    #[arg(long, value_name = "VERB", requires = "resource")]
    verb: Option<String>,
    /// On this: secrets, pods/exec, deployments.apps, deployments.apps/scale.
    #[arg(long, value_name = "RESOURCE", requires = "verb")]
    resource: Option<String>,
    /// On the object of this name only.
    #[arg(long, value_name = "NAME", requires = "resource")]
    name: Option<String>,
    /// Show the tenant's own ServiceAccounts and the cluster's components, too.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the operator runs: its own rights are those of a component.
    #[arg(long, value_name = "NAMESPACE", default_value = "tenure-system")]
    operator_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

pub async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let client = arguments.connection.client().await?;
    let asked = match (&arguments.verb, &arguments.resource) {
        (Some(verb), Some(resource)) => {
            let name = arguments.name.as_deref().unwrap_or_default();
            Some(asked(&client, verb, resource).await?.named(name))
        }
        _ => None,
    };
    let reach = seen(&client, arguments)
        .await?
        .who_can(asked.as_ref(), arguments.all);
    output::print(&match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&reach)?),
        false => reach.table(),
    })?;
    Ok(Outcome::Fine)
}

/// Everything that is looked at, as the caller may read it.
async fn seen(client: &Client, arguments: &Arguments) -> anyhow::Result<Seen> {
    let tenant = &arguments.tenant;
    let tenants: Api<CustomerTenant> = Api::all(client.clone());
    let found = tenants.get_opt(tenant).await;
    let spec = found
        .map_err(|error| refused(&format!("CustomerTenant {tenant}"), error))?
        .map(|tenant| tenant.spec);
    let label = format!("{}={tenant}", keys::TENANT);
    let namespaces = Api::<Namespace>::all(client.clone());
    let namespaces = list(&namespaces, &ListParams::default().labels(&label)).await?;
    let marked = namespaces
        .iter()
        .find_map(|it| it.annotations().get(keys::TENANT_ID).cloned());
    let id = spec.as_ref().map(|spec| spec.tenant_id.clone()).or(marked);
    let Some(tenant_id) = id else {
        bail!(
            "{tenant}: no CustomerTenant has that name, and no namespace belongs to one; `kubectl get customertenants` lists them"
        );
    };
    let namespaces: BTreeSet<String> = namespaces.iter().map(|it| it.name_any()).collect();
    let staff = everything::<StaffMember>(client).await?;
    let (mut rbac, mut bindings) = (Rbac::default(), Vec::new());
    for role in everything::<ClusterRole>(client).await? {
        rbac.upsert_cluster_role(&role);
    }
    for binding in everything::<ClusterRoleBinding>(client).await? {
        rbac.upsert_cluster_binding(&binding);
    }
    for namespace in &namespaces {
        let roles = Api::<Role>::namespaced(client.clone(), namespace);
        for role in list(&roles, &ListParams::default()).await? {
            rbac.upsert_role(&role);
        }
        let found = Api::<RoleBinding>::namespaced(client.clone(), namespace);
        bindings.extend(list(&found, &ListParams::default()).await?);
    }
    for binding in &bindings {
        rbac.upsert_binding(binding);
    }
    Ok(Seen {
        tenant: tenant.clone(),
        tenant_id,
        people: People::of(&staff, spec.as_ref()),
        namespaces,
        spec,
        grants: everything::<AccessGrant>(client).await?,
        rbac,
        bindings,
        operators: arguments.operator_namespace.clone(),
    })
}

async fn everything<K>(client: &Client) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    list(&Api::<K>::all(client.clone()), &ListParams::default()).await
}

async fn list<K>(api: &Api<K>, params: &ListParams) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = api.list(params).await;
    let found = found.map_err(|error| refused(&K::plural(&()), error))?;
    Ok(found.items)
}

/// Half an answer would look like a whole one: whoever may not read everything is told what to ask for.
fn refused(what: &str, error: kube::Error) -> anyhow::Error {
    let is_forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
    let said = said(what, error);
    if !is_forbidden {
        return said;
    }
    said.context("nothing is said where not everything can be read: ask to be bound to the ClusterRole tenure-auditor, by a ClusterRoleBinding")
}

/// The question, with the API group that the cluster knows the resource in: asked of the wrong one, nobody would be the answer.
async fn asked(client: &Client, verb: &str, resource: &str) -> anyhow::Result<Attributes> {
    let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (name, group) = match name.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (name, None),
    };
    let known = known(client, name).await?;
    let group = chosen(name, group, &known)?;
    let resource = match subresource {
        "" => name.to_owned(),
        subresource => format!("{name}/{subresource}"),
    };
    Ok(Attributes::on(verb, group, &resource, ""))
}

/// The API groups in which the cluster knows a resource.
async fn known(client: &Client, resource: &str) -> anyhow::Result<BTreeSet<String>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await;
    let discovery = discovery.map_err(|error| said("the cluster's resources", error))?;
    let groups = discovery.groups().filter(|group| {
        let mut versions = group.versions();
        versions.any(|version| {
            let mut resources = group.versioned_resources(version).into_iter();
            resources.any(|(it, _)| it.plural == resource)
        })
    });
    Ok(groups.map(|group| group.name().to_owned()).collect())
}

/// The group that was named, or the only one; the core's where it is among several.
fn chosen<'a>(
    resource: &str,
    named: Option<&'a str>,
    known: &'a BTreeSet<String>,
) -> anyhow::Result<&'a str> {
    if resource == "*" {
        return Ok(named.unwrap_or_default());
    }
    if let Some(named) = named {
        let found = known.get(named);
        return found.map(String::as_str).with_context(|| {
            format!("{resource}.{named}: this cluster has no such resource; `kubectl api-resources` lists them")
        });
    }
    match known.first() {
        Some(first) if first.is_empty() || known.len() == 1 => Ok(first),
        Some(_) => {
            let all: Vec<String> = known
                .iter()
                .map(|group| format!("{resource}.{group}"))
                .collect();
            bail!(
                "{resource} is in several API groups: write {}",
                all.join(" or ")
            )
        }
        None => bail!(
            "{resource}: this cluster has no such resource (in the plural, as in a role: secrets, deployments.apps); `kubectl api-resources` lists them"
        ),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_resource_is_asked_about_in_the_group_that_has_it() {
        let groups = |known: &[&str]| known.iter().map(ToString::to_string).collect();
        let asked = |named, known: &[&str]| {
            let known = groups(known);
            let chosen = chosen("things", named, &known);
            chosen.map(str::to_owned).map_err(|error| error.to_string())
        };
        assert_eq!(asked(None, &["apps"]), Ok("apps".into()));
        assert_eq!(asked(None, &["", "events.k8s.io"]), Ok(String::new()));
        assert_eq!(asked(Some("b"), &["a", "b"]), Ok("b".into()));
        let several = asked(None, &["a", "b"]).unwrap_err();
        assert!(several.contains("write things.a or things.b"), "{several}");
        for wrong in [asked(None, &[]), asked(Some("b"), &["a"])] {
            let wrong = wrong.unwrap_err();
            assert!(wrong.contains("has no such resource"), "{wrong}");
        }
    }

    #[test]
    fn who_may_not_read_everything_is_told_which_role_to_ask_for() {
        let status = Status::failure("clusterroles is forbidden", "Forbidden").with_code(403);
        let error = refused("clusterroles", kube::Error::Api(Box::new(status)));
        let text = format!("{error:#}");
        assert!(
            text.contains("ClusterRole tenure-auditor")
                && text
                    .ends_with("clusterroles: the API server refused: clusterroles is forbidden"),
            "{text}"
        );
    }
}
