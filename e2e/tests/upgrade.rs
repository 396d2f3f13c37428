//! Two releases of the chart and live tenants: up, back, and up again. There is one version in the repository, so the
//! next one is made of it: a new field, a new column, a changed guard, a changed default.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenure_crds::{CustomerTenant, TenancyPolicy};
use tenure_e2e::helm::Helm;
use tenure_e2e::install::{self, NAMESPACE, RELEASE};
use tenure_e2e::kubectl::Kubectl;
use tenure_e2e::paths::{copy_missing, repository};
use tenure_e2e::{Identity, Operator, OperatorOptions, Plane, PlaneOptions, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(30);
const TENANTS: [&str; 2] = ["acme", "brick"];
const DEFINITION: &str = "customertenants.tenure.dev";
/// What keeps a tenant isolated, and the guards.
const KEPT: [&str; 10] = [
    "namespaces",
    "networkpolicies",
    "resourcequotas",
    "limitranges",
    "rolebindings",
    "customertenants",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

struct Stage {
    plane: Plane,
    helm: Helm,
    admin: Kubectl,
    next: TempDir,
    _operator: Operator,
}

impl Stage {
    async fn set() -> Result<Self> {
        let plane = Plane::start(PlaneOptions {
            name: "upgrade".into(),
            ..PlaneOptions::default()
        })
        .await?;
        install::install(plane.access()).await?;
        let operator = Operator::start(plane.access(), OperatorOptions::default()).await?;
        let policy: TenancyPolicy = serde_json::from_value(
            json!({"apiVersion": "tenure.dev/v1alpha1", "kind": "TenancyPolicy", "metadata": {"name": "default"}, "spec": {}}),
        )?;
        Api::all(plane.admin()?)
            .create(&PostParams::default(), &policy)
            .await?;
        let stage = Self {
            helm: plane.helm(&Identity::admin())?,
            admin: plane.kubectl(&Identity::admin())?,
            next: tempfile::tempdir()?,
            plane,
            _operator: operator,
        };
        next_release(stage.next.path())?;
        for (number, tenant) in TENANTS.into_iter().enumerate() {
            stage.declare(tenant, number).await?;
        }
        Ok(stage)
    }

    fn client(&self) -> Client {
        self.plane.admin().unwrap()
    }

    fn tenants(&self) -> Api<DynamicObject> {
        let resource = kube::api::ApiResource::erase::<CustomerTenant>(&());
        Api::all_with(self.client(), &resource)
    }

    fn definitions(&self) -> Api<CustomResourceDefinition> {
        Api::all(self.client())
    }

    async fn declare(&self, name: &str, number: usize) -> Result<()> {
        let tenant = serde_json::from_value(json!({
            "apiVersion": "tenure.dev/v1alpha1", "kind": "CustomerTenant", "metadata": {"name": name}, "spec": {
                "tenantID": format!("55555555-5555-4555-8555-{number:012}"), "customer": {"name": name}, "classification": "Internal",
                "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}], "namespaces": [{"name": "prod"}],
                "members": [{"name": "ops", "kind": "Group", "subject": format!("{name}-ops"), "role": "Viewer"}]
            }
        }))?;
        self.tenants()
            .create(&PostParams::default(), &tenant)
            .await?;
        self.ready(name).await?;
        let pods: Api<Pod> = Api::namespaced(self.client(), &format!("{name}-prod"));
        pods.create(&PostParams::default(), &pod(false)).await?;
        Ok(())
    }

    async fn ready(&self, name: &str) -> Result<()> {
        eventually(SOON, &format!("{name} is Ready as it stands"), async || {
            let tenant = self.tenants().get(name).await?;
            let status = &tenant.data["status"];
            ensure!(
                status["observedGeneration"].as_i64() == tenant.metadata.generation
                    && condition(status, "Ready").is_some_and(|ready| ready["status"] == "True"),
                "{status:#}"
            );
            Ok(())
        })
        .await
    }

    async fn verdict(&self, name: &str, control: &str) -> Result<(String, String)> {
        let tenant = self.tenants().get(name).await?;
        let controls = tenant.data["status"]["controls"].as_array().cloned();
        let found = controls
            .unwrap_or_default()
            .into_iter()
            .find(|known| known["id"] == control);
        let found = found.with_context(|| format!("no control {control}"))?;
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        Ok((text("reason"), text("message")))
    }

    /// Everything that must stay as it is, without what the API server counts.
    async fn standing(&self) -> Result<BTreeMap<String, Value>> {
        let mut all = BTreeMap::new();
        for resource in KEPT {
            let args = ["get", resource, "--all-namespaces", "--output=json"];
            let text = self.admin.run(&args).await?.success()?;
            let list: Value = serde_json::from_str(&text)?;
            for mut object in list["items"].as_array().cloned().unwrap_or_default() {
                let ours = object["metadata"]["labels"]["tenure.dev/tenant"].is_string()
                    || resource == "customertenants"
                    || object["metadata"]["name"]
                        .as_str()
                        .is_some_and(|name| name.starts_with("tenure-"));
                if !ours {
                    continue;
                }
                let place = format!(
                    "{resource} {}/{}",
                    object["metadata"]["namespace"], object["metadata"]["name"]
                );
                object["status"] = Value::Null;
                for counted in ["resourceVersion", "generation", "managedFields"] {
                    object["metadata"][counted] = Value::Null;
                }
                all.insert(place, object);
            }
        }
        Ok(all)
    }

    async fn helm(&self, args: &[&str]) -> Result<String> {
        let args = [args, &["--namespace", NAMESPACE]].concat();
        self.helm.run(&args).await?.success()
    }

    async fn upgrade(&self, chart: &Path) -> Result<()> {
        let chart = chart.to_str().context("the path is not valid UTF-8")?;
        self.helm(&["upgrade", RELEASE, chart, "--reset-values"])
            .await
            .map(drop)
    }

    /// The definition of CustomerTenant: whether it is that of the next release, and the schemas of the new fields.
    async fn definition(&self) -> Result<(bool, Value, Value)> {
        let definition = serde_json::to_value(self.definitions().get(DEFINITION).await?)?;
        let version = &definition["spec"]["versions"][0];
        let columns = version["additionalPrinterColumns"].as_array().cloned();
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        Ok((
            columns
                .unwrap_or_default()
                .iter()
                .any(|column| column["name"] == "Cost"),
            spec["costCentre"].clone(),
            spec["owner"]["properties"]["desk"].clone(),
        ))
    }

    async fn is_next(&self) -> Result<()> {
        let (next, cost, desk) = self.definition().await?;
        ensure!(
            next && cost["type"] == "string" && desk["type"] == "object",
            "{cost} {desk}"
        );
        Ok(())
    }

    /// The older definition, and in it the fields of the newer one, which may hold anything.
    async fn is_older_with_the_fields(&self) -> Result<()> {
        let kept = json!({"x-kubernetes-preserve-unknown-fields": true});
        let (next, cost, desk) = self.definition().await?;
        ensure!(
            !next && cost == kept && desk == kept,
            "{next} {cost} {desk}"
        );
        Ok(())
    }

    /// What was written into the new fields stands there.
    async fn nothing_is_lost(&self) -> Result<()> {
        let spec = self.tenants().get("acme").await?.data["spec"].clone();
        ensure!(
            spec["costCentre"] == "4711" && spec["owner"]["desk"]["floor"] == 3,
            "{spec:#}"
        );
        Ok(())
    }

    async fn change(&self, spec: Value) -> Result<()> {
        let change = Patch::Merge(json!({ "spec": spec }));
        self.tenants()
            .patch("acme", &PatchParams::default(), &change)
            .await
            .map(drop)
            .map_err(Into::into)
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn pod(privileged: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"generateName": "web-"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "image": "example/app:1", "securityContext": {
                "allowPrivilegeEscalation": privileged, "privileged": privileged, "capabilities": {"drop": ["ALL"]}}}]
        }
    }))
    .unwrap()
}

