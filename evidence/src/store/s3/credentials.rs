//! Credentials in a mounted file, read anew for every request: whoever rotates them restarts nobody.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};

/// The part of the file that counts.
const PROFILE: &str = "default";

/// A file as the AWS tools have it (`[default]`, `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`).
pub(super) struct Mounted {
    path: PathBuf,
}

impl Mounted {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    async fn read(&self) -> Result {
        let path = self.path.display();
        let text = tokio::fs::read_to_string(&self.path).await;
        let text = text.map_err(|error| {
            CredentialsError::not_loaded(format!("cannot read the credentials {path}: {error}"))
        })?;
        parse(&text).ok_or_else(|| {
            let why = format!(
                "{path} holds no [{PROFILE}] with aws_access_key_id and aws_secret_access_key"
            );
            CredentialsError::invalid_configuration(why)
        })
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Mounted({})", self.path.display())
    }
}

impl ProvideCredentials for Mounted {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.read())
    }
}

fn parse(text: &str) -> Option<Credentials> {
    let mut is_ours = false;
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            is_ours = name.trim_end_matches(']').trim() == PROFILE;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_ours) else {
            continue;
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(Credentials::new(id?, secret?, token, None, "mounted file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_counts() {
        let text = "# rotated by the vault\n[other]\naws_access_key_id = no\naws_secret_access_key = no\n\n[default]\n\
                    aws_access_key_id = AKIA1\naws_secret_access_key= a/b+c==\nregion = eu\n[more]\naws_access_key_id = no\n";
        let found = parse(text).unwrap();
        assert_eq!(found.access_key_id(), "AKIA1");
        assert_eq!(found.secret_access_key(), "a/b+c==");
        assert_eq!(found.session_token(), None);
        let found = parse(&text.replace("region = eu", "aws_session_token = t"));
        assert_eq!(found.unwrap().session_token(), Some("t"));
    }

    #[test]
    fn half_of_it_is_nothing() {
        for text in [
            "",
            "aws_access_key_id = a\naws_secret_access_key = b\n",
            "[default]\naws_access_key_id = a\n",
            "[default]\naws_access_key_id =\naws_secret_access_key = b\n",
            "[other]\naws_access_key_id = a\naws_secret_access_key = b\n",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn no_secret_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::fs::write(&path, "[default]\naws_secret_access_key = sesame\n").unwrap();
        let mounted = Mounted::at(&path);
        let error = mounted.read().await.unwrap_err();
        let told = format!("{mounted:?} {error} {error:?}");
        assert!(told.contains("aws_access_key_id"), "{told}");
        assert!(!told.contains("sesame"), "{told}");
    }
}
