//! A person's decision as the record keeps it: enough to count it when the Approval itself is gone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use tenure_crds::approval::{Approver, Subject, TenantRef};
use tenure_crds::{Approval, ApprovalSpec};
use tenure_evidence::Event;

/// A decision. Its reason is the person's own words and stays on the Approval.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// The Approval's name.
    pub name: String,
    /// What was decided, without reason, evidence and groups.
    pub spec: ApprovalSpec,
    /// RFC 3339 instant at which the API server took it.
    pub made_at: String,
}

impl Given {
    /// What the record keeps of an Approval; nothing where it has no uid, creation time or approver.
    pub fn of(approval: &Approval) -> Option<(String, Self)> {
        let approver = approval.spec.approver.as_ref()?;
        let given = Self {
            name: approval.name_any(),
            spec: ApprovalSpec {
                reason: "(on the Approval)".into(),
                on_behalf_of: None,
                approver: Some(Approver {
                    username: approver.username.clone(),
                    groups: Vec::new(),
                }),
                ..approval.spec.clone()
            },
            made_at: approval.creation_timestamp()?.0.to_string(),
        };
        Some((approval.uid()?, given))
    }

    /// The Approval as it counted.
    pub fn approval(&self, uid: &str) -> Approval {
        let mut approval = Approval::new(&self.name, self.spec.clone());
        approval.metadata.uid = Some(uid.to_owned());
        approval.metadata.creation_timestamp = self.made_at.parse().ok().map(Time);
        approval
    }

    /// What the chain tells of it.
    pub fn event(&self, uid: &str) -> Event {
        let ApprovalSpec {
            action,
            tenant_ref,
            subject,
            decision,
            approver,
            ..
        } = &self.spec;
        let tenant = tenant_ref.as_ref().map(|TenantRef { name }| name.clone());
        let Subject {
            kind,
            name,
            digest,
            digest_version,
            ..
        } = subject;
        Event::ApprovalGiven {
            approval: self.name.clone(),
            uid: uid.to_owned(),
            tenant,
            action: action.as_str().into(),
            decision: format!("{decision:?}"),
            subject: format!("{kind}/{name}"),
            digest: digest.clone(),
            digest_version: *digest_version,
            approver: approver
                .as_ref()
                .map(|by| by.username.clone())
                .unwrap_or_default(),
            made_at: self.made_at.clone(),
        }
    }
}
