//! The record in a bucket: versions kept, every object locked until a day, whoever writes later changes nothing.

mod credentials;
mod listing;
mod settings;
mod told;

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumMode, ObjectLockMode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Claim, Failure, Listed, Store, StoreError, must_fit, within};
use crate::place::PlaceError;

pub use settings::{Credentials, Lock, LockMode, S3Settings};

/// How long one try of a request may take; several fit into the deadline.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How often a request is tried.
const ATTEMPTS: u32 = 3;
/// No write begins after this long: what is left of the deadline is for asking what came of it.
const LAST_WRITE: Duration = Duration::from_secs(4);
/// The pause before the second try; longer before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// A store in a bucket that keeps versions. The bucket is never made, nor are its settings changed.
///
/// A place belongs to whoever wrote its first version: `If-None-Match` keeps others from writing a second, and where a server
/// does not heed it, or a delete marker lies above, the order of the versions still decides.
pub struct S3 {
    client: Client,
    settings: S3Settings,
    place: String,
}

/// What is known of a write that was not acknowledged.
enum Unwritten {
    /// Something is there.
    Taken,
    /// It was not done, and would not be if it were asked again.
    Refused,
    /// Whether it was done is not known.
    Unknown,
}

impl S3 {
    /// The store that these settings describe. Nothing is asked of it yet.
    ///
    /// # Errors
    /// Where the settings cannot be used: an address that is none, a bundle of certificates that cannot be read.
    pub async fn new(settings: S3Settings) -> Result<Self, PlaceError> {
        let place = settings.place();
        let client = settings.client().await.map_err(|why| PlaceError {
            place: place.clone(),
            why,
        })?;
        Ok(Self {
            client,
            settings,
            place,
        })
    }

    /// A key as the bucket has it.
    fn full(&self, key: &str) -> String {
        match self.settings.prefix.trim_matches('/') {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    async fn claim(&self, key: &str, bytes: Bytes) -> Result<Claim, StoreError> {
        must_fit(self, key, bytes.len())?;
        let begin = Instant::now();
        let mut trouble = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            if begin.elapsed() > LAST_WRITE {
                break;
            }
            let error = match self.put(key, bytes.clone()).await {
                Ok(version) => match self.is_first(key, version).await? {
                    true => return Ok(Claim::Made),
                    false => break,
                },
                Err(error) => error,
            };
            match unwritten(&error) {
                Unwritten::Taken => break,
                Unwritten::Refused => return Err(self.told(key, "writing", &error)),
                Unwritten::Unknown => trouble = Some(self.told(key, "writing", &error)),
            }
        }
        let Some(trouble) = trouble else {
            return Ok(Claim::Taken);
        };
        // One of the tries may have done it unheard: what stands there says so.
        match self.first(key).await {
            Ok(Some(found)) if found == bytes => Ok(Claim::Made),
            Ok(Some(_)) => Ok(Claim::Taken),
            Ok(None) | Err(_) => Err(trouble),
        }
    }

    /// One try. Trying again is not left to the client: it would not tell a first refusal from one by our own earlier try.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
    ) -> Result<Option<String>, SdkError<PutObjectError, HttpResponse>> {
        let mut request = self
            .client
            .put_object()
            .bucket(&self.settings.bucket)
            .key(self.full(key))
            .if_none_match("*")
            .checksum_sha256(BASE64.encode(Sha256::digest(&bytes)));
        if let Some(lock) = &self.settings.lock {
            let until = Timestamp::now().as_second() + i64::from(lock.days) * 24 * 60 * 60;
            request = request
                .object_lock_mode(match lock.mode {
                    LockMode::Compliance => ObjectLockMode::Compliance,
                    LockMode::Governance => ObjectLockMode::Governance,
                })
                .object_lock_retain_until_date(DateTime::from_secs(until));
        }
        let once = aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled());
        let request = request
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(once);
        Ok(request.send().await?.version_id)
    }

    /// Whether the version that we wrote is the first one; a bucket without versions has no other.
    async fn is_first(&self, key: &str, version: Option<String>) -> Result<bool, StoreError> {
        let Some(version) = version.filter(|version| version != "null") else {
            return Ok(true);
        };
        match self.first_version(key).await? {
            Some(first) => Ok(first == version),
            None => {
                let why = "it said this was written and does not list it";
                Err(StoreError::of(self, key, Failure::Untrue, why))
            }
        }
    }

    /// What was first written under a key.
    async fn first(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let Some(version) = self.first_version(key).await? else {
            return Ok(None);
        };
        let request = self
            .client
            .get_object()
            .bucket(&self.settings.bucket)
            .key(self.full(key))
            .version_id(version)
            .checksum_mode(ChecksumMode::Enabled);
        let found = request.send().await;
        let found = found.map_err(|error| self.told(key, "reading", &error))?;
        let length = found.content_length.unwrap_or_default();
        must_fit(self, key, usize::try_from(length).unwrap_or(usize::MAX))?;
        self.collect(key, found.body).await.map(Some)
    }

    /// The bytes of an answer: no more than fit, whatever length was promised, or none.
    async fn collect(&self, key: &str, mut body: ByteStream) -> Result<Bytes, StoreError> {
        let mut bytes = BytesMut::new();
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| self.broken_off(key, &error))?;
            must_fit(self, key, bytes.len().saturating_add(part.len()))?;
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }
}

fn unwritten(error: &SdkError<PutObjectError, HttpResponse>) -> Unwritten {
    let service = match error {
        SdkError::ServiceError(service) => service,
        SdkError::ConstructionFailure(_) => return Unwritten::Refused,
        _ => return Unwritten::Unknown,
    };
    match (service.raw().status().as_u16(), service.err().code()) {
        (412, _) => Unwritten::Taken,
        (408 | 429 | 500.., _)
        | (_, Some("ConditionalRequestConflict" | "OperationAborted" | "RequestTimeout")) => {
            Unwritten::Unknown
        }
        _ => Unwritten::Refused,
    }
}

impl Store for S3 {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        within(self, key, self.claim(key, bytes)).boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        within(self, key, self.first(key)).boxed()
    }

    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>> {
        self.walk(folder, |page| page.objects)
    }

    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>> {
        self.walk(folder, |page| page.folders)
    }
}
