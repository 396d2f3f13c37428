//! Where a record lies, as people write it.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use tenure_evidence::{Folder, Store};

/// The store at a place: a folder, or `s3://bucket/prefix`.
pub fn open(place: &str) -> anyhow::Result<Arc<dyn Store>> {
    match place.split_once("://") {
        None => Ok(Arc::new(Folder::open(Path::new(place))?)),
        Some(("s3", _)) => bail!(
            "{place}: this build reads records from folders only; copy the bucket into a folder, every object under its own name, and name the folder"
        ),
        Some((scheme, _)) => {
            bail!("{place}: a place is a folder or s3://bucket/prefix, not {scheme}://")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_opened_says_why() {
        let why = |place: &str| open(place).err().unwrap().to_string();
        assert!(why("s3://bucket/record").contains("folders only"));
        assert!(why("ftp://host/record").contains("not ftp://"));
        assert!(why("/nowhere/at/all").contains("No such file"));
    }
}
