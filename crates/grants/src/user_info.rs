//! The userinfo endpoint (OpenID Connect Core §5.3): what the server says about the person who logged in.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use jeton_models::{Answer, Secret, UserInfo};

use crate::document::not_a_document;
use crate::endpoint::{redact, shown};
use crate::{GrantContext, GrantError, IdToken, JwtRejection, Operation, RejectedJwt, SignedAnswer};

/// What errors and logs call a request to the userinfo endpoint.
const OPERATION: &str = "userinfo request";
const JWT: &str = "application/jwt";

/// The request to the userinfo endpoint, for the access token (and the proof of its key) to be attached to.
///
/// # Errors
/// [`GrantError::Metadata`] if the server names no `userinfo_endpoint`, or one that cannot be used.
pub fn user_info_request(cx: &GrantContext<'_>) -> Result<Request<Bytes>, GrantError> {
    let url = cx.endpoint("userinfo_endpoint")?;
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() =
        url.as_str().parse().map_err(|_| GrantError::other("the userinfo endpoint is no valid URI"))?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, application/jwt;q=0.9"));
    Ok(request)
}

/// Reads the answer of the userinfo endpoint, JSON or a signed JWT. It must be about the person whom the ID token names
/// (OpenID Connect Core §5.3.2); without an ID token there is nobody to compare it with.
///
/// `sent` is what the request carried and nobody may see (the access token, the proof of its key): errors do not show it, though
/// the server repeats it.
///
/// # Errors
/// [`GrantError::UserInfoSubject`] if it is about somebody else, [`GrantError::RejectedJwt`] if it is a JWT that this server has
/// not signed for this client, or, with `must_be_signed`, none at all; otherwise those of an answer that cannot be used.
pub async fn read_user_info(
    cx: &GrantContext<'_>,
    response: &Response<Bytes>,
    sent: &[Secret],
    id_token: Option<&IdToken>,
    must_be_signed: bool,
) -> Result<UserInfo, GrantError> {
    let read = read(cx, response, id_token, must_be_signed).await;
    read.map_err(|error| without(error, sent))
}

/// The error without what the server repeats of that.
fn without(mut error: GrantError, sent: &[Secret]) -> GrantError {
    match &mut error {
        GrantError::OAuth { error, .. } => redact(&mut error.response, sent),
        GrantError::Unusable { answer, .. } => {
            sent.iter().for_each(|secret| answer.redact(secret.expose()));
        }
        _ => {}
    }
    error
}

async fn read(
    cx: &GrantContext<'_>,
    response: &Response<Bytes>,
    id_token: Option<&IdToken>,
    must_be_signed: bool,
) -> Result<UserInfo, GrantError> {
    let (operation, url) = (Operation::named(OPERATION), cx.endpoint("userinfo_endpoint")?);
    let status = response.status();
    if status.is_redirection() {
        return Err(GrantError::Redirected { operation, url: shown(&url), status: status.as_u16() });
    }
    let unusable = || not_a_document(response, cx.clock, &operation, &url);
    if !status.is_success() {
        return Err(unusable());
    }
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let plain = Answer::new(status.as_u16(), content_type, response.body());
    let read = |answer: &Answer<'_>| {
        UserInfo::parse(answer, &cx.parse).map_err(|error| GrantError::of_answer(error, &operation, &url))
    };
    let user_info = match plain.jwt(JWT) {
        Some(jwt) => {
            let claims = signed(cx, jwt).await?;
            read(&Answer::new(status.as_u16(), Some("application/json"), claims.as_bytes()))?
        }
        None if must_be_signed => {
            return Err(RejectedJwt::new(SignedAnswer::UserInfo, JwtRejection::NotSigned).into());
        }
        None => read(&plain)?,
    };
    for warning in &user_info.warnings {
        tracing::warn!(code = warning.code(), "the userinfo answer is not what the standard says: {warning}");
    }
    match id_token {
        Some(id_token) if id_token.subject() != user_info.sub => Err(GrantError::UserInfoSubject),
        _ => Ok(user_info),
    }
}

/// The claims of a signed answer as JSON, if it is this server's, for this client (OpenID Connect Core §5.3.2).
async fn signed(cx: &GrantContext<'_>, jwt: &str) -> Result<String, GrantError> {
    let rejected = |name, what| {
        GrantError::from(RejectedJwt::new(SignedAnswer::UserInfo, JwtRejection::claim(name, what)))
    };
    let listed = cx.server.userinfo_signing_alg_values_supported.as_ref();
    // Servers that do not list any sign by those of ID tokens.
    let listed = listed.or(cx.server.id_token_signing_alg_values_supported.as_ref());
    let allowed = GrantContext::listed_algorithms(listed);
    let verified = cx.verify_jwt(SignedAnswer::UserInfo, jwt, &allowed).await?;
    let claims = verified.claims();
    if cx.issuer.is_none() || claims.issuer() != cx.issuer {
        return Err(rejected("iss", "is not the server that was asked"));
    }
    if !claims.audiences().contains(&cx.client_id) {
        return Err(rejected("aud", "does not name this client"));
    }
    // An ID token is no userinfo answer, though all of its claims would do.
    if verified.header().typ.is_some() && !verified.header().has_type("JWT") {
        return Err(rejected("typ", "is that of another kind of token"));
    }
    serde_json::to_string(claims).map_err(GrantError::other)
}
