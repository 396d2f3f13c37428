//! SHA-256 digests and the canonical form of JSON they are taken over.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A SHA-256 digest; written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What the first entry of a chain names as the one before it.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        let digits = self
            .0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15].map(|half| char::from(HEX[usize::from(half)])));
        digits.collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a digest is sha256: and 64 lower-case hexadecimal digits")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.strip_prefix(PREFIX).ok_or(NoDigest)?.as_bytes();
        if digits.len() != 64 {
            return Err(NoDigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (HALVES[usize::from(pair[0])], HALVES[usize::from(pair[1])]);
            if (high | low) == NO_DIGIT {
                return Err(NoDigest);
            }
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

const NO_DIGIT: u8 = u8::MAX;

/// What each hexadecimal digit stands for. One form only: an upper-case digit would be a second text for the same digest.
static HALVES: [u8; 256] = {
    let mut halves = [NO_DIGIT; 256];
    let mut half = 0;
    while half < HEX.len() {
        halves[HEX[half] as usize] = half as u8;
        half += 1;
    }
    halves
};

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Digest;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{NoDigest}")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The canonical bytes of a value: RFC 8785 (JSON Canonicalization Scheme), so that the same content always has the same digest.
///
/// # Errors
/// Where the value has no JSON form (a map with keys that are no strings, a number that is not finite).
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_and_has_one_text() {
        let digest = Digest::of(b"tenure");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let upper = format!("{PREFIX}{}", digest.hex().to_uppercase());
        assert_eq!(upper.parse::<Digest>(), Err(NoDigest));
        for wrong in ["", "sha256:", &digest.hex(), &format!("{digest}0")] {
            assert_eq!(wrong.parse::<Digest>(), Err(NoDigest), "{wrong}");
        }
    }

    #[test]
    fn known_digest() {
        // FIPS 180-4's example.
        let expect = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expect);
    }
}
