//! One request, and what a guard must make of it.

use std::time::Duration;

use axum::http::Request;
use kube::Client;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A request to the API server, as plain as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Option<Value>,
}

impl Ask {
    fn new(
        method: &'static str,
        path: String,
        content_type: &'static str,
        body: Option<Value>,
    ) -> Self {
        Self {
            method,
            path,
            content_type,
            body,
        }
    }

    /// The same request, judged but not carried out.
    pub(crate) fn dry(mut self) -> Self {
        let joint = if self.path.contains('?') { '&' } else { '?' };
        self.path = format!("{}{joint}dryRun=All", self.path);
        self
    }
}

/// Creates `body` in a collection; dry.
pub(crate) fn create(path: impl Into<String>, body: Value) -> Ask {
    really_create(path, body).dry()
}

/// Creates `body` in a collection.
pub(crate) fn really_create(path: impl Into<String>, body: Value) -> Ask {
    Ask::new("POST", path.into(), JSON, Some(body))
}

/// Merge-patches an object (or a subresource of it); dry.
pub(crate) fn patch(path: impl Into<String>, body: Value) -> Ask {
    really_patch(path, body).dry()
}

/// Merge-patches an object.
pub(crate) fn really_patch(path: impl Into<String>, body: Value) -> Ask {
    Ask::new("PATCH", path.into(), MERGE, Some(body))
}

/// Applies an object server-side as the field manager `manager`.
pub(crate) fn apply(path: impl Into<String>, manager: &str, body: Value) -> Ask {
    let path = format!("{}?fieldManager={manager}&force=true", path.into());
    Ask::new("PATCH", path, APPLY, Some(body))
}

/// Replaces an object or subresource; dry.
pub(crate) fn replace(path: impl Into<String>, body: Value) -> Ask {
    really_replace(path, body).dry()
}

/// The same, and it is done.
pub(crate) fn really_replace(path: impl Into<String>, body: Value) -> Ask {
    Ask::new("PUT", path.into(), JSON, Some(body))
}

/// Deletes an object or, by a collection's path, the collection; dry.
pub(crate) fn delete(path: impl Into<String>) -> Ask {
    really_delete(path).dry()
}

/// Deletes an object or a collection.
pub(crate) fn really_delete(path: impl Into<String>) -> Ask {
    Ask::new("DELETE", path.into(), JSON, None)
}

/// Connects (`exec`, `proxy` and the like, by plain GET or POST: admission answers before the upgrade).
pub(crate) fn connect(method: &'static str, path: impl Into<String>) -> Ask {
    Ask::new(method, path.into(), JSON, None)
}

/// Sends a request.
pub(crate) async fn send(client: &Client, ask: &Ask) -> Result<Value, kube::Error> {
    let body = ask
        .body
        .as_ref()
        .map_or(Vec::new(), |body| body.to_string().into_bytes());
    let request = Request::builder()
        .method(ask.method)
        .uri(&ask.path)
        .header("content-type", ask.content_type)
        .header("accept", JSON)
        .body(body)
        .unwrap();
    let text = client.request_text(request).await?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Asserts that the request passes; returns the answer.
pub(crate) async fn passes(client: &Client, ask: Ask) -> Value {
    match send(client, &ask).await {
        Ok(answer) => answer,
        Err(error) => panic!("must pass, but: {error}\n{ask:#?}"),
    }
}

/// Asserts that `guard` refuses the request, naming `control` and saying `what`; returns the message.
pub(crate) async fn refused(
    client: &Client,
    ask: Ask,
    guard: &str,
    control: &str,
    what: &str,
) -> String {
    let message = match send(client, &ask).await {
        Ok(answer) => {
            panic!("must be refused by {guard} ({control}), but passed: {answer}\n{ask:#?}")
        }
        Err(kube::Error::Api(status)) => status.message.clone(),
        Err(error) => panic!("must be refused by {guard}, but: {error}\n{ask:#?}"),
    };
    assert!(
        message.contains(&format!("ValidatingAdmissionPolicy 'tenure-{guard}'"))
            && message.contains(&format!("denied request: {control}: "))
            && message.contains(what),
        "must be refused by {guard} with {control} and {what:?}, but was told: {message}\n{ask:#?}"
    );
    message
}

/// Asserts that one of `guards` refuses the request: where several do, the API server picks which is heard.
pub(crate) async fn refused_by_one(client: &Client, ask: Ask, guards: &[&str]) {
    let error = send(client, &ask)
        .await
        .expect_err("must be refused")
        .to_string();
    let heard = guards
        .iter()
        .any(|guard| error.contains(&format!("ValidatingAdmissionPolicy 'tenure-{guard}'")));
    assert!(
        heard,
        "must be refused by one of {guards:?}, but was told: {error}\n{ask:#?}"
    );
}

/// Asserts that something other than `guard` answers (not found, say): admission let the request through.
pub(crate) async fn not_the_guards(client: &Client, ask: Ask) {
    // What is not there answers late, or not at all; a guard answers at once.
    let answer = tokio::time::timeout(Duration::from_secs(3), send(client, &ask)).await;
    let Ok(Err(error)) = answer else {
        return;
    };
    let message = error.to_string();
    assert!(
        !message.contains("AdmissionPolicy"),
        "a guard answered: {message}\n{ask:#?}"
    );
}

/// `metadata` with a name.
pub(crate) fn named(name: &str) -> Value {
    json!({ "name": name })
}
