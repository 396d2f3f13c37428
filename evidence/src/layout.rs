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
    format!("{}/{}", chain(root, id), shard_name(place))
}

/// Name of that folder in its chain's.
pub fn shard_name(place: u64) -> String {
    format!("{:016}", place / SHARD)
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
    let digits = name.strip_suffix(ending)?;
    let place: u64 = digits.parse().ok()?;
    (format!("{place:020}") == digits).then_some(place)
}
