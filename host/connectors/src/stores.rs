//! Where checkpoints lie: a local directory, or a bucket that every process of a group reaches.

use std::future::Future;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gridwatch_core::sink::{Store, StoreError};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Handle, Runtime};

const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// A checkpoint of a large lane is hundreds of megabytes.
const REQUEST_WAIT: Duration = Duration::from_secs(60);
const RETRY_WAIT: Duration = Duration::from_secs(10);

/// A put that has not ended after so long never will: whoever made it was killed.
const STAGED_AGE: Duration = Duration::from_secs(3_600);

/// A bucket. What is `None` comes from the environment (`AWS_ACCESS_KEY_ID`, …).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// `s3://BUCKET/PREFIX`
    pub url: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key: Option<String>,
    pub secret_key: Option<String>,
}

/// Blocks the calling thread, which must not be one that runs async code.
#[derive(Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    /// Where objects are files, and are written beside their place first.
    directory: Option<PathBuf>,
}

impl Objects {
    /// Objects as files below `directory`, which is made if it is not there. A put is on disk, under its
    /// name, when it returns.
    pub fn local(directory: &FilePath) -> Result<Objects, StoreError> {
        let name = || directory.display().to_string();
        let failed = |what: String| StoreError::Failed { name: name(), what };
        std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| failed(error.to_string()))?
            .with_fsync(true);
        let mut objects = Objects::new(Arc::new(store)).map_err(|error| failed(error.to_string()))?;
        objects.directory = Some(directory.to_owned());
        Ok(objects)
    }

    /// Objects in a bucket. Nothing is asked of it yet; every call is tried again for a while, and fails
    /// rather than to go on for ever.
    pub fn s3(settings: &S3Settings) -> Result<Objects, StoreError> {
        let failed = |what: String| StoreError::Failed { name: settings.url.clone(), what };
        let place = settings.url.strip_prefix("s3://").unwrap_or(&settings.url);
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let options = ClientOptions::new()
            .with_connect_timeout(CONNECT_WAIT)
            .with_timeout(REQUEST_WAIT)
            .with_allow_http(settings.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")));
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: 5, retry_timeout: RETRY_WAIT };
        // Whatever is not given comes from the environment, under the names that AWS gives it.
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(key) = &settings.access_key {
            builder = builder.with_access_key_id(key);
        }
        if let Some(key) = &settings.secret_key {
            builder = builder.with_secret_access_key(key);
        }
        let store = builder.build().map_err(|error| failed(error.to_string()))?;
        let prefix = Path::parse(prefix).map_err(|error| failed(error.to_string()))?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store, prefix));
        Objects::new(store).map_err(|error| failed(error.to_string()))
    }

    /// Any object store.
    pub fn new(store: Arc<dyn ObjectStore>) -> std::io::Result<Objects> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Objects { store, runtime: Some(runtime), directory: None })
    }

    fn block_on<T>(&self, name: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let failed = |what: String| StoreError::Failed { name: name.to_owned(), what };
        if Handle::try_current().is_ok() {
            return Err(failed("the store was called from async code".into()));
        }
        let Some(runtime) = &self.runtime else { return Err(failed("the store is closed".into())) };
        runtime.block_on(call).map_err(|error| match error {
            Error::NotFound { .. } => StoreError::Missing { name: name.to_owned() },
            other => failed(other.to_string()),
        })
    }
}

impl Drop for Objects {
    /// The last to hold it may be a task of another runtime, which must not wait for this one's end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn path_of(name: &str) -> Result<Path, StoreError> {
    let failed = |what: String| StoreError::Failed { name: name.to_owned(), what };
    if name.is_empty() {
        return Err(failed("an object needs a name".into()));
    }
    Path::parse(name).map_err(|error| failed(error.to_string()))
}

impl Store for Objects {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let path = path_of(name)?;
        let payload = PutPayload::from(bytes);
        self.block_on(name, self.store.put(&path, payload)).map(|_| ())
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let path = path_of(name)?;
        let payload = PutPayload::from(bytes);
        self.block_on(name, async {
            match self.store.put_opts(&path, payload, PutMode::Create.into()).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = path_of(name)?;
        let bytes = self.block_on(name, async { self.store.get(&path).await?.bytes().await })?;
        Ok(bytes.to_vec())
    }

    /// All names that begin with `prefix`, sorted.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder)
            .map_err(|error| StoreError::Failed { name: prefix.to_owned(), what: error.to_string() })?;
        let mut names = self.block_on(prefix, async {
            let mut names = Vec::new();
            let mut folders = vec![folder];
            while let Some(folder) = folders.pop() {
                let found = self.store.list_with_delimiter(Some(&folder)).await?;
                names.extend(found.objects.into_iter().map(|object| object.location.to_string()));
                folders.extend(found.common_prefixes);
            }
            Ok(names)
        })?;
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = path_of(name)?;
        self.block_on(name, self.store.delete(&path))
    }

