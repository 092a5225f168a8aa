//! The store that was chosen: passes everything on, and notes that logins are kept there before the first one is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::StoreKind;
use super::marker::Marker;
use crate::private_folder::PrivateFolder;
use crate::{LoginKey, LoginKeys, LoginRecord, StoreDescription, StoreError, TokenLease, TokenStore};

/// The store that [`StoreChoice::choose`](super::StoreChoice::choose) found. [`describe`](TokenStore::describe) says which,
/// and why.
#[derive(Clone)]
pub struct ChosenStore {
    inner: Arc<dyn TokenStore>,
    kind: StoreKind,
    why: String,
    note: Arc<Note>,
}

/// What is to be noted before the first write.
struct Note {
    folder: PrivateFolder,
    kind: StoreKind,
    instead_of: Option<Marker>,
    done: AtomicBool,
}

impl ChosenStore {
    pub(super) fn new(
        inner: Arc<dyn TokenStore>,
        kind: StoreKind,
        why: String,
        folder: PrivateFolder,
        instead_of: Option<Marker>,
    ) -> Self {
        let note = Note { folder, kind, instead_of, done: AtomicBool::new(false) };
        Self { inner, kind, why, note: Arc::new(note) }
    }

    /// The kind of store that it is.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }
}

impl Note {
    async fn write(&self) -> Result<(), StoreError> {
        if !self.done.load(Ordering::Acquire) {
            Marker::write(&self.folder, self.kind, self.instead_of.as_ref()).await?;
            self.done.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl fmt::Debug for ChosenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChosenStore")
            .field("kind", &self.kind)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for ChosenStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.inner.load(key).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let inner = self.inner.lease(key, deadline).await?;
        Ok(Box::new(ChosenLease { inner, note: Arc::clone(&self.note) }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.inner.list()
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription { why: self.why.clone(), ..self.inner.describe() }
    }
}

struct ChosenLease {
    inner: Box<dyn TokenLease>,
    note: Arc<Note>,
}

#[async_trait]
impl TokenLease for ChosenLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.inner.load().await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.note.write().await?;
        self.inner.reserve(bytes).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        self.note.write().await?;
        self.inner.save(record).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.inner.delete().await
    }
}
