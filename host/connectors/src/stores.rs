//! Where checkpoints lie: a local directory today; whatever `object_store` reaches fits.

use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;

use gridwatch_core::sink::{Store, StoreError};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::{Builder, Handle, Runtime};

/// Blocks the calling thread, which must not be one that runs async code.
#[derive(Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
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
        Objects::new(Arc::new(store)).map_err(|error| failed(error.to_string()))
    }

    /// Any object store.
    pub fn new(store: Arc<dyn ObjectStore>) -> std::io::Result<Objects> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Objects { store, runtime })
    }

    fn block_on<T>(&self, name: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let failed = |what: String| StoreError::Failed { name: name.to_owned(), what };
        if Handle::try_current().is_ok() {
            return Err(failed("the store was called from async code".into()));
        }
        self.runtime.block_on(call).map_err(|error| match error {
            Error::NotFound { .. } => StoreError::Missing { name: name.to_owned() },
            other => failed(other.to_string()),
        })
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
        assert_eq!(store.list("").unwrap(), ["lanes/a/1", "lanes/ab/2", "other"]);
        assert_eq!(store.list("lanes/a").unwrap(), ["lanes/a/1", "lanes/ab/2"]);
        assert_eq!(store.list("lanes/a/").unwrap(), ["lanes/a/1"]);
        assert!(store.list("nowhere/").unwrap().is_empty());
        store.delete("lanes/a/1").unwrap();
        let missing = StoreError::Missing { name: "lanes/a/1".into() };
        assert_eq!(store.get("lanes/a/1"), Err(missing));
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
