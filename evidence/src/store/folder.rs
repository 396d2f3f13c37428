//! The record in a folder: a volume, a share, a copy on an auditor's disk.

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore as _, PutMode, PutOptions};

use super::{Claim, Failure, Listed, MOST_BYTES, Store, StoreError, must_fit, too_large, within};

/// Most names read from one folder; the record itself never puts more than 10,000 there.
const MOST: usize = 100_000;

/// A store in a folder. The folder is never made: a volume that is not mounted would look like an empty record.
pub struct Folder {
    root: PathBuf,
    files: OnceLock<Arc<LocalFileSystem>>,
}

impl Folder {
    /// The store in `root`, which is looked for when it is used.
    pub fn at(root: &FilePath) -> Self {
        Self {
            root: root.to_owned(),
            files: OnceLock::new(),
        }
    }

    /// The store in `root`.
    ///
    /// # Errors
    /// Where `root` is no folder that is there.
    pub fn open(root: &FilePath) -> Result<Self, StoreError> {
        let folder = Self::at(root);
        folder.files("(the folder itself)")?;
        Ok(folder)
    }

    fn files(&self, key: &str) -> Result<Arc<LocalFileSystem>, StoreError> {
        if let Some(files) = self.files.get() {
            return Ok(files.clone());
        }
        if let Err(error) = self.root.read_dir() {
            return Err(StoreError::of(self, key, failure(&error), error));
        }
        let files = LocalFileSystem::new_with_prefix(&self.root)
            .map_err(|error| StoreError::of(self, key, Failure::Unreachable, error))?
            .with_fsync(true);
        Ok(self.files.get_or_init(|| Arc::new(files)).clone())
    }

    fn told(&self, key: &str, error: &object_store::Error) -> StoreError {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return StoreError::of(self, key, failure(error), error);
            }
            cause = error.source();
        }
        StoreError::of(self, key, Failure::Unreachable, error)
    }

    /// The names directly in a folder, sorted: files or folders. A folder that is not there is empty, the root is not.
    async fn names(&self, folder: &str, wanted: Wanted) -> Result<Vec<String>, StoreError> {
        let path = self.root.join(folder);
        let read = tokio::task::spawn_blocking(move || read_names(&path, wanted));
        let read = within(self, folder, async {
            read.await
                .map_err(|error| StoreError::of(self, folder, Failure::Unreachable, error))
        });
        match read.await? {
            Ok(names) if names.len() > MOST => Err(StoreError::of(
                self,
                folder,
                Failure::Malformed,
                format!("it holds more than {MOST} entries"),
            )),
            Ok(names) => Ok(names),
            Err(error) if error.kind() == ErrorKind::NotFound && self.root.is_dir() => {
                Ok(Vec::new())
            }
            Err(error) => Err(StoreError::of(self, folder, failure(&error), error)),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Wanted {
    Files,
    Folders,
}

/// What a file holds; nothing where that is more than fits.
fn read_bounded(path: &FilePath) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > MOST_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(length + 1);
    // It may grow meanwhile.
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MOST_BYTES).then_some(bytes))
}

fn read_names(path: &FilePath, wanted: Wanted) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in path.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() != (wanted == Wanted::Folders) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // What was being written when a process died; object_store names it so, and it never counted.
        if is_staged(&name) {
            continue;
        }
        names.push(name);
        if names.len() > MOST {
            break;
        }
    }
    match wanted {
        Wanted::Files => names.sort_unstable(),
        // As a bucket has them: where one name begins with another, the `/` that follows counts.
        Wanted::Folders => names.sort_unstable_by(|a, b| slashed(a).cmp(slashed(b))),
    }
    Ok(names)
}

fn slashed(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().chain([b'/'])
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, count)| {
        !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// A folder is no object, as in a bucket.
fn is_no_object(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory)
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Failure::Full
        }
        ErrorKind::ReadOnlyFilesystem => Failure::ReadOnly,
        ErrorKind::PermissionDenied => Failure::Refused,
        ErrorKind::TimedOut => Failure::TimedOut,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => Failure::Malformed,
        _ => Failure::Unreachable,
    }
}

impl Store for Folder {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let path = Path::from(key);
        within(self, key, async move {
            must_fit(self, key, bytes.len())?;
            // A volume that went away must not be taken for an empty one: the parents are made, the root never.
            if !self.root.is_dir() {
                return Err(StoreError::of(
                    self,
                    key,
                    Failure::Unreachable,
                    "the folder is gone",
                ));
            }
            let files = self.files(key)?;
            let options = PutOptions::from(PutMode::Create);
            match files.put_opts(&path, bytes.into(), options).await {
                Ok(_) => Ok(Claim::Made),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(Claim::Taken),
                Err(error) => Err(self.told(key, &error)),
            }
        })
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        within(self, key, async move {
            let path = self.files(key)?.path_to_filesystem(&Path::from(key));
            let path = path.map_err(|error| self.told(key, &error))?;
            // Opened and read in one go: for a small file the change of threads is most of the work.
            let read = tokio::task::spawn_blocking(move || read_bounded(&path));
            let read = read
                .await
                .map_err(|error| StoreError::of(self, key, Failure::Unreachable, error))?;
            match read {
                Ok(Some(bytes)) => Ok(Some(bytes.into())),
                Ok(None) => Err(too_large(self, key)),
                Err(error) if is_no_object(&error) && self.root.is_dir() => Ok(None),
                Err(error) => Err(StoreError::of(self, key, failure(&error), error)),
            }
        })
        .boxed()
    }

    fn objects<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<Listed, StoreError>> {
        let folder = folder.to_owned();
        let names = async move {
            match self.names(&folder, Wanted::Files).await {
                Ok(names) => names
                    .into_iter()
                    .map(|name| Ok(Listed { name, versions: 1 }))
                    .collect(),
                Err(error) => vec![Err(error)],
            }
        };
        names.map(stream::iter).flatten_stream().boxed()
    }

    fn folders<'a>(&'a self, folder: &str) -> BoxStream<'a, Result<String, StoreError>> {
        let folder = folder.to_owned();
        let names = async move {
            match self.names(&folder, Wanted::Folders).await {
                Ok(names) => names.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        };
        names.map(stream::iter).flatten_stream().boxed()
    }
}
