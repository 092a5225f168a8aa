//! One GET of a document that everybody may read: a server's metadata, its keys. No credentials, no redirects; what came
//! instead of the document becomes an error that says what it was.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Response};
use jeton_models::{Answer, AnswerError, ParseOptions};
use url::Url;

use crate::endpoint::{retry_after, shown};
use crate::{Clock, GrantError, Limits, Operation, Transport, TransportError, TransportErrorKind, transport};

/// Asks for a document of that media type.
///
/// # Errors
/// [`GrantError::Transport`] if there is no answer, [`GrantError::Redirected`] for a redirect, which is not followed. Any other
/// status is an answer: [`not_a_document`] makes an error of it.
pub(crate) async fn get(
    sender: &dyn Transport,
    limits: &Limits,
    operation: &Operation,
    url: &Url,
    accept: &'static str,
) -> Result<Response<Bytes>, GrantError> {
    let no_answer = |source| GrantError::Transport { operation: operation.clone(), url: shown(url), source };
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = url.as_str().parse().map_err(|_| {
        no_answer(TransportError::new(TransportErrorKind::Request).with_source("the URL is no valid URI"))
    })?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
    let response = transport::send(sender, request, limits).await.map_err(no_answer)?;
    if response.status().is_redirection() {
        let status = response.status().as_u16();
        return Err(GrantError::Redirected { operation: operation.clone(), url: shown(url), status });
    }
    Ok(response)
}

/// What an answer is that is not the document: the server's error, or what is wrong with the body.
pub(crate) fn not_a_document(
    response: &Response<Bytes>,
    clock: &dyn Clock,
    operation: &Operation,
    url: &Url,
) -> GrantError {
    let (operation, url) = (operation.clone(), shown(url));
    let retry_after = retry_after(response.headers(), || clock.now());
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let answer = Answer::new(response.status().as_u16(), content_type, response.body());
    match answer.error(&ParseOptions::default()) {
        AnswerError::OAuth(error) => {
            GrantError::OAuth { operation, url, error: Box::new(error), retry_after }
        }
        AnswerError::Unusable(answer) => {
            GrantError::Unusable { operation, url, answer: Box::new(answer), retry_after }
        }
        other => GrantError::other(other.to_string()),
    }
}
