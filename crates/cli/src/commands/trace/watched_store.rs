//! A `TokenStore` that writes down what is read, leased and saved, and passes it on to the real one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jeton::grants::async_trait;
use jeton::storage::{
    LoginKey, LoginKeys, LoginRecord, LoginStatus, StoreDescription, StoreError, TokenLease, TokenStore,
    unix_ms,
};
use serde_json::Value;

use super::timeline::{Kind, Timeline, milliseconds};

pub(super) struct WatchedStore {
    pub(super) inner: Arc<dyn TokenStore>,
    pub(super) timeline: Timeline,
}

/// What a record is called: a login, or a client's registration.
fn subject(key: &LoginKey) -> &'static str {
    if key.is_registration() { "client registration" } else { "login" }
}

fn note(timeline: &Timeline, what: String, details: Vec<(String, Value)>) {
    timeline.add(Kind::Store, what, details);
}

fn note_failure(timeline: &Timeline, what: &str, error: &StoreError) {
    let why = timeline.redactor().words(&error.to_string());
    note(timeline, format!("{what} failed"), vec![("why".to_owned(), why.into())]);
}

/// What stands in a record, by fingerprints.
fn record_details(timeline: &Timeline, record: &LoginRecord) -> Vec<(String, Value)> {
    let redactor = timeline.redactor();
    let mut details: Vec<(String, Value)> = Vec::new();
    let mut add = |name: &str, value: Value| details.push((name.to_owned(), value));
    match &record.status {
        LoginStatus::Live => add("status", "live".into()),
        LoginStatus::Ended { reason, .. } => {
            add("status", format!("ended: {}", redactor.words(reason)).into())
        }
        _ => add("status", "one that this version does not know".into()),
    }
    add("generation", record.generation.into());
    if let Some(refresh_token) = &record.refresh_token {
        add("refresh_token", redactor.secret(refresh_token.expose()).into());
    }
    if let Some(id_token) = &record.id_token {
        // Its claims are shown where it comes over the wire.
        add("id_token", redactor.secret(id_token.expose()).into());
    }
    if let Some(key) = &record.dpop_key {
        redactor.secret(key.expose());
        add("dpop_key", "there is one".into());
    }
    for token in &record.tokens {
        let left = match token.expires_at_ms {
            Some(at) => format!("expires in {} s", (signed(at) - signed(unix_ms(SystemTime::now()))) / 1_000),
            None => "expiry unknown".to_owned(),
        };
        add("access_token", format!("{}, {left}", redactor.secret(token.access_token.expose())).into());
    }
    if let Some(hold) = &record.refresh_hold {
        let reason = redactor.words(&hold.reason);
        let left = hold.remaining(unix_ms(SystemTime::now())).unwrap_or_default().as_secs();
        add("refresh_hold", format!("{left} s, because of {reason}").into());
    }
    details
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Notes what came of reading.
fn note_read(timeline: &Timeline, key: &LoginKey, how: &str, read: &Result<Option<LoginRecord>, StoreError>) {
    let what = subject(key);
    match read {
        Ok(Some(_)) if key.is_registration() => note(timeline, format!("{what} read{how}"), Vec::new()),
        Ok(Some(record)) => note(timeline, format!("{what} read{how}"), record_details(timeline, record)),
        Ok(None) => note(timeline, format!("no {what} there{how}"), Vec::new()),
        Err(error) => note_failure(timeline, &format!("reading the {what}{how}"), error),
    }
}

#[async_trait]
impl TokenStore for WatchedStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        let read = self.inner.load(key).await;
        note_read(&self.timeline, key, "", &read);
        read
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let begun = Instant::now();
        match self.inner.lease(key, deadline).await {
            Ok(inner) => {
                let took = milliseconds(begun.elapsed());
                note(
                    &self.timeline,
                    format!("lease on the {} taken after {took} ms", subject(key)),
                    Vec::new(),
                );
                Ok(Box::new(WatchedLease { inner, key: key.clone(), timeline: self.timeline.clone() }))
            }
            Err(error) => {
                note_failure(&self.timeline, "taking the lease", &error);
                Err(error)
            }
        }
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.inner.list()
    }

    fn describe(&self) -> StoreDescription {
        self.inner.describe()
    }
}

struct WatchedLease {
    inner: Box<dyn TokenLease>,
    key: LoginKey,
    timeline: Timeline,
}

#[async_trait]
impl TokenLease for WatchedLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        let read = self.inner.load().await;
        note_read(&self.timeline, &self.key, " under the lease", &read);
        read
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        let reserved = self.inner.reserve(bytes).await;
        match &reserved {
            Ok(()) => note(&self.timeline, format!("room for {bytes} bytes made"), Vec::new()),
            Err(error) => note_failure(&self.timeline, "making room", error),
        }
        reserved
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        let begun = Instant::now();
        let saved = self.inner.save(record).await;
        let what = subject(&self.key);
        match &saved {
            Ok(()) => {
                let took = milliseconds(begun.elapsed());
                let details = match self.key.is_registration() {
                    true => Vec::new(),
                    false => record_details(&self.timeline, record),
                };
                note(&self.timeline, format!("{what} saved in {took} ms"), details);
            }
            Err(error) => note_failure(&self.timeline, &format!("saving the {what}"), error),
        }
        saved
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        let deleted = self.inner.delete().await;
        match &deleted {
            Ok(()) => note(&self.timeline, format!("{} deleted", subject(&self.key)), Vec::new()),
            Err(error) => note_failure(&self.timeline, "deleting", error),
        }
        deleted
    }
}

impl Drop for WatchedLease {
    fn drop(&mut self) {
        note(&self.timeline, format!("lease on the {} released", subject(&self.key)), Vec::new());
    }
}
