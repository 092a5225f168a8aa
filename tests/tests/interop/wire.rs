//! `Wire`: jeton's own transport, with a record of what was asked and answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jeton_client::{HttpOptions, Limits, ReqwestTransport, Transport};
use jeton_grants::{TransportError, async_trait};
use tokio::sync::Notify;

/// The longest wait for something to go over the wire.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request to the authorization server and its answer.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) path: String,
    pub(crate) status: u16,
    form: HashMap<String, String>,
    error: Option<String>,
}

impl Exchange {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    pub(crate) fn is_error(&self, code: &str) -> bool {
        self.error.as_deref() == Some(code)
    }
}

impl std::fmt::Debug for Exchange {
    /// No parameters: secrets are among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.path, self.status, self.error.as_deref().unwrap_or_default())
    }
}

/// A transport that keeps a record. Clones share it.
#[derive(Clone)]
pub(crate) struct Wire {
    transport: ReqwestTransport,
    missing: Option<&'static str>,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    changed: Arc<Notify>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            transport: ReqwestTransport::new(&HttpOptions::new()).unwrap(),
            missing: None,
            exchanges: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// Nothing is found at that path: a server that offers less.
    pub(crate) fn without(mut self, path: &'static str) -> Self {
        self.missing = Some(path);
        self
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.lock().clone()
    }

    /// How many token requests of that grant there were.
    pub(crate) fn token_requests(&self, grant_type: &str) -> usize {
        self.lock().iter().filter(|exchange| exchange.parameter("grant_type") == Some(grant_type)).count()
    }

    /// Waits for an exchange that is such.
    pub(crate) async fn until(&self, is_such: impl Fn(&Exchange) -> bool) {
        let seen = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if self.lock().iter().any(&is_such) {
                    return;
                }
                changed.await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "it did not come; there was {:?}", self.exchanges());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let path = request.uri().path().to_owned();
        let form = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let response = if self.missing == Some(path.as_str()) {
            let mut response = Response::new(Bytes::from_static(b"not found"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        } else {
            self.transport.send(request, limits).await?
        };
        let answer: Option<serde_json::Value> = serde_json::from_slice(response.body()).ok();
        let error = answer.and_then(|answer| answer["error"].as_str().map(str::to_owned));
        self.lock().push(Exchange { path, status: response.status().as_u16(), form, error });
        self.changed.notify_waiters();
        Ok(response)
    }
}