fn chart() -> std::path::PathBuf {
    repository().join("charts/tenure")
}

/// The release after this one.
fn next_release(into: &Path) -> Result<()> {
    copy_missing(&chart(), into)?;
    edit(&into.join("Chart.yaml"), "ersion: 0.1.0", "ersion: 0.2.0")?;
    edit(
        &into.join("values.yaml"),
        "intervalSeconds: 60",
        "intervalSeconds: 30",
    )?;
    edit(
        &into.join("files/guards/services.yaml"),
        "# ",
        "# A word more than before. ",
    )?;
    edit(
        &into.join("files/guards/ownership.yaml"),
        "Leave out keys under tenure.dev/.",
        "Leave out every key under tenure.dev/.",
    )?;
    let file = into.join("files/crds/customertenants.yaml");
    let mut definition: Value = serde_saphyr::from_str(&fs::read_to_string(&file)?)?;
    let version = &mut definition["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["costCentre"] =
        json!({"type": "string", "maxLength": 63, "description": "Who pays."});
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["owner"]["properties"]
        ["desk"] = json!({"type": "object", "description": "Where they sit.", "properties": {"floor": {"type": "integer", "format": "int32", "description": "Floor."}}});
    version["additionalPrinterColumns"]
        .as_array_mut()
        .context("no columns")?
        .push(json!({"name": "Cost", "type": "string", "jsonPath": ".spec.costCentre"}));
    let known = &mut definition["metadata"]["annotations"]["tenure.dev/fields"];
    *known = json!(format!(
        "{} costCentre owner.desk owner.desk.floor",
        known.as_str().context("no fields")?
    ));
    fs::write(&file, definition.to_string())?;
    Ok(())
}

fn edit(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    ensure!(
        text.contains(from),
        "{} does not say {from:?}",
        file.display()
    );
    fs::write(file, text.replace(from, to)).map_err(Into::into)
}

/// Asks without end what must be refused, and what must pass, until it is told to stop; answers how often it asked.
fn keep_asking(client: Client, stop: CancellationToken) -> JoinHandle<Result<u32>> {
    tokio::spawn(async move {
        let mut rounds = 0;
        while !stop.is_cancelled() {
            ask(&client)
                .await
                .with_context(|| format!("round {rounds}"))?;
            rounds += 1;
        }
        Ok(rounds)
    })
}

async fn ask(client: &Client) -> Result<()> {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let without_keeping = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    let stripping = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), "acme-prod");
    let services: Api<Service> = Api::namespaced(client.clone(), "acme-prod");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "acme-prod");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let service = |kind: &str| -> Service {
        serde_json::from_value(
            json!({"metadata": {"name": "web"}, "spec": {"type": kind, "ports": [{"port": 80}]}}),
        )
        .unwrap()
    };
    let hole = serde_json::from_value(
        json!({"metadata": {"name": "hole"}, "spec": {"podSelector": {}, "ingress": [{}]}}),
    )?;
    let stripped = Patch::Merge(json!({"metadata": {"labels": {"tenure.dev/tenant": null}}}));
    refused(
        "taking a policy away",
        policies
            .delete("tenure-default-deny", &without_keeping)
            .await
            .map(drop),
    )?;
    refused("a policy that opens", policies.create(&dry, &hole).await)?;
    refused(
        "a LoadBalancer",
        services.create(&dry, &service("LoadBalancer")).await,
    )?;
    refused("a privileged pod", pods.create(&dry, &pod(true)).await)?;
    refused(
        "stripping a namespace of its tenant",
        namespaces.patch("acme-prod", &stripping, &stripped).await,
    )?;
    services
        .create(&dry, &service("ClusterIP"))
        .await
        .context("a plain Service")?;
    pods.create(&dry, &pod(false))
        .await
        .context("a restricted pod")?;
    Ok(())
}

