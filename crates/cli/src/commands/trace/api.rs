//! A request to an API with the token, step by step: what `jeton request` leaves to the library.

use jeton::grants::bytes::Bytes;
use jeton::grants::http::header::AUTHORIZATION;
use jeton::grants::http::{HeaderMap, Method, Request, StatusCode};
use jeton::grants::{Limits, Transport as _};
use jeton::{AccessToken, Url};

use super::timeline::{Kind, Timeline};
use super::transport;
use super::wire::{Side, WatchedTransport};
use crate::context::Connection;
use crate::exit::Exit;
use crate::failure::Failure;

/// A URL of an API without what may be a secret in it.
pub(super) fn shown(timeline: &Timeline, url: &Url) -> String {
    timeline.redactor().url(url)
}

/// Sends the request, and once more where the token was refused and another one may help.
pub(super) async fn request(
    connection: &Connection,
    timeline: &Timeline,
    method: &str,
    url: &str,
) -> Result<String, Failure> {
    let method: Method = method
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| Failure::usage(format!("{method:?} is no method of HTTP")))?;
    let url = Url::parse(url).map_err(|error| Failure::usage("that is no URL").because(error.to_string()))?;
    let sender = Sender {
        connection,
        transport: transport(&connection.name, &connection.profile, timeline, Side::Api)?,
        method,
        url,
    };
    let failed = |error: &jeton::Error| {
        connection.failure(error, format!("the request for `{}` was not sent", connection.name))
    };
    let session = &connection.session;
    session.check_url(&sender.url).map_err(|error| failed(&error))?;
    let token = session.token().await.map_err(|error| failed(&error))?;
    let (mut status, headers) = sender.send_with(&token).await?;
    if session.judge(&token, status, &headers) {
        timeline.add(Kind::Event, "the API refused the token, and another one may help", Vec::new());
        let another = session.token().await.map_err(|error| failed(&error))?;
        let (again, headers) = sender.send_with(&another).await?;
        session.judge(&another, again, &headers);
        status = again;
    }
    match status.is_client_error() || status.is_server_error() {
        false => Ok(format!("the API answered {status}")),
        true => Err(Failure::new(Exit::HttpStatus, "http_status", format!("the API answered {status}"))),
    }
}

struct Sender<'a> {
    connection: &'a Connection,
    transport: WatchedTransport,
    method: Method,
    url: Url,
}

impl Sender<'_> {
    /// Once, or twice where the API wants its nonce in the proof.
    async fn send_with(&self, token: &AccessToken) -> Result<(StatusCode, HeaderMap), Failure> {
        let (status, headers) = self.send_once(token).await?;
        match self.connection.session.dpop_nonce(&self.url, status, &headers) {
            true => self.send_once(token).await,
            false => Ok((status, headers)),
        }
    }

    async fn send_once(&self, token: &AccessToken) -> Result<(StatusCode, HeaderMap), Failure> {
        let failed =
            |why: String| Failure::new(Exit::TryLater, "network", "the API gave no answer").because(why);
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() =
            self.url.as_str().parse().map_err(|_| Failure::usage("that URL cannot be sent"))?;
        request.headers_mut().insert(AUTHORIZATION, token.authorization().clone());
        let proof = self.connection.session.dpop_proof(&self.method, &self.url, token).await;
        let proof = proof.map_err(|error| self.connection.failure(&error, "the request cannot be signed"))?;
        if let Some(proof) = proof {
            request.headers_mut().insert("dpop", proof);
        }
        let answer = self.transport.send(request, &Limits::default()).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        Ok((answer.status(), answer.headers().clone()))
    }
}
