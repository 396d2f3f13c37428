//! The proof that a guard denies: one request of the operator's own that must be refused by it.
//!
//! The request connects to the proxy of a pod that does not exist and whose name is reserved. The
//! policy answers before the pod is looked up: its denial proves it loaded and evaluating; "not
//! found" proves that nothing guards.
//!
//! Every API server loads the guards for itself, and the proof speaks for the one that answered. Where there are several,
//! a proof each interval meets whichever the connection leads to; one API server that lags behind shows only when asked.

use kube::Client;
use thiserror::Error;

/// Why a guard is not proven alive.
#[derive(Debug, Error)]
pub enum NotProven {
    /// The request got past admission.
    #[error("the probe was not denied by tenure-{guard}: {answer}")]
    NotDenied {
        /// The guard.
        guard: String,
        /// What the API server answered instead.
        answer: String,
    },
    /// The API server could not be asked.
    #[error("the probe could not be sent: {0}")]
    Unreachable(#[source] Box<kube::Error>),
}

/// Proves one guard alive.
///
/// # Errors
/// Where the guard did not deny, or the API server could not be asked.
pub async fn prove(client: &Client, namespace: &str, guard: &str) -> Result<(), NotProven> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/tenure-guard-probe-{guard}/proxy");
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(|error| NotProven::Unreachable(Box::new(kube::Error::HttpError(error))))?;
    match client.request_text(request).await {
        Ok(_) => Err(NotProven::NotDenied {
            guard: guard.to_owned(),
            answer: "the request was served".into(),
        }),
        Err(kube::Error::Api(status)) if is_denial(&status.message, guard) => Ok(()),
        Err(kube::Error::Api(status)) => Err(NotProven::NotDenied {
            guard: guard.to_owned(),
            answer: status.message.clone(),
        }),
        Err(error) => Err(NotProven::Unreachable(Box::new(error))),
    }
}

fn is_denial(message: &str, guard: &str) -> bool {
    message.contains(&format!("'tenure-{guard}'")) && message.contains("denied request")
}
