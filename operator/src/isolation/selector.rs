//! Label selectors, parsed once.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels of a pod or namespace.
pub(super) type Labels = BTreeMap<String, String>;

/// A parsed label selector: every requirement must hold. The empty one selects everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
}

/// An operator the API does not know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown selector operator {0}")]
pub struct UnknownOperator(pub String);

impl Selector {
    /// Reads the API's selector.
    pub(super) fn parse(selector: &LabelSelector) -> Result<Self, UnknownOperator> {
        let labels = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Ok(Requirement::In(key.clone(), vec![value.clone()])));
        let expressions = selector
            .match_expressions
            .iter()
            .flatten()
            .map(|expression| {
                let (key, values) = (
                    expression.key.clone(),
                    expression.values.clone().unwrap_or_default(),
                );
                match expression.operator.as_str() {
                    "In" => Ok(Requirement::In(key, values)),
                    "NotIn" => Ok(Requirement::NotIn(key, values)),
                    "Exists" => Ok(Requirement::Exists(key)),
                    "DoesNotExist" => Ok(Requirement::DoesNotExist(key)),
                    other => Err(UnknownOperator(other.to_owned())),
                }
            });
        labels
            .chain(expressions)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What each `In` requirement asks: a label key and the values it may have.
    pub(super) fn required(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().filter_map(|requirement| match requirement {
            Requirement::In(key, values) => Some((key.as_str(), values.as_slice())),
            _ => None,
        })
    }

    /// Whether labels meet every requirement.
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                labels.get(key).is_some_and(|value| values.contains(value))
            }
            // A label that is absent is not among any values.
            Requirement::NotIn(key, values) => {
                labels.get(key).is_none_or(|value| !values.contains(value))
            }
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}
