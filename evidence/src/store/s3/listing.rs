//! What lies in a bucket, a page at a time: every key once, with how often something was written or deleted under it.

use std::collections::BTreeMap;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{Failure, Listed, S3, StoreError, within};

/// How many versions and folders one request asks for: the most that a server gives.
const PAGE: i32 = 1_000;

/// Where the next page begins.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Marker {
    key: String,
    version: Option<String>,
}

impl Marker {
    /// Nothing where this was the last page.
    fn after(page: &ListObjectVersionsOutput) -> Option<Self> {
        page.is_truncated.filter(|is| *is)?;
        Some(Self {
            key: page.next_key_marker.clone().unwrap_or_default(),
            version: page
                .next_version_id_marker
                .clone()
                .filter(|id| !id.is_empty()),
        })
    }
}

/// What one request brought.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Listed>,
    pub(super) folders: Vec<String>,
}

/// What is known of a key whose versions may go on in the next page.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    versions: u32,
    /// Whether anything was ever written: a delete marker alone is no object.
    is_written: bool,
}

/// A walk through one folder.
struct Walk<'a> {
    store: &'a S3,
    folder: String,
    /// What every key in it begins with.
    prefix: String,
    next: Next,
    /// The last key of the pages before.
    open: Option<(String, Count)>,
    last_folder: String,
    /// The marker, where the page before ended in what it names: some servers begin the next page with it once more.
    repeated: Option<Marker>,
}

enum Next {
    First,
    After(Marker),
    Nothing,
}

impl S3 {
    /// The version that was first written under a key; versions are listed newest first.
    pub(super) async fn first_version(&self, key: &str) -> Result<Option<String>, StoreError> {
        let full = self.full(key);
        let (mut first, mut after) = (None, None);
        loop {
            let page = self.page(key, &full, None, after.as_ref()).await?;
            let oldest = page.versions().iter().rfind(|one| one.key() == Some(&full));
            first = oldest.and_then(|one| one.version_id.clone()).or(first);
            let others = page.versions().iter().any(|one| one.key() != Some(&full))
                || page
                    .delete_markers()
                    .iter()
                    .any(|one| one.key() != Some(&full));
            let next = Marker::after(&page);
            if others || next.is_none() {
                return Ok(first);
            }
            if next == after {
                return Err(self.stuck(key));
            }
            after = next;
        }
    }

    /// Walks through a folder and takes `part` of every page.
    pub(super) fn walk<T: Send + 'static>(
        &self,
        folder: &str,
        part: fn(Page) -> Vec<T>,
    ) -> BoxStream<'_, Result<T, StoreError>> {
        stream::try_unfold(self.begin(folder), Walk::step)
            .map_ok(move |page| stream::iter(part(page).into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    fn begin(&self, folder: &str) -> Walk<'_> {
        Walk {
            store: self,
            folder: folder.to_owned(),
            prefix: format!("{}/", self.full(folder)),
            next: Next::First,
            open: None,
            last_folder: String::new(),
            repeated: None,
        }
    }

    async fn page(
        &self,
        key: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&Marker>,
    ) -> Result<ListObjectVersionsOutput, StoreError> {
        let request = self
            .client
            .list_object_versions()
            .bucket(&self.settings.bucket)
            .prefix(prefix)
            .set_delimiter(delimiter.map(str::to_owned))
            .set_key_marker(after.map(|after| after.key.clone()))
            .set_version_id_marker(after.and_then(|after| after.version.clone()))
            .max_keys(PAGE);
        let page = within(self, key, async {
            let page = request.send().await;
            page.map_err(|error| self.told(key, "listing", &error))
        });
        page.await
    }

    fn stuck(&self, key: &str) -> StoreError {
        let why = "its listing goes on without end: the next page is the same one";
        StoreError::of(self, key, Failure::Malformed, why)
    }
}

