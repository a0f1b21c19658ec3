//! Object stores. An object appears when its upload is complete, so a file appears whole here too; what was interrupted is uploaded
//! again, part of the run by part of the run.

use super::place::{Place, PlacedFile};
use crate::error::RunError;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Bytes of one piece of an upload: at least 5 MiB, which some stores ask for.
const PIECE: usize = 8 << 20;
/// Pieces that are under way at once.
const UNDER_WAY: usize = 4;

/// A place in an object store.
pub struct Bucket {
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    runtime: Arc<Runtime>,
    scratch: PathBuf,
}

impl Bucket {
    /// The place at a URL such as `s3://bucket/prefix` or `file:///data`. Options are taken from the environment, as each store names
    /// them (`AWS_REGION`, …).
    ///
    /// # Errors
    /// It is not a URL, or of a store that this build does not know.
    pub fn open(url: &str) -> Result<Self, RunError> {
        let refused = |error: String| RunError::Refused(format!("-o {url}: {error}"));
        let parsed = url::Url::parse(url).map_err(|error| refused(error.to_string()))?;
        let environment = std::env::vars().map(|(key, value)| (key.to_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(&parsed, environment).map_err(|error| refused(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| RunError::io(url, error))?;
        Ok(Self {
            url: url.trim_end_matches('/').into(),
            store: store.into(),
            prefix,
            runtime: Arc::new(runtime),
            scratch: std::env::temp_dir(),
        })
    }

    fn object(&self, path: &str) -> ObjectPath {
        path.split('/').fold(self.prefix.clone(), ObjectPath::join)
    }

    fn failed(&self, path: &str, error: object_store::Error) -> RunError {
        RunError::io(format!("{}/{path}", self.url), error.into())
    }
}

impl Place for Bucket {
    fn shown(&self) -> String {
        self.url.clone()
    }

    fn create(&self, path: &str, _: u64) -> Result<Box<dyn PlacedFile>, RunError> {
        let upload = self.runtime.block_on(self.store.put_multipart(&self.object(path))).map_err(|error| self.failed(path, error))?;
        let upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
        Ok(Box::new(Upload { pieces: Some(upload), name: format!("{}/{path}", self.url), runtime: Arc::clone(&self.runtime) }))
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RunError> {
        let got = self.runtime.block_on(async { self.store.get(&self.object(path)).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        let object = self.object(path);
        self.runtime
            .block_on(self.store.put(&object, PutPayload::from(bytes.to_vec())))
            .map(|_| ())
            .map_err(|error| self.failed(path, error))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RunError> {
        match self.runtime.block_on(self.store.head(&self.object(path))) {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    fn remove(&self, path: &str) -> Result<(), RunError> {
        match self.runtime.block_on(self.store.delete(&self.object(path))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(path, error)),
        }
    }
}

/// An object that is being uploaded.
struct Upload {
    pieces: Option<WriteMultipart>,
    name: String,
    runtime: Arc<Runtime>,
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let upload = self.pieces.as_mut().expect("an upload that is not complete");
        self.runtime.block_on(async {
            upload.wait_for_capacity(UNDER_WAY).await?;
            upload.write(bytes);
            Ok::<_, object_store::Error>(())
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PlacedFile for Upload {
    fn complete(mut self: Box<Self>) -> Result<(), RunError> {
        let upload = self.pieces.take().expect("an upload is completed once");
        self.runtime.block_on(upload.finish()).map(|_| ()).map_err(|error| RunError::io(&self.name, error.into()))
    }
}

impl Drop for Upload {
    /// An upload that is left unfinished is aborted, so that the store does not keep its pieces.
    fn drop(&mut self) {
        if let Some(upload) = self.pieces.take() {
            // Nothing more can be done where even the abort fails: stores drop stale uploads by their own rules.
            let _ = self.runtime.block_on(upload.abort());
        }
    }
}
