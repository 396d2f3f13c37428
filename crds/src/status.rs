//! What the operator writes about controls: verdicts and their place in status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a control's evaluation concluded.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Verdict {
    /// Observed to be so.
    Compliant,
    /// Was or should be so, and is not.
    Drifted,
    /// An attestation or review lapsed.
    Expired,
    /// Could not be evaluated; never shown as compliant.
    Unknown,
    /// No means is configured; an honest gap.
    NotCovered,
    /// The clause does not apply, with a reason (and an amendment where it loosens: DSA 4).
    NotApplicable,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 6] = [
        Self::Compliant,
        Self::Drifted,
        Self::Expired,
        Self::Unknown,
        Self::NotCovered,
        Self::NotApplicable,
    ];

    /// The word as it stands in status, metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "Compliant",
            Self::Drifted => "Drifted",
            Self::Expired => "Expired",
            Self::Unknown => "Unknown",
            Self::NotCovered => "NotCovered",
            Self::NotApplicable => "NotApplicable",
        }
    }
}

/// How a control is made so, or seen to be so.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Mode {
    /// The operator or an admission policy makes it so and repairs it.
    Enforced,
    /// The operator sees it but cannot make it so.
    Detected,
    /// Only people can make it so.
    Attested,
    /// A dated procedure.
    Workflow,
    /// No technical side; never evaluated.
    Legal,
}

/// Who answers for a control: the responsibility matrix of DSA 1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::leave_description_to_field)]
pub enum Party {
    /// The service provider.
    Provider,
    /// The customer.
    Customer,
    /// Both.
    Shared,
}

/// One control's verdict as it stands in a tenant's status.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlStatus {
    /// Control id of the catalogue, e.g. `dsa-2.6-logical-separation`.
    #[schemars(length(min = 1, max = 63))]
    pub id: String,
    /// The verdict.
    pub verdict: Verdict,
    /// CamelCase reason from a bounded set.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// What was seen, where the reason alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// RFC 3339 instant since when the verdict is the same.
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub since: String,
    /// Who answers for it, where it is not the service provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<Party>,
}
