//! Another origin that only writes down what reaches it: the proof that no token ever does.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use serde_json::json;

use crate::answer::{Answer, Request};
use crate::endpoint::Endpoint;
use crate::record::{RecordedRequest, RequestLog};
use crate::serve::{self, Cut, Delivery, Reply, Respond, Running};

/// A bare server on a loopback port of its own. It answers every request with 200 and keeps it.
/// It stops when it is dropped. Made by [`DevServer::recorder`](crate::DevServer::recorder).
pub struct Recorder {
    url: String,
    log: Arc<Log>,
    _running: Running,
}

struct Log(Mutex<RequestLog>);

impl Recorder {
    pub(crate) fn start() -> io::Result<Self> {
        let bound = serve::bind(0)?;
        let url = format!("http://{}", bound.address);
        let log = Arc::new(Log(Mutex::default()));
        let running = bound.serve(Arc::clone(&log))?;
        Ok(Self { url, log, _running: running })
    }

    /// Its origin, `http://127.0.0.1:PORT`, without `/` at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What has arrived, oldest first; at most the last 4096 requests.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).all()
    }
}

impl Respond for Log {
    async fn respond(self: Arc<Self>, request: Request) -> Result<Reply, Cut> {
        let record = RecordedRequest::new(Endpoint::Other, &request);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        let answer = Answer::json(StatusCode::OK, &json!({ "recorded": true }));
        Ok(Reply { answer, delivery: Delivery::Whole })
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("url", &self.url).finish_non_exhaustive()
    }
}
