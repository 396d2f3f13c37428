//! The keys that sign the record, and the dated list by which a verifier knows them.

use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;

/// Why a key or a key list cannot be used. Never holds key material.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("signing key {path}: {source}")]
    File {
        /// Where it should be.
        path: String,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no Ed25519 key.
    #[error(
        "signing key {0}: not an Ed25519 private key in PKCS#8 PEM; make one with `kubectl tenure ledger keygen`"
    )]
    NotAKey(String),
    /// The list is not readable.
    #[error("key list: {0}")]
    List(String),
    /// The random source failed.
    #[error("no key could be made: the system's random source failed")]
    NoRandomness,
}

/// Names a public key: the SHA-256 of its 32 bytes.
pub type KeyId = Digest;

/// The private key that signs checkpoints (Ed25519, RFC 8032).
pub struct Signer {
    pair: Ed25519KeyPair,
    id: KeyId,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Signer({})", self.id)
    }
}

impl Signer {
    /// Reads a PKCS#8 PEM file.
    ///
    /// # Errors
    /// Where the file cannot be read or is no Ed25519 key.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let place = path.display().to_string();
        let pem = std::fs::read(path).map_err(|source| KeyError::File {
            path: place.clone(),
            source,
        })?;
        Self::from_pem(&pem).ok_or(KeyError::NotAKey(place))
    }

    /// Reads PKCS#8 PEM; nothing where it is no Ed25519 key.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
        let id = Digest::of(pair.public_key().as_ref());
        Some(Self { pair, id })
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let id = Digest::of(pair.public_key().as_ref());
        Ok(Self { pair, id })
    }

    /// The private key as PKCS#8 PEM. Whoever holds this text can sign as the operator.
    ///
    /// # Errors
    /// Where the key cannot be written out.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::NoRandomness)?;
        let text = BASE64.encode(der.as_ref());
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|start| &text[start..text.len().min(start + 64)])
            .collect();
        let body = lines.join("\n");
        Ok(format!(
            "-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
        ))
    }

    /// Names the public key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The public half, as it stands in a key list.
    pub fn public(&self, not_before: Timestamp) -> PublicKey {
        PublicKey {
            key_id: self.id,
            algorithm: Algorithm::Ed25519,
            public_key: BASE64.encode(self.pair.public_key().as_ref()),
            not_before,
            not_after: None,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Algorithm {
    /// RFC 8032.
    Ed25519,
}

/// One key of the published list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublicKey {
    /// SHA-256 of the key's bytes.
    #[serde(rename = "keyID")]
    pub key_id: KeyId,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The key's 32 bytes in base64.
    pub public_key: String,
    /// From when it signs.
    pub not_before: Timestamp,
    /// From when it signs no more; open while in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

impl PublicKey {
    pub(crate) fn signs_at(&self, at: Timestamp) -> bool {
        self.not_before <= at && self.not_after.is_none_or(|end| at < end)
    }
}

/// The list of keys as the provider publishes it: what a verifier must get from elsewhere than from the record.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// Shape of this list; 1.
    pub version: u32,
    /// Oldest first.
    pub keys: Vec<PublicKey>,
}

impl KeyList {
    /// A list of one key.
    pub fn of(key: PublicKey) -> Self {
        Self {
            version: 1,
            keys: vec![key],
        }
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Where it is no list of this version, holds no key, a key twice, or one whose name is not its digest.
    pub fn from_json(text: &[u8]) -> Result<Self, KeyError> {
        let list: Self =
            serde_json::from_slice(text).map_err(|error| KeyError::List(error.to_string()))?;
        list.check().map_err(KeyError::List)?;
        Ok(list)
    }

    fn check(&self) -> Result<(), String> {
        if self.version != 1 {
            return Err(format!("version {} is not known, only 1", self.version));
        }
        if self.keys.is_empty() {
            return Err("it holds no key".into());
        }
        for (at, key) in self.keys.iter().enumerate() {
            let bytes = BASE64.decode(&key.public_key).unwrap_or_default();
            if bytes.len() != 32 || Digest::of(&bytes) != key.key_id {
                return Err(format!("key {}: publicKey is not that key's", key.key_id));
            }
            if self.keys[..at]
                .iter()
                .any(|other| other.key_id == key.key_id)
            {
                return Err(format!("key {} stands twice", key.key_id));
            }
            if key.not_after.is_some_and(|end| end <= key.not_before) {
                return Err(format!(
                    "key {}: notAfter is not after notBefore",
                    key.key_id
                ));
            }
        }
        Ok(())
    }

    /// The next list when `next` takes over at `at`: what signs until now ends there.
    #[must_use]
    pub fn rotated(&self, next: &Signer, at: Timestamp) -> Self {
        let mut keys = self.keys.clone();
        for key in &mut keys {
            key.not_after.get_or_insert(at);
        }
        keys.push(next.public(at));
        Self { version: 1, keys }
    }

    /// Whether what this key signs at that time is believed.
    pub(crate) fn is_in_use(&self, id: KeyId, at: Timestamp) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| key.key_id == id && key.signs_at(at))
    }

    /// Whether `later` had been replaced before `earlier` began to sign: it cannot have signed after it.
    pub(crate) fn went_back(&self, earlier: KeyId, later: KeyId) -> bool {
        let key = |id| self.keys.iter().find(|key| key.key_id == id);
        let (Some(earlier), Some(later)) = (key(earlier), key(later)) else {
            return false;
        };
        later.not_after.is_some_and(|end| end <= earlier.not_before)
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<Verifier<'_>> {
        let key = self.keys.iter().find(|key| key.key_id == id)?;
        Some(Verifier {
            key,
            bytes: BASE64.decode(&key.public_key).ok()?,
        })
    }
}