    fn tidy(&self, folder: &str) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        remove_staged(&directory.join(path_of(folder)?.as_ref()), SystemTime::now())
            .map_err(|error| StoreError::Failed { name: folder.to_owned(), what: error.to_string() })
    }
}

/// The local store writes `NAME#1` (or another number) and renames it: a kill between leaves that for ever.
fn remove_staged(folder: &FilePath, now: SystemTime) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.rsplit_once('#')).map_or("", |(_, number)| number);
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // Of another process it may be gone by now.
        let Ok(written) = entry.metadata().and_then(|data| data.modified()) else { continue };
        if now.duration_since(written).is_ok_and(|age| age > STAGED_AGE) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn objects_are_put_whole_listed_and_deleted() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Objects::local(&folder.path().join("made/by/it")).unwrap();
        store.put("lanes/a/1", b"one".to_vec()).unwrap();
        store.put("lanes/a/1", b"again".to_vec()).unwrap();
        store.put("lanes/ab/2", b"".to_vec()).unwrap();
        store.put("other", b"x".to_vec()).unwrap();
        assert_eq!(store.get("lanes/a/1").unwrap(), b"again");
        assert!(!store.create("lanes/a/1", b"never".to_vec()).unwrap());
        assert_eq!(store.get("lanes/a/1").unwrap(), b"again");
        assert!(store.create("lanes/a/2", b"two".to_vec()).unwrap());
        store.delete("lanes/a/2").unwrap();
        assert_eq!(store.list("").unwrap(), ["lanes/a/1", "lanes/ab/2", "other"]);
        assert_eq!(store.list("lanes/a").unwrap(), ["lanes/a/1", "lanes/ab/2"]);
        assert_eq!(store.list("lanes/a/").unwrap(), ["lanes/a/1"]);
        assert!(store.list("nowhere/").unwrap().is_empty());
        store.delete("lanes/a/1").unwrap();
        let missing = StoreError::Missing { name: "lanes/a/1".into() };
        assert_eq!(store.get("lanes/a/1"), Err(missing));
    }

    /// What a kill in the middle of a put leaves: in no list, and gone after an hour. A put under way stays.
    #[test]
    fn what_a_put_that_was_cut_short_has_left_is_tidied_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Objects::local(folder.path()).unwrap();
        store.put("lanes/a/1", b"one".to_vec()).unwrap();
        let staged = folder.path().join("lanes/a/1#1");
        std::fs::write(&staged, b"on").unwrap();
        store.tidy("lanes/a/").unwrap();
        assert!(staged.exists(), "it may still be written");
        assert_eq!(store.list("lanes/").unwrap(), ["lanes/a/1"]);
        let file = std::fs::File::options().write(true).open(&staged).unwrap();
        file.set_modified(SystemTime::now() - STAGED_AGE * 2).unwrap();
        let whole = std::fs::File::options().write(true).open(folder.path().join("lanes/a/1")).unwrap();
        whole.set_modified(SystemTime::now() - STAGED_AGE * 2).unwrap();
        store.tidy("lanes/a/").unwrap();
        store.tidy("nowhere/").unwrap();
        assert!(!staged.exists());
        assert_eq!(store.get("lanes/a/1").unwrap(), b"one");
    }

    #[test]
    fn the_last_to_hold_it_may_be_async() {
        let dir = tempfile::tempdir().unwrap();
        let store = Objects::local(dir.path()).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move { drop(store) });
    }

    #[test]
    fn failed_is_not_missing() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Objects::local(folder.path()).unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        assert!(matches!(store.put("file/below", b"y".to_vec()), Err(StoreError::Failed { .. })));
        assert!(matches!(store.get("../outside"), Err(StoreError::Failed { .. })));
        assert!(matches!(store.get(""), Err(StoreError::Failed { .. })));
        let runtime = Builder::new_current_thread().build().unwrap();
        let inside = runtime.block_on(async { store.get("file") });
        assert!(matches!(inside, Err(StoreError::Failed { .. })));
        assert_eq!(store.get("file").unwrap(), b"x");
    }
}
