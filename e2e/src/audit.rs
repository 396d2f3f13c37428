//! What the API server recorded: who wrote what, since when.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The audit log of one plane, a file of each API server. Events are in it when, or a few milliseconds after, the answer
/// is sent.
#[derive(Debug, Clone)]
pub struct AuditLog {
    files: Vec<PathBuf>,
}

/// A place in the log: everything after it is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u64; API_SERVERS]);

/// Most API servers a plane has.
const API_SERVERS: usize = 2;

/// One request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `ResponseComplete`, `ResponseStarted` (watches, exec) or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The path and query, `?dryRun=All` included.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who authenticated.
    pub user: User,
    /// Whom that user claimed to be.
    pub impersonated_user: Option<User>,
    /// The object; `None` for paths that are no resource.
    pub object_ref: Option<ObjectRef>,
    /// The answer.
    pub response_status: Option<Answer>,
    /// When the request came in, RFC 3339.
    pub request_received_timestamp: String,
    /// What admission policies and others noted.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A user as recorded.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// The username.
    #[serde(default)]
    pub username: String,
    /// What else the authenticator said, such as which token it was.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An object as recorded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// The API group, empty for core.
    pub api_group: String,
    /// The plural.
    pub resource: String,
    /// The subresource, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The name, empty for creates and collections.
    pub name: String,
}

/// The answer as recorded.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// The HTTP status code.
    #[serde(default)]
    pub code: u16,
}

impl Event {
    /// The user on whose behalf the request was made: the impersonated one, if any.
    pub fn acting_user(&self) -> &str {
        let user = self.impersonated_user.as_ref().unwrap_or(&self.user);
        &user.username
    }

    /// Whether the token it came with is the one the API server calls so.
    pub fn is_by(&self, credential: &str) -> bool {
        let ids = self
            .user
            .extra
            .get("authentication.kubernetes.io/credential-id");
        ids.is_some_and(|ids| ids.iter().any(|id| id == credential))
    }

    /// The HTTP status code; 0 when none was recorded.
    pub fn code(&self) -> u16 {
        self.response_status
            .as_ref()
            .map_or(0, |answer| answer.code)
    }

    /// Whether the request asked for a change that would persist (refused ones included, dry runs not; nor questions
    /// that are asked with POST, such as access reviews and token reviews).
    pub fn is_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        let asks = self.object_ref.as_ref().is_some_and(|object| {
            let group = object.api_group.as_str();
            let review = object.resource.ends_with("reviews");
            matches!(group, "authorization.k8s.io" | "authentication.k8s.io") && review
        });
        writes.contains(&self.verb.as_str()) && !self.uri.contains("dryRun=All") && !asks
    }

    /// Whether it is about a Lease.
    pub fn is_lease(&self) -> bool {
        self.object_ref
            .as_ref()
            .is_some_and(|object| object.resource == "leases")
    }

    /// One line: `patch networkpolicies acme-prod/tenure-default-deny (200)`.
    pub fn line(&self) -> String {
        let Some(object) = &self.object_ref else {
            return format!("{} {} ({})", self.verb, self.uri, self.code());
        };
        let mut resource = object.resource.clone();
        if !object.subresource.is_empty() {
            resource = format!("{resource}/{}", object.subresource);
        }
        let mut name = object.name.clone();
        if !object.namespace.is_empty() {
            name = format!("{}/{name}", object.namespace);
        }
        format!("{} {resource} {name} ({})", self.verb, self.code())
    }
}

impl AuditLog {
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self { files }
    }

    /// The present end of the log, once it has come to rest for a moment (50 ms), at most two seconds from now.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub async fn mark(&self) -> Result<Mark> {
        let mut last = self.lengths()?;
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.lengths()?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(Mark(last))
    }

    /// All complete events after `mark`; those of one API server after those of another.
    ///
    /// # Errors
    ///
    /// When the log cannot be read or holds something else than events.
    pub fn since(&self, mark: Mark) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for (file, start) in self.files.iter().zip(mark.0) {
            events.extend(read(file, start)?);
        }
        Ok(events)
    }

    /// What `user` (authenticated or impersonated) wrote or tried to write after `mark`, Leases left out.
    ///
    /// # Errors
    ///
    /// As [`AuditLog::since`].
    pub fn writes_by(&self, user: &str, mark: Mark) -> Result<Vec<Event>> {
        let mut events = self.since(mark)?;
        events.retain(|event| event.acting_user() == user && event.is_write() && !event.is_lease());
        Ok(events)
    }

    fn lengths(&self) -> Result<[u64; API_SERVERS]> {
        let mut lengths = [0; API_SERVERS];
        for (length, file) in lengths.iter_mut().zip(&self.files) {
            let data = std::fs::metadata(file)
                .with_context(|| format!("cannot look at {}", file.display()))?;
            *length = data.len();
        }
        Ok(lengths)
    }
}

/// The complete events of one file from `start` on.
fn read(path: &Path, start: u64) -> Result<Vec<Event>> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file.seek(SeekFrom::Start(start))
        .context("cannot seek in the audit log")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .context("cannot read the audit log")?;
    let complete = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    bytes[..complete]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).context("a line of the audit log is no event"))
        .collect()
}

/// Counts events by their [`Event::line`], for a failure text one can read.
pub fn grouped(events: &[Event]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.line()).or_insert(0) += 1;
    }
    counts
}
