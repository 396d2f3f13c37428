//! DSSE envelopes: a payload, what it is, and who signed it (Dead Simple Signing Envelope v1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::keys::{KeyId, KeyList, PublicKey, Signer};

/// A signed payload.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The payload in base64.
    pub payload: String,
    /// What the payload is.
    pub payload_type: String,
    /// One signature.
    pub signatures: [Signature; 1],
}

/// Who signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Names the key.
    pub keyid: KeyId,
    /// The signature in base64.
    pub sig: String,
}

/// Why an envelope says nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Untrusted {
    /// It is for something else.
    #[error("the envelope holds {0}, not what is expected here")]
    OtherType(String),
    /// Its parts are not base64.
    #[error("the envelope's payload or signature is not base64")]
    NotBase64,
    /// The list does not name the key.
    #[error("signed by key {0}, which the key list does not name")]
    UnknownKey(Digest),
    /// The signature is wrong.
    #[error("the signature by key {0} does not match: forged or changed")]
    BadSignature(Digest),
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(kind: &str, payload: &[u8], signer: &Signer) -> Self {
        Self {
            payload: BASE64.encode(payload),
            payload_type: kind.to_owned(),
            signatures: [Signature {
                keyid: signer.id(),
                sig: BASE64.encode(signer.sign(&preauthenticated(kind, payload))),
            }],
        }
    }

    /// The payload, whoever signed it.
    ///
    /// # Errors
    /// Where it is of another type or not base64.
    pub fn payload(&self, kind: &str) -> Result<Vec<u8>, Untrusted> {
        if self.payload_type != kind {
            return Err(Untrusted::OtherType(self.payload_type.clone()));
        }
        BASE64
            .decode(&self.payload)
            .map_err(|_| Untrusted::NotBase64)
    }

    /// The payload and the key of `keys` that signed it. Whether that key was in use then, the caller decides.
    ///
    /// # Errors
    /// Where it is of another type, by no key of the list, or forged.
    pub fn open<'k>(
        &self,
        kind: &str,
        keys: &'k KeyList,
    ) -> Result<(Vec<u8>, &'k PublicKey), Untrusted> {
        let payload = self.payload(kind)?;
        let [signature] = &self.signatures;
        let verifier = keys
            .find(signature.keyid)
            .ok_or(Untrusted::UnknownKey(signature.keyid))?;
        let bytes = BASE64
            .decode(&signature.sig)
            .map_err(|_| Untrusted::NotBase64)?;
        if !verifier.verifies(&preauthenticated(kind, &payload), &bytes) {
            return Err(Untrusted::BadSignature(signature.keyid));
        }
        Ok((payload, verifier.key))
    }
}

/// DSSE's pre-authentication encoding: what is signed says of what type it is, so that no payload passes for another.
fn preauthenticated(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "application/vnd.tenure.test+json";

    #[test]
    fn what_is_signed_opens_with_the_list_and_nothing_else_does() {
        let (signer, other) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let keys = KeyList::of(signer.public(jiff::Timestamp::UNIX_EPOCH));
        let envelope = Envelope::sign(KIND, b"{}", &signer);
        assert_eq!(envelope.open(KIND, &keys).unwrap().0, b"{}");
        let unknown = Envelope::sign(KIND, b"{}", &other).open(KIND, &keys);
        assert_eq!(unknown.unwrap_err(), Untrusted::UnknownKey(other.id()));
        let changed = Envelope {
            payload: BASE64.encode(b"[]"),
            ..envelope.clone()
        };
        assert_eq!(
            changed.open(KIND, &keys).unwrap_err(),
            Untrusted::BadSignature(signer.id())
        );
        let retyped = Envelope {
            payload_type: "x".into(),
            ..envelope.clone()
        };
        assert_eq!(
            retyped.open("x", &keys).unwrap_err(),
            Untrusted::BadSignature(signer.id())
        );
        assert_eq!(
            envelope.open("x", &keys).unwrap_err(),
            Untrusted::OtherType(KIND.into())
        );
    }

    #[test]
    fn the_encoding_is_the_specifications() {
        // The protocol's own example.
        let encoded = preauthenticated("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            encoded,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
