//! Token revocation (RFC 7009).

use jeton_models::Secret;

use crate::introspection::about;
use crate::{EndpointRequest, GrantContext, GrantError, Operation};

/// Tells the authorization server that a token is not to be used any more (RFC 7009 §2.1), with the client's authentication.
/// `token_type_hint` is `access_token` or `refresh_token`; a server that does not know it looks at all of its tokens.
///
/// With a refresh token goes the whole login. With an access token a server may revoke the refresh token, too. A token that the
/// server does not know, or has revoked before, is a success (RFC 7009 §2.2).
///
/// # Errors
/// [`GrantError::Metadata`] if the server names no `revocation_endpoint`, or one that cannot be used;
/// [`GrantError::Parameter`] if the token is empty; otherwise those of a request to an endpoint, after which the token may live
/// on: `unsupported_token_type` from a server that revokes no tokens of that kind (RFC 7009 §2.2.1), a 503 with the time after
/// which to try again.
pub async fn revoke(
    cx: &GrantContext<'_>,
    token: &Secret,
    token_type_hint: Option<&str>,
) -> Result<(), GrantError> {
    let url = cx.endpoint("revocation_endpoint")?;
    let request = EndpointRequest::new(Operation::named("revocation"), url, about(token, token_type_hint)?);
    request.send(cx).await?.read(|answer| match answer.status {
        200..=299 => Ok(()),
        _ => Err(answer.error(&cx.parse)),
    })?;
    tracing::debug!(token = token.fingerprint(), "token revoked");
    Ok(())
}
