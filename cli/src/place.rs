//! Where a record is read from, as people write it.

use std::sync::Arc;

use tenure_evidence::place::{Place, S3Options};
use tenure_evidence::store::S3;
use tenure_evidence::{Folder, Store, s3_arguments};

s3_arguments! {
    /// How the record's bucket is reached.
    pub struct RecordS3, "s3"
}

s3_arguments! {
    /// How the second place's bucket is reached.
    pub struct SecondPlaceS3, "second-place-s3"
}

/// The store at a place: a folder, or `s3://bucket/prefix`.
pub async fn open(place: &str, options: impl Into<S3Options>) -> anyhow::Result<Arc<dyn Store>> {
    let mut options = options.into();
    if place.starts_with("s3://") && options.region.is_none() {
        options.region = region();
    }
    Ok(match Place::parse(place, &options)? {
        Place::Folder(folder) => Arc::new(Folder::open(&folder)?),
        Place::S3(settings) => Arc::new(S3::new(settings).await?),
    })
}

/// As AWS's own tools are told.
fn region() -> Option<String> {
    let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(std::env::var);
    named.into_iter().find_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_cannot_be_opened_says_why() {
        let why = async |place: &str| {
            let store = open(place, S3Options::default()).await;
            store.err().unwrap().to_string()
        };
        assert!(why("ftp://host/record").await.contains("not ftp://"));
        assert!(why("/nowhere/at/all").await.contains("No such file"));
        let folder = RecordS3 {
            path_style: true,
            ..RecordS3::default()
        };
        let why = open("/nowhere", &folder).await.err().unwrap().to_string();
        assert!(why.contains("options of a bucket"), "{why}");
    }
}