impl Walk<'_> {
    async fn step(mut self) -> Result<Option<(Page, Self)>, StoreError> {
        let after = match &self.next {
            Next::First => None,
            Next::After(marker) => Some(marker),
            Next::Nothing => return Ok(None),
        };
        let page = self
            .store
            .page(&self.folder, &self.prefix, Some("/"), after);
        let page = page.await?;
        let page = self.take(&page)?;
        Ok(Some((page, self)))
    }

    /// Counts what a page holds; its last key stays open where another page follows.
    fn take(&mut self, page: &ListObjectVersionsOutput) -> Result<Page, StoreError> {
        let next = Marker::after(page);
        if let (Some(next), Next::After(before)) = (&next, &self.next)
            && next == before
        {
            return Err(self.store.stuck(&self.folder));
        }
        let versions = page.versions().iter();
        let versions = versions.map(|one| (one.key(), one.version_id(), true));
        let markers = page.delete_markers().iter();
        let markers = markers.map(|one| (one.key(), one.version_id(), false));
        let repeated = self.repeated.take();
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for (key, version, is_written) in versions.chain(markers) {
            let key = key.unwrap_or_default();
            let is = |marker: &Marker| marker.key == key && marker.version.as_deref() == version;
            if next.as_ref().is_some_and(is) {
                self.repeated.clone_from(&next);
            }
            if repeated.as_ref().is_some_and(is) {
                continue;
            }
            let count = counts.entry(key.to_owned()).or_default();
            count.versions = count.versions.saturating_add(1);
            count.is_written |= is_written;
        }
        if let Some((key, before)) = self.open.take() {
            if counts
                .first_key_value()
                .is_some_and(|(first, _)| *first < key)
            {
                return Err(self.out_of_order());
            }
            let count = counts.entry(key).or_default();
            count.versions = count.versions.saturating_add(before.versions);
            count.is_written |= before.is_written;
        }
        if next.is_some() {
            self.open = counts.pop_last();
        }
        self.next = next.map_or(Next::Nothing, Next::After);
        let objects = counts.into_iter().filter(|(_, count)| count.is_written);
        let objects = objects.filter_map(|(key, count)| {
            let name = self.name(&key)?.to_owned();
            let versions = count.versions;
            Some(Listed { name, versions })
        });
        Ok(Page {
            objects: objects.collect(),
            folders: self.folders(page)?,
        })
    }

    fn folders(&mut self, page: &ListObjectVersionsOutput) -> Result<Vec<String>, StoreError> {
        let mut folders = Vec::new();
        for folder in page.common_prefixes() {
            let Some(folder) = folder.prefix() else {
                continue;
            };
            if *folder == *self.last_folder {
                continue;
            }
            if *folder < *self.last_folder {
                return Err(self.out_of_order());
            }
            folder.clone_into(&mut self.last_folder);
            let name = folder
                .strip_suffix('/')
                .and_then(|folder| self.name(folder));
            folders.extend(name.map(str::to_owned));
        }
        Ok(folders)
    }

    /// The name in the folder; nothing for the folder's own mark, which consoles leave.
    fn name<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.prefix)
            .filter(|name| !name.is_empty())
    }

    fn out_of_order(&self) -> StoreError {
        let why =
            "it does not list in the order of names; a bucket of this kind cannot hold a record";
        StoreError::of(self.store, &self.folder, Failure::Malformed, why)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{CommonPrefix, DeleteMarkerEntry, ObjectVersion};

    use super::super::{Credentials, S3Settings};
    use super::*;

    async fn bucket() -> S3 {
        let settings = S3Settings {
            bucket: "record".into(),
            prefix: "p".into(),
            region: "eu-central-1".into(),
            endpoint: Some("http://127.0.0.1:1".into()),
            path_style: true,
            ca_bundle: None,
            credentials: Credentials::File("/nowhere".into()),
            lock: None,
        };
        S3::new(settings).await.unwrap()
    }

    /// A page: `key version` for something written, `!key version` for a delete marker, `key/` for a folder.
    fn page(lines: &[&str], next: Option<&str>) -> ListObjectVersionsOutput {
        let mut page = ListObjectVersionsOutput::builder().is_truncated(next.is_some());
        for line in lines {
            let Some((key, version)) = line.split_once(' ') else {
                let folder = CommonPrefix::builder().prefix(format!("p/f/{line}"));
                page = page.common_prefixes(folder.build());
                continue;
            };
            page = match key.strip_prefix('!') {
                Some(key) => {
                    let one = DeleteMarkerEntry::builder().key(format!("p/f/{key}"));
                    page.delete_markers(one.version_id(version).build())
                }
                None => {
                    let one = ObjectVersion::builder().key(format!("p/f/{key}"));
                    page.versions(one.version_id(version).build())
                }
            };
        }
        if let Some((key, version)) = next.and_then(|next| next.split_once(' ')) {
            page = page.next_key_marker(format!("p/f/{key}"));
            page = page.next_version_id_marker(version);
        }
        page.build()
    }

    /// What a walk says of these pages.
    async fn walked(pages: &[ListObjectVersionsOutput]) -> Result<(String, String), StoreError> {
        let store = bucket().await;
        let mut walk = store.begin("f");
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        for page in pages {
            let page = walk.take(page)?;
            let listed = page.objects.into_iter();
            objects.extend(listed.map(|one| format!("{} {}", one.name, one.versions)));
            folders.extend(page.folders);
        }
        Ok((objects.join(","), folders.join(",")))
    }

    #[tokio::test]
    async fn versions_and_markers_of_a_key_are_counted_over_pages() {
        let pages = [
            page(&["a 3", "a 2", "!b 9"], Some("b 9")),
            page(&["b 1", "c 5"], Some("c 5")),
            page(&["c 4"], Some("c 4")),
            page(&["c 3", "d 1"], None),
        ];
        let (objects, _) = walked(&pages).await.unwrap();
        assert_eq!(objects, "a 2,b 2,c 3,d 1");
    }

    #[tokio::test]
    async fn what_a_server_repeats_is_counted_once() {
        let pages = [
            page(&["x/", "a 2", "b 9"], Some("b 9")),
            page(&["x/", "y/", "b 9", "b 8", "c 7"], None),
        ];
        let (objects, folders) = walked(&pages).await.unwrap();
        assert_eq!((&*objects, &*folders), ("a 1,b 2,c 1", "x,y"));
    }

    #[tokio::test]
    async fn neither_a_marker_alone_nor_the_folder_itself_is_an_object() {
        let pages = [page(&["!a 2", "b 1", " 1"], None)];
        let (objects, _) = walked(&pages).await.unwrap();
        assert_eq!(objects, "b 1");
    }

    #[tokio::test]
    async fn a_listing_without_order_or_end_is_refused() {
        let unordered = [page(&["b 1"], Some("b 1")), page(&["a 1"], None)];
        let folders = [page(&["y/"], Some("y/ ")), page(&["x/"], None)];
        let endless = [page(&["a 1"], Some("a 1")), page(&["a 1"], Some("a 1"))];
        for pages in [&unordered, &folders, &endless] {
            let error = walked(pages).await.unwrap_err();
            assert_eq!(error.failure, Failure::Malformed, "{error}");
        }
    }
}