/// A key of the list, ready to verify.
pub(crate) struct Verifier<'a> {
    pub(crate) key: &'a PublicKey,
    bytes: Vec<u8>,
}

impl Verifier<'_> {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes)
            .verify(message, signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_reads_back_from_its_file() {
        let signer = Signer::generate().unwrap();
        let again = Signer::from_pem(signer.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(again.id(), signer.id());
        assert!(Signer::from_pem(b"no key").is_none());
    }

    #[test]
    fn a_key_of_another_tool_is_read() {
        // `openssl genpkey -algorithm ed25519`; RFC 8410's example key.
        let pem = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let signer = Signer::from_pem(pem).unwrap();
        let public = signer.public(at("2026-01-01T00:00:00Z")).public_key;
        assert_eq!(public, "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    }

    #[test]
    fn a_rotation_ends_the_old_key_where_the_new_one_begins() {
        let (old, new) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let list = KeyList::of(old.public(at("2026-01-01T00:00:00Z")));
        let then = at("2026-06-01T00:00:00Z");
        let rotated = list.rotated(&new, then);
        let text = serde_json::to_vec(&rotated).unwrap();
        assert_eq!(KeyList::from_json(&text).unwrap(), rotated);
        let ends: Vec<_> = rotated.keys.iter().map(|key| key.not_after).collect();
        assert_eq!(ends, [Some(then), None]);
    }

    #[test]
    fn a_list_that_is_wrong_says_how() {
        let key = Signer::generate()
            .unwrap()
            .public(at("2026-01-01T00:00:00Z"));
        let other = Signer::generate()
            .unwrap()
            .public(at("2026-01-01T00:00:00Z"));
        let check = |list: KeyList, expect: &str| {
            let text = serde_json::to_vec(&list).unwrap();
            let error = KeyList::from_json(&text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        let of = |keys: Vec<PublicKey>| KeyList { version: 1, keys };
        check(of(vec![]), "holds no key");
        check(of(vec![key.clone(), key.clone()]), "stands twice");
        check(
            KeyList {
                version: 2,
                keys: vec![key.clone()],
            },
            "version 2",
        );
        let swapped = PublicKey {
            public_key: other.public_key,
            ..key.clone()
        };
        check(of(vec![swapped]), "not that key's");
        let backwards = PublicKey {
            not_after: Some(key.not_before),
            ..key
        };
        check(of(vec![backwards]), "not after notBefore");
        assert!(KeyList::from_json(b"{}").is_err());
    }
}
