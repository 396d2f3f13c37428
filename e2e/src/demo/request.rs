//! Requests as plain as they go over the wire.

use anyhow::{Context, Result};
use axum::http::Request;
use kube::Client;
use serde_json::Value;

/// The name under which the demo's own writes stand in managed fields.
pub(super) const MANAGER: &str = "demo-intruder";

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Option<Value>,
}

/// Reads an object or a list.
pub(super) fn get(path: impl Into<String>) -> Ask {
    Ask {
        method: "GET",
        path: path.into(),
        content_type: "application/json",
        body: None,
    }
}

/// Creates an object in a collection.
pub(super) fn create(path: impl Into<String>, body: Value) -> Ask {
    Ask {
        method: "POST",
        path: path.into(),
        content_type: "application/json",
        body: Some(body),
    }
}

/// Merge-patches an object.
pub(super) fn patch(path: impl Into<String>, body: Value) -> Ask {
    Ask {
        method: "PATCH",
        path: format!("{}?fieldManager={MANAGER}", path.into()),
        content_type: "application/merge-patch+json",
        body: Some(body),
    }
}

/// Deletes an object or, by the path of a collection, all of it.
pub(super) fn delete(path: impl Into<String>) -> Ask {
    Ask {
        method: "DELETE",
        path: path.into(),
        content_type: "application/json",
        body: None,
    }
}

/// Sends a request.
///
/// # Errors
///
/// As the API server or the connection has it.
pub(super) async fn send(client: &Client, ask: &Ask) -> Result<Value, kube::Error> {
    let body = ask
        .body
        .as_ref()
        .map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let request = Request::builder()
        .method(ask.method)
        .uri(&ask.path)
        .header("content-type", ask.content_type)
        .header("accept", "application/json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    let text = client.request_text(request).await?;
    serde_json::from_str(&text).map_err(kube::Error::SerdeError)
}

/// Reads what stands at `path`, or `None` where nothing does.
///
/// # Errors
///
/// Any answer but the object or "not found".
pub(super) async fn look(client: &Client, path: &str) -> Result<Option<Value>> {
    match send(client, &get(path)).await {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
    }
}

/// The items of the list at `path`; none where the kind does not exist.
///
/// # Errors
///
/// As [`look`].
pub(super) async fn items(client: &Client, path: &str) -> Result<Vec<Value>> {
    let list = look(client, path).await?.unwrap_or_default();
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// The API server's words on a request that must be refused, and nothing else.
///
/// # Errors
///
/// When it was let through, or something else than a refusal came back ("not found", say).
pub(super) async fn refusal(client: &Client, ask: &Ask) -> Result<Refusal> {
    match send(client, ask).await {
        Ok(_) => anyhow::bail!("it was let through"),
        Err(kube::Error::Api(status)) => Refusal::of(&status.message)
            .with_context(|| format!("answered, but not by a guard: {}", status.message)),
        Err(error) => Err(error).context("no answer"),
    }
}

/// What a guard said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    /// The control it stands for, or `pod-security` where the API server's own admission was faster.
    pub control: String,
    /// Why, and what to do instead.
    pub message: String,
}

impl Refusal {
    fn of(message: &str) -> Option<Self> {
        if let Some((_, said)) = message.split_once("violates PodSecurity ") {
            return Some(Self {
                control: "pod-security".to_owned(),
                message: format!("violates {said}"),
            });
        }
        if !message.contains("ValidatingAdmissionPolicy 'tenure-") {
            return None;
        }
        let (_, said) = message.split_once("denied request: ")?;
        let (control, message) = said.split_once(": ")?;
        Some(Self {
            control: control.to_owned(),
            message: message.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn only_a_guards_words_count_as_refusal() {
        let guard = "x is forbidden: ValidatingAdmissionPolicy 'tenure-services' with binding 'tenure-services' denied request: dsa-2.8: a Service of type NodePort. Use ClusterIP.";
        let said = Refusal::of(guard).unwrap();
        assert_eq!(said.control, "dsa-2.8");
        assert_eq!(said.message, "a Service of type NodePort. Use ClusterIP.");
        assert_eq!(Refusal::of("services \"x\" not found"), None);
        let other = "ValidatingAdmissionPolicy 'somebody' with binding 'x' denied request: a: b";
        assert_eq!(Refusal::of(other), None);
    }
}
