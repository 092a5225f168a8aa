//! One exchange with a token endpoint that answers what it is told to: the way of an answer through jeton-grants, with a
//! transport that waits for nothing.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use jeton_grants::bytes::Bytes;
use jeton_grants::{
    ClientAuthentication, Grant, GrantContext, GrantError, Limits, ManualClock, RefreshToken, Transport,
    TransportError, async_trait, http,
};
use jeton_models::{AuthorizationServerMetadata, TokenResponse};

/// What the endpoint answers.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) status: u16,
    pub(crate) content_type: Vec<u8>,
    pub(crate) retry_after: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

#[async_trait]
impl Transport for Endpoint {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut response = http::Response::new(Bytes::from(self.body.clone()));
        *response.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or_default();
        for (name, value) in
            [(http::header::CONTENT_TYPE, &self.content_type), (http::header::RETRY_AFTER, &self.retry_after)]
        {
            // An HTTP library hands on no value that no header can have.
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }
}

/// A refresh at that endpoint.
pub(crate) fn refresh(
    endpoint: &Endpoint,
    refresh_token: &str,
    authentication: &dyn ClientAuthentication,
    now: SystemTime,
    strict: bool,
) -> Result<TokenResponse, GrantError> {
    let mut server = AuthorizationServerMetadata::new("https://as.example");
    server.token_endpoint = Some("https://as.example/token".to_owned());
    let clock = ManualClock::at(now);
    let mut cx = GrantContext::new(&server, "client", authentication, endpoint, &clock);
    cx.parse.strict = strict;
    ready(RefreshToken::new(refresh_token).obtain(&cx))
}

/// The result of a future that never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}
