//! The store that was chosen: passes everything on, and notes that logins are kept there before the first one is.

use std::fmt;
use std::sync::Arc;
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

/// What is to be noted before the first login is stored.
struct Note {
    folder: PrivateFolder,
    kind: StoreKind,
    instead_of: Option<Marker>,
}

impl ChosenStore {
    pub(super) fn new(
        inner: Arc<dyn TokenStore>,
        kind: StoreKind,
        why: String,
        folder: PrivateFolder,
        instead_of: Option<Marker>,
    ) -> Self {
        let note = Note { folder, kind, instead_of };
        Self { inner, kind, why, note: Arc::new(note) }
    }

    /// The kind of store that it is.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }
}

impl Note {
    /// Looked at each time: another process may have moved the logins since.
    async fn is_written(&self) -> Result<bool, StoreError> {
        let noted = Marker::read(&self.folder).await?;
        Ok(noted.is_some_and(|noted| noted.kind == self.kind))
    }

    /// Whether it is written or can be. Writes nothing that stays: the person may call the login off.
    async fn check(&self) -> Result<(), StoreError> {
        match self.is_written().await? {
            true => Ok(()),
            false => Marker::check(&self.folder, self.kind, self.instead_of.as_ref()).await,
        }
    }

    async fn write(&self) -> Result<(), StoreError> {
        match self.is_written().await? {
            true => Ok(()),
            false => Marker::write(&self.folder, self.kind, self.instead_of.as_ref()).await,
        }
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
        self.note.check().await?;
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