fn refused<T>(what: &str, answer: kube::Result<T>) -> Result<()> {
    match answer {
        Ok(_) => bail!("{what} was let through"),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => Ok(()),
        Err(error) => Err(error).context(what.to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_release_and_back_reopens_nothing_and_loses_no_field() -> Result<()> {
    let stage = Stage::set().await?;
    let before = stage.standing().await?;
    ensure!(before.len() > 60, "only {} objects", before.len());
    let mark = stage.plane.audit().mark().await?;
    let stop = CancellationToken::new();
    let asking = keep_asking(stage.client(), stop.clone());

    forth(&stage).await.context("the upgrade")?;
    back(&stage, &before).await.context("the rollback")?;
    again(&stage).await.context("a downgrade, and up again")?;

    stop.cancel();
    let rounds = asking.await?.context("while releases came and went")?;
    ensure!(rounds > 20, "asked {rounds} times only");
    nothing_was_made_anew(&stage, mark)?;

    unkept(&stage)
        .await
        .context("without the policy that keeps")?;
    reinstalled(&stage)
        .await
        .context("uninstalled and installed")
}

/// The new definition serves, the tenants stay, and the operator says which guards are not its own.
async fn forth(stage: &Stage) -> Result<()> {
    stage.upgrade(stage.next.path()).await?;
    stage.is_next().await?;
    eventually(SOON, "the new field is served", async || {
        let owner = json!({"name": "Team North", "desk": {"floor": 3}});
        stage
            .change(json!({"costCentre": "4711", "owner": owner}))
            .await?;
        stage.nothing_is_lost().await
    })
    .await?;
    for tenant in TENANTS {
        stage.ready(tenant).await?;
    }
    eventually(
        SOON,
        "a guard of another release is not vouched for",
        async || {
            let said = stage.verdict("acme", "dsa-2.4-role-based-access").await?;
            ensure!(
                said.0 == "GuardNotProven" && said.1.contains("ownership"),
                "{said:?}"
            );
            Ok(())
        },
    )
    .await
}

/// The older release is back, with everything as it was and the newer definition.
async fn back(stage: &Stage, before: &BTreeMap<String, Value>) -> Result<()> {
    stage.helm(&["rollback", RELEASE]).await?;
    stage.is_older_with_the_fields().await?;
    stage.nothing_is_lost().await?;
    // By a client, and by the operator on top of it.
    stage
        .change(json!({"owner": {"name": "Team South"}}))
        .await?;
    stage.ready("acme").await?;
    stage.nothing_is_lost().await?;
    eventually(
        SOON,
        "the guards are the operator's own again",
        async || {
            let said = stage.verdict("acme", "dsa-2.4-role-based-access").await?;
            ensure!(!said.1.contains("ownership"), "{said:?}");
            Ok(())
        },
    )
    .await?;
    let mut after = stage.standing().await?;
    let tenant = after
        .get_mut("customertenants null/\"acme\"")
        .context("no acme")?;
    for changed in ["costCentre", "owner"] {
        tenant["spec"]
            .as_object_mut()
            .context("no spec")?
            .remove(changed);
    }
    for (place, object) in before {
        ensure!(
            after.get(place) == Some(object),
            "{place}: {object:#} has become {:#?}",
            after.get(place)
        );
    }
    ensure!(after.len() == before.len());
    Ok(())
}

/// An upgrade to the older chart is no rollback to helm, and the same to the definition.
async fn again(stage: &Stage) -> Result<()> {
    stage.upgrade(&chart()).await?;
    stage.is_older_with_the_fields().await?;
    stage.nothing_is_lost().await?;
    stage.upgrade(stage.next.path()).await?;
    stage.is_next().await?;
    stage.nothing_is_lost().await?;
    stage.ready("acme").await
}

/// Nobody deleted or created what isolates a tenant, or a guard: not even for a moment.
fn nothing_was_made_anew(stage: &Stage, mark: tenure_e2e::audit::Mark) -> Result<()> {
    let events = stage.plane.audit().since(mark)?;
    ensure!(
        events
            .iter()
            .any(|event| event.line().contains("customresourcedefinitions")),
        "the releases are not in the audit log"
    );
    let kept = |resource: &str| KEPT.contains(&resource) || resource == "customresourcedefinitions";
    let anew: Vec<String> = events
        .iter()
        .filter(|event| event.is_write() && event.code() < 300)
        .filter(|event| ["create", "delete", "deletecollection"].contains(&event.verb.as_str()))
        .filter(|event| {
            event
                .object_ref
                .as_ref()
                .is_some_and(|object| kept(&object.resource))
        })
        .map(tenure_e2e::audit::Event::line)
        .collect();
    ensure!(anew.is_empty(), "{anew:#?}");
    Ok(())
}

/// Where the policy that keeps the newer definition is gone, the older one is refused, but for break-glass.
async fn unkept(stage: &Stage) -> Result<()> {
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(stage.client());
    bindings
        .delete("tenure-keep-fields", &DeleteParams::default())
        .await?;
    let forgetful = |fields: Value| {
        Patch::Merge(json!({"metadata": {"annotations": {"tenure.dev/fields": fields}}}))
    };
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let known = stage.definitions().get(DEFINITION).await?;
    let known = known.metadata.annotations.context("no annotations")?["tenure.dev/fields"].clone();
    let fewer = forgetful(json!(known.replace("owner.desk.floor", "")));
    eventually(SOON, "a forgetful definition is refused", async || {
        let answer = stage.definitions().patch(DEFINITION, &dry, &fewer).await;
        let said = answer.err().context("let through")?.to_string();
        ensure!(
            said.contains("would no longer know the fields owner.desk.floor,"),
            "{said}"
        );
        Ok(())
    })
    .await?;
    refused(
        "a definition that does not say what it knows",
        stage
            .definitions()
            .patch(DEFINITION, &dry, &forgetful(Value::Null))
            .await,
    )?;
    let more = forgetful(json!(format!("{known} another")));
    stage.definitions().patch(DEFINITION, &dry, &more).await?;
    let emergency: Api<CustomResourceDefinition> = Api::all(stage.plane.break_glass()?);
    emergency.patch(DEFINITION, &dry, &fewer).await?;
    let why = stage
        .helm
        .run(&["rollback", RELEASE, "1", "--namespace", NAMESPACE])
        .await?
        .refusal()?;
    ensure!(why.contains("tenure-crds"), "{why}");
    stage.nothing_is_lost().await?;
    stage.upgrade(stage.next.path()).await
}

/// After an uninstall no guard is left: the older chart then refuses itself, the same one finds everything.
async fn reinstalled(stage: &Stage) -> Result<()> {
    install::uninstall(stage.plane.access()).await?;
    let install = async |chart: &Path| {
        let chart = chart.to_str().context("the path is not valid UTF-8")?;
        let args = [
            "upgrade",
            "--install",
            RELEASE,
            chart,
            "--namespace",
            NAMESPACE,
        ];
        stage.helm.run(&args).await
    };
    let why = install(&chart()).await?.refusal()?;
    ensure!(why.contains("Install 0.2.0 or newer"), "{why}");
    stage.nothing_is_lost().await?;
    install(stage.next.path()).await?.success()?;
    stage.nothing_is_lost().await?;
    stage.ready("acme").await
}
