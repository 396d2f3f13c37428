//! Where things lie in a store.
//!
//! A segment's name is the place of its first entry, so that the place itself is what two writers claim. Folders hold a bounded
//! number of them, so that nothing ever has to list a whole chain at once.

use crate::chain::ChainId;

/// How many places of a chain share one folder.
const SHARD: u64 = 10_000;

/// Folder of every chain.
pub const CHAINS: &str = "v1/chains";
/// Folder of every chain's checkpoints, in the second place.
pub const CHECKPOINTS: &str = "v1/checkpoints";
/// Folder of the public keys that ever signed.
pub const KEYS: &str = "v1/keys";

/// Ending of a segment's name.
pub const SEGMENT: &str = ".jsonl";
/// Ending of a checkpoint's name.
pub const CHECKPOINT: &str = ".json";

/// Folder of one chain below `root`.
pub fn chain(root: &str, chain: ChainId) -> String {
    format!("{root}/{chain}")
}

/// Folder of the places around `place`.
pub fn shard(root: &str, id: ChainId, place: u64) -> String {
    shard_of(root, id, place / SHARD)
}

/// The folder of places with that number.
pub fn shard_of(root: &str, id: ChainId, number: u64) -> String {
    format!("{}/{number:016}", chain(root, id))
}

/// Which of a chain's folders has this name; nothing where it is no name of ours.
pub fn shard_number(name: &str) -> Option<u64> {
    number(name, 16)
}

/// Whether a place belongs into that folder.
pub fn is_in_shard(place: u64, shard: u64) -> bool {
    place / SHARD == shard
}

/// Name of the segment that begins at a place.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}{SEGMENT}")
}

/// Key of that segment.
pub fn segment(id: ChainId, first: u64) -> String {
    format!("{}/{}", shard(CHAINS, id, first), segment_name(first))
}

/// Key of the checkpoint at a place, in the second place.
pub fn checkpoint(id: ChainId, last: u64) -> String {
    format!("{}/{last:020}{CHECKPOINT}", shard(CHECKPOINTS, id, last))
}

/// The place an object's name speaks of; nothing where it is no name of ours.
pub fn place(name: &str, ending: &str) -> Option<u64> {
    number(name.strip_suffix(ending)?, 20)
}

/// A number in the one form it has in names.
fn number(digits: &str, length: usize) -> Option<u64> {
    let is_one = digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_one.then(|| digits.parse().ok())?
}
