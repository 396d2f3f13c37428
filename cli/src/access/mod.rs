//! Access to tenants: asked for, decided on, ended and listed. What counts is the operator's to say; this shows it.

pub mod decide;
pub mod login;
pub mod request;
pub mod review;
pub mod revoke;
pub mod status;
pub mod who_can;

mod people;
mod reach;
mod subject;
mod until;

use clap::ValueEnum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// How an object is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    Yaml,
    Json,
}

impl Format {
    /// The object as text.
    fn text(self, object: &serde_json::Value) -> anyhow::Result<String> {
        Ok(match self {
            Self::Yaml => serde_saphyr::to_string(object)?,
            Self::Json => format!("{}\n", serde_json::to_string_pretty(object)?),
        })
    }
}

/// A condition by its type.
fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether a condition holds.
fn is_true(conditions: &[Condition], kind: &str) -> bool {
    condition(conditions, kind).is_some_and(|condition| condition.status == "True")
}
