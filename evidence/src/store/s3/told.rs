//! What went wrong with a bucket, in one sentence, and never with a secret in it.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::{ATTEMPT, Failure, S3, StoreError};

/// Most of a text that a server or a library sent.
const MOST: usize = 300;

impl S3 {
    /// What came of `doing` something with a key.
    pub(super) fn told<E>(
        &self,
        key: &str,
        doing: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (failure, why) = match error {
            SdkError::ServiceError(service) => {
                let error = service.err();
                said(
                    service.raw().status().as_u16(),
                    error.code().unwrap_or_default(),
                    error.message().unwrap_or_default(),
                )
            }
            SdkError::TimeoutError(_) => timed_out(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => timed_out(),
            SdkError::ConstructionFailure(_) => (Failure::Refused, causes(error)),
            SdkError::DispatchFailure(failure) => {
                let connector = failure.as_connector_error();
                unsent(connector.and_then(|error| error.source()).unwrap_or(error))
            }
            _ => (Failure::Unreachable, causes(error)),
        };
        StoreError::of(self, key, failure, format!("{doing}: {why}"))
    }

    /// A body that ended early, or is not the one that was promised.
    pub(super) fn broken_off(&self, key: &str, error: &(dyn Error + 'static)) -> StoreError {
        let why = format!("reading: {}", causes(error));
        StoreError::of(self, key, Failure::Unreachable, why)
    }
}

fn timed_out() -> (Failure, String) {
    let why = format!("no answer within {} s", ATTEMPT.as_secs());
    (Failure::TimedOut, why)
}

/// What never came to an answer: nobody there, another one than was asked for, or nothing to ask with.
fn unsent(error: &(dyn Error + 'static)) -> (Failure, String) {
    let why = causes(error);
    if error.is::<CredentialsError>() {
        return (Failure::Refused, why);
    }
    let hint = if why.contains("peer certificate") {
        "; the bundle of authorities must hold the one that signed it, and its address must be in it"
    } else {
        ""
    };
    (Failure::Unreachable, why + hint)
}

fn said(status: u16, code: &str, message: &str) -> (Failure, String) {
    let failure = match (status, code) {
        (_, "NoSuchBucket") => Failure::Unreachable,
        (_, "NoSuchKey" | "NoSuchVersion") => Failure::Untrue,
        (_, "QuotaExceeded" | "StorageFull" | "EntityTooLarge") | (507, _) => Failure::Full,
        (405, _) => Failure::ReadOnly,
        (408 | 429 | 503 | 504, _) | (_, "SlowDown" | "RequestTimeout") => Failure::TimedOut,
        (500.., _) => Failure::Unreachable,
        _ => Failure::Refused,
    };
    let hint = match code {
        "NoSuchBucket" => "; make the bucket, or correct its name",
        "InvalidRequest" | "InvalidArgument" => {
            "; a bucket whose objects are to be locked is made with object lock enabled"
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" => {
            "; give it credentials that are known there"
        }
        "AccessDenied" => {
            "; it needs s3:PutObject, s3:PutObjectRetention, s3:GetObject, s3:GetObjectVersion and s3:ListBucketVersions"
        }
        "RequestTimeTooSkewed" => "; set the clock right",
        "AuthorizationHeaderMalformed" | "PermanentRedirect" => "; correct the region",
        _ => "",
    };
    let message = short(message);
    (failure, format!("{status} {code}: {message}{hint}"))
}

/// An error and what caused it.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // Wrappers like to repeat what they wrap.
        if !texts.iter().any(|before| before.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    short(&texts.join(": "))
}

fn short(text: &str) -> String {
    let text = text.chars().filter(|char| !char.is_control());
    let text: String = text.take(MOST).collect();
    text.trim_end_matches(['.', ' ']).to_owned()
}
